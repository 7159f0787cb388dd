"""What tokens and userinfo say of a person (OIDC Core sections 5.1, 5.3 and 5.4)."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.provider import (
    ProviderUnderTest,
    answer_of,
    base_config,
    claims_of,
    provider_under_test,
)
from tests.kit.sessions import config_with_sessions

PROFILE = {
    "name": "Alice Liddell",
    "preferred_username": "alice",
    "family_name": "Liddell",
    "given_name": "Alice",
    "middle_name": "Pleasance",
    "nickname": "Al",
    "profile": "https://example.com/alice",
    "picture": "https://example.com/alice.png",
    "website": "https://alice.example",
    "gender": "female",
    "birthdate": "1852-05-04",
    "zoneinfo": "Europe/London",
    "locale": "en-GB",
    "updated_at": 1700000000,
    "department": ["mathematics", "logic"],
    "badge": "7",
}
ADDRESS = {
    "formatted": "Christ Church\nOxford OX1 1DP",
    "street_address": "Christ Church",
    "locality": "Oxford",
    "region": "Oxfordshire",
    "postal_code": "OX1 1DP",
    "country": "GB",
}
PHONE = {"phone_number": "+44 1865 276150", "phone_number_verified": False}
EMAIL = {"email": "alice@example.com", "email_verified": True}
BY_SCOPE: dict[str, dict[str, Any]] = {
    "profile": PROFILE,
    "email": EMAIL,
    "address": {"address": ADDRESS},
    "phone": PHONE,
    "groups": {"groups": ["developers", "admins"]},
}
PROTOCOL = {"iss", "sub", "aud", "exp", "iat", "jti", "auth_time", "nonce", "at_hash", "acr", "amr"}


def full_config() -> dict[str, Any]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    own = ("name", "preferred_username")
    config["staticPasswords"][0]["claims"] = {
        **{name: value for name, value in PROFILE.items() if name not in own},
        **{f"address.{member}": value for member, value in ADDRESS.items()},
        **PHONE,
    }
    return config


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    with provider_under_test(full_config()) as provider:
        yield provider


@pytest.mark.spec("OIDC Core", "5.4")
@pytest.mark.parametrize(
    "scopes",
    [(), *((scope,) for scope in BY_SCOPE), ("phone", "address"), tuple(BY_SCOPE)],
    ids=" ".join,
)
def test_each_scope_releases_its_claims_and_no_others(
    idp: ProviderUnderTest, scopes: tuple[str, ...]
) -> None:
    """The golden sets, in the types of section 5.1: numbers, booleans, and an object."""
    expected = {name: value for scope in scopes for name, value in BY_SCOPE[scope].items()}
    tokens = idp.tokens(" ".join(("openid", "offline_access", *scopes)))
    for answer in (tokens, idp.refresh(tokens["refresh_token"]).json()):
        identity = claims_of(answer["id_token"])
        assert {name: identity[name] for name in set(identity) - PROTOCOL} == expected
        assert idp.userinfo(answer["access_token"]).json() == {"sub": identity["sub"], **expected}
    types = {name: type(value) for name, value in expected.items()}
    assert types.get("updated_at", int) is int
    assert types.get("phone_number_verified", bool) is bool


def test_a_session_tells_more_than_its_first_application_asked_for() -> None:
    """What was not asked for was not stored; the source of users is asked anew."""
    config = full_config() | {"sessions": config_with_sessions()["sessions"]}
    with provider_under_test(config) as idp:
        first = idp.redeem(idp.code({"scope": "openid"})).json()
        assert set(idp.userinfo(first["access_token"]).json()) == {"sub"}
        claims = '{"userinfo": {"address": null, "groups": null}}'
        again = idp.authorize({"scope": "openid phone", "prompt": "none", "claims": claims})
        second = idp.redeem(answer_of(again)["code"]).json()
        expected = {"address": ADDRESS, **PHONE, "groups": ["developers", "admins"]}
        sub = claims_of(second["id_token"])["sub"]
        assert idp.userinfo(second["access_token"]).json() == {"sub": sub, **expected}


@pytest.mark.spec("OIDC Core", "5.3.1")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo_answers_by_get_and_by_post(idp: ProviderUnderTest, method: str) -> None:
    token = idp.tokens("openid address")["access_token"]
    answer = idp.browser.request(
        method, "/userinfo", headers={"authorization": f"Bearer {token}"}
    ).json()
    assert set(answer) == {"sub", "address"}
    posted = idp.browser.post("/userinfo", data={"access_token": token}).json()
    assert posted == answer


@pytest.mark.covers("R-34")
def test_userinfo_follows_the_scope_of_the_token_and_not_of_the_login(
    idp: ProviderUnderTest,
) -> None:
    tokens = idp.tokens("openid profile phone offline_access")
    narrow = idp.refresh(tokens["refresh_token"], scope="openid phone").json()
    assert set(idp.userinfo(narrow["access_token"]).json()) == {"sub", *PHONE}


@pytest.mark.covers("R-106")
@pytest.mark.spec("OIDC Discovery", "3")
def test_discovery_promises_what_somebody_has(idp: ProviderUnderTest) -> None:
    found = idp.browser.get("/.well-known/openid-configuration").json()
    assert {"address", "phone"} <= set(found["scopes_supported"])
    assert {*PROFILE, *PHONE, *EMAIL, "address"} <= set(found["claims_supported"])
    assert not [name for name in found["claims_supported"] if name.startswith("address.")]


@pytest.mark.covers("R-106")
def test_discovery_promises_nothing_that_nobody_has() -> None:
    with provider_under_test(base_config()) as idp:
        found = idp.browser.get("/.well-known/openid-configuration").json()
        assert not {"address", "phone"} & set(found["scopes_supported"])
        assert not {"address", "phone_number", "birthdate"} & set(found["claims_supported"])
        tokens = idp.tokens("openid address phone")
        assert set(idp.userinfo(tokens["access_token"]).json()) == {"sub"}


@pytest.mark.covers("K-17")
def test_claims_that_no_header_would_hold_are_refused_before_anything_is_written() -> None:
    config = base_config()
    config["staticPasswords"][0]["claims"] = {"motto": "x" * 9000}
    with provider_under_test(config) as idp:
        refused = idp.sign_in({"scope": "openid profile"})
        assert refused.status_code == 403
        assert "too many details" in refused.text
        assert idp.sign_in({"scope": "openid"}).status_code == 303
