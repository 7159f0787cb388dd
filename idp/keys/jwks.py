"""Making signing keys and publishing their public halves (RFC 7517, OpenID Connect Discovery 3).

Every replica must publish the same bytes, and kube-apiserver refuses a whole set for one key of a
kind that it does not know. So members and order are fixed, and only RSA and EC keys get in.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from jwcrypto.jwk import JWK  # type: ignore[import-untyped]

from storage.records import KeyRing, SigningKey

ALGORITHMS: Final = ("RS256", "ES256")
"""What we sign with (RFC 7518 section 3.1), the default of clients first."""

_GENERATED: Mapping[str, Mapping[str, Any]] = {
    "RS256": {"kty": "RSA", "size": 2048},
    "ES256": {"kty": "EC", "crv": "P-256"},
}
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}


class KeyUnusable(ValueError):
    """A key of the ring cannot be read, published or signed with; names its kid, never the key."""


def new_signing_key(alg: str, now: datetime) -> SigningKey:
    """Return a new key, announced at `now`, with its RFC 7638 thumbprint as kid.

    RSA takes 30 to 300 ms of CPU: call it in a thread. Raises KeyUnusable for an algorithm that is
    not in ALGORITHMS.
    """
    if alg not in _GENERATED:
        raise KeyUnusable(f"cannot make a key for {alg!r}: choose one of {', '.join(ALGORITHMS)}")
    key = JWK.generate(**_GENERATED[alg])
    kid = key.thumbprint()
    named = {"kid": kid, "alg": alg, "use": "sig"}
    return SigningKey(
        kid=kid,
        alg=alg,
        public_jwk=_compact(key.export_public(as_dict=True) | named),
        private_jwk=_compact(key.export_private(as_dict=True) | named),
        created_at=now,
    )


def key_set_json(ring: KeyRing) -> bytes:
    """Return the published key set: the same bytes for the same set of keys, sorted by kid.

    Raises KeyUnusable rather than publish a set that relying parties could not read.
    """
    published = [_published(key) for key in sorted(ring.keys, key=lambda key: key.kid)]
    if len({member["kid"] for member in published}) != len(published):
        raise KeyUnusable("two keys of the ring have the same kid")
    return _compact({"keys": published}).encode("ascii")


def _published(key: SigningKey) -> dict[str, str]:
    try:
        public = json.loads(key.public_jwk)
        kty = public["kty"]
        members = {name: public[name] for name in _PUBLIC_MEMBERS[kty]}
    except (ValueError, KeyError, TypeError):
        raise KeyUnusable(f"the public half of key {key.kid} is not an RSA or EC key") from None
    return {"kid": key.kid, "use": "sig", "alg": key.alg, "kty": kty, **members}


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)
