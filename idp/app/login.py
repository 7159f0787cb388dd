"""Puts together what people pass through: authorization requests and the login form."""

from collections.abc import Callable

from starlette.requests import Request

from idp.app.core import Core
from idp.app.sessions import SessionParts, account_selection, single_sign_on
from idp.app.values import origin_of, refresh_policy, step_policy
from idp.keys.client_signatures import ClientSignatures
from idp.keys.handles import Handles
from idp.login.finish import LoginFinisher
from idp.login.state import LoginStates
from idp.login.throttle import PASSWORDS, Throttle
from idp.oauth.authorize import AuthorizeRules
from idp.oauth.response_types import served_types
from idp.tokens.access import IssuedTokens
from idp.tokens.issue import TokenIssuer
from idp.tokens.request_objects import RequestObjects
from idp.tokens.request_uris import RequestUris
from idp.web.authorize import AuthorizeEndpoint
from idp.web.cookies import BrowserCookies, cookie_name
from idp.web.ending import Ending
from idp.web.errors import Renderer
from idp.web.login import LoginEndpoint, LoginForm


def login_endpoint(
    core: Core,
    tokens: TokenIssuer,
    renderer: Renderer,
    source: Callable[[Request], str],
    sessions: SessionParts | None,
) -> LoginEndpoint:
    """Return the login form, with what comes after a right password."""
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


def authorize_endpoint(
    core: Core,
    request_objects: RequestObjects,
    issued: IssuedTokens,
    login: LoginEndpoint,
    renderer: Renderer,
    sessions: SessionParts | None,
) -> AuthorizeEndpoint:
    """Return where authorization requests arrive."""
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
        selection=None if known is None else account_selection(core, known, login),
    )


def request_objects_of(core: Core, signatures: ClientSignatures) -> RequestObjects:
    """Return what opens request objects."""
    return RequestObjects(
        issuer=core.settings.issuer,
        clients=core.clients,
        signatures=signatures,
        by_reference=RequestUris(
            hosts=core.settings.oauth2.request_uri_hosts, get=core.outbound.get
        ),
        clock=core.outside.clock,
    )
