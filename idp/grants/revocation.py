"""What a client gives up: ending the grant behind a token (RFC 7009).

A refresh token and an access token are two ends of one grant, and revoking either ends all of it,
as RFC 7009 section 2.1 recommends for the one and allows for the other: an access token that is
dead while its refresh token makes new ones would protect nobody.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from idp.clock import Clock
from idp.grants.base import key_is_away, retry_after
from idp.grants.lookup import GrantLookup
from idp.log import AuditLog, log_event
from idp.oauth.client import Client
from idp.oauth.errors import (
    InvalidGrant,
    InvalidToken,
    TemporarilyUnavailable,
    UnsupportedTokenType,
)
from idp.tokens.access import IssuedTokens
from idp.tokens.issue import GRANT_CLAIM
from idp.tokens.refresh import RefreshPolicy, Verdict, end_grant, judge
from storage.base import NotFound, SealUnknown, StorageUnavailable, Unreadable
from storage.collection import Stored
from storage.records import Grant

_log = logging.getLogger("idp.grants")


class EndedNames(Protocol):
    """The names of grants that have ended, as this process knows them."""

    def __contains__(self, name: object) -> bool:
        """Return whether a grant has ended."""
        ...

    def add(self, name: str) -> None:
        """Note that a grant has ended, without waiting for the store to say so."""
        ...


def _store_is_away(error: StorageUnavailable) -> TemporarilyUnavailable:
    """Return what a client hears while nothing can be revoked (RFC 7009 section 2.2.1)."""
    return TemporarilyUnavailable(
        "The provider's store does not answer. The token may still be good: try again.",
        retry_after(error),
    )


def _check_owner(client_id: object, client: Client) -> None:
    """Check that a token is the client's own. Raises InvalidGrant (RFC 7009 section 2.1)."""
    if client_id != client.id:
        raise InvalidGrant("The token was issued to another client. Nothing was revoked.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Ends grants for the clients that they were made for.

    `access_tokens` are judged by signature and time alone: a token of somebody who is locked just
    now is still worth revoking, as it would be good again once they are not.
    """

    lookup: GrantLookup
    access_tokens: IssuedTokens
    ended: EndedNames
    policy: RefreshPolicy
    clock: Clock
    audit: AuditLog

    async def revoke(self, token: str, client: Client) -> bool:
        """End the grant of a token; return whether there was anything to end.

        Of whatever kind it is, with at most one read and one write. Nothing is written for a text
        that is no token of ours, or one that is good no more. Raises InvalidGrant for a token of
        another client, UnsupportedTokenType, TooManyAttempts, and TemporarilyUnavailable when it
        could not be revoked.
        """
        try:
            name = await self._end_behind(token, client)
        except StorageUnavailable as error:
            raise _store_is_away(error) from error
        if name is None:
            return False
        self.ended.add(name)
        self.audit("token_revoked", grant=name, client=client.id)
        return True

    async def _end_behind(self, token: str, client: Client) -> str | None:
        refusal = InvalidGrant("not a refresh token that is known here")
        try:
            generation, stored = await self.lookup.by_refresh_token(token, refusal)
        except InvalidGrant:
            return await self._end_by_access_token(token, client)
        _check_owner(stored.record.client_id, client)
        policy = self.policy.of(client.tokens)
        verdict = judge(stored.record, generation, self.clock(), policy)
        if verdict in (Verdict.ENDED, Verdict.EXPIRED):
            return None
        return await self._end(stored.record.name, stored)

    async def _end_by_access_token(self, token: str, client: Client) -> str | None:
        try:
            claims: Any = self.access_tokens.verify(token)
        except InvalidToken:
            if self.access_tokens.is_id_token(token):
                raise UnsupportedTokenType("An ID token cannot be revoked.") from None
            return None
        _check_owner(claims.get("client_id"), client)
        name = claims.get(GRANT_CLAIM)
        if name is None:
            raise UnsupportedTokenType(
                "An access token that a client got for itself cannot be revoked. It expires soon."
            )
        return None if name in self.ended else await self._end(name)

    async def _end(self, name: str, stored: Stored[Grant] | None = None) -> str | None:
        """Write that a grant has ended; None where it had before, or is gone, which ended it too.

        `stored` is the grant if it was read already.
        """
        try:
            return await self._mark(stored or await self.lookup.grants.get(name))
        except SealUnknown as error:
            raise key_is_away(error) from error
        except NotFound:
            return None
        except Unreadable as error:
            log_event(_log, logging.ERROR, "record_unreadable", problem=str(error))
        # Its access tokens are good all the same. It cannot be marked, but it can go.
        with suppress(NotFound):
            await self.lookup.grants.delete(name)
        return name

    async def _mark(self, stored: Stored[Grant]) -> str | None:
        if stored.record.ended_at is not None:
            return None
        now = self.clock()
        await self.lookup.grants.update(
            stored, lambda grant: end_grant(grant, now, self.policy.keep_for)
        )
        return stored.record.name
