"""What people allowed a client once, so that they are not asked again.

A consent counts for one person and one client. It covers the scopes and audiences that were on the
page, and the claims that were asked for by name; whoever asks for more has to ask. The store holds
it sealed, in the one record about the person.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from connectors.base import Identity
from idp.clock import Clock
from idp.log import log_event
from idp.login.state import ApprovalState
from idp.oauth import prompt
from idp.oauth.claim_names import scope_of
from idp.oauth.client import Client
from idp.oauth.scopes import OPENID
from idp.tokens.authorization import asked_of
from storage.base import AlreadyExists, NotFound, StorageError, StorageUnavailable, Unreadable
from storage.collection import Collection, Stored
from storage.persons import person_key
from storage.records import Consent, UserState

_log = logging.getLogger("idp.login")

_MOST = 200
"""Clients of one person that are remembered; the oldest consent gives way."""

_LONGEST_ID = 1024
"""Characters that an object about a person can hold of an id."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asks of a person."""

    client_id: str
    scopes: tuple[str, ...]
    claims: tuple[str, ...] = ()

    def covered_by(self, consent: Consent) -> bool:
        """Return whether the person has allowed all of it."""
        return (
            consent.client_id == self.client_id
            and set(self.scopes) <= set(consent.scopes)
            and all(
                claim in consent.claims or scope_of(claim) in consent.scopes
                for claim in self.claims
            )
        )


def wish_of(approval: ApprovalState, client: Client) -> Wish:
    """Return what a request asks for. That somebody signs in at all goes without a word of it.

    Of what it asks for by name there is as much as the client will get, and no scope of it brings.
    """
    request = approval.login.request
    scopes = tuple(scope for scope in request.scopes if scope != OPENID)
    asked = asked_of(request.claims, approval.identity, request.scopes, client)
    claims = sorted(claim for claim in asked.names if scope_of(claim) not in scopes)
    return Wish(client.id, scopes, tuple(claims))


def with_consent(state: UserState, wish: Wish, now: datetime) -> UserState:
    """Return the record after somebody allowed a wish; what they allowed before stays allowed."""
    known = next((each for each in state.consents if each.client_id == wish.client_id), None)
    if known is not None and wish.covered_by(known):
        return state
    consent = known or Consent(client_id=wish.client_id, scopes=(), granted_at=now)
    consent = replace(
        consent,
        scopes=tuple(dict.fromkeys((*consent.scopes, *wish.scopes))),
        claims=tuple(dict.fromkeys((*consent.claims, *wish.claims))),
        granted_at=now,
    )
    others = [each for each in state.consents if each.client_id != wish.client_id]
    return replace(state, consents=(*others, consent)[-_MOST:])


def without_consent(state: UserState, client_id: str) -> UserState:
    """Return the record after a consent was taken back; the same one where there was none."""
    rest = tuple(each for each in state.consents if each.client_id != client_id)
    return state if len(rest) == len(state.consents) else replace(state, consents=rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consents:
    """The consents of all people, in the store."""

    states: Collection[UserState]
    clock: Clock

    async def cover(self, approval: ApprovalState, wish: Wish) -> bool:
        """Return whether the person has allowed before what is asked now.

        If nobody can say, they are asked. Where that is forbidden, raises StorageUnavailable.
        """
        try:
            stored = await self._found(approval.login.connector_id, approval.identity)
        except StorageUnavailable as error:
            if prompt.NONE in approval.login.request.prompts:
                raise
            log_event(_log, logging.WARNING, "consent_not_known", problem=str(error))
            return False
        if stored is None:
            return False
        return any(wish.covered_by(each) for each in stored.record.consents)

    async def remember(self, approval: ApprovalState, wish: Wish) -> None:
        """Note what the person has just allowed, with at most one write.

        If that fails they are asked again next time, and signed in all the same.
        """
        connector_id, identity = approval.login.connector_id, approval.identity
        if max(len(connector_id), len(identity.user_id)) > _LONGEST_ID:
            return
        try:
            await self._remember(connector_id, identity, wish)
        except (StorageError, ValueError) as error:
            log_event(_log, logging.WARNING, "consent_not_remembered", problem=str(error))

    async def of(self, connector_id: str, user_id: str) -> tuple[Consent, ...]:
        """Return all that a person has allowed. Raises StorageUnavailable."""
        stored = await self._found(connector_id, Identity(user_id=user_id))
        return () if stored is None else stored.record.consents

    async def forget(self, connector_id: str, user_id: str, client_id: str) -> None:
        """Take a consent back. Raises StorageUnavailable."""
        stored = await self._found(connector_id, Identity(user_id=user_id))
        if stored is not None:
            await self.states.update(stored, lambda state: without_consent(state, client_id))

    async def _remember(self, connector_id: str, identity: Identity, wish: Wish) -> None:
        now = self.clock()
        stored = await self._found(connector_id, identity)
        if stored is None:
            fresh = UserState(
                name=person_key(connector_id, identity.user_id),
                connector_id=connector_id,
                user_id=identity.user_id,
                user=identity.preferred_username or identity.email or identity.username,
            )
            try:
                await self.states.create(with_consent(fresh, wish, now))
            except AlreadyExists:
                stored = await self.states.get(fresh.name)
            else:
                return
        await self.states.update(stored, lambda state: with_consent(state, wish, now))

    async def _found(self, connector_id: str, identity: Identity) -> Stored[UserState] | None:
        """Return the record about a person, None where there is none that can be read."""
        try:
            stored = await self.states.get(person_key(connector_id, identity.user_id))
        except NotFound:
            return None
        except StorageUnavailable:
            raise
        except Unreadable as error:
            log_event(_log, logging.ERROR, "record_unreadable", problem=str(error))
            return None
        record = stored.record
        is_theirs = (record.connector_id, record.user_id) == (connector_id, identity.user_id)
        return stored if is_theirs else None
