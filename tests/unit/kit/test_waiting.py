"""Waiting for a promise in seconds: who breaks it is told so, who is only slow to answer is not."""

import time

import pytest

from tests.kit.waiting import Stopwatch, eventually


def test_what_never_becomes_so_is_told_after_its_time() -> None:
    began = time.monotonic()

    with pytest.raises(TimeoutError, match=r"not so after 0\.3 s"):
        eventually(lambda: False, within=0.3)

    assert time.monotonic() - began >= 0.3


def test_an_answer_counts_by_when_it_was_asked_for() -> None:
    """The first answer comes too late to say anything about the time that was promised."""
    answers = iter([False, True])

    def is_so() -> bool:
        time.sleep(0.4)
        return next(answers)

    assert eventually(is_so, within=0.2) >= 0.8


def test_what_is_not_so_when_it_is_asked_too_late_is_told() -> None:
    asked: list[float] = []

    def is_so() -> bool:
        asked.append(time.monotonic())
        time.sleep(0.3)
        return len(asked) > 2

    with pytest.raises(TimeoutError):
        eventually(is_so, within=0.2)
    assert len(asked) == 2


def test_a_stopwatch_counts_no_more_than_the_clock() -> None:
    began = time.monotonic()
    with Stopwatch() as watch:
        time.sleep(0.3)
        counted = watch.seconds

    assert 0 < counted <= time.monotonic() - began
