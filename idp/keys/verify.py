"""Verifying our own tokens when they come back (RFC 7519 section 7.2, RFC 8725 section 3)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from idp.keys.compact import read_compact
from idp.keys.errors import (
    TokenClaimsBroken,
    TokenExpired,
    TokenKeyUnknown,
    TokenNotYetValid,
    TokenSignatureBad,
    TokenWrongAudience,
    TokenWrongIssuer,
    TokenWrongType,
)
from idp.keys.loading import PublicKey, load_public
from storage.records import KeyRing

Claims = Mapping[str, Any]
_NO_LEEWAY = timedelta(0)


class Verifier:
    """Verifies with the published keys of the ring that it was handed last."""

    def __init__(self, ring: KeyRing) -> None:
        """Load the keys. Raises KeyUnusable."""
        self._keys: Mapping[str, PublicKey] = {}
        self.use(self.load(ring))

    def load(self, ring: KeyRing) -> Mapping[str, PublicKey]:
        """Return the published keys of a ring by kid, for `use`. Raises KeyUnusable."""
        return {key.kid: self._keys.get(key.kid) or load_public(key) for key in ring.keys}

    def use(self, published: Mapping[str, PublicKey]) -> None:
        """Trust these keys and no others from now on."""
        self._keys = published

    def verify(
        self,
        text: str,
        *,
        typ: str,
        issuer: str,
        now: datetime,
        audience: str | None = None,
        leeway: timedelta = _NO_LEEWAY,
    ) -> Claims:
        """Return the claims of a token of ours that is good now. Raises TokenInvalid.

        `typ` must be equal: a token of one kind is nothing at the door of another. Without
        `audience` the claim `aud` is the caller's to judge.
        """
        claims = self._authentic(text, typ=typ, issuer=issuer, audience=audience)
        instant, slack = now.timestamp(), leeway.total_seconds()
        if claims["exp"] + slack <= instant:
            raise TokenExpired
        if claims.get("nbf", 0) - slack > instant:
            raise TokenNotYetValid
        return claims

    def verify_hint(
        self, text: str, *, typ: str, issuer: str, audience: str | None = None
    ) -> Claims:
        """Return the claims of a token of ours whether or not it has expired. Raises TokenInvalid.

        Only for `id_token_hint` (OpenID Connect RP-Initiated Logout section 2): it says who is
        meant and proves nothing about now.
        """
        return self._authentic(text, typ=typ, issuer=issuer, audience=audience)

    def read_unproven(self, text: str, *, typ: str, issuer: str) -> Claims:
        """Return the claims of a token that says it is ours, and may be anybody's.

        For a hint whose key has left the set: it may still say which client sent it, as that client
        could say itself. Raises TokenInvalid for what is not even of the right form.
        """
        token = read_compact(text)
        if token.header.get("typ") != typ:
            raise TokenWrongType
        _check_kinds(token.payload)
        if token.payload.get("iss") != issuer:
            raise TokenWrongIssuer
        return token.payload

    def _authentic(self, text: str, *, typ: str, issuer: str, audience: str | None) -> Claims:
        token = read_compact(text)
        key = self._keys.get(token.header.get("kid", ""))
        if key is None:
            raise TokenKeyUnknown
        if token.header.get("typ") != typ:
            raise TokenWrongType
        # The key decides on the algorithm; the token only may not disagree.
        if token.alg != key.alg or not key.verify(token.signing_input, token.signature):
            raise TokenSignatureBad
        claims = token.payload
        _check_kinds(claims)
        if claims.get("iss") != issuer:
            raise TokenWrongIssuer
        if audience is not None and not _is_for(claims.get("aud"), audience):
            raise TokenWrongAudience
        return claims


def _check_kinds(claims: Claims) -> None:
    for name in ("exp", "iat"):
        if type(claims.get(name)) is not int:
            raise TokenClaimsBroken
    if type(claims.get("nbf", 0)) is not int:
        raise TokenClaimsBroken


def _is_for(aud: object, audience: str) -> bool:
    """Tell whether `aud`, a string or an array of them, has the audience (RFC 7519, 4.1.3)."""
    return audience in aud if isinstance(aud, list) else aud == audience
