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
from idp.app.registration import registration_endpoints
from idp.app.sessions import (
    SessionParts,
    account_selection,
    session_endpoints,
    session_parts,
    single_sign_on,
)
from idp.app.values import (
    cors_of,
    host_check,
    origin_of,
    refresh_policy,
    source_reader,
    step_policy,
)
from idp.grants.authorization_code import AuthorizationCodeGrant
from idp.grants.base import GrantHandler, LoginRules
from idp.grants.client_assertions import ClientAssertions
from idp.grants.client_credentials import ClientCredentialsGrant
from idp.grants.ended import EndedGrants
from idp.grants.introspection import Introspection
from idp.grants.logout_notices import LogoutNotices
from idp.grants.lookup import GrantLookup, LookupAttempt, LookupBudget
from idp.grants.refresh_token import RefreshTokenGrant
from idp.grants.revocation import Revocation
from idp.keys.client_signatures import ClientSignatures
from idp.keys.handles import Handles
from idp.keys.live import LiveKeys
from idp.keys.remote_key_sets import RemoteKeySets
from idp.login.finish import LoginFinisher
from idp.login.state import LoginStates
from idp.login.throttle import CLIENT_SECRETS, HANDLES, PASSWORDS, Throttle, Throttled
from idp.metrics import Metrics
from idp.oauth.authorize import AuthorizeRules
from idp.oauth.client import token_rules
from idp.oauth.errors import TooManyAttempts
from idp.oauth.response_types import served_types
from idp.settings import Settings
from idp.tokens.access import IssuedTokens, LiveAccessTokens
from idp.tokens.issue import TokenIssuer
from idp.tokens.request_objects import RequestObjects
from idp.tokens.request_uris import RequestUris
from idp.tokens.signed_userinfo import SignedUserinfo
from idp.web.answers import Answers
from idp.web.approval import ApprovalEndpoint
from idp.web.authorize import AuthorizeEndpoint
from idp.web.cookies import BrowserCookies, cookie_name
from idp.web.ending import Ending
from idp.web.errors import Renderer
from idp.web.guard import ThrottledClients
from idp.web.introspection import IntrospectionEndpoint
from idp.web.login import LoginEndpoint, LoginForm
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
        prove=_assertions(core, signatures).prove,
        throttle=Throttle(CLIENT_SECRETS, clock=outside.clock, share=core.share),
        source=source,
        audit=core.audit,
    )
    budget = _lookup_budget(core)
    lookup = GrantLookup(
        grants=core.grants, handles=Handles(core.sealing), budget=budget, recent=core.recent
    )
    sessions = session_parts(core, ended)
    login = _login_parts(core, tokens, renderer, source, sessions)
    registration, client_configuration = registration_endpoints(core, budget=budget, source=source)
    endpoints = Endpoints(
        authorize=_authorize_endpoint(
            core, _request_objects(core, signatures), issued, login, renderer, sessions
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
            handlers=_grants(core, tokens, lookup, ended),
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
            revocation=_revocation(core, issued, ended, lookup),
            metrics=core.metrics,
        ),
        introspection=IntrospectionEndpoint(
            guard=guard,
            introspection=_introspection(core, access_tokens, lookup, ended),
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


def _assertions(core: Core, signatures: ClientSignatures) -> ClientAssertions:
    issuer = core.settings.issuer
    return ClientAssertions(
        clients=core.clients,
        signatures=signatures,
        used=core.used_assertions,
        audiences=(issuer, f"{issuer}/token"),
        clock=core.outside.clock,
        audit=core.audit,
    )


def _request_ids(outside: Surroundings) -> Callable[[], str]:
    """Return what names requests: a random start for each process, and a count.

    An id is no secret; it only has to be told from those of other processes.
    """
    start = outside.random(5).hex()
    numbers = count(1)
    return lambda: f"{start}{next(numbers):06x}"


def _login_parts(
    core: Core,
    tokens: TokenIssuer,
    renderer: Renderer,
    source: Callable[[Request], str],
    sessions: SessionParts | None,
) -> LoginEndpoint:
    settings, outside = core.settings, core.outside
    states = LoginStates(
        sealer=core.sealing, clock=outside.clock, lifetime=settings.expiry.auth_requests
    )
    cookies = BrowserCookies(
        name=cookie_name("idp-browser", settings.issuer),
        secure=settings.issuer.startswith("https:"),
        tags=core.sealing,
        random=outside.random,
    )
    finisher = LoginFinisher(
        grants=core.grants,
        clients=core.clients,
        handles=Handles(core.sealing),
        issuer=tokens,
        clock=outside.clock,
        random=outside.random,
        code_lifetime=settings.expiry.auth_codes,
        refresh_policy=refresh_policy(settings),
        refresh_served="refresh_token" in settings.oauth2.grant_types,
        connectors=core.connectors.connector,
        audit=core.audit,
        on_created=core.recent.put,
        standings=core.standings,
        sessions=None if sessions is None else sessions.keeper,
    )
    form = LoginForm(
        base_path=core.base_path,
        connectors=core.connectors,
        clients=core.clients,
        states=states,
        cookies=cookies,
        renderer=renderer,
        remember_by_default=(
            None if sessions is None else sessions.keeper.policy.remember_by_default
        ),
    )
    ending = Ending(
        base_path=core.base_path,
        steps=step_policy(core),
        states=states,
        finisher=finisher,
        clients=core.clients,
        renderer=renderer,
        session_cookies=None if sessions is None else sessions.cookies,
        consents=None if sessions is None else sessions.consents,
    )
    return LoginEndpoint(
        origin=origin_of(settings),
        form=form,
        ending=ending,
        throttle=Throttle(PASSWORDS, clock=outside.clock, share=core.share),
        source=source,
        clock=outside.clock,
        pause=outside.pause,
        metrics=core.metrics,
        audit=core.audit,
    )


def _request_objects(core: Core, signatures: ClientSignatures) -> RequestObjects:
    return RequestObjects(
        issuer=core.settings.issuer,
        clients=core.clients,
        signatures=signatures,
        by_reference=RequestUris(
            hosts=core.settings.oauth2.request_uri_hosts, get=core.outbound.get
        ),
        clock=core.outside.clock,
    )


def _authorize_endpoint(
    core: Core,
    request_objects: RequestObjects,
    issued: IssuedTokens,
    login: LoginEndpoint,
    renderer: Renderer,
    sessions: SessionParts | None,
) -> AuthorizeEndpoint:
    form = login.form
    known = single_sign_on(core, sessions, form.cookies, login.ending)
    return AuthorizeEndpoint(
        base_path=core.base_path,
        rules=AuthorizeRules(
            clients=core.clients,
            subject_of_hint=issued.subject_of_hint,
            pkce_for_all=core.settings.oauth2.pkce.enforce,
            response_types=served_types(core.settings.oauth2.response_types),
        ),
        request_objects=request_objects,
        steps=step_policy(core),
        states=form.states,
        connectors=core.connectors,
        form=form,
        renderer=renderer,
        new_name=lambda: core.outside.random(16).hex(),
        single_sign_on=known,
        selection=account_selection(core, known, login),
    )


def _lookup_budget(core: Core) -> LookupBudget:
    """Return what pays for looking up what nothing authenticates: one budget for all endpoints."""
    unknown_keys = Throttle(HANDLES, clock=core.outside.clock, share=core.share)

    def budget() -> LookupAttempt:
        try:
            return unknown_keys.reserve(source="handles")
        except Throttled as error:
            text = "Too many tokens that name no key of this provider. Try again later."
            raise TooManyAttempts(text, error.retry_after) from None

    return budget


def _revocation(
    core: Core, issued: IssuedTokens, ended: EndedGrants, lookup: GrantLookup
) -> Revocation:
    return Revocation(
        lookup=lookup,
        access_tokens=issued,
        ended=ended,
        policy=refresh_policy(core.settings),
        clock=core.outside.clock,
        audit=core.audit,
    )


def _introspection(
    core: Core, access_tokens: LiveAccessTokens, lookup: GrantLookup, ended: EndedGrants
) -> Introspection:
    return Introspection(
        issuer=core.settings.issuer,
        access_tokens=access_tokens,
        lookup=lookup,
        policy=refresh_policy(core.settings),
        logins=_login_rules(core, ended),
        clock=core.outside.clock,
    )


def _login_rules(core: Core, ended: EndedGrants) -> LoginRules:
    return LoginRules(
        clients=core.clients,
        standings=core.standings,
        ended_sessions=ended.sessions,
        audit=core.audit,
    )


def _grants(
    core: Core, tokens: TokenIssuer, lookup: GrantLookup, ended: EndedGrants
) -> dict[str, GrantHandler]:
    """Return the handlers of the grant types that are switched on."""
    clock, audit = core.outside.clock, core.audit
    logins = _login_rules(core, ended)
    policy = refresh_policy(core.settings)
    handlers: list[GrantHandler] = [
        AuthorizationCodeGrant(
            lookup=lookup,
            issuer=tokens,
            clock=clock,
            audit=audit,
            logins=logins,
            keep_ended_for=policy.keep_for,
            note_ended=ended.add,
        ),
        RefreshTokenGrant(
            lookup=lookup,
            issuer=tokens,
            connectors=core.connectors.connector,
            policy=policy,
            clock=clock,
            audit=audit,
            logins=logins,
            note_ended=ended.add,
        ),
        ClientCredentialsGrant(clients=core.clients, issuer=tokens, audit=audit),
    ]
    served = core.settings.oauth2.grant_types
    return {handler.grant_type: handler for handler in handlers if handler.grant_type in served}


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
        account_url=settings.issuer + "/account" if settings.sessions.enabled else None,
    )

    async def home(_: Request) -> Response:
        return renderer.html(page)

    return home
