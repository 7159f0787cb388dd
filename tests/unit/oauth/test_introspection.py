"""Who hears what of a token (RFC 7662)."""

from typing import Any

import pytest

from idp.oauth.introspection import ACCESS_TOKEN, REFRESH_TOKEN, active, may_see

ISSUER = "https://idp.example.com"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": [ISSUER, "api"],
    "client_id": "app",
    "scope": "openid email",
    "exp": 2,
    "iat": 1,
    "jti": "id",
}


@pytest.mark.spec("RFC 7662", "4")
@pytest.mark.parametrize(
    ("caller", "seen"),
    [("app", True), ("api", True), ("other", False), (ISSUER, False), ("", False), ("ap", False)],
)
def test_a_token_is_for_its_client_and_its_audience(caller: str, *, seen: bool) -> None:
    assert may_see(CLAIMS, caller_id=caller, issuer=ISSUER) is seen


@pytest.mark.parametrize("aud", [ISSUER, "apis", ["apis"], None, [], 7, {"api": 1}, [["api"]]])
def test_an_audience_is_a_whole_name(aud: object) -> None:
    assert not may_see({**CLAIMS, "aud": aud}, caller_id="api", issuer=ISSUER)


def test_an_audience_may_be_one_text() -> None:
    assert may_see({**CLAIMS, "aud": "api"}, caller_id="api", issuer=ISSUER)


@pytest.mark.spec("RFC 7662", "2.2")
def test_the_answer_has_the_members_of_the_specification_and_no_others() -> None:
    more = {"grant": "g", "groups": ["x"], "auth_time": 1, "at_hash": "x", "federated_claims": {}}
    assert active({**CLAIMS, **more}, token_use=ACCESS_TOKEN) == {
        "active": True,
        "token_use": "access_token",
        "token_type": "Bearer",
        **CLAIMS,
    }


def test_only_what_the_token_has_is_told() -> None:
    answer = active({"client_id": "app", "sid": "s", "nbf": 1}, token_use=ACCESS_TOKEN)
    assert set(answer) == {"active", "token_use", "token_type", "client_id", "sid", "nbf"}


@pytest.mark.spec("RFC 7662", "5")
def test_a_user_name_is_told_where_the_scopes_of_the_token_tell_it() -> None:
    named = {"preferred_username": "alice", "email": "a@example.com", "name": "Alice"}
    assert active({**CLAIMS, **named}, token_use=ACCESS_TOKEN)["username"] == "alice"
    by_email = active({**CLAIMS, "email": "a@example.com"}, token_use=ACCESS_TOKEN)
    assert by_email["username"] == "a@example.com"
    assert "username" not in active({**CLAIMS, "name": "Alice"}, token_use=ACCESS_TOKEN)


def test_a_refresh_token_has_no_token_type() -> None:
    """RFC 6749 section 7.1 defines it for access tokens: nobody may take one for the other."""
    answer = active(CLAIMS, token_use=REFRESH_TOKEN)
    assert "token_type" not in answer
    assert answer["token_use"] == "refresh_token"
