"""Client authentication, the one door for every use of a client secret or assertion."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from idp.log import AuditLog
from idp.login.throttle import Throttle, Throttled
from idp.oauth.client import Client, Clients
from idp.oauth.client_assertion import ClientAssertion
from idp.oauth.client_auth import Credentials, Presented, authenticate
from idp.oauth.errors import InvalidClient, TooManyAttempts


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottledClients:
    """Authenticates clients; wrong secrets are counted by client and source address.

    Assertions are not: nobody guesses a signature. `prove` tells whose one is.
    """

    clients: Clients
    prove: Callable[[ClientAssertion], Awaitable[Client]]
    throttle: Throttle
    source: Callable[[Request], str]
    audit: AuditLog

    async def authenticate(self, presented: Presented, request: Request) -> Client:
        """Return the client.

        Raises InvalidClient, TooManyAttempts unseen, and TemporarilyUnavailable while nobody can
        tell whether an assertion was used before.
        """
        if isinstance(presented, ClientAssertion):
            return await self.prove(presented)
        return self._by_secret(presented, request)

    def _by_secret(self, credentials: Credentials, request: Request) -> Client:
        known = self.clients.get(credentials.client_id)
        if known is not None and known.is_public and credentials.secret is None:
            # Nothing is guessed here, so nobody behind the same address may be held up.
            return known
        try:
            reservation = self.throttle.reserve(
                account=credentials.client_id, source=self.source(request), device=None
            )
        except Throttled as error:
            raise TooManyAttempts(
                "Too many wrong client secrets. Check client_secret, then try again later.",
                error.retry_after,
            ) from None
        with reservation:
            try:
                client = authenticate(credentials, self.clients)
            except InvalidClient:
                # Not the id that was sent: it is the sender's own text, and may be anything.
                self.audit("client_authentication_failed", client=known.id if known else "unknown")
                raise
            reservation.succeeded()
        return client
