"""POST /token: authenticates the client, once for all grants, and hands over to the grant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from idp.grants.base import GrantHandler
from idp.metrics import Metrics
from idp.oauth.client import Client
from idp.oauth.client_auth import Credentials, read_credentials
from idp.oauth.errors import InvalidRequest, OAuthError, UnauthorizedClient, UnsupportedGrantType
from idp.oauth.params import Parameters
from idp.oauth.policies import check_grant_type
from idp.web.answers import NO_STORE
from idp.web.forms import read_form, read_query, single_authorization

_CREDENTIALS = frozenset(("client_id", "client_secret", "code", "refresh_token"))


class ClientGuard(Protocol):
    """Checks credentials behind the throttle."""

    def authenticate(self, credentials: Credentials, request: Request) -> Client:
        """Return the client. Raises InvalidClient or TooManyAttempts."""
        ...


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
        result = "server_error"
        try:
            form = await self._form(request)
            handler = self.handlers.get(form.get("grant_type") or "")
            if handler is not None:
                grant_type = handler.grant_type
            client = self._client(request, form)
            tokens = await self._handler(form, client).redeem(form, client)
            result = "ok"
        except OAuthError as error:
            result = error.code
            raise
        finally:
            self.metrics.token_requests.labels(grant_type, result).inc()
        return JSONResponse(tokens.members(), headers={**NO_STORE, "pragma": "no-cache"})

    async def _form(self, request: Request) -> Parameters:
        if _CREDENTIALS & read_query(request).values.keys():
            raise InvalidRequest("Credentials must not be sent in the URL: use the body.")
        form = await read_form(request)
        form.refuse_repeated()
        return form

    def _client(self, request: Request, form: Parameters) -> Client:
        credentials = read_credentials(single_authorization(request), form)
        return self.guard.authenticate(credentials, request)

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
