"""Waiting for something that happens by itself, and no longer than it may take.

`KUBE_IDP_IMPATIENT=1` looks again at once, between any two steps of what is waited for: a test that
waits for one thing and then takes another for done, which comes a little later, fails so nearly
always. Otherwise it fails on a busy machine, once in a while.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Self

_IS_IMPATIENT = os.environ.get("KUBE_IDP_IMPATIENT") == "1"
_PACE_SECONDS = 0.001 if _IS_IMPATIENT else 0.02
_SHORT_SECONDS = 0.0 if _IS_IMPATIENT else 0.002
_BEAT_SECONDS = 0.05


class Stopwatch:
    """Counts seconds in which the machine let its processes run; starts when it is entered.

    Promises in seconds are made for a machine that is not overrun. A thread sleeps for moments all
    the while; by how much it wakes too late, the processes that a test waits for are late as well,
    and that is not counted. On a machine with nothing else to do these are seconds of the clock:
    who keeps a promise too late because it sleeps, or waits for a lock, is late here too.
    """

    def __init__(self) -> None:
        """Stand still until it is entered."""
        self._began = 0.0
        self._asleep_at = 0.0
        self._held_up = 0.0
        self._left = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)

    @property
    def seconds(self) -> float:
        """Return how many there were so far."""
        now = time.monotonic()
        return now - self._began - self._held_up - self._late(now)

    def __enter__(self) -> Self:
        self._began = self._asleep_at = time.monotonic()
        self._beats.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._beats.join()

    def _beat(self) -> None:
        while not self._left.wait(_BEAT_SECONDS):
            now = time.monotonic()
            self._held_up += self._late(now)
            self._asleep_at = now

    def _late(self, now: float) -> float:
        return max(0.0, now - self._asleep_at - _BEAT_SECONDS)


def eventually(is_so: Callable[[], bool], *, within: float) -> float:
    """Return after how many seconds it is so; raises TimeoutError after `within`.

    What counts is when it was asked, not when the answer was here: it was true of some moment
    between. Seconds are those of a `Stopwatch`.
    """
    began = time.monotonic()
    with Stopwatch() as watch:
        while True:
            asked_at = watch.seconds
            if is_so():
                return time.monotonic() - began
            if asked_at > within:
                raise TimeoutError(f"not so after {within} s")
            time.sleep(_PACE_SECONDS)


def becomes(is_so: Callable[[], bool], *, within: float) -> bool:
    """Tell whether it is so within so many seconds, as `eventually` counts them."""
    try:
        eventually(is_so, within=within)
    except TimeoutError:
        return False
    return True


async def soon(is_so: Callable[[], object], *, within: float = 30.0) -> None:
    """Return once it is so, while other tasks run; raises TimeoutError after `within`."""
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110 - there is nothing else to wait for
            await asyncio.sleep(_SHORT_SECONDS)
