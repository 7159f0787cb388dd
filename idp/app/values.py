"""What the settings come to: each function turns a part of them into a value of the domain."""

import ssl
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

from starlette.requests import Request

from connectors.base import TellsClaims
from connectors.local import LocalUser
from idp.app.core import Core
from idp.keys.client_keys import CLIENT_ALGORITHMS
from idp.keys.reseal import ResealPace
from idp.keys.ring import RotationPolicy
from idp.keys.rotate import Pace
from idp.login.client_address import client_address, source_of
from idp.login.connectors import OfferedConnector
from idp.login.sessions import SessionPolicy
from idp.login.steps import StepPolicy
from idp.oauth.claim_names import claim_of, may_be_set
from idp.oauth.client import PRIVATE_KEY_JWT, Allowed, Client, Clients, secret_hash
from idp.oauth.metadata import Served
from idp.oauth.response_types import NONE, served_types
from idp.registration.live import EveryClient
from idp.settings import Settings, StaticClient
from idp.tokens.refresh import RefreshPolicy
from idp.tokens.session import SessionLife
from idp.transport.outbound import Outbound
from idp.web.cors import Cors
from idp.web.documents import discovery_paths
from idp.web.middleware import HostCheck

LEEWAY = timedelta(minutes=5)
"""How long things are kept beyond their time, for clocks that differ and stores that are away."""


LOCAL = "local"
"""The id of the connector for local users, as with Dex."""


def clients_of(settings: Settings) -> dict[str, Client]:
    """Return all clients of the file, also those that are switched off."""
    return {client.id: _client_of(client) for client in settings.static_clients}


def _client_of(said: StaticClient) -> Client:
    client = Client(
        id=said.id,
        name=said.name,
        secret_hashes=tuple(
            secret_hash(secret.get_secret_value())
            for secret in (said.secret, said.previous_secret)
            if secret is not None
        ),
        redirect_uris=said.redirect_uris,
        trusted_peers=frozenset(said.trusted_peers),
        credentials_groups=said.client_credentials_claims.groups,
    )
    return said.said_of(client)


def account_address(settings: Settings) -> str:
    """Return the address of the page where people see what is theirs."""
    return f"{settings.issuer}/account"


def account_page_client(settings: Settings) -> Client:
    """Return the client under which people sign in to their account page.

    It gets nothing: no answer to it carries a code or a token, and it has no way to prove who it
    is to the token endpoint. Its id is its address, which no other client would have.
    """
    url = account_address(settings)
    return Client(
        id=url,
        name="Your account",
        auth_method=PRIVATE_KEY_JWT,
        redirect_uris=(url,),
        allowed=Allowed(response_types=frozenset({NONE})),
        skip_approval=True,
    )


def all_clients(settings: Settings, written: Clients, registered: Clients) -> Clients:
    """Return all clients that are served, our own page among them where browsers have sessions."""
    everybody = EveryClient(written, registered)
    if not settings.sessions.enabled:
        return everybody
    page = account_page_client(settings)
    return EveryClient({page.id: page}, everybody)


def local_users_of(settings: Settings) -> list[LocalUser]:
    return [
        LocalUser(
            email=user.email,
            password_hash=user.hash.get_secret_value(),
            user_id=user.user_id,
            username=user.username,
            name=user.name,
            preferred_username=user.preferred_username,
            email_verified=user.email_verified,
            groups=user.groups,
            claims=tuple((name, values) for name, values in user.claims.items() if values),
        )
        for user in settings.static_passwords
    ]


def offered_claims(connectors: Mapping[str, OfferedConnector]) -> frozenset[str]:
    """Return the claims, beyond an identity's own fields, that somebody here may have now."""
    offered = (each.connector for each in connectors.values())
    tellers = (each for each in offered if isinstance(each, TellsClaims))
    names = (name for each in tellers for name in each.claim_names)
    return frozenset(claim_of(name) for name in names if may_be_set(name))


def step_policy(core: Core) -> StepPolicy:
    return StepPolicy(
        connector_ids=core.connectors,
        skip_approval=core.settings.oauth2.skip_approval_screen,
        always_choose=core.settings.oauth2.always_show_login_screen,
    )


def refresh_policy(settings: Settings) -> RefreshPolicy:
    refresh = settings.expiry.refresh_tokens
    return RefreshPolicy(
        grace=refresh.reuse_interval,
        idle=refresh.valid_if_not_used_for,
        absolute=refresh.absolute_lifetime,
        keep_for=settings.longest_tokens + LEEWAY,
    )


def session_policy(settings: Settings) -> SessionPolicy:
    sessions = settings.sessions
    return SessionPolicy(
        life=SessionLife(
            absolute=sessions.absolute_lifetime, keep_for=settings.longest_tokens + LEEWAY
        ),
        idle=sessions.valid_if_not_used_for,
        shared_by_default=sessions.sso_shared_with_default == "all",
        remember_by_default=sessions.remember_me_checked_by_default,
    )


def rotation_policy(settings: Settings) -> RotationPolicy:
    return RotationPolicy(
        algorithms=settings.signer.config.algorithms,
        rotation_period=settings.key_rotation_period,
        publish_for=2 * settings.expiry.key_cache_for,
        keep_retired_for=settings.longest_tokens + LEEWAY,
    )


def rotation_pace(policy: RotationPolicy) -> Pace:
    """Return a pace that keeps up with short rotation periods, as drills set them."""
    shortest = min(policy.rotation_period, policy.publish_for) / 4
    return Pace(tick_every=max(timedelta(milliseconds=250), min(Pace().tick_every, shortest)))


def reseal_pace(settings: Settings) -> ResealPace:
    """Return a pace that keeps old keys while a browser may hold what they sealed."""
    expiry, sessions = settings.expiry, settings.sessions
    held = [expiry.auth_requests, expiry.auth_codes]
    if sessions.enabled:
        # A reference that is used is made anew each time; only an unused one has an old tag.
        idle = sessions.valid_if_not_used_for
        held.append(min(sessions.absolute_lifetime, idle or sessions.absolute_lifetime))
    return ResealPace(keep_old_for=max(held) + LEEWAY)


def served_by(
    settings: Settings, *, algorithms: Iterable[str], claims: Collection[str] = ()
) -> Served:
    """Return what discovery says and registration offers; `algorithms` sign ID tokens.

    `claims` are those that somebody may have beyond an identity's own fields.
    """
    return Served(
        issuer=settings.issuer,
        grant_types=settings.oauth2.grant_types,
        client_algorithms=CLIENT_ALGORITHMS,
        response_types=served_types(settings.oauth2.response_types),
        request_uris=bool(settings.oauth2.request_uri_hosts),
        signing_algorithms=sorted(algorithms),
        has_sessions=settings.sessions.enabled,
        registration=settings.registration.mode != "off",
        claims=claims,
    )


def cors_of(settings: Settings) -> Cors:
    return Cors(frozenset(settings.web.allowed_origins))


def outbound_of(settings: Settings, system_trust: Callable[[], ssl.SSLContext]) -> Outbound:
    """Return the door to addresses of clients. Raises TlsUnusable."""
    said = settings.outbound
    return Outbound(
        allowed_hosts=said.allowed_hosts,
        root_ca="" if said.root_ca is None else str(said.root_ca),
        system_trust=system_trust,
    )


def origin_of(settings: Settings) -> str:
    """Return what browsers send as Origin from our pages: without a default port (WHATWG URL)."""
    issuer = urlsplit(settings.issuer)
    return f"{issuer.scheme}://{min(_hosts_of(issuer), key=len)}"


def host_check(settings: Settings, base_path: str) -> HostCheck:
    """Return which Host headers are ours: the issuer's, those listed, and loopback for health."""
    issuer = urlsplit(settings.issuer)
    return HostCheck(
        hosts=frozenset({*_hosts_of(issuer), *settings.web.allowed_hosts}),
        exempt_paths=frozenset(
            {f"{base_path}/healthz", f"{base_path}/keys", *discovery_paths(base_path)}
        ),
    )


def _hosts_of(issuer: SplitResult) -> set[str]:
    """Return the Host headers that mean the issuer: clients leave a default port out."""
    host = issuer.netloc.lower()
    default = {"https": ":443", "http": ":80"}[issuer.scheme]
    return {host, host.removesuffix(default)}


def source_reader(settings: Settings) -> Callable[[Request], str]:
    """Return what tells the source address of a request, for the throttle."""
    remote = settings.web.client_remote_ip

    def source(request: Request) -> str:
        peer = request.client.host if request.client is not None else ""
        forwarded = request.headers.getlist(remote.header) if remote.header else []
        return source_of(
            client_address(peer=peer, forwarded=forwarded, trusted=remote.trusted_proxies)
        )

    return source
