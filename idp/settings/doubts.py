"""What works but is probably not meant: the warnings at start."""

from collections.abc import Iterator

from idp.settings.client_doubts import policy_doubts
from idp.settings.draft import Draft, Finding
from idp.settings.ldap import LdapFile
from idp.settings.ldap_rules import doubts_about
from idp.settings.model import Settings
from idp.settings.people import StaticClient
from idp.settings.places import KubernetesStorage
from idp.settings.problems import KeyPath
from idp.settings.redirect_rules import doubt_about

SHORTEST_SECRET = 16


def warn_of_doubts(draft: Draft, settings: Settings) -> None:
    """Note all warnings about valid settings in the draft."""
    for i, client in enumerate(settings.static_clients):
        place: KeyPath = ("staticClients", i)
        for finding in (
            *_client_doubts(settings, client, place),
            *policy_doubts(settings, client, place, all_are_here=not _has_objects(settings)),
        ):
            draft.warn(finding.path, finding.message)
        for j, uri in enumerate(client.redirect_uris):
            if doubt := doubt_about(uri):
                path: KeyPath = ("staticClients", i, "redirectURIs", j)
                draft.warn(path, f"{draft.subject(path, uri)} {doubt}")
    for finding in (
        *_people_doubts(settings),
        *_web_doubts(settings),
        *_session_doubts(settings),
        *_connector_doubts(settings),
        *_registration_doubts(settings),
    ):
        draft.warn(finding.path, finding.message)


def _client_doubts(settings: Settings, client: StaticClient, place: KeyPath) -> Iterator[Finding]:
    for key, secret in (("secret", client.secret), ("previousSecret", client.previous_secret)):
        if secret and len(secret.get_secret_value()) < SHORTEST_SECRET:
            yield Finding(
                (*place, key),
                f"is shorter than {SHORTEST_SECRET} characters and may be guessed",
            )
    by_itself = "client_credentials" in settings.oauth2.grant_types and not client.public
    if not client.redirect_uris and client.public:
        yield Finding(
            place,
            "has no `redirectURIs`: as with Dex, any program on the person's own machine may"
            " use it; list them if you can",
        )
    elif not client.redirect_uris and not by_itself:
        yield Finding(
            place,
            "can do nothing: it has no `redirectURIs`, and `client_credentials` is not in"
            " `oauth2.grantTypes`",
        )
    if client.client_credentials_claims.groups and not by_itself:
        yield Finding(
            (*place, "clientCredentialsClaims"),
            "has no effect: only a client with a secret has them, and `client_credentials` must"
            " be in `oauth2.grantTypes`",
        )
    known = {other.id for other in settings.static_clients}
    for k, peer in enumerate(client.trusted_peers):
        if peer not in known and not _has_objects(settings):
            yield Finding((*place, "trustedPeers", k), "is the id of no client in this file")


def _people_doubts(settings: Settings) -> Iterator[Finding]:
    nobody = not settings.static_passwords and not _has_objects(settings)
    if settings.enable_password_db and nobody:
        yield Finding(("enablePasswordDB",), "has no effect: there are no `staticPasswords`")
    for i, person in enumerate(settings.static_passwords):
        if "@" not in person.email:
            yield Finding(
                ("staticPasswords", i, "email"),
                "is not an email address, yet becomes one in tokens",
            )


def _session_doubts(settings: Settings) -> Iterator[Finding]:
    sessions = settings.sessions
    if sessions.cookie_encryption_key is not None:
        yield Finding(
            ("sessions", "cookieEncryptionKey"),
            "has no effect: the cookie holds nothing but a reference, made with the server's own"
            " sealing keys; remove it",
        )
    idle = sessions.valid_if_not_used_for
    if sessions.enabled and idle is not None and idle > sessions.absolute_lifetime:
        yield Finding(
            ("sessions", "validIfNotUsedFor"),
            "has no effect: it is longer than `absoluteLifetime`",
        )


def _connector_doubts(settings: Settings) -> Iterator[Finding]:
    for i, connector in enumerate(settings.connectors):
        if isinstance(connector.config, LdapFile):
            for finding in doubts_about(connector.config):
                yield Finding(("connectors", i, "config", *finding.path), finding.message)


def _has_objects(settings: Settings) -> bool:
    """Tell whether clients and users may be objects of the cluster, of which nothing is known."""
    return isinstance(settings.storage.config, KubernetesStorage)


def _registration_doubts(settings: Settings) -> Iterator[Finding]:
    registration = settings.registration
    if registration.mode == "open":
        yield Finding(
            ("registration", "mode"),
            "lets anybody write clients into the store, up to `maxClients`, under names that nobody"
            " checks; `token` asks for a token first",
        )
    place = ("registration", "initialAccessTokens")
    if registration.mode == "off" and registration.initial_access_tokens:
        yield Finding(place, "has no effect with `mode: off`")
    for i, token in enumerate(registration.initial_access_tokens):
        if len(token.get_secret_value()) < SHORTEST_SECRET:
            yield Finding(
                (*place, i), f"is shorter than {SHORTEST_SECRET} characters and may be guessed"
            )


def _web_doubts(settings: Settings) -> Iterator[Finding]:
    web = settings.web
    if not web.https and (web.tls_cert or web.tls_key):
        yield Finding(("web",), "`tlsCert` and `tlsKey` have no effect without `https`")
    place = ("web", "clientRemoteIP", "trustedProxies")
    proxies = web.client_remote_ip.trusted_proxies
    if proxies and not web.client_remote_ip.header:
        yield Finding(place, "has no effect without `header`")
    for i, network in enumerate(proxies):
        if network.prefixlen == 0:
            yield Finding((*place, i), "trusts everybody to name the address they come from")
