"""What visitors hear before the provider has read its store: come back in a moment."""

from starlette.types import ASGIApp, Receive, Scope, Send

from idp.web.errors import Renderer


class UntilOpen:
    """An application in place of another one that is not there yet.

    Listening early lets probes tell "starting" from "dead", so that a cluster that comes back from
    an outage does not meet providers that wait in a crash loop.
    """

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._app: ASGIApp = self._not_yet

    def open(self, app: ASGIApp) -> None:
        """Leave every request from now on to `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def _not_yet(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        render = self._renderer
        response = render.starting_page() if b"text/html" in accepted else render.starting_json()
        await response(scope, receive, send)
