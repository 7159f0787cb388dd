"""A client that signs instead of sending a secret: what its assertion must say.

RFC 7521 section 4.2, RFC 7523 section 3, OIDC Core section 9 (`private_key_jwt`). The signature is
checked elsewhere and before; who gets as far as here holds the client's key, and is told exactly
what is wrong.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from idp.oauth.errors import InvalidClient

JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

FARTHEST: Final = timedelta(minutes=5)
"""How far away the end of an assertion may be: for so long its `jti` is remembered."""

SKEW: Final = timedelta(seconds=60)
"""How far a client's clock may be ahead of ours when it says since when an assertion is valid."""

TYPES: Final = frozenset(("jwt", "client-authentication+jwt"))
"""What `typ` may say where it says anything, in small letters."""

_LONGEST_JTI = 1024


@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """What a request presents. `client_id` is None where it stands in the assertion only."""

    text: str = field(repr=False)
    client_id: str | None


@dataclass(frozen=True, slots=True)
class GoodAssertion:
    """An assertion in which everything is right; it may be used once."""

    jti: str
    expires_at: datetime


def client_id_in(claims: Mapping[str, Any]) -> str:
    """Return whose assertion it says it is, "" where it does not say: before it is believed."""
    subject = claims.get("sub")
    return subject if isinstance(subject, str) and claims.get("iss") == subject else ""


def check_assertion(
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    *,
    client_id: str,
    audiences: Collection[str],
    now: datetime,
) -> GoodAssertion:
    """Return what is to be remembered of a signed assertion. Raises InvalidClient.

    `audiences` are this issuer and its token endpoint. `aud` must be one of them as a single text:
    an assertion that is for several could have been collected by any of the others.
    """
    _check_type(header)
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise InvalidClient("The iss and the sub of the assertion must both be the client_id.")
    if claims.get("aud") not in [*audiences]:
        raise InvalidClient("The aud of the assertion must be this issuer, as a single string.")
    expires_at = _check_times(claims, now)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI:
        raise InvalidClient("The assertion must have a jti, another one each time.")
    return GoodAssertion(jti, expires_at)


def _check_type(header: Mapping[str, Any]) -> None:
    typ = str(header.get("typ", "jwt")).lower().removeprefix("application/")
    if typ not in TYPES:
        raise InvalidClient("The typ of the assertion must be client-authentication+jwt, or JWT.")


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    for name in ("exp", "nbf", "iat"):
        if type(claims.get(name, 0)) is not int:
            raise InvalidClient(f"The {name} of the assertion must be a whole number of seconds.")
    instant = now.timestamp()
    expires_at = claims.get("exp", 0)
    if expires_at <= instant:
        raise InvalidClient("The assertion has expired, or has no exp.")
    if expires_at > instant + FARTHEST.total_seconds():
        raise InvalidClient("The exp of the assertion must be at most five minutes away.")
    for name in ("nbf", "iat"):
        if claims.get(name, 0) > instant + SKEW.total_seconds():
            raise InvalidClient(f"The {name} of the assertion has not come yet.")
    return datetime.fromtimestamp(expires_at, UTC)
