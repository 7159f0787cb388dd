"""The example's pages: sign in, look at the tokens, refresh them, call userinfo, sign out."""

import hmac
import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from examples.app.provider import Provider, ProviderError
from examples.app.sessions import Session, Sessions
from examples.app.tokens import pretty, shown

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent
SCOPES = {
    "profile": "Name and user name",
    "email": "Email address",
    "groups": "Groups",
    "offline_access": "A refresh token",
}
# No form-action: a browser applies it to redirects as well, and where signing in leads is up to
# the provider. Everything else is forbidden but our own style sheet.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def create_app(provider: Provider, *, clock: Callable[[], float], https: bool) -> Starlette:
    """Return the application. With `https` its cookie never leaves an encrypted connection."""
    example = Example(provider, clock=clock, https=https)
    return Starlette(
        routes=[
            Route("/", example.start),
            Route("/login", example.login, methods=["POST"]),
            Route("/callback", example.callback),
            Route("/refresh", example.refresh, methods=["POST"]),
            Route("/userinfo", example.userinfo, methods=["POST"]),
            Route("/logout", example.logout, methods=["POST"]),
            Route("/app.css", example.style),
        ],
        exception_handlers={
            ProviderError: example.refusal,
            HTTPException: example.refusal,
        },
    )


class Example:
    """The endpoints. Every one that changes something takes a POST with the session's token."""

    def __init__(self, provider: Provider, *, clock: Callable[[], float], https: bool) -> None:
        self._provider = provider
        self._clock = clock
        self._sessions = Sessions()
        self._https = https
        self._cookie = "__Host-example" if https else "example"
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    async def start(self, request: Request) -> Response:
        """Show the big button, or the tokens of whoever is signed in."""
        session = self._session(request) or self._sessions.open()
        if session.tokens is None:
            page = self._page("start.html", session=session, scopes=SCOPES, issuer=self._issuer)
        else:
            page = self._page(
                "tokens.html",
                session=session,
                claims=session.tokens.claims,
                tokens=list(shown(session.tokens, now=self._clock())),
                userinfo=session.userinfo and pretty(session.userinfo),
            )
        return self._with_cookie(page, session)

    async def login(self, request: Request) -> Response:
        """Send the browser to the provider with the chosen scopes."""
        session, form = await self._form(request)
        scopes = ["openid", *(scope for scope in form.get("scope", []) if scope in SCOPES)]
        for audience in form.get("audience", [""])[0].split():
            scopes.append(f"audience:server:client_id:{audience}")
        attempt = await self._provider.depart(scopes)
        session.remember(attempt)
        return RedirectResponse(attempt.url, status_code=303)

    async def callback(self, request: Request) -> Response:
        """Take the browser back. `state` must be one that this very browser left with."""
        answer = dict(request.query_params)
        session = self._session(request) or Session()
        attempt = session.attempts.pop(answer.get("state", ""), None)
        if attempt is None:
            raise HTTPException(400, "This sign-in was not started here, or it is already done.")
        tokens = await self._provider.redeem(answer, attempt)
        # A new id: nobody who knew the old one may be signed in by this (session fixation).
        self._sessions.close(session)
        session = self._sessions.open()
        session.tokens = tokens
        return self._with_cookie(RedirectResponse("/", status_code=303), session)

    async def refresh(self, request: Request) -> Response:
        """Swap the refresh token for new tokens."""
        session, _ = await self._form(request)
        if session.tokens is None or session.tokens.refresh_token is None:
            raise HTTPException(400, "There is no refresh token. Sign in and ask for one.")
        session.tokens = await self._provider.refresh(session.tokens)
        return RedirectResponse("/", status_code=303)

    async def userinfo(self, request: Request) -> Response:
        """Ask the provider about the person."""
        session, _ = await self._form(request)
        if session.tokens is None:
            raise HTTPException(400, "Nobody is signed in here.")
        session.userinfo = await self._provider.userinfo(session.tokens)
        return RedirectResponse("/#userinfo", status_code=303)

    async def logout(self, request: Request) -> Response:
        """Forget the person here. The provider may still know them."""
        session, _ = await self._form(request)
        self._sessions.close(session)
        response = RedirectResponse("/", status_code=303)
        response.delete_cookie(self._cookie, secure=self._https, httponly=True, samesite="lax")
        return response

    async def style(self, request: Request) -> Response:
        """Return the style sheet."""
        return FileResponse(HERE / "static" / "app.css", headers={"Cache-Control": "no-cache"})

    async def refusal(self, request: Request, error: Exception) -> Response:
        """Show what went wrong; of the provider's answer, its own words too."""
        if isinstance(error, ProviderError):
            logger.warning("%s Cause: %r", error, error.__cause__)
            detail = "error_description" if error.code else "details"
            words = {"error": error.code, detail: error.description}
            return self._page("error.html", status=502, message=str(error), words=words)
        if isinstance(error, HTTPException):
            return self._page("error.html", status=error.status_code, message=error.detail)
        raise error

    @property
    def _issuer(self) -> str:
        return self._provider.issuer

    def _session(self, request: Request) -> Session | None:
        return self._sessions.find(request.cookies.get(self._cookie))

    async def _form(self, request: Request) -> tuple[Session, dict[str, list[str]]]:
        """Return the session and the fields of a form that our own page sent."""
        session = self._session(request)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > 10_000:
                raise HTTPException(413, "That is more than our forms can hold.")
        form = parse_qs(body.decode("utf-8", "replace"))
        given = form.get("csrf", [""])[0]
        if session is None or not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise HTTPException(403, "The page was too old. Go back to the start and try again.")
        return session, form

    def _with_cookie(self, response: Response, session: Session) -> Response:
        response.set_cookie(
            self._cookie, session.id, secure=self._https, httponly=True, samesite="lax"
        )
        return response

    def _page(self, template: str, *, status: int = 200, **values: object) -> Response:
        html = self._templates.get_template(template).render({"words": {}, **values})
        return HTMLResponse(html, status_code=status, headers=HEADERS)
