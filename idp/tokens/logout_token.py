"""Logout tokens: what a client is told when a session ends.

OpenID Connect Back-Channel Logout 1.0, section 2.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from idp.clock import Clock, epoch_seconds
from idp.oauth.client import TokenRules, without_rules
from idp.oauth.subject import subject
from idp.tokens.issue import SESSION_CLAIM, TokenSigner
from storage.records import Grant

LOGOUT_TOKEN_TYPE: Final = "logout+jwt"  # noqa: S105 - the media type of section 2.4
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LIFETIME: Final = timedelta(minutes=2)
"""kube-apiserver looks at `aud` and not at `typ`: for as long as this a logout token for its client
would pass for the person there. So it is as short as the specification advises at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutTokens:
    """Makes logout tokens. `new_id` draws the `jti`; `rules` are those of a client by its id."""

    issuer: str
    signer: TokenSigner
    clock: Clock
    new_id: Callable[[], str]
    rules: Callable[[str], TokenRules] = without_rules

    def token_for(self, grant: Grant) -> str:
        """Return what tells the client of a grant that its session is over."""
        now = epoch_seconds(self.clock())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": subject(grant.user_id, grant.connector_id),
            "aud": grant.client_id,
            "iat": now,
            "exp": now + int(LIFETIME.total_seconds()),
            "jti": self.new_id(),
            "events": {LOGOUT_EVENT: {}},
        }
        if grant.session:
            claims[SESSION_CLAIM] = grant.session
        alg = self.rules(grant.client_id).id_token_alg
        return self.signer.sign(claims, typ=LOGOUT_TOKEN_TYPE, alg=alg or None)
