"""POST /token: authenticates the client, once for all grants, and hands over to the grant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from idp.grants.base import GrantHandler
from idp.metrics import Metrics
from idp.oauth.client import Client
from idp.oauth.errors import UnauthorizedClient, UnsupportedGrantType
from idp.oauth.params import Parameters
from idp.oauth.policies import check_grant_type
from idp.web.answers import NO_STORE
from idp.web.client_form import ClientGuard, authenticated_client, counted, read_client_form


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """The token endpoint (RFC 6749 section 3.2).

    `check_signs` raises TemporarilyUnavailable for a client for which nothing could be signed now.
    """

    guard: ClientGuard
    handlers: Mapping[str, GrantHandler]
    check_signs: Callable[[Client], None]
    metrics: Metrics

    async def __call__(self, request: Request) -> Response:
        """Return tokens. Raises OAuthError, counted by grant type and code."""
        grant_type = "none"

        def count(result: str) -> None:
            self.metrics.token_requests.labels(grant_type, result).inc()

        with counted(count) as outcome:
            form = await read_client_form(request)
            handler = self.handlers.get(form.get("grant_type") or "")
            if handler is not None:
                grant_type = handler.grant_type
            client = await authenticated_client(request, form, self.guard)
            tokens = await self._handler(form, client).redeem(form, client)
            outcome.result = "ok"
        return JSONResponse(tokens.members(), headers={**NO_STORE, "pragma": "no-cache"})

    def _handler(self, form: Parameters, client: Client) -> GrantHandler:
        handler = self.handlers.get(form.require("grant_type"))
        if handler is None:
            served = ", ".join(sorted(self.handlers))
            raise UnsupportedGrantType(f"Only these grant types are served: {served}.")
        if not handler.allows(client):
            raise UnauthorizedClient(f"This client may not use {handler.grant_type}.")
        check_grant_type(client, handler.grant_type)
        self.check_signs(client)
        return handler
