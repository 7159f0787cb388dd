"""The public keys that a client signs with, out of its key set (RFC 7517 section 5).

The set is a stranger's words, whether somebody typed it or it was fetched: read strictly, bounded,
and only what can verify a signature is taken. Members that could mean something else are left.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from idp import strict_json
from idp.keys import base64url

CLIENT_ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""What a client may sign with: no MAC, for which we would have to keep its secret readable."""

MOST_KEYS: Final = 16
LONGEST_SET: Final = 64 * 1024

_LONGEST_KID = 256
_SHORTEST_RSA, _LONGEST_RSA = 2048, 8192
# Not `get_alg`, which warns at each use of EdDSA that RFC 9864 has given it another name.
_ALGORITHMS = {alg: JWSRegistry.algorithms[alg] for alg in CLIENT_ALGORITHMS}
_RSA_ALGORITHMS = frozenset(alg for alg in CLIENT_ALGORITHMS if alg[0] in "RP")
_CURVE_ALGORITHMS = {
    ("EC", "P-256"): "ES256",
    ("EC", "P-384"): "ES384",
    ("EC", "P-521"): "ES512",
    ("OKP", "Ed25519"): "EdDSA",
}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeySetUnusable(ValueError):
    """No key set of a client; the text continues a sentence and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One public key: the algorithms that it may verify, and its kid, "" where it has none."""

    kid: str
    algorithms: frozenset[str]
    key: RSAKey | ECKey | OKPKey = field(repr=False)

    def verify(self, alg: str, message: bytes, signature: bytes) -> bool:
        """Return whether the signature is this key's, made with one of its own algorithms."""
        if alg not in self.algorithms:
            return False
        verify: Callable[[bytes, bytes, Any], bool] = _ALGORITHMS[alg].verify
        return verify(message, signature, self.key)


def read_key_set(text: str | bytes) -> tuple[ClientKey, ...]:
    """Return the keys of a set that can verify signatures, in its order. Raises KeySetUnusable.

    Keys of other kinds and for other uses are passed over (RFC 7517 section 5).
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > LONGEST_SET:
        raise KeySetUnusable(f"is longer than {LONGEST_SET} bytes")
    try:
        members = strict_json.parse_object(data).get("keys")
    except ValueError:
        raise KeySetUnusable("is not a JSON object") from None
    if not isinstance(members, list):
        raise KeySetUnusable("has no list `keys` (RFC 7517 section 5)")
    if len(members) > MOST_KEYS:
        raise KeySetUnusable(f"has more than {MOST_KEYS} keys")
    keys = [key for member in members if (key := _key(member)) is not None]
    if not keys:
        raise KeySetUnusable(
            "has no key that could verify a signature: RSA of at least 2048 bits, P-256, P-384,"
            " P-521 or Ed25519"
        )
    return tuple(keys)


def key_set_text(value: object) -> str:
    """Return a key set as text in one form, from JSON text or from its members.

    Raises KeySetUnusable, also for a private key, which no provider should ever see.
    """
    text = value if isinstance(value, str) else json.dumps(value)
    read_key_set(text)
    members = json.loads(text)
    if any(not _PRIVATE.isdisjoint(key) for key in members["keys"] if isinstance(key, dict)):
        raise KeySetUnusable(
            "holds a private or a symmetric key; give only the public halves, and replace the key,"
            " which has been seen"
        )
    return json.dumps(members, separators=(",", ":"), sort_keys=True)


def _key(member: object) -> ClientKey | None:
    if not isinstance(member, Mapping) or member.get("use", "sig") != "sig":
        return None
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    kid = member.get("kid", "")
    if not isinstance(kid, str) or len(kid) > _LONGEST_KID:
        return None
    loaded = _loaded(member)
    if loaded is None:
        return None
    key, fitting = loaded
    alg = member.get("alg")
    algorithms = fitting if alg is None else fitting & {alg if isinstance(alg, str) else ""}
    return ClientKey(kid, algorithms, key) if algorithms else None


def _loaded(
    member: Mapping[str, Any],
) -> tuple[RSAKey | ECKey | OKPKey, frozenset[str]] | None:
    """Return the key and every algorithm that it could be used with, None for another kind."""
    try:
        if member.get("kty") == "RSA":
            return _rsa(_text(member["n"]), _text(member["e"]))
        kty, curve = str(member.get("kty")), str(member["crv"])
        alg = _CURVE_ALGORITHMS[kty, curve]
        if kty == "EC":
            point = {"crv": curve, "x": _text(member["x"]), "y": _text(member["y"])}
            return ECKey.import_key({"kty": "EC", **point}), frozenset({alg})
        point = {"crv": curve, "x": _text(member["x"])}
        return OKPKey.import_key({"kty": "OKP", **point}), frozenset({alg})
    except (JoseError, ValueError, KeyError, TypeError):
        return None


def _rsa(modulus: str, exponent: str) -> tuple[RSAKey, frozenset[str]] | None:
    n, e = _number(modulus), _number(exponent)
    # A large exponent costs whoever verifies, and nobody needs one.
    if not _SHORTEST_RSA <= n.bit_length() <= _LONGEST_RSA or not 3 <= e < 2**32 or not e & 1:
        return None
    return RSAKey.import_key({"kty": "RSA", "n": modulus, "e": exponent}), _RSA_ALGORITHMS


def _number(text: str) -> int:
    return int.from_bytes(base64url.decode(text), "big")


def _text(value: object) -> str:
    """Return a number as a key set writes it, in its one spelling. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("not text")
    base64url.decode(value)
    return value
