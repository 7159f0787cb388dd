"""The userinfo answer as a signed JWT, for clients that want it so (OIDC Core section 5.3.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from idp.oauth.claims import Claims
from idp.oauth.client import TokenRules
from idp.tokens.issue import TokenSigner, check_signs

USERINFO_TYPE: Final = "JWT"
"""Libraries that verify the answer refuse a `typ` that they do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUserinfo:
    """Signs what userinfo tells. `rules` are those of a client by its id."""

    issuer: str
    signer: TokenSigner
    rules: Callable[[str], TokenRules]

    def jwt(self, told: Claims, *, client_id: str) -> str:
        """Return the answer to a client as a compact JWS, "" for one that wants plain JSON.

        Issuer and audience are the client's own, as those of an ID token are. What makes the
        difference is `exp`: without one, nothing that verifies ID tokens takes this for one,
        kube-apiserver included (OIDC Core section 2 demands it). Raises TemporarilyUnavailable
        while no key signs with the client's algorithm.
        """
        alg = self.rules(client_id).userinfo_alg
        if not alg:
            return ""
        check_signs(self.signer, alg)
        claims = {**told, "iss": self.issuer, "aud": client_id}
        return self.signer.sign(claims, typ=USERINFO_TYPE, alg=alg)
