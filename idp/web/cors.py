"""Which pages of other sites may read the answers of the API (`web.allowedOrigins`).

Only discovery, keys, token, userinfo and revocation; never the authorization endpoint, never with
cookies, and never for the opaque origin "null" (RFC 9700 section 2.6).
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

ANY = "*"


@dataclass(frozen=True, slots=True)
class Cors:
    """The origins that the operator allowed."""

    origins: frozenset[str]

    def allows(self, origin: str) -> bool:
        """Return whether pages of this origin may read answers."""
        return origin not in ("", "null") and (ANY in self.origins or origin in self.origins)

    def add(self, request: Request, response: Response) -> None:
        """Let the page read the answer if its origin is allowed (Fetch standard)."""
        origin = request.headers.get("origin", "")
        response.headers.append("vary", "Origin")
        if self.allows(origin):
            response.headers["access-control-allow-origin"] = origin

    def preflight(self, request: Request, methods: str) -> Response:
        """Return the answer to the question before a request (Fetch standard)."""
        response = Response(status_code=204, headers={"allow": methods})
        self.add(request, response)
        if "access-control-allow-origin" in response.headers:
            response.headers["access-control-allow-methods"] = methods
            response.headers["access-control-allow-headers"] = "Authorization, Content-Type"
            response.headers["access-control-max-age"] = "600"
        return response
