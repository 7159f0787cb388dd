"""Request objects: an authorization request as a JWT that the client signed.

RFC 9101 (JAR), OIDC Core section 6. What is inside is the whole request: of the parameters outside,
`client_id` says whose keys to check with, and the rest only must not contradict.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from idp.oauth.errors import InvalidRequest, InvalidRequestObject
from idp.oauth.params import Parameters

REQUEST: Final = "request"
REQUEST_URI: Final = "request_uri"

TYPES: Final = frozenset(("jwt", "oauth-authz-req+jwt"))
"""What `typ` may say where it says anything, in small letters (RFC 9101 section 10.8)."""

SKEW: Final = timedelta(seconds=60)
"""How far a client's clock may be ahead of ours."""

# RFC 7519 section 4.1: these speak of the JWT and are no parameters of the request.
_OF_THE_JWT: Final = frozenset(("iss", "sub", "aud", "exp", "nbf", "iat", "jti"))
# Those that we look at. What we do not know is ignored, whatever it is (RFC 6749 section 3.1).
_KNOWN: Final = frozenset(
    (
        "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
        "prompt", "max_age", "display", "ui_locales", "claims_locales", "acr_values", "claims",
        "id_token_hint", "login_hint", "connector_id", "code_challenge", "code_challenge_method",
        "approval_prompt", "registration",
    )
)  # fmt: skip


def has_request_object(outside: Parameters) -> bool:
    """Return whether a request comes as a request object, by value or by reference."""
    return outside.get(REQUEST) is not None or outside.get(REQUEST_URI) is not None


def check_outside(outside: Parameters) -> None:
    """Check what stands beside a request object. Raises InvalidRequest (RFC 9101 section 5)."""
    outside.refuse_repeated()
    if outside.get(REQUEST) is not None and outside.get(REQUEST_URI) is not None:
        raise InvalidRequest("Send either request or request_uri.")


def check_type(header: Mapping[str, Any]) -> None:
    """Raise InvalidRequestObject for a JWT that says that it is something else."""
    typ = str(header.get("typ", "jwt")).lower().removeprefix("application/")
    if typ not in TYPES:
        raise InvalidRequestObject("The request object's typ must be oauth-authz-req+jwt.")


def check_claims(claims: Mapping[str, Any], *, client_id: str, issuer: str, now: datetime) -> None:
    """Check whose request object it is, for whom, and when. Raises InvalidRequestObject.

    `iss` and `aud` are demanded: without them a request object for another provider would do. A
    `sub` that names the client marks a JWT made to authenticate it (RFC 9101 section 10.8).
    """
    if claims.get("iss") != client_id:
        raise InvalidRequestObject("The request object's iss must be the client_id.")
    if not _is_for(claims.get("aud"), issuer):
        raise InvalidRequestObject("The request object's aud must be this issuer.")
    if claims.get("sub") == client_id:
        raise InvalidRequestObject("The request object's sub must not be the client_id.")
    for name in ("exp", "nbf", "iat"):
        if type(claims.get(name, 0)) is not int:
            raise InvalidRequestObject(f"The request object's {name} must be a whole number.")
    instant = now.timestamp()
    if "exp" in claims and claims["exp"] <= instant:
        raise InvalidRequestObject("The request object has expired.")
    if claims.get("nbf", 0) > instant + SKEW.total_seconds():
        raise InvalidRequestObject("The request object is not valid yet.")


def parameters_inside(claims: Mapping[str, Any], outside: Parameters) -> Parameters:
    """Return the request that a request object is, after a look at what stands outside.

    Raises InvalidRequestObject for another `client_id` or `response_type` outside (RFC 9101 section
    6.3, OIDC Core section 6.1), for a request object inside, and for values of the wrong kind.
    """
    if REQUEST in claims or REQUEST_URI in claims:
        raise InvalidRequestObject("A request object must not hold request or request_uri.")
    if claims.get("client_id") != outside.get("client_id"):
        raise InvalidRequestObject("client_id must be the same inside and outside.")
    response_type = outside.get("response_type")
    if response_type is not None and claims.get("response_type") != response_type:
        raise InvalidRequestObject("response_type must be the same inside and outside.")
    values = {
        name: _text(name, value)
        for name, value in claims.items()
        if name in _KNOWN and name not in _OF_THE_JWT
    }
    return Parameters(values=values, repeated=frozenset(), size=len(as_query(values)))


def as_query(values: Mapping[str, str]) -> bytes:
    """Return parameters as if they had come in a query."""
    return urlencode(values).encode("ascii")


def _is_for(aud: object, issuer: str) -> bool:
    """Return whether `aud`, a string or an array of strings, holds the issuer (RFC 7519, 4.1.3)."""
    if isinstance(aud, list):
        return all(isinstance(each, str) for each in aud) and issuer in aud
    return aud == issuer


def _text(name: str, value: object) -> str:
    """Return a member as it would stand in a query (RFC 9101 section 4).

    Strings are JSON strings there, numbers JSON numbers, and only `max_age` is a number.
    """
    if isinstance(value, str):
        return value
    if type(value) is int and name == "max_age":
        return str(value)
    if isinstance(value, dict) and name in ("claims", "registration"):
        return json.dumps(value, separators=(",", ":"))
    raise InvalidRequestObject(f"The member {name} of the request object is of the wrong kind.")
