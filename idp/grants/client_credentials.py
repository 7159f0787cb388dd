"""grant_type=client_credentials (RFC 6749 section 4.4): a client on its own behalf."""

from dataclasses import dataclass

from idp.grants.base import check_size
from idp.log import AuditLog
from idp.oauth.client import Client, Clients
from idp.oauth.errors import InvalidScope
from idp.oauth.params import Parameters
from idp.oauth.scopes import FEDERATED_ID, OFFLINE_ACCESS, read_scope
from idp.tokens.authorization import client_itself
from idp.tokens.issue import TokenIssuer, TokenSet


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentialsGrant:
    """Issues tokens whose subject is the client; nothing is stored and nothing refreshed."""

    clients: Clients
    issuer: TokenIssuer
    audit: AuditLog
    grant_type: str = "client_credentials"

    def allows(self, client: Client) -> bool:
        """Return whether the client has proved who it is, which a public one cannot."""
        return not client.is_public

    async def redeem(self, form: Parameters, client: Client) -> TokenSet:
        """Return an access token, and an ID token only where `openid` was asked for."""
        scope = read_scope(form.get("scope"), client=client, clients=self.clients)
        for refused in (OFFLINE_ACCESS, FEDERATED_ID):
            if refused in scope.scopes:
                raise InvalidScope(f"{refused} needs a person who signs in.")
        authorization = client_itself(client, scope.scopes)
        check_size(self.issuer, authorization)
        self.audit("tokens_issued", client=client.id, by="client_credentials")
        return self.issuer.issue(authorization, refresh_token=None)
