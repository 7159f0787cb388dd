"""What of a client's policies works but is probably not meant."""

from collections.abc import Collection, Iterator

from idp.settings.draft import Finding
from idp.settings.model import Settings
from idp.settings.people import StaticClient
from idp.settings.problems import KeyPath

ALL = "*"
LOCAL = "local"


def policy_doubts(
    settings: Settings, client: StaticClient, place: KeyPath, *, all_are_here: bool
) -> Iterator[Finding]:
    """Yield doubts about one client, which stands at `place`.

    `all_are_here` tells whether every client and connector stands in the file.
    """
    served = settings.oauth2.grant_types
    for i, grant_type in enumerate(client.grant_types):
        if grant_type not in served:
            yield Finding(
                (*place, "grantTypes", i), f"`{grant_type}` is not among `oauth2.grantTypes`"
            )
    if client.offline_access == "always" and "refresh_token" not in served:
        yield Finding(
            (*place, "offlineAccess"),
            "has no effect: `refresh_token` is not among `oauth2.grantTypes`",
        )
    if client.allowed_scopes and client.redirect_uris and "openid" not in client.allowed_scopes:
        yield Finding(
            (*place, "allowedScopes"),
            "does not hold `openid`: people cannot be signed in to this client by OpenID Connect",
        )
    if all_are_here:
        yield from _strangers(settings, client, place)


def _strangers(settings: Settings, client: StaticClient, place: KeyPath) -> Iterator[Finding]:
    clients = {other.id for other in settings.static_clients}
    connectors = {connector.id for connector in settings.connectors}
    connectors |= {LOCAL} if settings.enable_password_db else set()
    lists: tuple[tuple[str, Collection[str], set[str], str], ...] = (
        ("allowedConnectors", client.allowed_connectors, connectors, "connector"),
        ("allowedAudiences", client.allowed_audiences, clients, "client"),
        ("ssoSharedWith", client.sso_shared_with or (), clients | {ALL}, "client"),
    )
    for key, named, known, kind in lists:
        for i, each in enumerate(named):
            if each not in known:
                yield Finding((*place, key, i), f"is the id of no {kind} in this file")
