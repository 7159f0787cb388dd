"""Which grants have ended, known everywhere within a second, without a copy of the others.

Access tokens are checked by their signature alone. So that one of a revoked grant dies at once,
every process follows the store's changes from now on and keeps the names of grants that ended,
until the last access token that they could have issued has expired.
"""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

from idp.clock import Clock
from storage.base import Change
from storage.collection import Collection
from storage.records import Grant


class EndedGrants:
    """The names of ended grants; memory grows with recent revocations only."""

    def __init__(
        self, *, clock: Clock, keep_for: timedelta, on_count: Callable[[int], None]
    ) -> None:
        self._clock = clock
        self._keep_for = keep_for
        self._on_count = on_count
        self._forget_at: list[tuple[datetime, str]] = []
        self._names: set[str] = set()

    def __contains__(self, name: object) -> bool:
        """Return whether a grant has ended."""
        return name in self._names

    def add(self, name: str) -> None:
        """Remember that a grant has ended, and forget those that no longer matter."""
        now = self._clock()
        while self._forget_at and self._forget_at[0][0] <= now:
            self._names.discard(heapq.heappop(self._forget_at)[1])
        if name not in self._names:
            self._names.add(name)
            heapq.heappush(self._forget_at, (now + self._keep_for, name))
        self._on_count(len(self._names))

    def see(self, change: Change) -> None:
        """Take in a change of the store: a tombstone or a deletion ends a grant."""
        if change.gone or change.columns.get("ended"):
            self.add(change.name)

    async def load(self, grants: Collection[Grant]) -> None:
        """Read the tombstones that are in the store, for a process that has just started."""
        async for stored in grants.scan({"ended": "true"}):
            if stored.record.ended_at is not None:
                self.add(stored.record.name)


async def follow_ended_grants(grants: Collection[Grant], ended: EndedGrants) -> None:
    """Keep `ended` up to date until cancelled.

    The watch is opened before the tombstones are read, so that nothing ends in between unseen.
    Raises StorageUnavailable when the watch breaks; whoever runs this starts it again.
    """
    changes = grants.watch()
    await ended.load(grants)
    async for change in changes:
        ended.see(change)
