"""What people see and end of their own: every session and login of one person, and nobody else's.

Whose a grant is, its sealed record says: names and columns come from outside and decide nothing.
Finding a person's grants costs the store one list, selected by the person's label.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import cast

from idp.clock import Clock
from idp.grants.own_logins import Overview, OwnRules, living_session, overview_of
from idp.grants.sign_out import SignOut
from idp.log import AuditLog
from storage.base import NotFound, SealUnknown, StorageUnavailable, Unreadable
from storage.collection import Collection, Stored, log_unreadable
from storage.persons import person_key
from storage.records import Grant

MOST_LOOKED_AT = 1000
"""Grants of one person that are read to show them; whoever has more is told so."""

_AT_ONCE = 8
"""Writes that are under way at a time when everything of a person ends."""

_PERSON = "person"
_EVERYWHERE = "person_everywhere"


class NotTheirs(Exception):
    """There is nothing of that name that is the person's own and has not ended."""


class NotAllEnded(Exception):
    """The store failed while everything of a person was ended: some of it may go on."""


End = Callable[[Stored[Grant]], Awaitable[list[Grant]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The sessions and logins of whoever asks. `session` is always the record of their session.

    Everything here raises StorageUnavailable.
    """

    grants: Collection[Grant]
    sign_out: SignOut
    rules: OwnRules
    clock: Clock
    audit: AuditLog
    most: int = MOST_LOOKED_AT

    async def overview(self, session: Grant) -> Overview:
        """Return what the person has, with one list, of which no more than `most` are read."""
        found: list[Grant] = []
        is_whole = True
        async with aclosing(self._own(session, {})) as grants:
            async for stored in grants:
                if len(found) == self.most:
                    is_whole = False
                    break
                found.append(stored.record)
        return replace(overview_of(found, self.rules, self.clock()), is_whole=is_whole)

    async def end_session(self, session: Grant, name: str) -> list[Grant]:
        """End a session with all that came of it; return what was alive. Raises NotTheirs."""
        stored = await self._named(session, name)
        if living_session(stored.record, self.clock()) is None:
            raise NotTheirs
        return await self.sign_out.session(stored, by=_PERSON)

    async def end_login(self, session: Grant, name: str) -> list[Grant]:
        """End what a client got through one session; return what was alive. Raises NotTheirs.

        `name` is of one of its grants. The session itself goes on.
        """
        named = await self._named(session, name)
        ended = await self.sign_out.login(named, by=_PERSON)
        if named.record.session:
            async for stored in self._own(session, {"session": named.record.session}):
                if _is_beside(stored.record, named.record):
                    ended += await self.sign_out.login(stored, by=_PERSON)
        if not ended:
            raise NotTheirs
        return ended

    async def end_everything(self, session: Stored[Grant]) -> list[Grant]:
        """End every session and login of the person; return what was alive.

        Sessions go first, so that nothing new comes of them meanwhile, and the person's own goes
        last, so that they can try again. Raises NotAllEnded.
        """
        try:
            ended = [
                *await self._end_each(session.record, self._end_session_alone),
                *await self._end_each(session.record, self._end_login_alone),
                *await self.sign_out.session(session, by=_EVERYWHERE),
            ]
        except StorageUnavailable as error:
            raise NotAllEnded from error
        return ended

    async def _end_session_alone(self, stored: Stored[Grant]) -> list[Grant]:
        if living_session(stored.record, self.clock()) is None:
            return []
        return await self.sign_out.session_alone(stored, by=_EVERYWHERE)

    async def _end_login_alone(self, stored: Stored[Grant]) -> list[Grant]:
        return await self.sign_out.login(stored, by=_EVERYWHERE)

    async def _end_each(self, session: Grant, end: End) -> list[Grant]:
        """End all grants of a person but that of their session, several at a time."""
        ended: list[Grant] = []
        waiting: list[Stored[Grant]] = []
        async for stored in self._own(session, {}):
            if stored.record.name != session.name:
                waiting.append(stored)
            if len(waiting) == _AT_ONCE:
                ended += await _all_ended(waiting, end)
                waiting.clear()
        return ended + await _all_ended(waiting, end)

    async def _named(self, session: Grant, name: str) -> Stored[Grant]:
        try:
            stored = await self.grants.get(name)
        except SealUnknown:
            raise
        except Unreadable as error:
            log_unreadable(error)
            raise NotTheirs from None
        except (NotFound, ValueError):
            raise NotTheirs from None
        if not _same_person(stored.record, session):
            self.audit("login_of_somebody_else", session=session.name, grant=stored.record.name)
            raise NotTheirs
        return stored

    async def _own(
        self, session: Grant, where: Mapping[str, str]
    ) -> AsyncGenerator[Stored[Grant], None]:
        person = person_key(session.connector_id, session.user_id)
        async for stored in self.grants.scan({"person": person, **where}):
            if _same_person(stored.record, session):
                yield stored


def _same_person(grant: Grant, session: Grant) -> bool:
    return (grant.connector_id, grant.user_id) == (session.connector_id, session.user_id)


def _is_beside(grant: Grant, named: Grant) -> bool:
    """Return whether a grant is another one of the same client through the same session."""
    return (
        grant.name != named.name
        and grant.session == named.session
        and grant.client_id == named.client_id
    )


async def _all_ended(waiting: list[Stored[Grant]], end: End) -> list[Grant]:
    """End several grants; every one is tried, whatever becomes of the others."""
    outcomes = await asyncio.gather(*map(end, waiting), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [grant for grants in cast(list[list[Grant]], outcomes) for grant in grants]
