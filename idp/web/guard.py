"""Client authentication behind the throttle: the one door for every use of a client secret."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from idp.log import AuditLog
from idp.login.throttle import Throttle, Throttled
from idp.oauth.client import Client, Clients
from idp.oauth.client_auth import Credentials, authenticate
from idp.oauth.errors import InvalidClient, TooManyAttempts


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottledClients:
    """Authenticates clients; wrong secrets are counted by client and source address."""

    clients: Clients
    throttle: Throttle
    source: Callable[[Request], str]
    audit: AuditLog

    def authenticate(self, credentials: Credentials, request: Request) -> Client:
        """Return the client. Raises InvalidClient, or TooManyAttempts unseen."""
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
