"""Sessions of browsers, put together where the settings want them."""

from dataclasses import dataclass

from idp.app.core import Core
from idp.app.values import session_policy
from idp.grants.ended import EndedGrants
from idp.login.consents import Consents
from idp.login.session_keeper import SessionKeeper
from idp.web.cookies import BrowserCookies, cookie_name
from idp.web.ending import Ending
from idp.web.session_cookies import SessionCookies
from idp.web.single_sign_on import SingleSignOn


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """Where sessions are kept, how browsers refer to them, and what people agreed to for good."""

    keeper: SessionKeeper
    cookies: SessionCookies
    consents: Consents


def session_parts(core: Core, ended: EndedGrants) -> SessionParts | None:
    """Return the parts, None where sessions are off."""
    settings, outside = core.settings, core.outside
    if not settings.sessions.enabled:
        return None
    return SessionParts(
        keeper=SessionKeeper(
            grants=core.grants,
            ended=ended.sessions,
            standings=core.standings,
            connectors=core.connectors.connector,
            policy=session_policy(settings),
            clock=outside.clock,
            audit=core.audit,
        ),
        cookies=SessionCookies(
            name=cookie_name(settings.sessions.cookie_name, settings.issuer),
            secure=settings.issuer.startswith("https:"),
            tags=core.sealing,
            clock=outside.clock,
        ),
        consents=Consents(states=core.user_states, clock=outside.clock),
    )


def single_sign_on(
    core: Core, parts: SessionParts | None, browsers: BrowserCookies, ending: Ending
) -> SingleSignOn | None:
    """Return what finds out whether somebody is signed in already, None where sessions are off."""
    if parts is None:
        return None
    return SingleSignOn(
        browsers=browsers,
        cookies=parts.cookies,
        keeper=parts.keeper,
        ending=ending,
        clients=core.clients,
        clock=core.outside.clock,
    )
