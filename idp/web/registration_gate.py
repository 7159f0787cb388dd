"""Who may register a client: holders of an initial access token, or anybody (RFC 7591 section 3).

Where anybody may, a stranger's request ends in a write, which happens nowhere else. An operator
has to ask for that by name, and it is slowed down by source and capped in number.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from idp.log import AuditLog
from idp.login.throttle import Throttle, Throttled
from idp.oauth.client import secret_hash
from idp.oauth.errors import InvalidToken, MissingToken, TooManyAttempts


def _too_many(error: Throttled) -> TooManyAttempts:
    return TooManyAttempts(
        "There were too many tries to register from this address. Try again later.",
        error.retry_after,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGate:
    """Lets in who shows one of the operator's tokens; of these there are hashes in memory only."""

    hashes: Sequence[bytes]
    throttle: Throttle
    source: Callable[[Request], str]
    audit: AuditLog

    def admit(self, token: str | None, request: Request) -> None:
        """Check the token behind the throttle. Raises MissingToken, InvalidToken and the like."""
        if token is None:
            raise MissingToken("Registering needs an initial access token: ask the operator.")
        try:
            reservation = self.throttle.reserve(source=self.source(request))
        except Throttled as error:
            raise _too_many(error) from None
        with reservation:
            offered = secret_hash(token)
            if not any([hmac.compare_digest(offered, known) for known in self.hashes]):
                self.audit("registration_refused")
                raise InvalidToken("The initial access token is not one of this provider's.")
            reservation.succeeded()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """Lets anybody in, a few times from each source: here every try is one too many in the end."""

    throttle: Throttle
    source: Callable[[Request], str]

    def admit(self, token: str | None, request: Request) -> None:
        """Count a try. Raises TooManyAttempts."""
        try:
            self.throttle.reserve(source=self.source(request)).failed()
        except Throttled as error:
            raise _too_many(error) from None
