"""grant_type=authorization_code (RFC 6749 section 4.1.3)."""

from dataclasses import dataclass

from idp.clock import Clock
from idp.grants.base import store_is_away
from idp.grants.lookup import GrantLookup
from idp.log import AuditLog
from idp.oauth.client import Client
from idp.oauth.errors import InvalidGrant
from idp.oauth.params import Parameters
from idp.oauth.pkce import check_verifier
from idp.tokens.authorization import authorization_of
from idp.tokens.code import code_is_expired, spend_code
from idp.tokens.issue import TokenIssuer, TokenSet
from storage.base import NotFound, StorageUnavailable, Unreadable
from storage.collection import Stored
from storage.records import Grant


def _refusal() -> InvalidGrant:
    """Return the one answer to every code that is not good (RFC 6749 section 5.2)."""
    return InvalidGrant("The code or its code_verifier is not valid. Start the login again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCodeGrant:
    """Spends codes."""

    lookup: GrantLookup
    issuer: TokenIssuer
    clock: Clock
    audit: AuditLog
    grant_type: str = "authorization_code"

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
            return await self._spend(stored)
        except (NotFound, Unreadable):
            raise _refusal() from None
        except StorageUnavailable as error:
            raise store_is_away(error) from error

    def _check_bound(self, grant: Grant, form: Parameters, client: Client) -> None:
        """Check client, redirect URI and verifier (RFC 6749 section 4.1.3, RFC 7636, 4.6)."""
        if grant.client_id != client.id or form.get("redirect_uri") != grant.redirect_uri:
            raise _refusal()
        check_verifier(form.get("code_verifier"), grant.code_challenge)

    async def _spend(self, stored: Stored[Grant]) -> TokenSet:
        now = self.clock()
        if stored.record.code_spent_at is None and code_is_expired(stored.record, now):
            raise _refusal()
        spent = (
            await self.lookup.grants.update(stored, lambda grant: spend_code(grant, now))
        ).record
        if spent.ended_at is not None:
            self.audit("code_replayed", grant=spent.name, client=spent.client_id)
            raise _refusal()
        refresh_token = None
        if spent.refresh is not None:
            refresh_token = self.lookup.handles.refresh_token(
                spent.name, spent.refresh.generation, spent.seed
            )
        self.audit("tokens_issued", grant=spent.name, client=spent.client_id, by="code")
        return self.issuer.issue(authorization_of(spent, spent.scopes), refresh_token=refresh_token)
