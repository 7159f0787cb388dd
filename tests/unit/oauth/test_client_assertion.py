"""What an assertion must say, once its signature is known to be the client's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.client_assertion import GoodAssertion, check_assertion, client_id_in
from idp.oauth.errors import InvalidClient

ISSUER = "https://idp.example.com"
TOKEN = f"{ISSUER}/token"
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
INSTANT = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    "iss": "app",
    "sub": "app",
    "aud": ISSUER,
    "exp": INSTANT + 60,
    "iat": INSTANT,
    "jti": "one",
}


def check(header: dict[str, Any] | None = None, **changes: Any) -> GoodAssertion:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return check_assertion(
        header or {}, claims, client_id="app", audiences=(ISSUER, TOKEN), now=NOW
    )


@pytest.mark.spec("RFC 7523", "3")
def test_an_assertion_with_all_that_is_needed_is_good() -> None:
    expected = GoodAssertion("one", NOW + timedelta(seconds=60))
    assert check() == expected
    assert check(iat=None) == expected
    assert check(aud=TOKEN, nbf=INSTANT + 59, iat=INSTANT + 60, more={"x": [1]}) == expected
    assert check(exp=INSTANT + 300).expires_at == NOW + timedelta(minutes=5)
    for typ in ("JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"):
        assert check({"typ": typ}) == expected


@pytest.mark.covers("R-24", "CV-11")
@pytest.mark.spec("RFC 7523", "3")
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"iss": "other"}, "iss and the sub"),
        ({"sub": "other"}, "iss and the sub"),
        ({"iss": None}, "iss and the sub"),
        ({"sub": None}, "iss and the sub"),
        ({"iss": ["app"]}, "iss and the sub"),
        ({"aud": None}, "aud of the assertion must be this issuer, as a single string"),
        ({"aud": [ISSUER]}, "single string"),
        ({"aud": [ISSUER, "https://evil.example"]}, "single string"),
        ({"aud": [ISSUER, TOKEN]}, "single string"),
        ({"aud": ISSUER + "/"}, "single string"),
        ({"aud": ISSUER + "/TOKEN"}, "single string"),
        ({"aud": "https://evil.example"}, "single string"),
        ({"aud": f"{ISSUER} https://evil.example"}, "single string"),
        ({"aud": {}}, "single string"),
        ({"aud": True}, "single string"),
        ({"exp": None}, "has expired, or has no exp"),
        ({"exp": INSTANT}, "has expired"),
        ({"exp": INSTANT - 1}, "has expired"),
        ({"exp": INSTANT + 301}, "at most five minutes away"),
        ({"exp": 2**62}, "at most five minutes away"),
        ({"exp": float(INSTANT + 60)}, "exp of the assertion must be a whole number"),
        ({"exp": str(INSTANT + 60)}, "must be a whole number"),
        ({"exp": True}, "must be a whole number"),
        ({"nbf": INSTANT + 61}, "nbf of the assertion has not come"),
        ({"nbf": "0"}, "nbf of the assertion must be a whole number"),
        ({"iat": INSTANT + 61}, "iat of the assertion has not come"),
        ({"iat": 1.5}, "iat of the assertion must be a whole number"),
        ({"jti": None}, "must have a jti"),
        ({"jti": ""}, "must have a jti"),
        ({"jti": 5}, "must have a jti"),
        ({"jti": ["one"]}, "must have a jti"),
        ({"jti": "j" * 1025}, "must have a jti"),
    ],
)
def test_whoever_holds_the_key_is_told_what_is_wrong(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidClient) as refused:
        check(**changes)
    assert text in refused.value.description


@pytest.mark.covers("R-45")
@pytest.mark.parametrize(
    "typ", ["at+jwt", "logout+jwt", "oauth-authz-req+jwt", "dpop+jwt", "", "JWT ", "secevent+jwt"]
)
def test_a_jwt_of_another_kind_is_no_assertion(typ: str) -> None:
    with pytest.raises(InvalidClient, match="typ of the assertion"):
        check({"typ": typ})


def test_an_assertion_speaks_of_a_client_only_with_one_voice() -> None:
    assert client_id_in(CLAIMS) == "app"
    others: list[dict[str, Any]] = [{"iss": "b"}, {"sub": "b"}, {"sub": 1}, {"iss": None}]
    for changes in others:
        assert client_id_in({**CLAIMS, **changes}) == ""
    assert client_id_in({}) == client_id_in({"sub": "app"}) == client_id_in({"iss": "app"}) == ""


@pytest.mark.covers("CV-36")
@given(
    st.dictionaries(
        st.sampled_from([*CLAIMS, "nbf"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_any_claims_are_good_or_refused(changes: dict[str, Any]) -> None:
    try:
        good = check(**changes)
    except InvalidClient:
        return
    assert NOW < good.expires_at <= NOW + timedelta(minutes=5)
