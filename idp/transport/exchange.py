"""One request and its answer, on uvicorn's request cycle.

It differs in two points. The body is complete before the application starts, so that no handler
waits for a slow sender and none sees a half-sent form. And a request that we cancel at the end of a
drain is no error of the application.
"""

import asyncio

from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    Scope,
)
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Exchange(RequestResponseCycle):
    """A uvicorn request cycle whose whole body is known at its start."""

    request_body: bytes | None = b""
    client_left = False
    _app: ASGI3Application

    def hang_up(self) -> None:
        """Tell the application that the client sends no more; it may still read an answer."""
        self.client_left = True
        self.message_event.set()

    def give_up(self) -> None:
        """Tell the application that nobody listens any more; what it still sends is dropped."""
        self.disconnected = True
        self.message_event.set()

    async def run_asgi(self, app: ASGI3Application) -> None:
        self._app = app
        await super().run_asgi(self._run)

    async def receive(self) -> ASGIReceiveEvent:
        body, self.request_body = self.request_body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        while not (self.client_left or self.disconnected or self.response_complete):
            await self.message_event.wait()
            self.message_event.clear()
        return {"type": "http.disconnect"}

    async def _run(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            self.disconnected = True
            self.transport.abort()
