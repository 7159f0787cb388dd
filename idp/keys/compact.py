"""Strict reading of a compact JWS from a stranger, before any cryptography (RFC 7515 section 7.1).

Cheap things first: length and number of parts before base64, base64 before JSON. Whatever could
steer the verifier from inside the token (a key, a URL of one, compression, extensions) is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from idp import strict_json
from idp.keys import base64url
from idp.keys.errors import TokenMalformed

MAX_LENGTH = 16 * 1024
_MAX_HEADER_LENGTH = 2 * 1024
_MAX_NAME_LENGTH = 256
# RFC 7515 4.1.2, 4.1.3, 4.1.5, 4.1.6 (keys from the token), 4.1.11 (extensions); RFC 7797 (b64);
# the rest belongs to JWE (RFC 7516, RFC 7518 section 4).
_REFUSED = frozenset(
    {"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "epk", "apu", "apv", "p2s", "p2c"}
)


@dataclass(frozen=True, slots=True)
class CompactToken:
    """A well-formed token. Nothing in it is true until `signature` has been checked."""

    alg: str
    header: Mapping[str, Any]
    payload: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def read_compact(text: str) -> CompactToken:
    """Return the parts. Raises TokenMalformed with a fixed text."""
    if len(text) > MAX_LENGTH:
        raise TokenMalformed("the token is too long")
    if text.count(".") != 2:
        raise TokenMalformed("the token does not have three parts")
    signing_input, _, signature_text = text.rpartition(".")
    header_text, _, payload_text = signing_input.partition(".")
    if not (header_text and payload_text and signature_text):
        raise TokenMalformed("a part of the token is empty")
    if len(header_text) > _MAX_HEADER_LENGTH:
        raise TokenMalformed("the header of the token is too long")
    header = _object(header_text, "the header of the token is not a plain JSON object")
    alg = _checked_header(header)
    payload = _object(payload_text, "the claims of the token are not a plain JSON object")
    signature = _bytes(signature_text, "the signature of the token is not base64url")
    return CompactToken(alg, header, payload, signing_input.encode("ascii"), signature)


def _checked_header(header: Mapping[str, Any]) -> str:
    if not _REFUSED.isdisjoint(header):
        raise TokenMalformed("the header of the token has a member that is refused")
    for name in ("kid", "typ", "cty"):
        value = header.get(name, "")
        if not isinstance(value, str) or len(value) > _MAX_NAME_LENGTH:
            raise TokenMalformed("the header of the token has a member of the wrong kind")
    alg = header.get("alg")
    if not isinstance(alg, str) or len(alg) > _MAX_NAME_LENGTH or alg.lower() in ("", "none"):
        raise TokenMalformed("the header of the token names no signature algorithm")
    return alg


def _object(text: str, refusal: str) -> dict[str, Any]:
    try:
        return strict_json.parse_object(_bytes(text, refusal))
    except ValueError:
        raise TokenMalformed(refusal) from None


def _bytes(text: str, refusal: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError:
        raise TokenMalformed(refusal) from None
