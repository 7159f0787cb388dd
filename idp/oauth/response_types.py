"""What an authorization answer carries: a code, an ID token, an access token, or several of them.

OAuth 2.0 Multiple Response Type Encoding Practices sections 2 to 5, OIDC Core section 3. The order
of the words means nothing on the wire; inside, a type is written with its words in one order.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from idp.oauth.errors import InvalidRequest, UnsupportedResponseType

CODE: Final = "code"
ID_TOKEN: Final = "id_token"  # noqa: S105 - a word of the wire
TOKEN: Final = "token"  # noqa: S105
NONE: Final = "none"
"""Somebody signs in and nothing is issued (section 4): for our own pages, and for no client."""

KNOWN: Final = (
    "code",
    "code id_token",
    "code id_token token",
    "code token",
    "id_token",
    "id_token token",
)
"""All that can be served. `token` alone says nothing of who signed in: refused, as Dex does."""

IMPLICIT: Final = "implicit"
"""The grant type of clients that get tokens from the authorization endpoint (RFC 6749, 4.2)."""


def canonical(response_type: str) -> str:
    """Return a type with its words in our order; a word that comes twice stays so."""
    return " ".join(sorted(response_type.split(" ")))


def has(response_type: str, word: str) -> bool:
    """Return whether answers of a type carry a code, an ID token or an access token."""
    return word in response_type.split(" ")


def carries_tokens(response_type: str) -> bool:
    """Return whether answers of a type hold tokens, which must not be in a query (section 5)."""
    return has(response_type, TOKEN) or has(response_type, ID_TOKEN)


def gives_access_token(response_type: str) -> bool:
    """Return whether a type comes to an access token, here or at the token endpoint."""
    return has(response_type, CODE) or has(response_type, TOKEN)


def served_types(configured: Iterable[str]) -> tuple[str, ...]:
    """Return the types that a list of words and types switches on.

    Words count together, as with Dex: `code` and `id_token` allow `code id_token` as well.
    """
    types = {canonical(text) for text in configured}
    return tuple(known for known in KNOWN if known in types or types.issuperset(known.split(" ")))


def read_response_type(text: str, served: Sequence[str]) -> str:
    """Return the type asked for. Raises UnsupportedResponseType (RFC 6749 section 4.1.2.1)."""
    response_type = canonical(text)
    if response_type not in served:
        raise UnsupportedResponseType(f"Only these response types are served: {', '.join(served)}.")
    return response_type


def check_openid(response_type: str, *, openid: bool, nonce: str) -> None:
    """Check what an ID token from the authorization endpoint needs. Raises InvalidRequest.

    OIDC Core sections 3.2.2.1 and 3.3.2.11: its nonce is what keeps a stolen one from being used.
    """
    if not has(response_type, ID_TOKEN):
        return
    if not openid:
        raise InvalidRequest("A response_type with id_token needs the scope openid.")
    if not nonce:
        raise InvalidRequest("A response_type with id_token needs a nonce.")
