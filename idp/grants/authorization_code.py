"""grant_type=authorization_code (RFC 6749 section 4.1.3)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from idp.clock import Clock
from idp.grants.base import LoginRules, key_is_away, store_is_away
from idp.grants.lookup import GrantLookup
from idp.log import AuditLog
from idp.oauth.client import Client
from idp.oauth.errors import InvalidGrant
from idp.oauth.groups import audience_of
from idp.oauth.params import Parameters
from idp.oauth.pkce import check_verifier
from idp.tokens.authorization import authorization_of
from idp.tokens.code import code_is_expired, spend_code
from idp.tokens.issue import TokenIssuer, TokenSet
from storage.base import NotFound, SealUnknown, StorageUnavailable, Unreadable
from storage.collection import Stored
from storage.records import Grant


def _refusal() -> InvalidGrant:
    """Return the one answer to every code that is not good (RFC 6749 section 5.2)."""
    return InvalidGrant("The code or its code_verifier is not valid. Start the login again.")


class UnconfirmedSpends:
    """Codes that this process tried to spend and never heard whether it had.

    The write may have been done. The client was told to try again, and its next try must not look
    like a replay. The instant that the attempt wrote into the record tells our own write from
    anybody else's.
    """

    _MOST = 10_000

    def __init__(self) -> None:
        self._attempts: dict[str, datetime] = {}

    def remember(self, name: str, spent_at: datetime) -> None:
        """Note an attempt; the oldest are forgotten first."""
        self._attempts[name] = spent_at
        if len(self._attempts) > self._MOST:
            del self._attempts[next(iter(self._attempts))]

    def take(self, grant: Grant) -> bool:
        """Return whether the code was spent by an attempt of ours that nobody got an answer to.

        Says so once: the next use of the code is a replay.
        """
        attempted_at = self._attempts.pop(grant.name, None)
        return attempted_at is not None and attempted_at == grant.code_spent_at


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCodeGrant:
    """Spends codes. `keep_ended_for` is how long a grant that a replay ended is kept.

    `note_ended` takes the name of such a grant, so that this process need not hear of it from the
    store.
    """

    lookup: GrantLookup
    issuer: TokenIssuer
    clock: Clock
    audit: AuditLog
    unconfirmed: UnconfirmedSpends = field(default_factory=UnconfirmedSpends)
    grant_type: str = "authorization_code"
    logins: LoginRules
    keep_ended_for: timedelta
    note_ended: Callable[[str], None]

    def allows(self, client: Client) -> bool:
        """Return True: whoever got a code may redeem it."""
        return True

    async def redeem(self, form: Parameters, client: Client) -> TokenSet:
        """Return the tokens of a code.

        Everything that somebody else could get wrong is checked before the code is spent, so that
        a stolen code in the wrong hands does not burn the login (RFC 6749 section 10.5).
        """
        code = form.require("code")
        try:
            stored = await self.lookup.by_code(code, _refusal())
            self._check_bound(stored.record, form, client)
            self.logins.check(
                stored.record, client, scopes=stored.record.scopes, refusal=_refusal()
            )
            return await self._spend(stored, client)
        except SealUnknown as error:
            raise key_is_away(error) from error
        except (NotFound, Unreadable):
            raise _refusal() from None
        except StorageUnavailable as error:
            raise store_is_away(error) from error

    def _check_bound(self, grant: Grant, form: Parameters, client: Client) -> None:
        """Check client, redirect URI and verifier (RFC 6749 section 4.1.3, RFC 7636, 4.6)."""
        if grant.client_id != client.id or form.get("redirect_uri") != grant.redirect_uri:
            raise _refusal()
        check_verifier(form.get("code_verifier"), grant.code_challenge)

    async def _spent(self, stored: Stored[Grant]) -> Grant:
        """Return the grant with its code spent, or ended by a replay."""
        now = self.clock()
        grant = stored.record
        if grant.code_spent_at is None and code_is_expired(grant, now):
            # What is in hand may be older than the store, where the code was spent in time.
            stored = await self.lookup.grants.get(grant.name)
            grant = stored.record
            if grant.code_spent_at is None:
                raise _refusal()
        if self.unconfirmed.take(grant) and grant.ended_at is None:
            if code_is_expired(grant, now):
                raise _refusal()
            return grant
        try:
            spent = await self.lookup.grants.update(
                stored, lambda known: spend_code(known, now, self.keep_ended_for)
            )
        except StorageUnavailable:
            if grant.code_spent_at is None:
                self.unconfirmed.remember(grant.name, now)
            raise
        return spent.record

    async def _spend(self, stored: Stored[Grant], client: Client) -> TokenSet:
        spent = await self._spent(stored)
        if spent.ended_at is not None:
            self.note_ended(spent.name)
            self.audit("code_replayed", grant=spent.name, client=spent.client_id)
            raise _refusal()
        refresh_token = None
        if spent.refresh is not None:
            refresh_token = self.lookup.handles.refresh_token(
                spent.name, spent.refresh.generation, spent.seed
            )
        self.audit("tokens_issued", grant=spent.name, client=spent.client_id, by="code")
        audience = audience_of(client, spent.scopes, self.logins.clients)
        authorization = authorization_of(spent, spent.scopes, audience)
        return self.issuer.issue(authorization, refresh_token=refresh_token)
