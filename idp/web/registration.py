"""POST /register and the addresses of single registrations below it (RFC 7591, RFC 7592).

Not for pages in browsers: whoever registers holds a token or a secret afterwards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from idp.metrics import Metrics
from idp.oauth.bearer import read_bearer
from idp.oauth.errors import MissingToken
from idp.oauth.params import NO_PARAMETERS
from idp.web.answers import NO_STORE
from idp.web.client_form import counted
from idp.web.forms import read_query, single_authorization
from idp.web.json_body import read_json

LARGEST_METADATA = 32 * 1024
"""Bytes of a request: several times what the longest honest one has, key set included."""

Members = Mapping[str, Any]


class Registrar(Protocol):
    """Keeps the registrations. Every method raises OAuthError and StorageUnavailable."""

    async def register(self, sent: Members) -> Members:
        """Return the answer to a new client."""
        ...

    async def read(self, client_id: str, token: str) -> Members:
        """Return what a client is registered with."""
        ...

    async def replace(self, client_id: str, token: str, sent: Members) -> Members:
        """Register a client anew."""
        ...

    async def remove(self, client_id: str, token: str) -> None:
        """End a client."""
        ...


class Gate(Protocol):
    """Decides who may register a new client."""

    def admit(self, token: str | None, request: Request) -> None:
        """Let a request through. Raises MissingToken, InvalidToken or TooManyAttempts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationEndpoint:
    """The client registration endpoint (RFC 7591 section 3)."""

    gate: Gate
    registrar: Registrar
    metrics: Metrics

    async def __call__(self, request: Request) -> Response:
        """Return what the client was registered with. Raises OAuthError."""
        with counted(_counter(self.metrics, "register")) as outcome:
            self.gate.admit(_token(request), request)
            sent = await read_json(request, largest=LARGEST_METADATA)
            answer = await self.registrar.register(sent)
            outcome.result = "ok"
        return JSONResponse(dict(answer), status_code=201, headers=NO_STORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationEndpoint:
    """The client configuration endpoint of one client (RFC 7592 section 2)."""

    registrar: Registrar
    metrics: Metrics

    async def __call__(self, request: Request) -> Response:
        """Read, replace or remove, as the method says. Raises OAuthError."""
        method = {"PUT": "replace", "DELETE": "remove"}.get(request.method, "read")
        with counted(_counter(self.metrics, method)) as outcome:
            token = _token(request)
            if token is None:
                raise MissingToken("Send the registration access token as a Bearer token.")
            response = await self._answer(request, request.path_params["client_id"], token)
            outcome.result = "ok"
        return response

    async def _answer(self, request: Request, client_id: str, token: str) -> Response:
        if request.method == "DELETE":
            await self.registrar.remove(client_id, token)
            return Response(status_code=204, headers=NO_STORE)
        if request.method == "PUT":
            sent = await read_json(request, largest=LARGEST_METADATA)
            answer = await self.registrar.replace(client_id, token, sent)
        else:
            answer = await self.registrar.read(client_id, token)
        return JSONResponse(dict(answer), headers=NO_STORE)


def _token(request: Request) -> str | None:
    return read_bearer(single_authorization(request), query=read_query(request), form=NO_PARAMETERS)


def _counter(metrics: Metrics, method: str) -> Callable[[str], None]:
    def count(result: str) -> None:
        metrics.registrations.labels(method, result).inc()

    return count
