"""Where a bearer token stands in a request (RFC 6750 section 2)."""

import re

from idp.oauth.errors import InvalidRequest
from idp.oauth.params import Parameters

# b68token of RFC 6750 section 2.1
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def read_bearer(authorization: str | None, *, query: Parameters, form: Parameters) -> str | None:
    """Return the one token of a request, None if there is none at all.

    Raises InvalidRequest for a token in the query, which ends up in logs (RFC 9700 section 4.3.2),
    for one in two places, and for a header that cannot be read.
    """
    if "access_token" in query.values:
        raise InvalidRequest("An access token must not be sent in the URL: use the header.")
    form.refuse_repeated()
    in_body = form.get("access_token")
    if authorization is None:
        return in_body
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return in_body
    if in_body is not None:
        raise InvalidRequest("The access token came twice: use the header or the body, not both.")
    if _TOKEN.fullmatch(token) is None:
        raise InvalidRequest("The Authorization header is not of the form: Bearer TOKEN.")
    return token
