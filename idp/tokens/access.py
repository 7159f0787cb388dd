"""Our own access tokens and ID token hints, when they come back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp.clock import Clock
from idp.keys.errors import TokenInvalid
from idp.keys.verify import Verifier
from idp.oauth.errors import InvalidRequest, InvalidToken
from idp.tokens.issue import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedTokens:
    """Verifies what this provider issued."""

    verifier: Verifier
    issuer: str
    clock: Clock

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of an access token that is good now. Raises InvalidToken."""
        try:
            return self.verifier.verify(
                token,
                typ=ACCESS_TOKEN_TYPE,
                issuer=self.issuer,
                audience=self.issuer,
                now=self.clock(),
            )
        except TokenInvalid:
            raise InvalidToken("The access token is expired, revoked or not valid.") from None

    def subject_of_hint(self, token: str) -> str:
        """Return `sub` of an `id_token_hint`, expired or not. Raises InvalidRequest."""
        try:
            claims = self.verifier.verify_hint(token, typ=ID_TOKEN_TYPE, issuer=self.issuer)
        except TokenInvalid:
            raise InvalidRequest("id_token_hint is not an ID token of this provider.") from None
        return str(claims["sub"])
