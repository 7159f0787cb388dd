"""Which grants and sessions have ended, known everywhere within a second, without a copy of others.

Access tokens are checked by their signature alone. So that one of a revoked grant dies at once,
every process follows the store's changes from now on and keeps the names of grants that ended,
until the last access token that they could have issued has expired.
"""

import heapq
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from idp.clock import Clock
from storage.base import Change
from storage.collection import Collection
from storage.fields import column_time
from storage.records import Grant

_JUST_NOW = timedelta(minutes=2)


class EndedNames:
    """Names of what has ended; memory grows with recent ends only."""

    def __init__(self, *, clock: Clock, keep_for: timedelta) -> None:
        self._clock = clock
        self._keep_for = keep_for
        self._forget_at: list[tuple[datetime, str]] = []
        self._names: set[str] = set()

    def __contains__(self, name: object) -> bool:
        """Return whether what has this name has ended."""
        return name in self._names

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._names)

    def add(self, name: str) -> bool:
        """Remember that something has ended; return whether that is news.

        Those that no longer matter are forgotten.
        """
        now = self._clock()
        while self._forget_at and self._forget_at[0][0] <= now:
            self._names.discard(heapq.heappop(self._forget_at)[1])
        if name in self._names:
            return False
        self._names.add(name)
        heapq.heappush(self._forget_at, (now + self._keep_for, name))
        return True


class EndedGrants:
    """The names of grants that ended, and of sessions, which are the names of their first grants.

    A grant may end without the session that it began, as when its client revokes it. `on_session`
    hears of each session once, `on_deleted` of each deletion that ended a grant.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        keep_for: timedelta,
        on_count: Callable[[int], None],
        on_session: Callable[[str], None] = lambda _: None,
        on_deleted: Callable[[Change], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._on_count = on_count
        self._on_session = on_session
        self._on_deleted = on_deleted
        self._grants = EndedNames(clock=clock, keep_for=keep_for)
        self.sessions = EndedNames(clock=clock, keep_for=keep_for)

    def __contains__(self, name: object) -> bool:
        """Return whether a grant has ended."""
        return name in self._grants

    def add(self, name: str) -> None:
        """Remember that a grant has ended."""
        self._grants.add(name)
        self._on_count(len(self._grants))

    def add_session(self, name: str) -> None:
        """Remember that a session has ended."""
        if self.sessions.add(name):
            self._on_session(name)

    def see(self, change: Change) -> None:
        """Take in a change of the store: a tombstone or a deletion ends a grant.

        The deletion of a session's record ends the session too, unless its time was over: then it
        was swept away, and what it let in lives on.
        """
        columns = change.columns
        lived = not columns.get("ended") and change.name not in self._grants
        if change.gone or columns.get("ended"):
            self.add(change.name)
        if columns.get("session") == change.name and (
            columns.get("session_ended") or (change.gone and not self._is_over(columns))
        ):
            self.add_session(change.name)
        if change.gone and lived and not self._is_over(columns):
            self._on_deleted(change)

    async def load(self, grants: Collection[Grant]) -> None:
        """Read the tombstones that are in the store, for a process that has just started."""
        async for stored in grants.scan({"ended": "true"}):
            record = stored.record
            if record.ended_at is not None:
                self.add(record.name)
            state = record.session_state
            if state is not None and state.ended_at is not None:
                self._load_session(record.name, state.ended_at)

    def _load_session(self, name: str, ended_at: datetime) -> None:
        """Remember an ended session, and tell of it if whoever ended it may not be done yet."""
        if self._clock() - ended_at < _JUST_NOW:
            self.add_session(name)
        else:
            self.sessions.add(name)

    def _is_over(self, columns: Mapping[str, str]) -> bool:
        expires = columns.get("expires", "")
        return bool(expires) and expires <= column_time(self._clock())


async def follow_ended_grants(grants: Collection[Grant], ended: EndedGrants) -> None:
    """Keep `ended` up to date until cancelled.

    The watch is opened before the tombstones are read, so that nothing ends in between unseen.
    Raises StorageUnavailable when the watch breaks; whoever runs this starts it again.
    """
    changes = grants.watch()
    await ended.load(grants)
    async for change in changes:
        ended.see(change)
