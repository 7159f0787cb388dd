"""Signing our tokens as compact JWS (RFC 7515 section 7.1).

joserfc's algorithms are used directly: they cost nothing beside the signature itself, where its
`serialize_compact` adds about 20 us.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from idp.keys import base64url
from idp.keys.jwks import ALGORITHMS
from idp.keys.loading import PrivateKey, load_private
from idp.keys.ring import RingIncomplete, signing_key
from storage.records import KeyRing

# One encoder for all: `json.dumps` makes a new one for each call that is not of its defaults.
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)

NUMERIC_DATES = ("exp", "iat", "nbf", "auth_time", "updated_at")


class ClaimOfWrongKind(TypeError):
    """Our own code handed over a time that is not a whole number of seconds: a bug, not input."""


class Signer:
    """Signs with the keys of the ring that it was handed last."""

    def __init__(self, ring: KeyRing, *, default_alg: str) -> None:
        """Load the keys. Raises KeyUnusable."""
        self._default_alg = default_alg
        self._signing: Mapping[str, PrivateKey] = {}
        self.use(self.load(ring))

    def load(self, ring: KeyRing) -> Mapping[str, PrivateKey]:
        """Return the signing keys of a ring by algorithm, for `use`. Raises KeyUnusable."""
        loaded = {key.kid: key for key in self._signing.values()}
        found = [key for alg in ALGORITHMS if (key := signing_key(ring, alg)) is not None]
        return {key.alg: loaded.get(key.kid) or load_private(key) for key in found}

    def use(self, signing: Mapping[str, PrivateKey]) -> None:
        """Sign with these keys from now on."""
        self._signing = signing

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Return what signs now, for `id_token_signing_alg_values_supported`."""
        return tuple(self._signing)

    def sign(self, claims: Mapping[str, Any], *, typ: str, alg: str | None = None) -> str:
        """Return a compact JWS of the claims in the order given, with `typ` in its header.

        Without `alg` the default signs, or, while its first key is not published for long enough,
        whichever algorithm has signed so far. Raises RingIncomplete if no key of `alg` signs, and
        ClaimOfWrongKind.
        """
        for name in NUMERIC_DATES:
            # Not isinstance: True is an int, and clients fail on `true` as they do on 1.5e9.
            if name in claims and type(claims[name]) is not int:
                raise ClaimOfWrongKind(f"the claim {name} must be an int, in whole seconds")
        key = self._key(alg)
        signing_input = f"{_header(key.alg, key.kid, typ)}.{base64url.encode(_json(claims))}"
        return f"{signing_input}.{base64url.encode(key.sign(signing_input.encode('ascii')))}"

    def _key(self, alg: str | None) -> PrivateKey:
        key = self._signing.get(alg or self._default_alg)
        if key is None and alg is None:
            key = next(iter(self._signing.values()), None)
        if key is None:
            raise RingIncomplete(f"no key signs with {alg or self._default_alg}")
        return key


@lru_cache(maxsize=64)
def _header(alg: str, kid: str, typ: str) -> str:
    """Return the encoded header: the same few again and again."""
    return base64url.encode(_json({"alg": alg, "kid": kid, "typ": typ}))


def _json(value: Mapping[str, Any]) -> bytes:
    # `encode` refuses half surrogates, which our own reader would refuse as well.
    return _ENCODER.encode(value).encode("utf-8")
