"""A client that signs: its keys as it registers them, and JWTs of any header and claims."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from joserfc.jwk import ECKey, KeyParameters, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from idp.keys import base64url

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
Key = RSAKey | ECKey | OKPKey


@cache
def key_for(alg: str, name: str) -> Key:
    """Return a key that can sign with an algorithm; the same one for the same name."""
    parameters: KeyParameters = {"kid": f"{alg}-{name}", "use": "sig", "alg": alg}
    if alg in _CURVES:
        return ECKey.generate_key(_CURVES[alg], parameters=parameters)
    if alg == "EdDSA":
        return OKPKey.generate_key("Ed25519", parameters=parameters)
    return RSAKey.generate_key(2048, parameters=parameters)


@dataclass(frozen=True, slots=True)
class SigningClient:
    """A client with one key for an algorithm."""

    client_id: str
    issuer: str
    alg: str = "RS256"
    name: str = "first"
    typ: str | None = field(default="oauth-authz-req+jwt")

    @property
    def key(self) -> Key:
        """Return the private key."""
        return key_for(self.alg, self.name)

    @property
    def kid(self) -> str:
        """Return the id of the key."""
        return f"{self.alg}-{self.name}"

    @property
    def jwks(self) -> dict[str, Any]:
        """Return what the client registers."""
        return {"keys": [self.key.as_dict(private=False)]}

    @property
    def header(self) -> dict[str, Any]:
        """Return the header of its JWTs."""
        header = {"alg": self.alg, "kid": self.kid, "typ": self.typ}
        return {name: value for name, value in header.items() if value is not None}

    def sign(self, signing_input: bytes) -> bytes:
        """Return the signature over some bytes."""
        signature: bytes = JWSRegistry.algorithms[self.alg].sign(signing_input, self.key)
        return signature

    def jwt(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Return a signed JWT."""
        parts = [_json(self.header if header is None else header), _json(claims)]
        start = ".".join(map(base64url.encode, parts))
        return f"{start}.{base64url.encode(self.sign(start.encode()))}"

    def request_object(self, parameters: Mapping[str, Any], **changes: Any) -> str:
        """Return a request object; a change to None leaves a claim out."""
        claims = {"iss": self.client_id, "aud": self.issuer, **parameters, **changes}
        return self.jwt({name: value for name, value in claims.items() if value is not None})


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
