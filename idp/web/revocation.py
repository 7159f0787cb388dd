"""POST /token/revoke: a client gives a token up (RFC 7009)."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.grants.revocation import Revocation
from idp.metrics import Metrics
from idp.web.answers import NO_STORE
from idp.web.client_form import ClientGuard, authenticated_client, counted, read_client_form


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationEndpoint:
    """The revocation endpoint (RFC 7009 section 2).

    `token_type_hint` is not looked at: the text of a token tells its kind, and a wrong or unknown
    hint may not change the answer (section 2.2).
    """

    guard: ClientGuard
    revocation: Revocation
    metrics: Metrics

    async def __call__(self, request: Request) -> Response:
        """Return 200 once the token is good no more, whatever it was. Raises OAuthError."""

        def count(result: str) -> None:
            self.metrics.revocations.labels(result).inc()

        with counted(count) as outcome:
            form = await read_client_form(request)
            client = await authenticated_client(request, form, self.guard)
            ended = await self.revocation.revoke(form.require("token"), client)
            outcome.result = "ended" if ended else "nothing"
        return Response(headers=NO_STORE)
