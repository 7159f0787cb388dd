"""Ends what belongs to a session, a person or a client that is over: one write for each grant.

Whoever ends a session writes that into its record, and from then on nothing of it counts anywhere;
the same is true of an instant before which logins of a person count no more. Both are remembered
for a time only, and a refresh token may live longer, so each grant is marked as well. Who signs out
by a browser waits for that; here it is done for sessions that were deleted by hand, for grants that
were made in the moment of the end, for people whom an administrator signed out, and for clients
that registered themselves and were removed.

Clients hear of all that was ended here: commands and kubectl cannot tell them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from idp.clock import Clock, epoch_seconds
from idp.log import log_event
from idp.oauth.standing import UserStanding
from idp.oauth.subject import parse_subject
from idp.tokens.refresh import end_grant
from idp.tokens.session import end_session
from storage.base import Change, NotFound, StorageError, Unreadable
from storage.collection import Collection, Stored, log_unreadable
from storage.persons import person_key
from storage.records import Grant

_log = logging.getLogger("idp.grants")

LOOK_AFTER_SECONDS = (5.0, 60.0)
"""How long after the end of a session its grants are looked for, once: one may have been on its way
into the store. Who does not lead by then looks again whether it does."""

GONE_AFTER_SECONDS = (1.0, 60.0)
"""The same for a person who was signed out and a client that was removed: after a second no replica
makes another login of theirs."""

GATHER_SECONDS = 1.0
"""How long deletions of one session are gathered, so that a client hears of them once."""

_Work = Callable[[], Coroutine[None, None, None]]

_AT_ONCE = 2
"""Lists of grants that are asked for at a time; each costs the API server a look at all of them."""


def end_members(
    grants: Collection[Grant], session: str, clock: Clock, *, keep_for: timedelta
) -> AsyncIterator[Grant]:
    """Mark the grants of a session as ended, and yield those that were alive.

    Raises StorageUnavailable; then it has to be done again.
    """
    found = grants.scan({"session": session})
    members = (each async for each in found if each.record.session == session)
    return _end_each(grants, members, clock, keep_for)


async def end_logins(
    grants: Collection[Grant], sub: str, clock: Clock, *, before: datetime, keep_for: timedelta
) -> AsyncIterator[Grant]:
    """Mark what a person has of logins from before an instant as ended; yield what was alive.

    A session goes by the last time that its person proved who they are, which may be later than the
    login that began it. Raises StorageUnavailable; then it has to be done again.
    """
    user_id, connector_id = parse_subject(sub)
    standing = UserStanding(not_before=before)

    def end(grant: Grant, now: datetime) -> Grant:
        state = grant.session_state
        if state is not None and not standing.admits(epoch_seconds(state.authenticated_at)):
            return end_session(grant, now, keep_for)
        return end_grant(grant, now, keep_for)

    async for stored in grants.scan({"person": person_key(connector_id, user_id)}):
        record = stored.record
        is_theirs = (record.user_id, record.connector_id) == (user_id, connector_id)
        if not is_theirs or standing.admits(epoch_seconds(record.authenticated_at)):
            continue
        try:
            await grants.update(stored, partial(end, now=clock()))
        except NotFound:
            continue
        if record.ended_at is None:
            yield record


def end_client(
    grants: Collection[Grant], client_id: str, clock: Clock, *, keep_for: timedelta
) -> AsyncIterator[Grant]:
    """Mark all logins of a client as ended, and yield those that were alive.

    The sessions that began with one go on: people may be signed in elsewhere by them. Raises
    StorageUnavailable; then it has to be done again.
    """
    found = grants.scan({"client": client_id})
    logins = (each async for each in found if each.record.client_id == client_id)
    return _end_each(grants, logins, clock, keep_for)


async def _end_each(
    grants: Collection[Grant],
    found: AsyncIterator[Stored[Grant]],
    clock: Clock,
    keep_for: timedelta,
) -> AsyncIterator[Grant]:
    """Mark grants as ended; yield, as they were, those that nobody else ended meanwhile."""
    async for stored in found:
        if stored.record.ended_at is not None:
            continue
        now = clock()
        try:
            after = await grants.update(stored, partial(end_grant, now=now, keep_for=keep_for))
        except NotFound:
            continue
        if after.record.ended_at == now:
            yield stored.record


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """Does so in the background, in the replica that `leads`.

    `on_ended` gets the grants that ended together, as they were before. `has_ended` tells whether a
    session is known to have ended, `wants_notice` whether the client with an id has to hear.
    """

    grants: Collection[Grant]
    clock: Clock
    keep_for: timedelta
    leads: Callable[[], bool]
    on_ended: Callable[[Sequence[Grant]], object]
    has_ended: Callable[[str], bool]
    wants_notice: Callable[[str], bool]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _waiting: asyncio.Queue[_Work] = field(default_factory=asyncio.Queue)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _deleted: dict[str, list[Grant]] = field(default_factory=dict)

    def hear(self, session: str) -> None:
        """Take in that a session has ended; never waits."""
        self._waiting.put_nowait(partial(self._finish, session))

    def hear_signed_out(self, sub: str, before: datetime) -> None:
        """Take in that logins of a person from before an instant count no more; never waits."""
        self._waiting.put_nowait(partial(self._finish_person, sub, before))

    def hear_client_gone(self, client_id: str) -> None:
        """Take in that a client was removed for good; never waits."""
        self._waiting.put_nowait(partial(self._finish_client, client_id))

    def hear_deleted(self, change: Change) -> None:
        """Take in that the record of a living login was deleted by hand; never waits.

        The leader of this moment alone keeps what the record said, for as long as it gathers, and
        only for clients that have to hear: thousands may be deleted at a time.
        """
        if not self.leads() or not self.wants_notice(change.columns.get("client", "")):
            return
        grant = self._last(change)
        if grant is None or grant.ended_at is not None:
            return
        session = grant.session or grant.name
        if session not in self._deleted:
            self._waiting.put_nowait(partial(self._tell_deleted, session))
        self._deleted.setdefault(session, []).append(grant)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task((await self._waiting.get())())

    async def _finish(self, session: str) -> None:
        leads = await self._comes_to_lead(LOOK_AFTER_SECONDS)
        deleted = self._deleted.pop(session, [])
        if leads:
            members = end_members(self.grants, session, self.clock, keep_for=self.keep_for)
            await self._end(members, deleted)

    async def _finish_person(self, sub: str, before: datetime) -> None:
        if await self._comes_to_lead(GONE_AFTER_SECONDS):
            await self._end(
                end_logins(self.grants, sub, self.clock, before=before, keep_for=self.keep_for)
            )

    async def _finish_client(self, client_id: str) -> None:
        if await self._comes_to_lead(GONE_AFTER_SECONDS):
            await self._end(end_client(self.grants, client_id, self.clock, keep_for=self.keep_for))

    async def _comes_to_lead(self, after: Sequence[float]) -> bool:
        """Wait for so many seconds, one number after the other, until this replica leads then."""
        for seconds in after:
            await self.sleep(seconds)
            if self.leads():
                return True
        return False

    async def _tell_deleted(self, session: str) -> None:
        await self.sleep(GATHER_SECONDS)
        # Of a session that ended all clients hear together.
        if not self.has_ended(session):
            self.on_ended(self._deleted.pop(session, []))

    async def _end(self, logins: AsyncIterator[Grant], before: Sequence[Grant] = ()) -> None:
        """End logins, and tell of them and of what had gone `before`."""
        ended = list(before)
        try:
            async with self._turns:
                async for grant in logins:
                    ended.append(grant)
        except StorageError as error:
            log_event(_log, logging.WARNING, "session_not_ended", problem=str(error))
        self.on_ended(ended)

    def _last(self, change: Change) -> Grant | None:
        """Return what was deleted, None where nobody can tell."""
        try:
            return self.grants.deleted(change)
        except Unreadable as error:
            log_unreadable(error)
            return None
