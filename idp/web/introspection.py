"""POST /token/introspect: a client asks whether a token is good (RFC 7662), at Dex's path."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from idp.grants.introspection import Introspection
from idp.metrics import Metrics
from idp.oauth.client import Client
from idp.oauth.errors import InvalidClient
from idp.oauth.params import Parameters
from idp.web.answers import NO_STORE
from idp.web.client_form import ClientGuard, authenticated_client, counted, read_client_form


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionEndpoint:
    """The introspection endpoint (RFC 7662 section 2), for clients that have proved who they are.

    `token_type_hint` is not looked at: the text of a token tells its kind.
    """

    guard: ClientGuard
    introspection: Introspection
    metrics: Metrics

    async def __call__(self, request: Request) -> Response:
        """Return whether a token is good, and what of. Raises OAuthError."""

        def count(result: str) -> None:
            self.metrics.introspections.labels(result).inc()

        with counted(count) as outcome:
            form = await read_client_form(request)
            caller = await self._caller(request, form)
            answer = await self.introspection.describe(form.require("token"), caller)
            outcome.result = "active" if answer["active"] else "inactive"
        return JSONResponse(answer, headers=NO_STORE)

    async def _caller(self, request: Request, form: Parameters) -> Client:
        """Return the client. Raises InvalidClient for one that has proved nothing (section 2.1)."""
        client = await authenticated_client(request, form, self.guard)
        if client.is_public:
            raise InvalidClient(
                "Introspection is for clients that authenticate. A public client cannot."
            )
        return client
