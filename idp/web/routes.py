"""Which address leads to which endpoint: the whole surface in one table."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from idp.web.answers import NO_STORE
from idp.web.cors import Cors
from idp.web.errors import Endpoint, Renderer


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEndpoints:
    """What is served where browsers have sessions."""

    logout: Endpoint
    logout_confirmation: Endpoint
    select_account: Endpoint
    account: Endpoint
    account_form: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The endpoints of the web listener; None for what is switched off."""

    authorize: Endpoint
    login: Endpoint
    approval: Endpoint
    token: Endpoint
    userinfo: Endpoint
    revocation: Endpoint
    introspection: Endpoint
    registration: Endpoint | None
    client_configuration: Endpoint | None
    home: Endpoint
    healthz: Endpoint
    sessions: SessionEndpoints | None


def web_routes(
    endpoints: Endpoints, *, base_path: str, renderer: Renderer, cors: Cors
) -> list[Route]:
    """Return the routes below the issuer's path, with Dex's paths."""

    def page(path: str, endpoint: Endpoint, name: str, *methods: str) -> Route:
        return _route(base_path + path, renderer.page(endpoint), name, methods)

    def api(path: str, endpoint: Endpoint, name: str, *methods: str) -> Route:
        answer = _with_cors(endpoint, cors, ", ".join(methods))
        return _route(base_path + path, answer, name, (*methods, "OPTIONS"))

    def service(path: str, endpoint: Endpoint | None, name: str, *methods: str) -> list[Route]:
        """Return a route that pages in browsers may not read, none for what is switched off."""
        if endpoint is None:
            return []
        return [_route(base_path + path, renderer.json(endpoint), name, methods)]

    return [
        api("/token", renderer.json(endpoints.token), "token", "POST"),
        api("/token/revoke", renderer.json(endpoints.revocation), "revocation", "POST"),
        # Whoever asks these holds a secret, or will.
        *service("/token/introspect", endpoints.introspection, "introspection", "POST"),
        *service("/register", endpoints.registration, "registration", "POST"),
        *service(
            "/register/{client_id}",
            endpoints.client_configuration,
            "client_configuration",
            *("GET", "PUT", "DELETE"),
        ),
        api("/userinfo", renderer.resource(endpoints.userinfo), "userinfo", "GET", "POST"),
        page("/auth", endpoints.authorize, "authorize", "GET", "POST"),
        page("/auth/{connector}/login", endpoints.login, "login", "POST"),
        page("/auth/{connector}", endpoints.authorize, "authorize", "GET", "POST"),
        page("/approval", endpoints.approval, "approval", "POST"),
        *_session_routes(endpoints.sessions, page),
        page("/healthz", endpoints.healthz, "healthz", "GET"),
        page("/", endpoints.home, "home", "GET"),
        *([page("", endpoints.home, "home", "GET")] if base_path else []),
    ]


def _session_routes(sessions: SessionEndpoints | None, page: Callable[..., Route]) -> list[Route]:
    if sessions is None:
        return []
    return [
        page("/logout", sessions.logout, "logout", "GET", "POST"),
        page("/logout/confirm", sessions.logout_confirmation, "logout", "POST"),
        page("/select", sessions.select_account, "select_account", "POST"),
        page("/account", _by_method(sessions), "account", "GET", "POST"),
    ]


def _by_method(sessions: SessionEndpoints) -> Endpoint:
    """Return the account page as one endpoint, as an address has one route."""

    async def answer(request: Request) -> Response:
        posted = request.method == "POST"
        return await (sessions.account_form if posted else sessions.account)(request)

    return answer


def _route(path: str, endpoint: Endpoint, name: str, methods: tuple[str, ...]) -> Route:
    # The outermost layer labels its metrics with this.
    endpoint.route_name = name  # type: ignore[attr-defined]
    return Route(path, endpoint, methods=list(methods), name=name)


def _with_cors(endpoint: Endpoint, cors: Cors, methods: str) -> Endpoint:
    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return cors.preflight(request, methods)
        response = await endpoint(request)
        cors.add(request, response)
        return response

    return answer


class WebApp:
    """The router, with our own answers to addresses and methods that lead nowhere."""

    def __init__(self, routes: list[Route], renderer: Renderer) -> None:
        self._renderer = renderer
        # Most addresses have no parameters: they need no search through patterns.
        self._exact = {route.path: route for route in routes if "{" not in route.path}
        patterns = [route for route in routes if route.path not in self._exact]
        self._router = Router(patterns, redirect_slashes=False, default=self._nowhere)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # Without this, a route that exists for another method answers in plain text of its own.
        scope["app"] = self
        if "\n" in scope["path"]:
            # Route patterns end in `$`, which also matches before a last line break.
            await self._nowhere(scope, receive, send)
            return
        response: ASGIApp
        try:
            route = self._exact.get(scope["path"])
            if route is None:
                await self._router(scope, receive, send)
            else:
                scope["endpoint"], scope["path_params"] = route.endpoint, {}
                await route.handle(scope, receive, send)
            return
        except HTTPException as error:
            response = PlainTextResponse(
                f"{error.status_code} {error.detail}: see the Allow header.\n",
                status_code=error.status_code,
                headers={**(dict(error.headers or {})), **NO_STORE},
            )
        await response(scope, receive, send)

    async def _nowhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._renderer.not_found()(scope, receive, send)
