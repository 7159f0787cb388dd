"""A JWT that a client signed, checked with its own registered keys (RFC 8725 section 3)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from idp.keys.client_keys import ClientKey
from idp.keys.compact import CompactToken, read_compact
from idp.keys.errors import TokenKeyUnknown, TokenSignatureBad


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientJwt:
    """What a client has signed. Who it is for, and until when, is the reader's to judge."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any] = field(repr=False)


def read_client_jwt(
    text: str, keys: Sequence[ClientKey], *, algorithms: Collection[str]
) -> ClientJwt:
    """Return the content of a JWT that one of the keys signed. Raises TokenInvalid.

    Without a `kid` there must be one key only that could have signed (OIDC Core section 10.1).
    """
    token = read_compact(text)
    if token.alg not in algorithms:
        raise TokenSignatureBad
    key = _key_of(token, keys)
    if not key.verify(token.alg, token.signing_input, token.signature):
        raise TokenSignatureBad
    return ClientJwt(header=token.header, claims=token.payload)


def _key_of(token: CompactToken, keys: Sequence[ClientKey]) -> ClientKey:
    kid = token.header.get("kid")
    fitting = [
        key for key in keys if token.alg in key.algorithms and (kid is None or key.kid == kid)
    ]
    if len(fitting) != 1:
        raise TokenKeyUnknown("the token does not say which of the registered keys signed it")
    return fitting[0]
