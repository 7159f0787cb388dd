"""What a resource server may hear of a token, and of which tokens (RFC 7662).

A client hears of tokens that were issued to it, and of access tokens that are meant for it: those
whose `aud` names it. Any other token is inactive to it, as a forged one would be (section 4).
"""

from collections.abc import Mapping
from typing import Any, Final

from idp.oauth.claims import Claims

ACCESS_TOKEN: Final = "access_token"  # noqa: S105 - a word of RFC 7009 section 2.1
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - likewise

INACTIVE: Final[Claims] = {"active": False}
"""The whole answer for whatever is not good, or not the caller's to know (section 2.2)."""

_MEMBERS = ("scope", "client_id", "sub", "aud", "iss", "exp", "iat", "nbf", "jti", "sid")


def may_see(claims: Mapping[str, Any], *, caller_id: str, issuer: str) -> bool:
    """Return whether an access token is the caller's own, or meant for it.

    Every access token is for the issuer. A client that happens to have the issuer's address as its
    id is no party to all of them.
    """
    if claims.get("client_id") == caller_id:
        return True
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    return caller_id in named and caller_id != issuer


def active(claims: Mapping[str, Any], *, token_use: str) -> Claims:
    """Return the answer for a token that is good (RFC 7662 section 2.2).

    `claims` are those of the token; a refresh token has none of its own, so they are made from its
    grant. `token_use` tells the kinds apart, as with Dex: `token_type` is what RFC 6749 section 7.1
    says of access tokens, and means nothing for others.
    """
    answer: Claims = {"active": True, "token_use": token_use}
    if token_use == ACCESS_TOKEN:
        answer["token_type"] = "Bearer"  # noqa: S105 - RFC 6750 section 6.1.1
    answer.update({name: claims[name] for name in _MEMBERS if name in claims})
    username = claims.get("preferred_username") or claims.get("email")
    if username:
        answer["username"] = username
    return answer
