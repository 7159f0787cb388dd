"""Makes access tokens (RFC 9068) and ID tokens (OIDC Core section 2)."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from idp.clock import Clock, epoch_seconds
from idp.oauth.claims import Claims, person_claims
from idp.oauth.client import Client, TokenRules, without_rules
from idp.oauth.errors import TemporarilyUnavailable
from idp.oauth.scopes import OPENID
from idp.tokens.authorization import Authorization

ACCESS_TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the media type of RFC 9068 section 2.1
ID_TOKEN_TYPE: Final = "JWT"  # noqa: S105 - the media type of RFC 7519 section 5.1
_KEY_IS_COMING: Final = timedelta(seconds=30)
GRANT_CLAIM: Final = "grant"
"""The access token's private claim that names the grant behind it, for revocation."""
SESSION_CLAIM: Final = "sid"
"""The claim of both that names the session (OIDC Back-Channel Logout section 2.1)."""


class TokenSigner(Protocol):
    """Signs with the key that is current at the moment of the call."""

    @property
    def algorithms(self) -> Collection[str]:
        """Return what signs now."""
        ...

    def sign(self, claims: Claims, *, typ: str, alg: str | None = None) -> str:
        """Return a compact JWS, by the provider's own algorithm unless another is named."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """The successful answer of the token endpoint (RFC 6749 section 5.1)."""

    access_token: str
    expires_in: int
    scope: str
    id_token: str | None = None
    refresh_token: str | None = None

    def members(self) -> dict[str, object]:
        """Return the JSON members, without those that were not issued."""
        members: dict[str, object] = {
            "access_token": self.access_token,
            "token_type": "bearer",
            "expires_in": self.expires_in,
        }
        if self.scope:
            # A scope has at least one token (RFC 6749 section 3.3).
            members["scope"] = self.scope
        if self.id_token is not None:
            members["id_token"] = self.id_token
        if self.refresh_token is not None:
            members["refresh_token"] = self.refresh_token
        return members


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssuer:
    """Issues the tokens of an authorization. `new_id` draws the `jti`.

    `lifetime` is that of both tokens of a client that says nothing else in its rules.
    """

    issuer: str
    lifetime: timedelta
    signer: TokenSigner
    clock: Clock
    new_id: Callable[[], str]
    rules: Callable[[str], TokenRules] = without_rules

    def issue(self, authorization: Authorization, *, refresh_token: str | None) -> TokenSet:
        """Return signed tokens; an ID token only where `openid` was granted."""
        access_token = self.access_token(authorization)
        id_token = None
        if OPENID in authorization.scopes:
            id_token = self.id_token(authorization, access_token=access_token)
        return TokenSet(
            access_token=access_token,
            expires_in=self.expires_in(authorization),
            scope=" ".join(authorization.scopes),
            id_token=id_token,
            refresh_token=refresh_token,
        )

    def check_signs(self, client: Client) -> None:
        """Raise TemporarilyUnavailable while no key signs with the algorithm of a client."""
        if client.tokens.id_token_alg:
            check_signs(self.signer, client.tokens.id_token_alg)

    def expires_in(self, authorization: Authorization) -> int:
        """Return the life of an access token in seconds."""
        lifetime = self.rules(authorization.client_id).access_token_lifetime or self.lifetime
        return int(lifetime.total_seconds())

    def access_token(self, authorization: Authorization) -> str:
        """Return a signed access token."""
        return self.signer.sign(self.access_claims(authorization), typ=ACCESS_TOKEN_TYPE)

    def id_token(
        self, authorization: Authorization, *, access_token: str = "", code: str = ""
    ) -> str:
        """Return a signed ID token, bound to what is issued beside it ("" where nothing is)."""
        claims = self.id_claims(authorization)
        if access_token:
            claims["at_hash"] = left_half_hash(access_token)
        if code:
            claims["c_hash"] = left_half_hash(code)
        alg = self.rules(authorization.client_id).id_token_alg
        return self.signer.sign(claims, typ=ID_TOKEN_TYPE, alg=alg or None)

    def id_claims(self, authorization: Authorization) -> Claims:
        """Return the claims of an ID token, all but `at_hash` and `c_hash`."""
        lifetime = self.rules(authorization.client_id).id_token_lifetime or self.lifetime
        minimal = authorization.id_token_claims == "minimal"  # noqa: S105 - no token
        told = person_claims(
            authorization.person,
            () if minimal else authorization.scopes,
            authorization.asked_for_id_token,
        )
        claims = self._common_claims(authorization, told, int(lifetime.total_seconds()))
        client_id = authorization.client_id
        others = [peer for peer in authorization.peers if peer != client_id]
        claims["aud"] = [*others, client_id] if others else client_id
        if others:
            # With more than one audience `azp` says who asked (OIDC Core section 2).
            claims["azp"] = client_id
        if authorization.nonce:
            claims["nonce"] = authorization.nonce
        # How the person signed in is for the client; an API has no use for it.
        if authorization.method.acr:
            claims["acr"] = authorization.method.acr
        if authorization.method.amr:
            claims["amr"] = list(authorization.method.amr)
        return claims

    def access_claims(self, authorization: Authorization) -> Claims:
        """Return the claims of an access token (RFC 9068 section 2.2), those of userinfo included.

        Its audience is this provider and never the client itself: kube-apiserver looks at `aud`
        and not at `typ`, so an access token for a client id would pass for an identity.
        """
        told = person_claims(
            authorization.person, authorization.scopes, authorization.asked_for_userinfo
        )
        claims = self._common_claims(authorization, told, self.expires_in(authorization))
        others = [peer for peer in authorization.peers if peer != authorization.client_id]
        claims["aud"] = [self.issuer, *others] if others else self.issuer
        claims["client_id"] = authorization.client_id
        if authorization.scopes:
            claims["scope"] = " ".join(authorization.scopes)
        if authorization.grant_name:
            claims[GRANT_CLAIM] = authorization.grant_name
        return claims

    def _common_claims(self, authorization: Authorization, told: Claims, lifetime: int) -> Claims:
        """Return what both kinds of token say; `told` is of the person and overrides nothing."""
        now = epoch_seconds(self.clock())
        claims: Claims = {
            **told,
            "iss": self.issuer,
            "exp": now + lifetime,
            "iat": now,
            "jti": self.new_id(),
        }
        if authorization.authenticated_at is not None:
            claims["auth_time"] = epoch_seconds(authorization.authenticated_at)
        if authorization.session:
            claims[SESSION_CLAIM] = authorization.session
        return claims


def check_signs(signer: TokenSigner, alg: str) -> None:
    """Raise TemporarilyUnavailable while no key signs with an algorithm.

    One that was just added signs once everybody can know its key.
    """
    if alg not in signer.algorithms:
        raise TemporarilyUnavailable(
            f"No {alg} key of this provider signs yet. Try again in a few minutes.",
            _KEY_IS_COMING,
        )


def left_half_hash(value: str) -> str:
    """Return `at_hash` or `c_hash` for tokens signed with a SHA-256 algorithm.

    OIDC Core sections 3.1.3.6 and 3.3.2.11.
    """
    digest = hashlib.sha256(value.encode("ascii")).digest()
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode("ascii")
