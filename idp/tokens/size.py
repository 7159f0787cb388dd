"""How large a token may grow before it breaks the headers that it travels in.

Proxies in front of applications and API servers stop at 8 KiB, so a token beyond that is refused
while nothing is written yet, with a page that names the cause. The access token is measured too: it
carries what userinfo answers.
"""

import json
from dataclasses import dataclass
from itertools import chain
from typing import Final

from idp.oauth.claims import Claims
from idp.oauth.scopes import OPENID
from idp.tokens.authorization import Authorization
from idp.tokens.issue import TokenIssuer

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)

WARN_AT: Final = 4 * 1024
REFUSE_AT: Final = 8 * 1024
# Header, signature and `at_hash`: what the claims do not show. RSA-2048 signatures are the largest.
_OVERHEAD: Final = 550
# The names of all claims, the issuer and the numbers.
_NAMES: Final = 700


class TokenTooLarge(Exception):
    """A token would not fit into an HTTP header."""

    def __init__(self, size: int, groups: int) -> None:
        super().__init__(f"a token would have {size} bytes with {groups} groups")
        self.size = size
        self.groups = groups


@dataclass(frozen=True, slots=True)
class TokenSize:
    """The bytes that the larger of two tokens will have."""

    size: int

    @property
    def deserves_warning(self) -> bool:
        """Return whether some applications may already have trouble."""
        return self.size > WARN_AT


def check_tokens(issuer: TokenIssuer, authorization: Authorization) -> TokenSize:
    """Return the size of the tokens of an authorization, or a bound where they are surely small.

    Raises TokenTooLarge. Nearly everybody's are small, and counting characters is cheaper than
    making the claims.
    """
    bound = _bound(authorization)
    if bound <= WARN_AT:
        return TokenSize(bound)
    access = measure_token(issuer.access_claims(authorization))
    if OPENID not in authorization.scopes:
        return access
    return max(access, measure_token(issuer.id_claims(authorization)), key=lambda each: each.size)


def _bound(authorization: Authorization) -> int:
    """Return more bytes than a token can have: four for each character, and some for names."""
    person = authorization.person
    texts = (
        *person.groups,
        *authorization.peers,
        *authorization.scopes,
        *chain.from_iterable((name, *values) for name, values in person.claims),
        authorization.client_id,
        authorization.nonce,
        person.subject,
        person.username,
        person.preferred_username,
        person.email,
        person.connector_id,
        person.user_id,
        authorization.session,
        authorization.method.acr,
        *authorization.method.amr,
    )
    payload = _NAMES + sum(map(len, texts)) * 4 + 3 * len(texts)
    return payload * 4 // 3 + _OVERHEAD


def measure_token(claims: Claims) -> TokenSize:
    """Return the size of the token that these claims become. Raises TokenTooLarge."""
    payload = len(_ENCODER.encode(claims).encode())
    size = payload * 4 // 3 + _OVERHEAD
    if size > REFUSE_AT:
        groups = claims.get("groups")
        raise TokenTooLarge(size, len(groups) if isinstance(groups, list) else 0)
    return TokenSize(size)
