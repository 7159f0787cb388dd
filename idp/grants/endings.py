"""Ends what belongs to a session that has ended: one write for each of its grants.

Whoever ends a session writes that into its record, and from then on nothing of it counts anywhere.
That is remembered for as long as access tokens live; a refresh token lives longer, so each grant of
the session is marked as well. Who signs out waits for that; here it is done for sessions that
were deleted by hand, and for grants that were made in the moment of the end.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from idp.clock import Clock
from idp.log import log_event
from idp.tokens.refresh import end_grant
from storage.base import NotFound, StorageError
from storage.collection import Collection
from storage.records import Grant

_log = logging.getLogger("idp.grants")

LOOK_AFTER_SECONDS = (5.0, 60.0)
"""How long after the end of a session its grants are looked for, once: one may have been on its way
into the store. Who does not lead by then looks again whether it does."""

_AT_ONCE = 2
"""Lists of grants that are asked for at a time; each costs the API server a look at all of them."""


async def end_members(
    grants: Collection[Grant], session: str, clock: Clock, *, keep_for: timedelta
) -> AsyncIterator[Grant]:
    """Mark the grants of a session as ended, and yield those that were alive.

    Raises StorageUnavailable; then it has to be done again.
    """
    async for stored in grants.scan({"session": session}):
        record = stored.record
        if record.session != session or record.ended_at is not None:
            continue
        now = clock()
        try:
            after = await grants.update(stored, partial(end_grant, now=now, keep_for=keep_for))
        except NotFound:
            continue
        if after.record.ended_at == now:
            yield record


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEndings:
    """Does so in the background, in the replica that `leads`. `hear` is told of ended sessions.

    `on_ended` gets every grant that was ended here, as it was before.
    """

    grants: Collection[Grant]
    clock: Clock
    keep_for: timedelta
    leads: Callable[[], bool]
    on_ended: Callable[[Grant], object]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _waiting: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def hear(self, session: str) -> None:
        """Take in that a session has ended; never waits."""
        self._waiting.put_nowait(session)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                session = await self._waiting.get()
                group.create_task(self._finish(session))

    async def _finish(self, session: str) -> None:
        for seconds in LOOK_AFTER_SECONDS:
            await self.sleep(seconds)
            if self.leads():
                await self._end(session)
                return

    async def _end(self, session: str) -> None:
        try:
            async with self._turns:
                async for grant in end_members(
                    self.grants, session, self.clock, keep_for=self.keep_for
                ):
                    self.on_ended(grant)
        except StorageError as error:
            log_event(_log, logging.WARNING, "session_not_ended", problem=str(error))
