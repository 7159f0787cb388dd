"""Which groups a client is told of, and by which names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from idp.oauth.client import ClaimRules, Client, Clients
from idp.oauth.scopes import peers_of

_WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class Audience:
    """Everybody who reads a token: the client that gets it, and others that it shall be for."""

    client: Client
    peers: tuple[Client, ...] = ()


def audience_of(client: Client, scopes: Iterable[str], clients: Clients) -> Audience:
    """Return for whom a token of these scopes is; clients that are gone read nothing."""
    peers = (clients.get(peer) for peer in peers_of(tuple(scopes)))
    return Audience(client, tuple(peer for peer in peers if peer is not None))


def check_group_pattern(text: str) -> str:
    """Return an entry of `groupsFilter` unchanged.

    Raises ValueError with a text that continues a sentence beginning with the entry.
    """
    if _WILDCARD in text[:-1]:
        raise ValueError("has a `*` before its end, where it would mean a star and nothing else")
    return text


def admitted(groups: Sequence[str], rules: ClaimRules) -> tuple[str, ...]:
    """Return the groups that a client's filter lets through, in their order."""
    if not rules.groups_filter:
        return tuple(groups)
    exact = {pattern for pattern in rules.groups_filter if not pattern.endswith(_WILDCARD)}
    beginnings = tuple(
        pattern.removesuffix(_WILDCARD)
        for pattern in rules.groups_filter
        if pattern.endswith(_WILDCARD)
    )
    return tuple(group for group in groups if group in exact or group.startswith(beginnings))


def told(groups: Sequence[str], audience: Audience) -> tuple[str, ...]:
    """Return the groups as a token says them: admitted by all who read it, with the prefix."""
    left = tuple(groups)
    for reader in (audience.client, *audience.peers):
        left = admitted(left, reader.claims)
    prefix = audience.client.claims.groups_prefix
    return tuple(prefix + group for group in left) if prefix else left
