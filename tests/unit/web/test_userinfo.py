"""Userinfo forgets people whom an administrator locked or signed out, at once."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request

from idp.oauth.errors import InvalidToken
from idp.oauth.standing import Standings, UserStanding
from idp.oauth.subject import subject
from idp.web.userinfo import UserinfoEndpoint

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SUB = subject("7", "ldap")


@dataclass(frozen=True, slots=True)
class Verified:
    """Takes every token for one with these claims."""

    claims: Mapping[str, Any]

    def verify(self, token: str) -> Mapping[str, Any]:
        return self.claims


def ask(standings: Standings) -> int:
    claims = {
        "sub": SUB,
        "client_id": "app",
        "scope": "openid",
        "grant": "g",
        "auth_time": int(NOON.timestamp()),
    }
    endpoint = UserinfoEndpoint(
        issuer="https://idp.example.com",
        access_tokens=Verified(claims),
        ended=frozenset(),
        clients={"app"},
        standings=standings,
    )
    headers = [(b"authorization", b"Bearer abc")]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": b""}
    return asyncio.run(endpoint(Request(scope))).status_code


@pytest.mark.parametrize(
    "standings",
    [
        {},
        {SUB: UserStanding(not_before=NOON)},
        {subject("8", "ldap"): UserStanding(locked=True)},
    ],
)
def test_the_others_are_answered(standings: Standings) -> None:
    assert ask(standings) == 200


@pytest.mark.parametrize(
    "standing", [UserStanding(locked=True), UserStanding(not_before=NOON.replace(second=1))]
)
def test_a_token_of_somebody_who_is_out_is_no_token(standing: UserStanding) -> None:
    with pytest.raises(InvalidToken, match="expired, revoked or not valid"):
        ask({SUB: standing})
