"""What a client may do, decided once: asked before a login, at its end, and whenever it is used.

What an operator takes from a client counts at once, also for what the client got before. Its scopes
and audiences are judged in `idp.oauth.scopes`; a client that is switched off is not there at all.
"""

from collections.abc import Sequence
from typing import Final

from idp.oauth.client import Client, Clients
from idp.oauth.errors import AccessDenied, UnauthorizedClient
from idp.oauth.response_types import CODE, IMPLICIT, NONE, carries_tokens, has
from idp.oauth.scopes import OFFLINE_ACCESS, check_granted

AUTHORIZATION_CODE: Final = "authorization_code"
CLIENT_CREDENTIALS: Final = "client_credentials"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - the name of a grant type


def may_use(client: Client, grant_type: str) -> bool:
    """Return whether a client may use a grant type that is served."""
    if grant_type == REFRESH_TOKEN and client.tokens.offline_access == "never":
        return False
    return not client.allowed.grant_types or grant_type in client.allowed.grant_types


def check_grant_type(client: Client, grant_type: str) -> None:
    """Raise UnauthorizedClient for a grant type that the client may not use (RFC 6749, 5.2)."""
    if not may_use(client, grant_type):
        raise UnauthorizedClient(f"This client may not use {grant_type}.")


def check_response_type(client: Client, response_type: str) -> None:
    """Raise UnauthorizedClient for a response type that needs a grant type not to be used.

    A code needs `authorization_code`, tokens from the authorization endpoint `implicit` (OIDC
    Dynamic Client Registration section 2), and each must be among those it restricted itself to.
    """
    if client.allowed.response_types and response_type not in client.allowed.response_types:
        raise UnauthorizedClient("This client may not use this response_type.")
    if has(response_type, CODE):
        check_grant_type(client, AUTHORIZATION_CODE)
    if carries_tokens(response_type):
        check_grant_type(client, IMPLICIT)


def response_types_for(client: Client, served: Sequence[str]) -> Sequence[str]:
    """Return the response types that a client may ask for: those served, ours for our own pages."""
    return (*served, NONE) if NONE in client.allowed.response_types else served


def may_sign_in_with(client: Client, connector_id: str) -> bool:
    """Return whether people of a connector may sign in to a client (Dex: `allowedConnectors`)."""
    return not client.allowed.connectors or connector_id in client.allowed.connectors


def check_connector(client: Client, connector_id: str) -> None:
    """Raise AccessDenied for a connector whose people may not sign in to the client."""
    if not may_sign_in_with(client, connector_id):
        raise AccessDenied(f"People of {connector_id[:100]} may not sign in to this client.")


def check_login(
    client: Client,
    *,
    response_type: str,
    connector_id: str,
    scopes: tuple[str, ...],
    clients: Clients,
) -> None:
    """Check once more, when the person is known, what was asked for up to half an hour ago.

    Raises UnauthorizedClient, AccessDenied and InvalidScope.
    """
    check_response_type(client, response_type)
    check_connector(client, connector_id)
    check_granted(scopes, client=client, clients=clients)


def needs_pkce(client: Client, *, demanded_of_all: bool) -> bool:
    """Return whether the client must use PKCE (RFC 9700 section 2.1.1: public ones always)."""
    if client.is_public or client.pkce_required is None:
        return client.is_public or demanded_of_all
    return client.pkce_required


def renewable(scopes: tuple[str, ...], client: Client) -> tuple[str, ...]:
    """Return the scopes of a login with or without `offline_access`, as the client is registered.

    Some applications cannot ask for it, and some should never have it.
    """
    rest = tuple(scope for scope in scopes if scope != OFFLINE_ACCESS)
    if client.tokens.offline_access == "requested":
        return scopes
    return rest if client.tokens.offline_access == "never" else (*rest, OFFLINE_ACCESS)
