"""grant_type=refresh_token (RFC 6749 section 6), with rotation and reuse detection."""

from collections.abc import Callable
from dataclasses import dataclass

from connectors.base import ConnectorUnavailable, Identity, IdentityGone, Refreshable
from idp.clock import Clock
from idp.grants.base import (
    RETRY_AFTER,
    LoginRules,
    check_size,
    key_is_away,
    store_is_away,
)
from idp.grants.lookup import GrantLookup
from idp.log import AuditLog
from idp.oauth.client import Client
from idp.oauth.errors import InvalidGrant, TemporarilyUnavailable
from idp.oauth.groups import Audience, audience_of
from idp.oauth.params import Parameters
from idp.oauth.scopes import narrow_scope
from idp.tokens.authorization import (
    Authorization,
    asked_in,
    authorization_of,
    identity_of,
    needed_of,
)
from idp.tokens.issue import TokenIssuer, TokenSet
from idp.tokens.refresh import RefreshPolicy, Verdict, advance, judge
from storage.base import NotFound, SealUnknown, StorageUnavailable, Unreadable
from storage.collection import Stored
from storage.records import Grant


def _refusal() -> InvalidGrant:
    """Return the one answer to every refresh token that is not good."""
    return InvalidGrant("The refresh token is expired, revoked or not valid. Sign in again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """One use of a refresh token: which generation, for whom, and for what."""

    generation: int
    scopes: tuple[str, ...]
    audience: Audience
    policy: RefreshPolicy

    def authorization(self, grant: Grant) -> Authorization:
        """Return what may be issued for the grant."""
        return authorization_of(grant, self.scopes, self.audience)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenGrant:
    """Renews tokens, asking the connector each time whether the person still exists.

    `note_ended` takes the name of a grant that a reused token ended, so that this process need not
    hear of it from the store.
    """

    lookup: GrantLookup
    issuer: TokenIssuer
    connectors: Callable[[str], object | None]
    policy: RefreshPolicy
    clock: Clock
    audit: AuditLog
    grant_type: str = "refresh_token"
    logins: LoginRules
    note_ended: Callable[[str], None]

    def allows(self, client: Client) -> bool:
        """Return True: whoever got a refresh token may use it."""
        return True

    async def redeem(self, form: Parameters, client: Client) -> TokenSet:
        """Return fresh tokens and the current refresh token, with at most one write."""
        text = form.require("refresh_token")
        try:
            generation, stored = await self.lookup.by_refresh_token(text, _refusal())
            if stored.record.client_id != client.id:
                # Not the thief's grant to end: the family stays untouched (RFC 6749 section 6).
                raise _refusal()
            scopes = narrow_scope(form.get("scope"), stored.record.scopes)
            self.logins.check(stored.record, client, scopes=scopes, refusal=_refusal())
            use = _Use(
                generation=generation,
                scopes=scopes,
                audience=audience_of(client, scopes, self.logins.clients),
                policy=self.policy.of(client.tokens),
            )
            grant = await self._renew(stored, use)
        except SealUnknown as error:
            raise key_is_away(error) from error
        except (NotFound, Unreadable):
            raise _refusal() from None
        except StorageUnavailable as error:
            raise store_is_away(error) from error
        return self._answer(grant, use)

    async def _renew(self, stored: Stored[Grant], use: "_Use") -> Grant:
        now, generation, policy = self.clock(), use.generation, use.policy
        verdict = judge(stored.record, generation, now, policy)
        if verdict in (Verdict.ENDED, Verdict.EXPIRED):
            raise _refusal()
        if verdict is Verdict.GRACE:
            # Whoever spent this generation asked the connector less than a minute ago.
            return stored.record
        identity = await self._identity_now(stored.record, verdict, use.audience.client)
        following = advance(stored.record, generation, identity, now, policy)
        check_size(self.issuer, use.authorization(following))
        renewed = await self.lookup.grants.update(
            stored, lambda grant: advance(grant, generation, identity, now, policy)
        )
        if renewed.record.ended_at is not None:
            self.note_ended(renewed.record.name)
            self.audit(
                "refresh_token_reused", grant=stored.record.name, client=stored.record.client_id
            )
            raise _refusal()
        if verdict is Verdict.RESTORED:
            self.audit("refresh_token_from_the_future", grant=stored.record.name)
        return renewed.record

    async def _identity_now(self, grant: Grant, verdict: Verdict, client: Client) -> Identity:
        """Return the person as they are now (a reused token is not worth asking for)."""
        known = identity_of(grant)
        if verdict is Verdict.REUSED:
            return known
        connector = self.connectors(grant.connector_id)
        if not isinstance(connector, Refreshable):
            self.audit("refresh_connector_missing", grant=grant.name, connector=grant.connector_id)
            raise _refusal()
        try:
            now_known = await connector.refresh(known)
            return needed_of(now_known, grant.scopes, asked_in(grant), client)
        except IdentityGone:
            self.audit("refresh_identity_gone", grant=grant.name, connector=grant.connector_id)
            raise _refusal() from None
        except ConnectorUnavailable as error:
            raise TemporarilyUnavailable(
                "The source of users does not answer. Nothing was spent: try again.", RETRY_AFTER
            ) from error

    def _answer(self, grant: Grant, use: "_Use") -> TokenSet:
        state = grant.refresh
        if state is None:
            raise _refusal()
        token = self.lookup.handles.refresh_token(grant.name, state.generation, grant.seed)
        self.audit("tokens_issued", grant=grant.name, client=grant.client_id, by="refresh")
        return self.issuer.issue(use.authorization(grant), refresh_token=token)
