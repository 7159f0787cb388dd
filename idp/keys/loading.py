"""From the JSON of a ring's key to something that signs or verifies, through joserfc.

Loading is done once per key: parsing a JWK costs as much as verifying with it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from idp.keys import base64url
from idp.keys.jwks import ALGORITHMS, KeyUnusable
from storage.records import SigningKey

_PROBE = b"do the two halves belong together"
_REGISTRY = JWSRegistry(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A published key. `verify(message, signature)` says whether it fits."""

    kid: str
    alg: str
    verify: Callable[[bytes, bytes], bool] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs. `sign(message)` returns the signature as JWS wants it (RFC 7518, 3)."""

    kid: str
    alg: str
    sign: Callable[[bytes], bytes] = field(repr=False)


def load_public(key: SigningKey) -> PublicKey:
    """Return the public half. Raises KeyUnusable."""
    try:
        members = json.loads(key.public_jwk)
        public = _KINDS[members["kty"]].import_key(members)
        algorithm = _REGISTRY.get_alg(key.alg)
        algorithm.check_key(public)
    except (JoseError, ValueError, KeyError, TypeError):
        raise KeyUnusable(f"the public half of key {key.kid} does not load as {key.alg}") from None
    return PublicKey(key.kid, key.alg, lambda data, sig: algorithm.verify(data, sig, public))


def load_private(key: SigningKey) -> PrivateKey:
    """Return the private half. Raises KeyUnusable, whose text repeats nothing of the key."""
    public = load_public(key)
    try:
        members = json.loads(key.private_jwk)
        private = _IMPORTS[members["kty"]](members)
        algorithm = _REGISTRY.get_alg(key.alg)
        algorithm.check_key(private)
        fits = public.verify(_PROBE, algorithm.sign(_PROBE, private))
    except (JoseError, ValueError, KeyError, TypeError):
        raise KeyUnusable(f"the private half of key {key.kid} does not load as {key.alg}") from None
    if not fits:
        raise KeyUnusable(f"the halves of key {key.kid} do not belong together")
    return PrivateKey(key.kid, key.alg, lambda data: algorithm.sign(data, private))


def _rsa(members: dict[str, Any]) -> RSAKey:
    # The library's tests of the primes take 36 ms, in which nobody is served. The key was made by
    # us and has been sealed since; one signature that fits the public half is proof enough.
    public = RSAPublicNumbers(_number(members["e"]), _number(members["n"]))
    p, q, d, dp, dq, qi = (_number(members[name]) for name in ("p", "q", "d", "dp", "dq", "qi"))
    numbers = RSAPrivateNumbers(p, q, d, dp, dq, qi, public)
    return RSAKey.import_key(numbers.private_key(unsafe_skip_rsa_key_validation=True))


_KINDS: Mapping[str, type[RSAKey] | type[ECKey]] = {"RSA": RSAKey, "EC": ECKey}
_IMPORTS: Mapping[str, Callable[[dict[str, Any]], RSAKey | ECKey]] = {
    "RSA": _rsa,
    "EC": ECKey.import_key,
}


def _number(text: str) -> int:
    return int.from_bytes(base64url.decode(text), "big")
