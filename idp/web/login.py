"""The login form: shown, sent, shown again after a wrong password."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from connectors.base import (
    AccessRefused,
    BadCredentials,
    ConnectorUnavailable,
    Identity,
    PasswordConnector,
)
from idp.clock import Clock
from idp.log import AuditLog
from idp.login.connectors import OfferedConnector, offered
from idp.login.state import ApprovalState, LoginState, LoginStates, StateBroken
from idp.login.throttle import AccountThrottled, Reservation, Throttle
from idp.login.usernames import UsernameRefused, as_typed, throttle_name
from idp.metrics import Metrics
from idp.oauth.authentication import PASSWORD
from idp.oauth.authorize import AuthorizationRequest, check_target
from idp.oauth.client import Clients
from idp.tokens.authorization import asked_of, needed_of
from idp.web.answers import form_sources
from idp.web.cookies import Browser, BrowserCookies
from idp.web.ending import Ending, face_of
from idp.web.errors import Renderer
from idp.web.forms import read_page_form
from idp.web.origin import check_same_origin
from idp.web.pages import WRONG_CREDENTIALS, Filled

LONGEST_PASSWORD = 1024
REMEMBER_ME = "remember_me"
"""The field of the box, which browsers send only when it is ticked."""
FAILURE_TAKES = timedelta(milliseconds=400)
"""A failed password is answered no sooner, so that the time does not tell why it failed."""


class WrongPassword(Exception):
    """The name and the password do not belong together; shows the form again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginForm:
    """Renders the form of a password connector.

    `remember_by_default` is how its box is set at first, None where browsers are not remembered.
    """

    base_path: str
    connectors: Mapping[str, OfferedConnector]
    clients: Clients
    states: LoginStates
    cookies: BrowserCookies
    renderer: Renderer
    remember_by_default: bool | None

    def first(self, request: Request, state: LoginState) -> Response:
        """Return the empty form, with a cookie for a browser that has none."""
        known = self.cookies.read(request)
        browser = known or self.cookies.fresh()
        sealed = self.states.seal_login(state, browser=browser.id)
        response = self._page(
            state,
            sealed,
            username=state.request.login_hint,
            error=None,
            remembered=bool(self.remember_by_default),
        )
        if known is None:
            self.cookies.write(response, browser)
        return response

    def again(self, state: LoginState, sealed: str, username: str, *, remembered: bool) -> Response:
        """Return the form after a failure: 401, the same bytes whatever was wrong (R-66)."""
        return self._page(
            state, sealed, username=username, error=WRONG_CREDENTIALS, remembered=remembered
        )

    def _page(
        self,
        state: LoginState,
        sealed: str,
        *,
        username: str,
        error: str | None,
        remembered: bool,
    ) -> Response:
        offer = offered(self.connectors, state.connector_id)
        target = state.request.target
        face = face_of(self.clients[target.client_id])
        page = self.renderer.pages.login(
            connector_name=offer.name if len(self.connectors) > 1 else None,
            username_prompt=offer.connector.username_prompt,
            action=f"{self.base_path}/auth/{quote(offer.id, safe='')}/login",
            state=sealed,
            filled=Filled(
                username=username,
                remember=None if self.remember_by_default is None else remembered,
            ),
            error=error,
            client=face,
        )
        status = 200 if error is None else 401
        return self.renderer.answers.html(
            page, status=status, form_action=form_sources(target), images=(face.logo_url,)
        )


def _owner(connector_id: str, user_id: str) -> str:
    """Return what the throttle calls a person, unlike any name, "" for one that nobody knows."""
    return f"{connector_id}\n\n{user_id}" if user_id else ""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One sent form."""

    state: LoginState
    sealed: str
    browser: Browser
    username: str
    password: str
    remembered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginEndpoint:
    """POST /auth/{connector}/login."""

    origin: str
    form: LoginForm
    ending: Ending
    throttle: Throttle
    source: Callable[[Request], str]
    clock: Clock
    pause: Callable[[float], Awaitable[None]]
    metrics: Metrics
    audit: AuditLog

    async def __call__(self, request: Request) -> Response:
        """Return the next page for a right password, the form again for a wrong one."""
        check_same_origin(request, self.origin)
        attempt = await self._attempt(request)
        started = time.monotonic()
        try:
            account, identity = await self._sign_in(attempt, self.source(request))
        except WrongPassword:
            await self._wait_out(started)
            return self._again(attempt)
        except AccountThrottled:
            self._count(attempt, "throttled")
            # As late as a wrong password: else the wait would tell which names are one person's.
            await self._wait_out(started)
            return self._again(attempt)
        approval = ApprovalState(
            login=attempt.state,
            identity=self._needed(identity, attempt.state.request),
            authenticated_at=self.clock(),
            method=PASSWORD,
            remembered=attempt.remembered,
        )
        arrived = self.ending.arrived(request, attempt.browser)
        response = await self.ending.signed_in(approval, arrived)
        known = self.form.cookies.with_account(attempt.browser, account)
        self.form.cookies.write(response, known)
        return response

    def _again(self, attempt: _Attempt) -> Response:
        """Return the form after a failure, as it was sent but for the password."""
        return self.form.again(
            attempt.state, attempt.sealed, attempt.username, remembered=attempt.remembered
        )

    async def _attempt(self, request: Request) -> _Attempt:
        fields = await read_page_form(request)
        sealed = fields.get("state", "")
        browser = self.form.cookies.read(request)
        state = self.form.states.open_login(sealed, browser=browser.id if browser else None)
        if browser is None or state.connector_id != request.path_params["connector"]:
            raise StateBroken
        check_target(state.request.target, self.form.clients)
        return _Attempt(
            state=state,
            sealed=sealed,
            browser=browser,
            # Bytes that are no UTF-8 can be nobody's name, and could not be shown again.
            username=fields.get("login", "").encode("utf-8", "replace").decode(),
            password=fields.get("password", ""),
            remembered=REMEMBER_ME in fields,
        )

    async def _sign_in(self, attempt: _Attempt, source: str) -> tuple[str, Identity]:
        """Return the account that was tried and who it is, behind the throttle."""
        connector_id = attempt.state.connector_id
        connector = offered(self.form.connectors, connector_id).connector
        try:
            account = f"{connector_id}\n{throttle_name(attempt.username)}"
        except UsernameRefused:
            self._count(attempt, "failed")
            raise WrongPassword from None
        if not 0 < len(attempt.password.encode("utf-8", "surrogatepass")) <= LONGEST_PASSWORD:
            self._count(attempt, "failed")
            raise WrongPassword
        known = self.form.cookies.knows(attempt.browser, account)
        reservation = self.throttle.reserve(
            account=account, source=source, device=attempt.browser.id if known else None
        )
        return account, await self._ask(attempt, connector, reservation)

    async def _ask(
        self, attempt: _Attempt, connector: PasswordConnector, reservation: Reservation
    ) -> Identity:
        connector_id = attempt.state.connector_id
        with reservation:
            try:
                identity = await connector.login(as_typed(attempt.username), attempt.password)
            except BadCredentials as error:
                reservation.failed(_owner(connector_id, error.user_id))
                self._count(attempt, "failed")
                raise WrongPassword from None
            except AccessRefused:
                reservation.succeeded()
                self._count(attempt, "refused")
                raise
            except ConnectorUnavailable:
                reservation.unknown()
                self._count(attempt, "unavailable")
                raise
            reservation.succeeded(_owner(connector_id, identity.user_id))
        self.metrics.logins.labels(attempt.state.connector_id, "succeeded").inc()
        return identity

    def _needed(self, identity: Identity, request: AuthorizationRequest) -> Identity:
        """Return as much of the person as the client will be told. Raises Untrusted."""
        check_target(request.target, self.form.clients)
        client = self.form.clients[request.target.client_id]
        asked = asked_of(request.claims, identity, request.scopes, client)
        return needed_of(identity, request.scopes, asked, client)

    def _count(self, attempt: _Attempt, result: str) -> None:
        self.metrics.logins.labels(attempt.state.connector_id, result).inc()
        self.audit(
            f"login_{result}",
            connector=attempt.state.connector_id,
            client=attempt.state.request.target.client_id,
            username=attempt.username[:255],
        )

    async def _wait_out(self, started: float) -> None:
        left = FAILURE_TAKES.total_seconds() - (time.monotonic() - started)
        if left > 0:
            await self.pause(left)
