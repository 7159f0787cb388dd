"""Which errors of a store are waited for at the start, and for how long."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from idp.app.patience import Patience
from storage.base import NotFound, StorageError, StorageUnavailable


class Missing(StorageError):
    """Something that somebody has to install."""


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move it."""
        self.now += seconds


def failing(*errors: StorageError) -> Callable[[], Awaitable[str]]:
    """Return a step that fails with each error in turn and then succeeds."""
    left = list(errors)

    async def step() -> str:
        if left:
            raise left.pop(0)
        return "opened"

    return step


def wait_for(step: Callable[[], Awaitable[str]], time: Time) -> str:
    """Return what the step returned in the end."""
    patience = Patience(to_mend=(Missing,), monotonic=time.monotonic, sleep=time.sleep)
    return asyncio.run(_result(patience, step))


async def _result(patience: Patience, step: Callable[[], Awaitable[str]]) -> str:
    return await patience(step)


@pytest.mark.covers("P-5")
def test_a_store_that_is_away_is_waited_for_however_long() -> None:
    time = Time()
    assert wait_for(failing(*[StorageUnavailable("away")] * 600), time) == "opened"
    assert time.now == 600


@pytest.mark.covers("K-15")
def test_what_somebody_has_to_mend_is_waited_for_one_minute() -> None:
    time = Time()
    with pytest.raises(Missing, match="the definitions"):
        wait_for(failing(*[Missing("the definitions are missing")] * 600), time)
    assert time.now == 60


def test_what_was_mended_in_time_is_well() -> None:
    time = Time()
    assert wait_for(failing(*[Missing("missing")] * 30), time) == "opened"


def test_other_errors_are_not_waited_for() -> None:
    time = Time()
    with pytest.raises(NotFound):
        wait_for(failing(NotFound("gone")), time)
    assert time.now == 0


def test_the_reason_is_told_at_once_and_every_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="idp.app")
    wait_for(failing(*[StorageUnavailable("away")] * 25), Time())
    assert [record.getMessage() for record in caplog.records] == ["waiting_for_store"] * 3
