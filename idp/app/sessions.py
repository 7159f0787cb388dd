"""Sessions of browsers, put together where the settings want them."""

from dataclasses import dataclass

from idp.app.core import Core
from idp.app.values import LEEWAY, account_address, refresh_policy, session_policy
from idp.grants.account import Account
from idp.grants.ended import EndedGrants
from idp.grants.endings import Endings
from idp.grants.logout_notices import LogoutNotices
from idp.grants.own_logins import OwnRules
from idp.grants.sign_out import SignOut
from idp.keys.live import LiveKeys
from idp.login.consents import Consents
from idp.login.session_keeper import SessionKeeper
from idp.login.state import LoginStates
from idp.login.throttle import ACCOUNT_PAGES, Throttle
from idp.oauth.client import token_rules
from idp.tokens.access import IssuedTokens
from idp.tokens.logout_token import LogoutTokens
from idp.web.account import AccountForm, AccountPage, AccountParts
from idp.web.account_face import AccountFaces
from idp.web.cookies import BrowserCookies, cookie_name
from idp.web.ending import Ending
from idp.web.login import LoginEndpoint
from idp.web.logout import Departure, LogoutConfirmation, LogoutEndpoint
from idp.web.routes import SessionEndpoints
from idp.web.select_account import AccountSelection
from idp.web.session_cookies import SessionCookies
from idp.web.single_sign_on import SingleSignOn
from storage.objects import Leadership


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """Where sessions are kept, how browsers refer to them, and what people agreed to for good."""

    keeper: SessionKeeper
    cookies: SessionCookies
    consents: Consents
    account: Account

    @property
    def sign_out(self) -> SignOut:
        """Return what ends sessions."""
        return self.account.sign_out


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
            clients=core.clients,
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
        account=_account(core, ended),
    )


def _account(core: Core, ended: EndedGrants) -> Account:
    settings, clock = core.settings, core.outside.clock
    return Account(
        grants=core.grants,
        sign_out=SignOut(
            grants=core.grants,
            ended=ended,
            clock=clock,
            keep_for=session_policy(settings).life.keep_for,
            audit=core.audit,
        ),
        rules=OwnRules(
            clients=core.clients,
            standings=core.standings,
            policy=refresh_policy(settings),
            page=account_address(settings),
        ),
        clock=clock,
        audit=core.audit,
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


def account_selection(core: Core, known: SingleSignOn, login: LoginEndpoint) -> AccountSelection:
    """Return what asks people as whom to go on."""
    return AccountSelection(
        origin=login.origin,
        base_path=core.base_path,
        states=login.form.states,
        single_sign_on=known,
        renderer=login.form.renderer,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What is known of ends, what makes them complete, and what tells clients; all have jobs."""

    ended: EndedGrants
    endings: Endings
    notices: LogoutNotices


def ends_of(core: Core, live: LiveKeys, leadership: Leadership) -> Ends:
    """Return the parts; nothing happens before their jobs run."""
    notices = _logout_notices(core, live)
    keep_for = core.longest_tokens + LEEWAY

    def wants_notice(client_id: str) -> bool:
        client = core.clients.get(client_id)
        return client is not None and bool(client.logout.backchannel_uri)

    endings = Endings(
        grants=core.grants,
        clock=core.outside.clock,
        keep_for=keep_for,
        leads=leadership.leads,
        on_ended=notices.send,
        has_ended=lambda session: session in ended.sessions,
        wants_notice=wants_notice,
    )
    ended = EndedGrants(
        clock=core.outside.clock,
        keep_for=keep_for,
        on_count=core.metrics.ended_grants.set,
        on_session=endings.hear,
        on_deleted=endings.hear_deleted,
    )
    return Ends(ended=ended, endings=endings, notices=notices)


def _logout_notices(core: Core, live: LiveKeys) -> LogoutNotices:
    return LogoutNotices(
        clients=core.clients,
        tokens=LogoutTokens(
            issuer=core.settings.issuer,
            signer=live.signer,
            clock=core.outside.clock,
            new_id=lambda: core.outside.random(16).hex(),
            rules=token_rules(core.clients),
        ),
        post=core.outbound.post,
        audit=core.audit,
    )


def session_endpoints(
    core: Core,
    parts: SessionParts | None,
    login: LoginEndpoint,
    issued: IssuedTokens,
    notices: LogoutNotices,
) -> SessionEndpoints | None:
    """Return what is served where browsers have sessions."""
    known = single_sign_on(core, parts, login.form.cookies, login.ending)
    if parts is None or known is None:
        return None
    states, origin = login.form.states, login.origin
    departure = Departure(
        issuer=core.settings.issuer,
        base_path=core.base_path,
        clients=core.clients,
        single_sign_on=known,
        sign_out=parts.sign_out,
        notices=notices,
        renderer=login.form.renderer,
    )
    account = _account_parts(core, parts, departure, states)
    return SessionEndpoints(
        logout=LogoutEndpoint(
            base_path=core.base_path,
            read_hint=issued.read_hint,
            states=states,
            departure=departure,
        ),
        logout_confirmation=LogoutConfirmation(origin=origin, states=states, departure=departure),
        select_account=account_selection(core, known, login),
        account=AccountPage(
            parts=account,
            faces=AccountFaces(clients=core.clients, connectors=core.connectors),
        ),
        account_form=AccountForm(origin=origin, parts=account),
    )


def _account_parts(
    core: Core, parts: SessionParts, departure: Departure, states: LoginStates
) -> AccountParts:
    clock = core.outside.clock
    return AccountParts(
        base_path=core.base_path,
        address=account_address(core.settings),
        states=states,
        departure=departure,
        account=parts.account,
        consents=parts.consents,
        throttle=Throttle(ACCOUNT_PAGES, clock=clock, share=core.share),
        clock=clock,
    )
