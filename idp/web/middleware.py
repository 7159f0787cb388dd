"""What every request goes through: an id, the Host check, security headers, metrics.

Pure ASGI and outermost, so that the headers are on every answer whatever made it.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import Counter, Histogram
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from idp.log import log_event, request_id_var
from idp.metrics import Metrics

_METHODS = frozenset(("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"))


def security_headers(issuer: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of every answer (RFC 9700 section 4.2.4 and common practice)."""
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    if issuer.startswith("https:"):
        headers.append((b"strict-transport-security", b"max-age=31536000"))
    return tuple(headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCheck:
    """Which Host headers are ours (`web.allowedHosts` and the issuer's own).

    Nothing is ever built from the header; the check keeps rebinding tricks and misrouted requests
    out. Paths that monitors ask by address, or API servers by another name, are exempt.
    """

    hosts: frozenset[str]
    exempt_paths: frozenset[str]

    def allows(self, scope: Scope) -> bool:
        """Return whether a request may go on."""
        if scope["path"] in self.exempt_paths:
            return True
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return host.decode("latin-1").lower() in self.hosts


class Outermost:
    """The outermost layer of the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        headers: Iterable[tuple[bytes, bytes]],
        hosts: HostCheck,
        metrics: Metrics,
        new_id: Callable[[], str],
    ) -> None:
        self._app = app
        self._headers = tuple(headers)
        self._hosts = hosts
        self._metrics = metrics
        self._new_id = new_id
        self._logger = logging.getLogger("idp.web")
        # Finding a child by its labels costs more than counting with it; there are few.
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._new_id()
        token = request_id_var.set(request_id)
        started = time.perf_counter()
        status = 500
        added = [*self._headers, (b"x-request-id", request_id.encode("ascii"))]

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        app = self._app if self._hosts.allows(scope) else _misdirected
        try:
            await app(scope, receive, send_with_headers)
        finally:
            self._count(scope, status, time.perf_counter() - started)
            request_id_var.reset(token)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        endpoint = scope.get("endpoint")
        route = getattr(endpoint, "route_name", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        counted = self._counted.get((route, method, status))
        if counted is None:
            counted = (
                self._metrics.requests.labels(route, method, status),
                self._metrics.request_seconds.labels(route),
            )
            self._counted[route, method, status] = counted
        counted[0].inc()
        counted[1].observe(seconds)
        log_event(
            self._logger,
            logging.DEBUG,
            "request",
            method=method,
            route=route,
            status=status,
            seconds=round(seconds, 6),
        )


async def _misdirected(scope: Scope, receive: Receive, send: Send) -> None:
    response = PlainTextResponse(
        "This host name does not belong to the provider. Use the issuer's address, or add the name"
        " to web.allowedHosts.\n",
        status_code=421,
    )
    await response(scope, receive, send)
