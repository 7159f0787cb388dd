"""The composition root: the only place that knows both the settings and the concrete classes.

Everything below is handed values and ports. Read `build_provider` from top to bottom to see what
the server is made of.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from connectors.base import PasswordConnector
from connectors.local import LocalConnector, LocalUser, LocalUsers
from connectors.passwords import PasswordHasher
from idp.clock import Clock
from idp.grants.authorization_code import AuthorizationCodeGrant
from idp.grants.base import AuditLog, GrantHandler
from idp.grants.client_credentials import ClientCredentialsGrant
from idp.grants.ended import EndedGrants, follow_ended_grants
from idp.grants.lookup import GrantLookup
from idp.grants.refresh_token import RefreshTokenGrant
from idp.keys.handles import Handles
from idp.keys.key_file import load_or_create
from idp.keys.live import LiveKeys
from idp.keys.ring import RotationPolicy
from idp.keys.rotate import Kept, KeyKeeper, Pace
from idp.keys.seal import SECRET_LENGTH, SealingKey, SealingKeys
from idp.log import Audit, log_event
from idp.login.client_address import client_address, source_of
from idp.login.finish import LoginFinisher
from idp.login.state import LoginStates
from idp.login.steps import StepPolicy
from idp.login.throttle import CLIENT_SECRETS, HANDLES, PASSWORDS, Throttle, Throttled
from idp.login.usernames import canonical
from idp.metrics import Metrics
from idp.oauth.authorize import AuthorizeRules
from idp.oauth.client import Client, Clients, secret_hash
from idp.oauth.metadata import Served, discovery_document
from idp.settings import MemoryStorage, Settings, SqliteStorage
from idp.tasks import BackgroundJobs
from idp.tokens.access import IssuedTokens
from idp.tokens.issue import TokenIssuer
from idp.tokens.refresh import RefreshPolicy
from idp.transport.documents import Documents, DocumentsApp
from idp.web.approval import ApprovalEndpoint
from idp.web.authorize import AuthorizeEndpoint, ConnectorInfo
from idp.web.cookies import BrowserCookies, cookie_name
from idp.web.cors import Cors
from idp.web.documents import Published, discovery_paths
from idp.web.errors import Renderer
from idp.web.guard import ThrottledClients
from idp.web.login import Ending, LoginEndpoint, LoginForm
from idp.web.middleware import HostCheck, Outermost, security_headers
from idp.web.pages import Branding, Pages
from idp.web.routes import Endpoints, WebApp, web_routes
from idp.web.telemetry import health, telemetry_app
from idp.web.token import TokenEndpoint
from idp.web.userinfo import UserinfoEndpoint
from storage.base import Backend
from storage.collection import Collection
from storage.kinds import GRANTS, KEY_RINGS
from storage.memory import MemoryBackend
from storage.records import Grant, KeyRing
from storage.sqlite import SqliteBackend
from storage.sweep import Sweeper

LEEWAY = timedelta(minutes=5)
"""How long things are kept beyond their time, for clocks that differ and stores that are away."""

RING_NAME = "signing-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What comes from outside: time, randomness, the registry of metrics."""

    clock: Clock
    random: Callable[[int], bytes]
    registry: CollectorRegistry


class Readiness:
    """Whether the process wants requests: the state behind the readiness probe."""

    def __init__(self) -> None:
        self.state = "starting"

    def check(self) -> str:
        """Return "ok", "starting" or "draining"."""
        return self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider that is ready to be served; `close` lets go of everything that was opened."""

    web: ASGIApp
    telemetry: ASGIApp
    documents: Documents
    metrics: Metrics
    readiness: Readiness
    jobs: BackgroundJobs
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """What most parts need."""

    settings: Settings
    outside: Surroundings
    metrics: Metrics
    audit: AuditLog
    sealing: SealingKeys
    backend: Backend
    clients: Clients
    connectors: Mapping[str, PasswordConnector]

    @property
    def base_path(self) -> str:
        return urlsplit(self.settings.issuer).path

    @property
    def share(self) -> int:
        return self.settings.throttle.replicas * self.settings.web.workers

    @property
    def token_lifetime(self) -> timedelta:
        return self.settings.expiry.id_tokens

    @property
    def grants(self) -> Collection[Grant]:
        return Collection(
            backend=self.backend, kind=GRANTS, sealer=self.sealing, issuer=self.settings.issuer
        )

    @property
    def rings(self) -> Collection[KeyRing]:
        return Collection(
            backend=self.backend, kind=KEY_RINGS, sealer=self.sealing, issuer=self.settings.issuer
        )


async def build_provider(settings: Settings, outside: Surroundings) -> Provider:
    """Open the store, make or read the keys, and put everything together.

    Raises StorageError and KeyFileError with a text for the operator.
    """
    metrics = Metrics(outside.registry)
    backend, sealing = await _open_store(settings, outside)
    hasher = PasswordHasher(running=os.cpu_count() or 1, waiting=64)
    core = _Core(
        settings=settings,
        outside=outside,
        metrics=metrics,
        audit=_counted_audit(metrics),
        sealing=sealing,
        backend=backend,
        clients=_clients(settings),
        connectors=_connectors(settings, hasher),
    )
    try:
        return await _assemble(core, hasher)
    except BaseException:
        await backend.close()
        raise


async def _assemble(core: _Core, hasher: PasswordHasher) -> Provider:
    settings = core.settings
    policy = _rotation_policy(settings)
    live = LiveKeys(KeyRing(name=RING_NAME, keys=()), policy)
    published = _published(core, live, policy)
    keeper = KeyKeeper(
        core.rings,
        name=RING_NAME,
        policy=policy,
        clock=core.outside.clock,
        on_change=_key_change(core, live, published),
        pace=_pace(policy),
    )
    await keeper.start()
    ended = EndedGrants(
        clock=core.outside.clock,
        keep_for=core.token_lifetime + LEEWAY,
        on_count=core.metrics.ended_grants.set,
    )
    readiness = Readiness()
    sweeper = Sweeper(
        collection=core.grants,
        clock=core.outside.clock,
        sleep=asyncio.sleep,
        random_bytes=core.outside.random,
    )
    jobs = BackgroundJobs(
        {
            "keys": lambda: keeper.run(_report_keys),
            "ended grants": lambda: follow_ended_grants(core.grants, ended),
            "sweeper": sweeper.run,
        }
    )

    async def close() -> None:
        await jobs.stop()
        hasher.close()
        await core.backend.close()

    return Provider(
        web=DocumentsApp(published.documents, _web_app(core, live, ended, readiness)),
        telemetry=telemetry_app(
            ready={"provider": readiness.check}, registry=core.outside.registry
        ),
        documents=published.documents,
        metrics=core.metrics,
        readiness=readiness,
        jobs=jobs,
        close=close,
    )


def _web_app(core: _Core, live: LiveKeys, ended: EndedGrants, readiness: Readiness) -> Outermost:
    settings, outside = core.settings, core.outside
    issued = IssuedTokens(verifier=live.verifier, issuer=settings.issuer, clock=outside.clock)
    tokens = TokenIssuer(
        issuer=settings.issuer,
        lifetime=core.token_lifetime,
        signer=live.signer,
        clock=outside.clock,
        new_id=lambda: outside.random(16).hex(),
    )
    renderer = _renderer(core)
    source = _source(settings)
    guard = ThrottledClients(
        clients=core.clients,
        throttle=Throttle(CLIENT_SECRETS, clock=outside.clock, share=core.share),
        source=source,
        audit=core.audit,
    )
    login = _login_parts(core, tokens, renderer, source)
    endpoints = Endpoints(
        authorize=_authorize_endpoint(core, issued, login.form, renderer),
        login=login,
        approval=ApprovalEndpoint(
            origin=login.origin, cookies=login.form.cookies, ending=login.ending
        ),
        token=TokenEndpoint(guard=guard, handlers=_grants(core, tokens), metrics=core.metrics),
        userinfo=UserinfoEndpoint(issuer=settings.issuer, access_tokens=issued, ended=ended),
        home=_home(settings, renderer),
        healthz=health({"provider": readiness.check}),
    )
    routes = web_routes(
        endpoints, base_path=core.base_path, renderer=renderer, cors=_cors(settings)
    )
    return Outermost(
        WebApp(routes, renderer),
        headers=security_headers(settings.issuer),
        hosts=_host_check(settings, core.base_path),
        metrics=core.metrics,
        new_id=lambda: outside.random(8).hex(),
    )


def _login_parts(
    core: _Core,
    tokens: TokenIssuer,
    renderer: Renderer,
    source: Callable[[Request], str],
) -> LoginEndpoint:
    settings, outside = core.settings, core.outside
    states = LoginStates(
        sealer=core.sealing, clock=outside.clock, lifetime=settings.expiry.auth_requests
    )
    cookies = BrowserCookies(
        name=cookie_name(settings.issuer),
        secure=settings.issuer.startswith("https:"),
        tags=core.sealing,
        random=outside.random,
    )
    finisher = LoginFinisher(
        grants=core.grants,
        handles=Handles(core.sealing),
        issuer=tokens,
        clock=outside.clock,
        random=outside.random,
        code_lifetime=settings.expiry.auth_codes,
        refresh_policy=_refresh_policy(settings),
        refresh_served="refresh_token" in settings.oauth2.grant_types,
        connectors=core.connectors.get,
        audit=core.audit,
    )
    form = LoginForm(
        base_path=core.base_path,
        connectors=core.connectors,
        names={info.id: info.name for info in _connector_infos(settings)},
        clients=core.clients,
        states=states,
        cookies=cookies,
        renderer=renderer,
    )
    ending = Ending(
        issuer=settings.issuer,
        base_path=core.base_path,
        steps=_steps(core),
        states=states,
        finisher=finisher,
        clients=core.clients,
        cookies=cookies,
        renderer=renderer,
    )
    parts = urlsplit(settings.issuer)
    return LoginEndpoint(
        origin=f"{parts.scheme}://{parts.netloc}",
        form=form,
        ending=ending,
        throttle=Throttle(PASSWORDS, clock=outside.clock, share=core.share),
        source=source,
        clock=outside.clock,
        pause=asyncio.sleep,
        metrics=core.metrics,
        audit=core.audit,
    )


def _authorize_endpoint(
    core: _Core, issued: IssuedTokens, form: LoginForm, renderer: Renderer
) -> AuthorizeEndpoint:
    return AuthorizeEndpoint(
        base_path=core.base_path,
        rules=AuthorizeRules(
            clients=core.clients,
            subject_of_hint=issued.subject_of_hint,
            pkce_for_all=core.settings.oauth2.pkce.enforce,
        ),
        steps=_steps(core),
        states=form.states,
        connectors={info.id: info for info in _connector_infos(core.settings)},
        form=form,
        renderer=renderer,
        new_name=lambda: core.outside.random(16).hex(),
    )


def _grants(core: _Core, tokens: TokenIssuer) -> dict[str, GrantHandler]:
    """Return the handlers of the grant types that are switched on."""
    unknown_keys = Throttle(HANDLES, clock=core.outside.clock, share=core.share)

    def budget() -> bool:
        try:
            unknown_keys.reserve(source="handles").failed()
        except Throttled:
            return False
        return True

    lookup = GrantLookup(grants=core.grants, handles=Handles(core.sealing), budget=budget)
    clock, audit = core.outside.clock, core.audit
    handlers: list[GrantHandler] = [
        AuthorizationCodeGrant(lookup=lookup, issuer=tokens, clock=clock, audit=audit),
        RefreshTokenGrant(
            lookup=lookup,
            issuer=tokens,
            connectors=core.connectors.get,
            policy=_refresh_policy(core.settings),
            clock=clock,
            audit=audit,
        ),
        ClientCredentialsGrant(clients=core.clients, issuer=tokens, audit=audit),
    ]
    served = core.settings.oauth2.grant_types
    return {handler.grant_type: handler for handler in handlers if handler.grant_type in served}


async def _open_store(settings: Settings, outside: Surroundings) -> tuple[Backend, SealingKeys]:
    config = settings.storage.config
    match config:
        case SqliteStorage():
            keys = load_or_create(config.sealing_key_file, outside.random)
            return await SqliteBackend.open(config.file), SealingKeys(keys, random=outside.random)
        case MemoryStorage():
            # The key may die with the process, as everything that it seals does.
            key = SealingKey(outside.random(SECRET_LENGTH))
            return MemoryBackend(), SealingKeys([key], random=outside.random)


def _clients(settings: Settings) -> dict[str, Client]:
    return {
        client.id: Client(
            id=client.id,
            name=client.name,
            secret_hashes=(
                () if client.secret is None else (secret_hash(client.secret.get_secret_value()),)
            ),
            redirect_uris=client.redirect_uris,
            trusted_peers=frozenset(client.trusted_peers),
            credentials_groups=client.client_credentials_claims.groups,
        )
        for client in settings.static_clients
    }


def _connector_infos(settings: Settings) -> list[ConnectorInfo]:
    infos = [
        ConnectorInfo(id=connector.id, name=connector.name, type=connector.type)
        for connector in settings.connectors
    ]
    if settings.enable_password_db:
        infos.append(ConnectorInfo(id="local", name="Email", type="local"))
    return infos


def _connectors(settings: Settings, hasher: PasswordHasher) -> dict[str, PasswordConnector]:
    if not settings.enable_password_db:
        return {}
    users = LocalUsers.of(
        (
            LocalUser(
                email=user.email,
                password_hash=user.hash.get_secret_value(),
                user_id=user.user_id,
                username=user.username,
                name=user.name,
                preferred_username=user.preferred_username,
                email_verified=user.email_verified,
                groups=user.groups,
            )
            for user in settings.static_passwords
        ),
        canonical=canonical,
    )
    return {"local": LocalConnector(users=lambda: users, verify=hasher.verify)}


def _steps(core: _Core) -> StepPolicy:
    return StepPolicy(
        connector_ids=tuple(info.id for info in _connector_infos(core.settings)),
        skip_approval=core.settings.oauth2.skip_approval_screen,
        always_choose=core.settings.oauth2.always_show_login_screen,
    )


def _refresh_policy(settings: Settings) -> RefreshPolicy:
    refresh = settings.expiry.refresh_tokens
    return RefreshPolicy(
        grace=refresh.reuse_interval,
        idle=refresh.valid_if_not_used_for,
        absolute=refresh.absolute_lifetime,
        keep_for=settings.expiry.id_tokens + LEEWAY,
    )


def _rotation_policy(settings: Settings) -> RotationPolicy:
    return RotationPolicy(
        algorithms=(settings.signer.config.algorithm,),
        rotation_period=settings.key_rotation_period,
        publish_for=2 * settings.expiry.key_cache_for,
        keep_retired_for=settings.expiry.id_tokens + LEEWAY,
    )


def _pace(policy: RotationPolicy) -> Pace:
    """Return a pace that keeps up with short rotation periods, as drills set them."""
    shortest = min(policy.rotation_period, policy.publish_for) / 4
    return Pace(tick_every=max(timedelta(milliseconds=250), min(Pace().tick_every, shortest)))


def _published(core: _Core, live: LiveKeys, policy: RotationPolicy) -> Published:
    settings = core.settings

    def discovery() -> bytes:
        return discovery_document(
            Served(
                issuer=settings.issuer,
                grant_types=settings.oauth2.grant_types,
                signing_algorithms=sorted({*policy.algorithms, *live.signer.algorithms}),
            )
        )

    def count(path: str, status: int) -> None:
        core.metrics.documents.labels(path, status).inc()

    return Published(
        base_path=core.base_path,
        discovery=discovery,
        documents=Documents(allowed_origin=_cors(settings).allows, on_document=count),
        headers=security_headers(settings.issuer),
        key_cache_for=settings.expiry.key_cache_for,
    )


def _key_change(
    core: _Core, live: LiveKeys, published: Published
) -> Callable[[KeyRing, KeyRing], None]:
    def adopt(publish: KeyRing, sign: KeyRing) -> None:
        live.adopt(publish, sign)
        published.publish(live.key_set)
        states = {"next": 0, "signing": 0, "retired": 0}
        for key in publish.keys:
            retired = "retired" if key.retired_at is not None else "signing"
            states["next" if key.signs_from is None else retired] += 1
        for state, count in states.items():
            core.metrics.signing_keys.labels(state).set(count)

    return adopt


def _report_keys(kept: Kept) -> None:
    if kept.problem is not None:
        log_event(
            logging.getLogger("idp.keys"),
            logging.ERROR,
            "keys_not_refreshed",
            problem=str(kept.problem),
        )


def _renderer(core: _Core) -> Renderer:
    frontend = core.settings.frontend
    branding = Branding(
        name=frontend.issuer,
        base_path=core.base_path,
        logo_url=frontend.logo_url,
        theme=frontend.theme,
    )
    return Renderer(
        issuer=core.settings.issuer,
        pages=Pages(branding),
        branding=branding,
        metrics=core.metrics,
        logger=logging.getLogger("idp.web"),
    )


def _home(settings: Settings, renderer: Renderer) -> Callable[[Request], Awaitable[Response]]:
    page = renderer.pages.home(
        issuer=settings.issuer,
        discovery_url=settings.issuer + "/.well-known/openid-configuration",
    )

    async def home(_: Request) -> Response:
        return renderer.html(page)

    return home


def _cors(settings: Settings) -> Cors:
    return Cors(frozenset(settings.web.allowed_origins))


def _host_check(settings: Settings, base_path: str) -> HostCheck:
    """Return which Host headers are ours: the issuer's, those listed, and loopback for health."""
    issuer = urlsplit(settings.issuer)
    return HostCheck(
        hosts=frozenset({issuer.netloc.lower(), *settings.web.allowed_hosts}),
        exempt_paths=frozenset(
            {f"{base_path}/healthz", f"{base_path}/keys", *discovery_paths(base_path)}
        ),
    )


def _source(settings: Settings) -> Callable[[Request], str]:
    """Return what tells the source address of a request, for the throttle."""
    remote = settings.web.client_remote_ip

    def source(request: Request) -> str:
        peer = request.client.host if request.client is not None else ""
        forwarded = request.headers.getlist(remote.header) if remote.header else []
        return source_of(
            client_address(peer=peer, forwarded=forwarded, trusted=remote.trusted_proxies)
        )

    return source


def _counted_audit(metrics: Metrics) -> AuditLog:
    log = Audit(logging.getLogger("idp.audit"))

    def audit(event: str, /, **fields: str | int) -> None:
        metrics.events.labels(event).inc()
        log(event, **fields)

    return audit
