"""Our own access tokens and ID token hints, when they come back."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from idp.clock import Clock
from idp.keys.errors import TokenInvalid, TokenKeyUnknown
from idp.keys.verify import Verifier
from idp.oauth.client import Clients
from idp.oauth.errors import InvalidRequest, InvalidToken
from idp.oauth.logout import IdTokenHint
from idp.oauth.policies import CLIENT_CREDENTIALS, may_sign_in_with, may_use
from idp.oauth.scopes import may_still_have
from idp.oauth.standing import Standings, token_counts
from idp.oauth.subject import parse_subject
from idp.tokens.issue import ACCESS_TOKEN_TYPE, GRANT_CLAIM, ID_TOKEN_TYPE, SESSION_CLAIM


def _refusal() -> InvalidToken:
    """Return the one answer to every access token that is not good."""
    return InvalidToken("The access token is expired, revoked or not valid.")


class AccessTokens(Protocol):
    """Verifies our own access tokens."""

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims. Raises InvalidToken."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedTokens:
    """Verifies what this provider issued."""

    verifier: Verifier
    issuer: str
    clock: Clock

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of an access token of ours that has not expired. Raises InvalidToken.

        Whether it was revoked meanwhile is what `LiveAccessTokens` knows.
        """
        try:
            return self.verifier.verify(
                token,
                typ=ACCESS_TOKEN_TYPE,
                issuer=self.issuer,
                audience=self.issuer,
                now=self.clock(),
            )
        except TokenInvalid:
            raise _refusal() from None

    def is_id_token(self, token: str) -> bool:
        """Return whether a text is an ID token of ours, expired or not."""
        try:
            self.verifier.verify_hint(token, typ=ID_TOKEN_TYPE, issuer=self.issuer)
        except TokenInvalid:
            return False
        return True

    def read_hint(self, token: str) -> IdTokenHint:
        """Return what an `id_token_hint` says, expired or not. Raises InvalidRequest.

        The key of an old one may have left the set: then it proves nothing.
        """
        refusal = InvalidRequest("id_token_hint is not an ID token of this provider.")
        try:
            claims = self.verifier.verify_hint(token, typ=ID_TOKEN_TYPE, issuer=self.issuer)
        except TokenKeyUnknown:
            return self._unproven(token, refusal)
        except TokenInvalid:
            raise refusal from None
        return _hint_of(claims)

    def _unproven(self, token: str, refusal: InvalidRequest) -> IdTokenHint:
        try:
            claims = self.verifier.read_unproven(token, typ=ID_TOKEN_TYPE, issuer=self.issuer)
        except TokenInvalid:
            raise refusal from None
        return replace(_hint_of(claims), is_proven=False)

    def subject_of_hint(self, token: str, client_id: str) -> str:
        """Return `sub` of a client's `id_token_hint`, expired or not. Raises InvalidRequest.

        It is about the person's session with just this client (OIDC Core section 3.1.2.1): one that
        found another's ID token learns nothing with it.
        """
        try:
            claims = self.verifier.verify_hint(token, typ=ID_TOKEN_TYPE, issuer=self.issuer)
        except TokenInvalid:
            raise InvalidRequest("id_token_hint is not an ID token of this provider.") from None
        if client_id not in _audiences(claims):
            raise InvalidRequest("id_token_hint was not issued to this client.")
        return str(claims["sub"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAccessTokens:
    """Access tokens that may still be used: the one place that every door asks.

    Nothing here asks the store: `ended` holds the names of grants that were revoked,
    `ended_sessions` those of sessions that were ended, `clients` the clients that are served, and
    all of them are known within a second.
    """

    issued: AccessTokens
    ended: Container[str]
    ended_sessions: Container[str]
    clients: Clients
    standings: Standings

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims. Raises InvalidToken, with one text whatever the reason."""
        claims = self.issued.verify(token)
        if claims.get(GRANT_CLAIM) in self.ended or not self._is_allowed(claims):
            raise _refusal()
        if claims.get(SESSION_CLAIM) in self.ended_sessions:
            raise _refusal()
        if not token_counts(self.standings, claims):
            raise _refusal()
        return claims

    def _is_allowed(self, claims: Mapping[str, Any]) -> bool:
        """Return whether the client may still have what it was issued."""
        client = self.clients.get(claims.get("client_id", ""))
        if client is None:
            return False
        by_itself = GRANT_CLAIM not in claims
        if by_itself and not may_use(client, CLIENT_CREDENTIALS):
            return False
        if client.allowed.connectors and not by_itself:
            _, connector_id = parse_subject(claims["sub"])
            if not may_sign_in_with(client, connector_id):
                return False
        scopes = tuple(str(claims.get("scope", "")).split())
        return may_still_have(scopes, client=client, clients=self.clients)


def _hint_of(claims: Mapping[str, Any]) -> IdTokenHint:
    audiences = _audiences(claims)
    return IdTokenHint(
        subject=str(claims.get("sub", "")),
        session=str(claims.get(SESSION_CLAIM, "")),
        client_id=str(claims.get("azp", audiences[0] if audiences else "")),
        audiences=audiences,
        is_proven=True,
    )


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    aud = claims.get("aud")
    return tuple(map(str, aud if isinstance(aud, list) else [aud]))
