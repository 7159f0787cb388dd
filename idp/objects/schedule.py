"""When each of many things is due next, and how a background job waits for it."""

import asyncio
import heapq
from collections.abc import Hashable
from contextlib import suppress
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

AT_ONCE = 0.0
"""An instant before all others of a monotonic clock: due now, and ahead of what waits."""


class Schedule(Generic[K]):
    """Times by thing, in seconds of a monotonic clock; a new time replaces the former one."""

    def __init__(self) -> None:
        self._at: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def plan(self, thing: K, at: float) -> None:
        """Let a thing be due at that time and at no other."""
        self._at[thing] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, thing))
        if len(self._heap) > 2 * len(self._at) + 16:
            self._heap = [(at, i, thing) for i, (thing, at) in enumerate(self._at.items())]
            heapq.heapify(self._heap)

    def hasten(self, thing: K, at: float) -> None:
        """Let a thing be due at that time, if not sooner."""
        if at < self._at.get(thing, float("inf")):
            self.plan(thing, at)

    def drop(self, thing: K) -> None:
        """Forget a thing."""
        self._at.pop(thing, None)

    def take_due(self, now: float, most: int) -> list[K]:
        """Return what is due, the longest waiting first, and forget it."""
        due: list[K] = []
        while len(due) < most and self._next_at() <= now:
            thing = heapq.heappop(self._heap)[2]
            del self._at[thing]
            due.append(thing)
        return due

    def wait_for(self, now: float) -> float | None:
        """Return in how many seconds something is due, None when nothing ever is."""
        at = self._next_at()
        return None if at == float("inf") else max(0.0, at - now)

    def _next_at(self) -> float:
        """Return the earliest time, past what was replaced or dropped."""
        while self._heap:
            at, _, thing = self._heap[0]
            if self._at.get(thing) == at:
                return at
            heapq.heappop(self._heap)
        return float("inf")


class Waker:
    """Lets a job sleep until there is something to do."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """End the sleep, or the next one before it begins."""
        self._event.set()

    async def sleep(self, seconds: float | None) -> None:
        """Sleep that long, or until woken; for ever when None."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()
