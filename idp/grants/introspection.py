"""Whether a token is good just now, for the client that asks (RFC 7662).

An access token is answered from itself and from what is in memory. A refresh token costs one look
into the store, and is answered to the client that it was issued to only.
"""

from dataclasses import dataclass

from idp.clock import Clock, epoch_seconds
from idp.grants.base import LoginRules, store_is_away
from idp.grants.lookup import GrantLookup
from idp.oauth import policies
from idp.oauth.claims import Claims, person_claims
from idp.oauth.client import Client
from idp.oauth.errors import InvalidGrant, InvalidToken
from idp.oauth.introspection import ACCESS_TOKEN, INACTIVE, REFRESH_TOKEN, active, may_see
from idp.tokens.access import AccessTokens
from idp.tokens.authorization import identity_of, person_of
from idp.tokens.refresh import RefreshPolicy, Verdict, judge
from storage.base import StorageUnavailable
from storage.records import Grant

_GOOD = (Verdict.SPEND, Verdict.GRACE, Verdict.RESTORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """Answers what a token is. Asking changes nothing, not even for a reused refresh token."""

    issuer: str
    access_tokens: AccessTokens
    lookup: GrantLookup
    policy: RefreshPolicy
    logins: LoginRules
    clock: Clock

    async def describe(self, token: str, caller: Client) -> Claims:
        """Return the members of the answer. Raises TooManyAttempts and TemporarilyUnavailable."""
        try:
            claims = self.access_tokens.verify(token)
        except InvalidToken:
            return await self._describe_refresh_token(token, caller)
        if not may_see(claims, caller_id=caller.id, issuer=self.issuer):
            return INACTIVE
        return active(claims, token_use=ACCESS_TOKEN)

    async def _describe_refresh_token(self, token: str, caller: Client) -> Claims:
        refusal = InvalidGrant("not a refresh token that is known here")
        try:
            generation, stored = await self.lookup.by_refresh_token(token, refusal)
        except InvalidGrant:
            return INACTIVE
        except StorageUnavailable as error:
            raise store_is_away(error) from error
        grant = stored.record
        if grant.client_id != caller.id or not policies.may_use(caller, policies.REFRESH_TOKEN):
            return INACTIVE
        policy = self.policy.of(caller.tokens)
        verdict = judge(grant, generation, self.clock(), policy)
        if verdict not in _GOOD or not self.logins.counts(grant, caller):
            return INACTIVE
        return active(self._claims(grant, verdict, policy), token_use=REFRESH_TOKEN)

    def _claims(self, grant: Grant, verdict: Verdict, policy: RefreshPolicy) -> Claims:
        """Return what a refresh token would say of itself if it had claims."""
        claims: Claims = {
            **person_claims(person_of(identity_of(grant), grant.connector_id), grant.scopes),
            "iss": self.issuer,
            "aud": self.issuer,
            "client_id": grant.client_id,
            "scope": " ".join(grant.scopes),
        }
        if verdict is Verdict.SPEND and grant.refresh is not None:
            # Of a generation that was spent, or is ahead of the record, nobody knows the times.
            issued_at = grant.refresh.last_used_at
            claims["iat"] = epoch_seconds(issued_at)
            expires_at = policy.expires_at(grant.created_at, issued_at)
            if expires_at is not None:
                claims["exp"] = epoch_seconds(expires_at)
        return claims
