"""The web listener, put together: pages, endpoints, grants."""

import logging
from collections.abc import Awaitable, Callable
from itertools import count
from urllib.parse import urlsplit

from jinja2 import BytecodeCache
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from idp.app.core import Core, Surroundings
from idp.app.grants import (
    client_assertions,
    grant_handlers,
    introspection_of,
    lookup_budget,
    revocation_of,
)
from idp.app.login import authorize_endpoint, login_endpoint, request_objects_of
from idp.app.registration import registration_endpoints
from idp.app.sessions import session_endpoints, session_parts
from idp.app.values import account_address, cors_of, host_check, source_reader
from idp.grants.ended import EndedGrants
from idp.grants.logout_notices import LogoutNotices
from idp.grants.lookup import GrantLookup
from idp.keys.client_signatures import ClientSignatures
from idp.keys.handles import Handles
from idp.keys.live import LiveKeys
from idp.keys.remote_key_sets import RemoteKeySets
from idp.login.throttle import CLIENT_SECRETS, Throttle
from idp.metrics import Metrics
from idp.oauth.client import token_rules
from idp.settings import Settings
from idp.tokens.access import IssuedTokens, LiveAccessTokens
from idp.tokens.issue import TokenIssuer
from idp.tokens.signed_userinfo import SignedUserinfo
from idp.web.answers import Answers
from idp.web.approval import ApprovalEndpoint
from idp.web.errors import Renderer
from idp.web.guard import ThrottledClients
from idp.web.introspection import IntrospectionEndpoint
from idp.web.middleware import Outermost, security_headers
from idp.web.pages import Branding, Pages
from idp.web.revocation import RevocationEndpoint
from idp.web.routes import Endpoints, WebApp, web_routes
from idp.web.telemetry import Check, health
from idp.web.token import TokenEndpoint
from idp.web.userinfo import UserinfoEndpoint


def outermost(
    settings: Settings, outside: Surroundings, metrics: Metrics, inner: ASGIApp
) -> Outermost:
    """Return the web listener's application around `inner`."""
    return Outermost(
        inner,
        headers=security_headers(settings.issuer),
        hosts=host_check(settings, urlsplit(settings.issuer).path),
        metrics=metrics,
        new_id=_request_ids(outside),
    )


def web_app(
    core: Core,
    live: LiveKeys,
    ended: EndedGrants,
    notices: LogoutNotices,
    readiness: Check,
    renderer: Renderer,
) -> WebApp:
    """Return everything that is served to people and clients."""
    settings, outside = core.settings, core.outside
    issued = IssuedTokens(verifier=live.verifier, issuer=settings.issuer, clock=outside.clock)
    access_tokens = LiveAccessTokens(
        issued=issued,
        ended=ended,
        ended_sessions=ended.sessions,
        clients=core.clients,
        standings=core.standings,
    )
    tokens = TokenIssuer(
        issuer=settings.issuer,
        lifetime=settings.expiry.id_tokens,
        rules=token_rules(core.clients),
        signer=live.signer,
        clock=outside.clock,
        new_id=lambda: outside.random(16).hex(),
    )
    source = source_reader(settings)
    signatures = ClientSignatures(RemoteKeySets(get=core.outbound.get, monotonic=outside.monotonic))
    guard = ThrottledClients(
        clients=core.clients,
        prove=client_assertions(core, signatures).prove,
        throttle=Throttle(CLIENT_SECRETS, clock=outside.clock, share=core.share),
        source=source,
        audit=core.audit,
    )
    budget = lookup_budget(core)
    lookup = GrantLookup(
        grants=core.grants, handles=Handles(core.sealing), budget=budget, recent=core.recent
    )
    sessions = session_parts(core, ended)
    login = login_endpoint(core, tokens, renderer, source, sessions)
    registration, client_configuration = registration_endpoints(core, budget=budget, source=source)
    endpoints = Endpoints(
        authorize=authorize_endpoint(
            core, request_objects_of(core, signatures), issued, login, renderer, sessions
        ),
        login=login,
        approval=ApprovalEndpoint(
            origin=login.origin,
            form=login.form,
            ending=login.ending,
            new_name=lambda: outside.random(16).hex(),
        ),
        token=TokenEndpoint(
            guard=guard,
            handlers=grant_handlers(core, tokens, lookup, ended),
            check_signs=tokens.check_signs,
            metrics=core.metrics,
        ),
        userinfo=UserinfoEndpoint(
            issuer=settings.issuer,
            access_tokens=access_tokens,
            signed=SignedUserinfo(
                issuer=settings.issuer, signer=live.signer, rules=token_rules(core.clients)
            ),
        ),
        revocation=RevocationEndpoint(
            guard=guard,
            revocation=revocation_of(core, issued, ended, lookup),
            metrics=core.metrics,
        ),
        introspection=IntrospectionEndpoint(
            guard=guard,
            introspection=introspection_of(core, access_tokens, lookup, ended),
            metrics=core.metrics,
        ),
        registration=registration,
        client_configuration=client_configuration,
        home=_home(settings, renderer),
        sessions=session_endpoints(core, sessions, login, issued, notices),
        healthz=health({"provider": readiness}),
    )
    routes = web_routes(
        endpoints, base_path=core.base_path, renderer=renderer, cors=cors_of(settings)
    )
    return WebApp(routes, renderer)


def _request_ids(outside: Surroundings) -> Callable[[], str]:
    """Return what names requests: a random start for each process, and a count.

    An id is no secret; it only has to be told from those of other processes.
    """
    start = outside.random(5).hex()
    numbers = count(1)
    return lambda: f"{start}{next(numbers):06x}"


def renderer_of(
    settings: Settings, metrics: Metrics, *, compiled: BytecodeCache | None = None
) -> Renderer:
    """Return what turns errors into answers."""
    frontend = settings.frontend
    branding = Branding(
        name=frontend.issuer,
        base_path=urlsplit(settings.issuer).path,
        logo_url=frontend.logo_url,
        theme=frontend.theme,
    )
    return Renderer(
        answers=Answers(
            issuer=settings.issuer, pages=Pages(branding, compiled=compiled), branding=branding
        ),
        metrics=metrics,
        logger=logging.getLogger("idp.web"),
    )


def _home(settings: Settings, renderer: Renderer) -> Callable[[Request], Awaitable[Response]]:
    page = renderer.pages.home(
        issuer=settings.issuer,
        discovery_url=settings.issuer + "/.well-known/openid-configuration",
        account_url=account_address(settings) if settings.sessions.enabled else None,
    )

    async def home(_: Request) -> Response:
        return renderer.html(page)

    return home
