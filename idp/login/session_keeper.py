"""Finds the session that a browser refers to, and puts new grants into sessions."""

from collections.abc import Callable, Container
from dataclasses import dataclass

from connectors.base import Identity, IdentityGone, Refreshable
from idp.clock import Clock
from idp.log import AuditLog
from idp.login.sessions import (
    Reference,
    SessionPolicy,
    live_state,
    reference_to,
)
from idp.oauth.client import Clients
from idp.oauth.standing import Standings, login_counts
from idp.tokens.authorization import identity_of
from idp.tokens.session import begin_session, end_session, join_session, renew_session
from storage.base import NotFound, SealUnknown, Unreadable
from storage.collection import Collection, Stored, log_unreadable
from storage.records import Grant


class SessionOver(Exception):
    """The session was ended while its person was asked something."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A grant with its place in a session, and the reference that the browser gets for it."""

    grant: Grant
    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKeeper:
    """The sessions of all browsers, in the store.

    `ended` are the names of sessions that are known to have ended. Everything that asks the store
    raises StorageUnavailable, and SealUnknown for a record whose key is not here.
    """

    grants: Collection[Grant]
    ended: Container[str]
    standings: Standings
    clients: Clients
    connectors: Callable[[str], object | None]
    policy: SessionPolicy
    clock: Clock
    audit: AuditLog

    async def find(self, reference: Reference | None) -> Stored[Grant] | None:
        """Return the record of a session that is alive, with one look into the store.

        What time and memory can tell is not asked for.
        """
        if reference is None or reference.is_over(self.clock(), self.policy):
            return None
        if reference.session in self.ended:
            return None
        try:
            stored = await self.grants.get(reference.session)
        except SealUnknown:
            raise
        except Unreadable as error:
            log_unreadable(error)
            return None
        except (NotFound, ValueError):
            return None
        return stored if self._counts(stored.record, reference) else None

    async def person(self, session: Grant, *, keeps_enough: bool) -> Identity | None:
        """Return whose session it is, as the connector knows them now; None if it does not.

        A connector that cannot be asked again leaves what was known at the sign-in, if that
        `keeps_enough` (`idp.login.sessions`). Raises ConnectorUnavailable.
        """
        known = identity_of(session)
        connector = self.connectors(session.connector_id)
        if connector is None:
            return None
        if not isinstance(connector, Refreshable):
            return known if keeps_enough else None
        try:
            found = await connector.refresh(known)
        except IdentityGone:
            self.audit(
                "session_identity_gone", session=session.name, connector=session.connector_id
            )
            return None
        return found if found.user_id == session.user_id else None

    async def join(
        self, grant: Grant, reference: Reference | None, *, session: str, known: Grant | None = None
    ) -> Placed:
        """Return a grant as one more of a session that the browser has.

        `known` is its record where it was read just now. Raises SessionOver.
        """
        if known is None:
            stored = await self.find(reference)
            known = None if stored is None else stored.record
        if reference is None or known is None or known.name != session:
            raise SessionOver
        client = self.clients.get(grant.client_id)
        return Placed(join_session(grant, known, client), reference.used(self.clock()))

    async def begin(self, grant: Grant, reference: Reference | None, *, remembered: bool) -> Placed:
        """Return the grant of somebody who has just proved who they are.

        If it is who the browser's session is of, that goes on, under a new reference. Otherwise a
        new one begins, and the one of somebody else ends: the reference to it is about to be
        overwritten, and nobody could sign them out any more.
        """
        stored = await self.find(reference)
        client = self.clients.get(grant.client_id)
        session = begin_session(grant, client, self.policy.life)
        if stored is not None and _same_person(stored.record, grant):
            session = await self._renew(stored, grant) or session
        elif stored is not None:
            await self._end(stored)
        placed = session
        if session.name != grant.name:
            placed = join_session(grant, session, client)
        return Placed(placed, reference_to(session, self.clock(), remembered=remembered))

    async def reference(self, grant: Grant, *, remembered: bool) -> Reference | None:
        """Return a reference to the session that a grant is in, None when that has ended."""
        session = grant
        if grant.session != grant.name:
            try:
                session = (await self.grants.get(grant.session)).record
            except (NotFound, Unreadable):
                return None
        state = session.session_state
        if state is None or state.ended_at is not None:
            return None
        return reference_to(session, self.clock(), remembered=remembered)

    def _counts(self, session: Grant, reference: Reference) -> bool:
        state = live_state(session, reference, self.clock())
        return state is not None and login_counts(
            self.standings,
            user_id=session.user_id,
            connector_id=session.connector_id,
            authenticated_at=state.authenticated_at,
        )

    async def _renew(self, stored: Stored[Grant], grant: Grant) -> Grant | None:
        """Return the session after another sign-in, None if it was ended meanwhile."""
        life = self.policy.life
        try:
            after = await self.grants.update(
                stored, lambda known: renew_session(known, grant, life)
            )
        except NotFound:
            return None
        state = after.record.session_state
        return after.record if state is not None and state.ended_at is None else None

    async def _end(self, stored: Stored[Grant]) -> None:
        now, keep_for = self.clock(), self.policy.life.keep_for
        try:
            await self.grants.update(stored, lambda session: end_session(session, now, keep_for))
        except NotFound:
            return
        self.audit("session_ended", session=stored.record.name, by="another_sign_in")


def _same_person(session: Grant, grant: Grant) -> bool:
    return (session.user_id, session.connector_id) == (grant.user_id, grant.connector_id)
