"""Scopes: their syntax, which ones are known, and the audiences that some of them ask for."""

import re
from dataclasses import dataclass

from idp.oauth.client import Client, Clients
from idp.oauth.errors import InvalidScope

OPENID = "openid"
EMAIL = "email"
PROFILE = "profile"
GROUPS = "groups"
ADDRESS = "address"
PHONE = "phone"
OFFLINE_ACCESS = "offline_access"
FEDERATED_ID = "federated:id"
AUDIENCE_PREFIX = "audience:server:client_id:"

ADVERTISED = (OPENID, EMAIL, GROUPS, PROFILE, OFFLINE_ACCESS)
"""What discovery lists in any case: only what any client may ask for."""

_KNOWN = frozenset((*ADVERTISED, ADDRESS, PHONE, FEDERATED_ID))
_LONGEST = 1024
# scope-token of RFC 6749 section 3.3: printable ASCII without space, quotation mark, backslash.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


@dataclass(frozen=True, slots=True)
class RequestedScope:
    """What a scope parameter comes to: known scopes in the order asked, and audiences.

    `peers` are the ids of other clients that the ID token shall be for.
    """

    scopes: tuple[str, ...]
    peers: tuple[str, ...]


def split_scope(text: str | None) -> tuple[str, ...]:
    """Return the scope tokens of a parameter without repetitions. Raises InvalidScope.

    One space stands between two of them, and nothing before or behind (RFC 6749 section 3.3).
    """
    if not text:
        return ()
    if len(text) > _LONGEST:
        raise InvalidScope(f"scope is longer than {_LONGEST} characters.")
    if _SCOPE.fullmatch(text) is None:
        raise InvalidScope(
            "scope must be words with one space between them, none of them with a quotation mark,"
            " a backslash or anything beyond ASCII (RFC 6749 section 3.3)."
        )
    return tuple(dict.fromkeys(text.split(" ")))


def read_scope(text: str | None, *, client: Client, clients: Clients) -> RequestedScope:
    """Return what a client may have of the scope that it asks for.

    Unknown scopes are left out, as OIDC Core 3.1.2.1 advises. What the client may not have is
    refused, not left out: a token for fewer audiences or scopes than asked for would fail far from
    here. Raises InvalidScope.
    """
    scopes: list[str] = []
    peers: list[str] = []
    for scope in split_scope(text):
        if scope.startswith(AUDIENCE_PREFIX):
            peers.append(scope.removeprefix(AUDIENCE_PREFIX))
        elif scope not in _KNOWN:
            continue
        _check(scope, client=client, clients=clients)
        scopes.append(scope)
    return RequestedScope(scopes=tuple(scopes), peers=tuple(peers))


def _check(scope: str, *, client: Client, clients: Clients) -> None:
    """Raise InvalidScope for a scope, or an audience, that the client may not have."""
    if scope.startswith(AUDIENCE_PREFIX):
        _check_trust(scope.removeprefix(AUDIENCE_PREFIX), client=client, clients=clients)
    elif not may_have(client, scope):
        raise InvalidScope(f"This client may not have the scope {scope}.")


def may_have(client: Client, scope: str) -> bool:
    """Return whether a client may ask for a scope that is served."""
    if not client.allowed.scopes or scope in client.allowed.scopes:
        return True
    return scope == OFFLINE_ACCESS and client.tokens.offline_access == "always"


def _check_trust(peer: str, *, client: Client, clients: Clients) -> None:
    if peer == client.id:
        return
    other = clients.get(peer)
    if other is None or client.id not in other.trusted_peers:
        # The same answer for a client that is not there and for one that does not trust.
        raise InvalidScope(
            f"The client {peer[:100]} does not list the client {client.id} in its trustedPeers."
        )
    if client.allowed.audiences and peer not in client.allowed.audiences:
        raise InvalidScope(f"This client may not ask for the audience {peer[:100]}.")
    if other.claims.groups_prefix != client.claims.groups_prefix:
        raise InvalidScope(
            f"The clients {peer[:100]} and {client.id} differ in their groupsPrefix: no token can"
            " be for both, as each would take the groups in it for others."
        )


def narrow_scope(text: str | None, granted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes of a refresh: all that were granted, or the fewer that are asked for.

    Raises InvalidScope for more (RFC 6749 section 6).
    """
    wanted = split_scope(text)
    if not wanted:
        return granted
    beyond = [scope for scope in wanted if scope not in granted]
    if beyond:
        raise InvalidScope(f"Not granted at login: {' '.join(beyond)[:200]}. Sign in again for it.")
    return wanted


def check_granted(scopes: tuple[str, ...], *, client: Client, clients: Clients) -> None:
    """Check that the client may still have every scope that was granted. Raises InvalidScope.

    Trust and permissions may be withdrawn after a login; no token is issued for it from then on.
    """
    for scope in scopes:
        _check(scope, client=client, clients=clients)


def may_still_have(scopes: tuple[str, ...], *, client: Client, clients: Clients) -> bool:
    """Return whether `check_granted` has nothing to say."""
    try:
        check_granted(scopes, client=client, clients=clients)
    except InvalidScope:
        return False
    return True


def peers_of(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the client ids that the audience scopes among `scopes` name."""
    return tuple(
        scope.removeprefix(AUDIENCE_PREFIX) for scope in scopes if scope.startswith(AUDIENCE_PREFIX)
    )
