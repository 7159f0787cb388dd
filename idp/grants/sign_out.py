"""Signing out: a session ends, with everything that came of it, everywhere within a second."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Protocol

from idp.clock import Clock
from idp.grants.endings import end_members
from idp.log import AuditLog, log_event
from idp.tokens.refresh import end_grant
from idp.tokens.session import end_session
from storage.base import NotFound, StorageUnavailable
from storage.collection import Collection, Stored
from storage.records import Grant

_log = logging.getLogger("idp.grants")


class EndsKnown(Protocol):
    """What this process knows of ends, without waiting for the store to say so."""

    def add(self, name: str) -> None:
        """Note that a grant has ended."""
        ...

    def add_session(self, name: str) -> None:
        """Note that a session has ended."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOut:
    """Ends sessions. `keep_for` is how long their tombstones are kept."""

    grants: Collection[Grant]
    ended: EndsKnown
    clock: Clock
    keep_for: timedelta
    audit: AuditLog

    async def session(self, stored: Stored[Grant], *, by: str) -> list[Grant]:
        """End a session; return the grants that it took with it, as they were.

        One write for each, the session's own first: once that is done nothing of the session counts
        anywhere, and what fails after it is made up for in the background. Raises
        StorageUnavailable when the session is not ended.
        """
        ended = await self.session_alone(stored, by=by)
        name = stored.record.name
        try:
            async for grant in end_members(self.grants, name, self.clock, keep_for=self.keep_for):
                self.ended.add(grant.name)
                ended.append(grant)
        except StorageUnavailable as error:
            log_event(_log, logging.WARNING, "session_not_ended", problem=str(error))
        return ended

    async def session_alone(self, stored: Stored[Grant], *, by: str) -> list[Grant]:
        """End a session and mark its own record only; return that if its grant was alive.

        The rest of it counts no more, and is marked by whoever calls this, or in the background.
        Raises StorageUnavailable when the session is not ended.
        """
        ended = await self._end_record(stored)
        name = stored.record.name
        self.ended.add(name)
        self.ended.add_session(name)
        self.audit("session_ended", session=name, by=by)
        return ended

    async def login(self, stored: Stored[Grant], *, by: str) -> list[Grant]:
        """End one grant, and not the session that it may have begun; return it if it was alive.

        One write. Raises StorageUnavailable when it is not ended.
        """
        record = stored.record
        if record.ended_at is not None:
            return []
        change = partial(end_grant, now=self.clock(), keep_for=self.keep_for)
        try:
            await self.grants.update(stored, change)
        except NotFound:
            # Deleted in between, which ends it too.
            return []
        self.ended.add(record.name)
        self.audit("login_ended", grant=record.name, client=record.client_id, by=by)
        return [record]

    async def _end_record(self, stored: Stored[Grant]) -> list[Grant]:
        """Mark the session's own record; return it as it was if its grant was alive."""
        change = partial(end_session, now=self.clock(), keep_for=self.keep_for)
        try:
            await self.grants.update(stored, change)
        except NotFound:
            # Deleted in between, which ends it too.
            return []
        return [stored.record] if stored.record.ended_at is None else []
