"""A flood of names and addresses neither fills the memory nor wipes out what matters."""

import tracemalloc
from datetime import timedelta

import pytest

from idp.login.throttle import HANDLES, PASSWORDS, Throttle, Throttled
from tests.kit.clock import HandClock

MEGABYTE = 1_000_000


def guess(limiter: Throttle, account: str | None, source: str) -> bool:
    try:
        with limiter.reserve(account=account, source=source):
            return True
    except Throttled:
        return False


@pytest.mark.covers("R-71")
def test_many_names_and_sources_take_a_few_megabytes() -> None:
    limiter = Throttle(PASSWORDS, clock=HandClock(), share=1)
    tracemalloc.start()
    try:
        for number in range(10_000):
            guess(limiter, f"local/{number}" + "x" * 200, f"2001:db8:{number:x}::/64")
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 4 * MEGABYTE


@pytest.mark.covers("R-73")
def test_many_sources_at_their_limit_take_a_few_megabytes() -> None:
    limiter = Throttle(HANDLES, clock=HandClock(), share=1)
    tracemalloc.start()
    try:
        for number in range(2_200):
            for _ in range(20):
                guess(limiter, None, f"2001:db8:{number:x}::/64")
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 4 * MEGABYTE


@pytest.mark.covers("R-70")
def test_a_flood_of_names_does_not_free_an_account_under_attack() -> None:
    clock = HandClock()
    limiter = Throttle(PASSWORDS, clock=clock, share=1)
    for number in range(500):
        guess(limiter, "local/victim", f"198.51.100.{number}")
        clock.turn(timedelta(seconds=1))
    for number in range(10_000):
        guess(limiter, f"local/{number}", f"2001:db8:{number:x}::/64")
    assert not guess(limiter, "local/victim", "203.0.113.1")


@pytest.mark.covers("R-70")
def test_a_flood_of_throttled_names_takes_five_failures_each_and_no_less() -> None:
    clock = HandClock()
    limiter = Throttle(PASSWORDS, clock=clock, share=1)
    for number in range(5):
        guess(limiter, "local/victim", f"198.51.100.{number}")
    for number in range(9_000):
        for _ in range(4):
            guess(limiter, f"local/{number}", f"2001:db8:{number:x}::/64")
    assert not guess(limiter, "local/victim", "203.0.113.1")


def test_people_who_sign_in_leave_nothing_behind() -> None:
    limiter = Throttle(PASSWORDS, clock=HandClock(), share=1)
    tracemalloc.start()
    try:
        for number in range(20_000):
            with limiter.reserve(account=f"local/{number}", source=f"10.0.{number}") as attempt:
                attempt.succeeded()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < MEGABYTE // 10
