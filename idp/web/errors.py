"""The only place where an error becomes an answer.

Endpoints raise; `Renderer.json` and `Renderer.page` wrap them. What is not in the tables below is a
fault of ours: a fixed text and the request id, with the traceback in the log only.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from connectors.base import AccessRefused, AccountLocked, ConnectorUnavailable
from idp.grants.account import NotAllEnded
from idp.grants.base import RETRY_AFTER, retry_after, store_is_away
from idp.log import log_event, request_id_var
from idp.login.connectors import ConnectorGone
from idp.login.finish import AlreadyUsed
from idp.login.session_keeper import SessionOver
from idp.login.state import OtherBrowser, StateBroken, StateExpired
from idp.login.throttle import Throttled
from idp.metrics import Metrics
from idp.oauth.authorize import Refused
from idp.oauth.errors import (
    InsufficientScope,
    InvalidClient,
    InvalidToken,
    MissingToken,
    OAuthError,
    RetryLater,
    ServerError,
    TemporarilyUnavailable,
    Untrusted,
)
from idp.oauth.redirects import OUT_OF_BAND
from idp.tokens.size import TokenTooLarge
from idp.web.answers import NO_STORE, Answers
from idp.web.forms import BodyTooLarge
from idp.web.pages import Pages
from storage.base import SealUnknown, StorageUnavailable

Endpoint = Callable[[Request], Awaitable[Response]]


class CrossSite(Exception):
    """A form was sent from a page that is not ours."""


class AccountFormStale(Exception):
    """A form of the account page is too old, or of another session than the browser has."""


class NotSignedIn(Exception):
    """Somebody who wanted to see their account did not sign in."""


class AccountBusy(Throttled):
    """Somebody asked for their account again and again."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(retry_after.total_seconds())


@dataclass(frozen=True, slots=True)
class _PageText:
    status: int
    title: str
    message: str
    hint: str
    retry_after: timedelta | None = None


_START_AGAIN = "Go back to the application that you want to use and sign in again from there."

_PAGES: dict[type[Exception], _PageText] = {
    StateExpired: _PageText(
        400, "This sign‑in has expired", "It was started too long ago to be finished.", _START_AGAIN
    ),
    StateBroken: _PageText(
        400,
        "This sign‑in cannot be continued",
        "The form was changed on its way, or the provider's sealing key was replaced meanwhile.",
        _START_AGAIN,
    ),
    OtherBrowser: _PageText(
        400,
        "Started in another browser",
        "This sign-in began in another browser or window, or this browser does not keep cookies.",
        "Allow cookies for this site. " + _START_AGAIN,
    ),
    CrossSite: _PageText(
        403,
        "This form came from another site",
        "A page that is not ours tried to sign you in or out. Nothing was changed.",
        _START_AGAIN,
    ),
    SessionOver: _PageText(
        400,
        "You have been signed out",
        "The session that you were signed in by has ended, perhaps in another window.",
        _START_AGAIN,
    ),
    AccountFormStale: _PageText(
        400,
        "This page is out of date",
        "It was open for too long, or you have signed in or out since. Nothing was changed.",
        "Open your account page again.",
    ),
    NotSignedIn: _PageText(
        403,
        "You did not sign in",
        "Only who is signed in sees an account here. The sign-in was refused or broken off.",
        "Open your account page again to try once more.",
    ),
    NotAllEnded: _PageText(
        503,
        "Not everything was signed out",
        "The provider lost its store on the way: some of your sessions may go on.",
        "Wait a moment, open your account page and sign out everywhere again.",
        RETRY_AFTER,
    ),
    AlreadyUsed: _PageText(
        409,
        "You are already signed in",
        "This form was sent before, and the application has used its answer.",
        "Go back to the application. If it does not know you, sign in again from there.",
    ),
    # Before the error that it is one of: the first that fits is shown.
    AccountLocked: _PageText(
        403,
        "Your account is locked",
        "Your name and password are right, but an administrator has locked your account.",
        "Ask an administrator to unlock it.",
    ),
    AccessRefused: _PageText(
        403,
        "You may not sign in here",
        "Your name and password are right, but your account is not allowed to use this provider.",
        "Ask an administrator to allow your account, for example by adding it to a group.",
    ),
    ConnectorUnavailable: _PageText(
        503,
        "Sign‑in is not possible right now",
        "The directory that knows your account does not answer. Your password was not judged.",
        "Wait a moment, go back and try again. If it stays so, tell an administrator.",
        RETRY_AFTER,
    ),
    ConnectorGone: _PageText(
        400,
        "This way to sign in is gone",
        "An administrator removed it while you were signing in.",
        _START_AGAIN,
    ),
    SealUnknown: _PageText(
        503,
        "Sign‑in is not possible right now",
        "The provider is replacing its sealing key and cannot open this sign-in just now.",
        "Wait a moment, go back and try again. If it stays so, tell an administrator.",
        RETRY_AFTER,
    ),
    BodyTooLarge: _PageText(
        413, "The form is too large", "No form of this provider is that long.", _START_AGAIN
    ),
}

_STORE_AWAY = _PageText(
    503,
    "Sign‑in is not possible right now",
    "The provider cannot reach its store. Nothing was lost.",
    "Wait a moment, go back and try again. If it stays so, tell an administrator.",
)

_STARTING = _PageText(
    503,
    "The provider is starting",
    "The provider has not read its store yet. Nothing was lost.",
    "Wait a moment and try again. If it stays so, tell an administrator.",
    RETRY_AFTER,
)

_FAULT = ServerError("A fault of the provider. Tell its administrator the request id.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """Wraps endpoints so that whatever they raise becomes the right answer."""

    answers: Answers
    metrics: Metrics
    logger: logging.Logger

    @property
    def pages(self) -> Pages:
        """Return what makes the HTML of pages."""
        return self.answers.pages

    def resource(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint that wants an access token: its errors say so (RFC 6750 section 3)."""
        answer_json = self.json(endpoint)

        async def answer(request: Request) -> Response:
            response = await answer_json(request)
            if response.status_code in (400, 401, 403):
                response.headers.setdefault("www-authenticate", self._bearer("invalid_request"))
            return response

        return answer

    def json(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint of an API: errors are JSON (RFC 6749 section 5.2)."""

        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except OAuthError as error:
                if isinstance(error.__cause__, StorageUnavailable):
                    self._note_store(error.__cause__)
                return self._json_error(error)
            except BodyTooLarge:
                return _json(413, "invalid_request", "The body is too large.")
            except StorageUnavailable as error:
                self._note_store(error)
                return self._json_error(store_is_away(error))
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception:
                self.logger.exception("unexpected_error")
                return self._json_error(_FAULT)

        return answer

    def page(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint of a page: errors are pages, or redirects once there is trust."""

        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except Refused as refused:
                return self.refused(refused)
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception as error:
                return self._page_error(error)

        return answer

    def html(self, text: str, *, status: int = 200, form_action: tuple[str, ...] = ()) -> Response:
        """Return one of our pages with the headers that all of them have."""
        return self.answers.html(text, status=status, form_action=form_action)

    def error_page(self, text: "_PageText") -> Response:
        """Return an error page with the request id under which the log has the rest."""
        body = self.pages.error(
            status=text.status,
            title=text.title,
            message=text.message,
            hint=text.hint,
            request_id=request_id_var.get(),
        )
        response = self.html(body, status=text.status)
        if text.retry_after is not None:
            response.headers["retry-after"] = _seconds(text.retry_after)
        return response

    def not_found(self) -> Response:
        """Return the page for an address that leads nowhere."""
        return self.error_page(
            _PageText(
                404,
                "There is nothing at this address",
                "This provider has no such page.",
                "Applications find all addresses at /.well-known/openid-configuration below the"
                " issuer.",
            )
        )

    def starting_page(self) -> Response:
        """Return the page of a provider that has not read its store yet."""
        return self.error_page(_STARTING)

    def starting_json(self) -> Response:
        """Return the same for programs."""
        return self._json_error(TemporarilyUnavailable(_STARTING.message, RETRY_AFTER))

    def refused(self, refused: Refused) -> Response:
        """Return what tells the client, in its response mode (RFC 6749 section 4.1.2.1)."""
        error = refused.error
        log_event(
            self.logger,
            logging.INFO,
            "authorization_refused",
            client=refused.target.client_id,
            error=error.code,
            description=error.description,
        )
        if refused.target.redirect_uri == OUT_OF_BAND:
            return self.error_page(
                _PageText(400, "The sign‑in was refused", error.description, _START_AGAIN)
            )
        answer = {"error": error.code, "error_description": error.description}
        return self.answers.deliver(refused.target, answer)

    def _page_error(self, error: Exception) -> Response:
        if isinstance(error, StorageUnavailable):
            self._note_store(error)
        return self.error_page(self._page_text(error))

    def _page_text(self, error: Exception) -> "_PageText":
        if isinstance(error, Untrusted):
            return _PageText(400, error.title, error.problem, error.remedy)
        if isinstance(error, TokenTooLarge):
            return _PageText(
                403,
                f"Your account has too many {'groups' if error.groups else 'details'}",
                f"The token would be larger than applications accept: {error.groups} groups,"
                f" {error.size} bytes.",
                "Ask an administrator to limit the groups and claims that are put into tokens.",
            )
        if isinstance(error, AccountBusy):
            return _PageText(
                429,
                "One moment, please",
                "Your account page was asked for too often in a minute. Nothing was changed.",
                "Wait a minute, then open it again.",
                error.retry_after,
            )
        if isinstance(error, Throttled):
            return _PageText(
                429,
                "Too many attempts",
                "There were too many failed sign-ins from your network.",
                "Wait a minute, then try again.",
                error.retry_after,
            )
        if isinstance(error, OAuthError):
            return _PageText(
                error.status, "The request cannot be served", error.description, _START_AGAIN
            )
        if isinstance(error, StorageUnavailable):
            return replace(_STORE_AWAY, retry_after=retry_after(error))
        known = next((text for kind, text in _PAGES.items() if isinstance(error, kind)), None)
        if known is not None:
            return known
        self.logger.error("unexpected_error", exc_info=error)
        return _PageText(
            500,
            "Something went wrong",
            "A fault of the provider kept it from answering.",
            "Try again. If it happens again, tell an administrator the request id.",
        )

    def _json_error(self, error: OAuthError) -> Response:
        response = _json(error.status, error.code, error.description)
        if isinstance(error, InvalidClient):
            response.headers["www-authenticate"] = f'Basic realm="{self.answers.issuer}"'
        if isinstance(error, MissingToken):
            response.headers["www-authenticate"] = f'Bearer realm="{self.answers.issuer}"'
        elif isinstance(error, InvalidToken | InsufficientScope):
            description = f', error_description="{error.description}"'
            response.headers["www-authenticate"] = self._bearer(error.code) + description
        if isinstance(error, RetryLater):
            response.headers["retry-after"] = _seconds(error.retry_after)
        return response

    def _bearer(self, code: str) -> str:
        return f'Bearer realm="{self.answers.issuer}", error="{code}"'

    def _note_store(self, error: StorageUnavailable) -> None:
        self.metrics.store_failures.inc()
        log_event(self.logger, logging.ERROR, "store_unavailable", problem=str(error))


def _json(status: int, code: str, description: str) -> Response:
    return JSONResponse(
        {
            "error": code,
            "error_description": description,
            "request_id": request_id_var.get(),
        },
        status_code=status,
        headers=NO_STORE,
    )


def _seconds(delay: timedelta) -> str:
    """Return Retry-After in whole seconds, rounded up (RFC 9110 section 10.2.3)."""
    return str(max(1, -int(-delay.total_seconds() // 1)))
