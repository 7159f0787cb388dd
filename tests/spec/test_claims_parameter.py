"""Claims asked for by name (OIDC Core section 5.5), and parameters that are taken leniently."""

import json
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest

from tests.kit.provider import (
    ALICE,
    CALLBACK,
    PASSWORD,
    ProviderUnderTest,
    answer_of,
    base_config,
    claims_of,
    login_page,
    provider_under_test,
)

pytestmark = pytest.mark.spec("OIDC Core", "5.5")
SUBJECT = "CgZ1c2VyLTESBWxvY2Fs"
PROTOCOL = {"iss", "sub", "aud", "exp", "iat", "jti", "auth_time", "nonce", "at_hash", "acr", "amr"}
PHONE = {"phone_number": "+49 221 1234"}


def config() -> dict[str, Any]:
    quick = base_config()
    quick["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    quick["staticPasswords"][0]["claims"] = {**PHONE, "department": ["r", "d"], "gender": "f"}
    return quick


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    with provider_under_test(config()) as provider:
        yield provider


@pytest.fixture(scope="module")
def asking() -> Iterator[ProviderUnderTest]:
    """A provider that asks people to approve."""
    strict = config()
    strict["oauth2"]["skipApprovalScreen"] = False
    with provider_under_test(strict) as provider:
        yield provider


def request(claims: Any, scope: str = "openid offline_access") -> dict[str, str | None]:
    text = claims if isinstance(claims, str) else json.dumps(claims)
    return {"claims": text, "scope": scope}


def told(idp: ProviderUnderTest, tokens: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the ID token and userinfo say of the person."""
    identity = claims_of(tokens["id_token"])
    userinfo = idp.userinfo(tokens["access_token"]).json()
    return (
        {name: value for name, value in identity.items() if name not in PROTOCOL},
        {name: value for name, value in userinfo.items() if name != "sub"},
    )


def test_claims_go_where_they_were_asked_for_at_login_and_at_refresh(
    idp: ProviderUnderTest,
) -> None:
    claims = {
        "id_token": {"email": None, "groups": {"essential": True}, "department": None},
        "userinfo": {"phone_number": {"essential": True}, "name": {"value": "x"}, "nickname": None},
    }
    tokens = idp.redeem(idp.code(request(claims))).json()
    for answer in (tokens, idp.refresh(tokens["refresh_token"]).json()):
        assert told(idp, answer) == (
            {
                "email": "alice@example.com",
                "groups": ["developers", "admins"],
                "department": ["r", "d"],
            },
            {**PHONE, "name": "Alice Liddell"},
        )


def test_claims_are_added_to_those_of_the_scopes(idp: ProviderUnderTest) -> None:
    claims = {"userinfo": {"phone_number": None}}
    identity, userinfo = told(idp, idp.redeem(idp.code(request(claims, "openid email"))).json())
    assert set(identity) == {"email", "email_verified"}
    assert set(userinfo) == {"email", "email_verified", "phone_number"}


@pytest.mark.spec("OIDC Core", "5.5.1")
def test_what_is_not_known_is_left_out_without_an_error(idp: ProviderUnderTest) -> None:
    unknown = {"birthdate": {"essential": True}, "address": None, "urn:x": None, "iss": None}
    claims = {"id_token": unknown, "userinfo": unknown, "something": 7}
    tokens = idp.redeem(idp.code(request(claims))).json()
    assert told(idp, tokens) == ({}, {})


@pytest.mark.spec("OIDC Core", "5.5.1")
def test_auth_time_is_told_to_who_asks_and_to_everybody_else(idp: ProviderUnderTest) -> None:
    claims = {"id_token": {"auth_time": {"essential": True}}}
    tokens = idp.redeem(idp.code(request(claims))).json()
    assert claims_of(tokens["id_token"])["auth_time"] == int(idp.clock().timestamp())


def test_without_openid_nothing_may_be_asked_by_name(idp: ProviderUnderTest) -> None:
    claims = {"userinfo": {"phone_number": None}, "id_token": {"email": None}}
    refused = idp.authorize({**request(claims, "profile"), "nonce": None})
    assert answer_of(refused)["error"] == "invalid_request"


@pytest.mark.covers("R-82", "R-13")
@pytest.mark.parametrize(
    "claims",
    ["x", "[]", "{}", '{"id_token": null}', '{"id_token": {"email": true}}', "[" * 1500,
     '{"userinfo": {"a": {"essential": 1}}}', '{"id_token": {}, "id_token": {}}',
     '{"id_token": {"sub": {"value": 7}}}', '{"id_token": {}}' + " " * 5000],
)  # fmt: skip
def test_what_cannot_be_read_is_told_to_the_client(idp: ProviderUnderTest, claims: str) -> None:
    answer = answer_of(idp.authorize(request(claims)))
    assert answer["error"] == "invalid_request"
    assert "claims" in answer["error_description"]
    assert answer["state"] == "the state"


@pytest.mark.covers("R-5")
def test_sent_twice_is_an_error(idp: ProviderUnderTest) -> None:
    one = '{"id_token":{}}'
    query = httpx.QueryParams(
        [("client_id", "app"), ("redirect_uri", CALLBACK), ("response_type", "code"),
         ("claims", one), ("claims", one)]
    )  # fmt: skip
    assert answer_of(idp.browser.get(f"/auth?{query}"))["error"] == "invalid_request"


@pytest.mark.covers("R-15")
@pytest.mark.spec("OIDC Core", "5.5.1")
@pytest.mark.parametrize("place", ["id_token", "userinfo"])
def test_a_login_must_be_that_of_the_subject_that_is_demanded(
    idp: ProviderUnderTest, place: str
) -> None:
    for right in ({"value": SUBJECT}, {"values": ["x", SUBJECT]}, {"essential": True}, None):
        tokens = idp.redeem(idp.code(request({place: {"sub": right}}))).json()
        assert claims_of(tokens["id_token"])["sub"] == SUBJECT
    for wrong in ({"value": "somebody-else"}, {"values": ["x", "y"]}, {"value": "user-1"}):
        answer = answer_of(idp.sign_in(request({place: {"sub": wrong}})))
        assert answer["error"] == "login_required"
        assert "code" not in answer


@pytest.mark.covers("R-7", "R-15")
@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_a_demanded_subject_is_not_signed_in_for_prompt_none(idp: ProviderUnderTest) -> None:
    silent = {**request({"id_token": {"sub": {"value": "x"}}}), "prompt": "none"}
    assert answer_of(idp.authorize(silent))["error"] == "login_required"


@pytest.mark.spec("OIDC Core", "5.5.1.1")
def test_an_essential_acr_that_nobody_can_have_fails(idp: ProviderUnderTest) -> None:
    gold = {"essential": True, "values": ["urn:nobody-has-this"]}
    answer = answer_of(idp.authorize(request({"id_token": {"acr": gold}})))
    assert answer["error"] == "unmet_authentication_requirements"
    for wish in ({"values": ["urn:nobody-has-this"]}, {"essential": True}, None):
        assert idp.authorize(request({"id_token": {"acr": wish}})).status_code == 200


@pytest.mark.covers("R-60")
def test_the_person_approves_each_claim_in_words(asking: ProviderUnderTest) -> None:
    claims = {
        "id_token": {"groups": None, "department": None, "email": None},
        "userinfo": {"phone_number": None, "<b>Type your password</b>": None, "x-secret": None},
    }
    page = asking.sign_in(request(claims, "openid email"))
    text = unescape(page.text)
    for sentence in ("See the groups", "\u2068department\u2069", "See your phone number"):
        assert sentence in text
    assert text.count("See your email address") == 1
    assert "password" not in text
    assert "x-secret" not in text
    form = login_page(page)
    approved = asking.browser.post(form.action, data={"state": form.state, "approval": "approve"})
    tokens = asking.redeem(answer_of(approved)["code"]).json()
    identity, userinfo = told(asking, tokens)
    assert {"groups", "department", "email"} <= set(identity)
    assert userinfo == {"email": ALICE, "email_verified": True, **PHONE}


def test_discovery_says_that_the_parameter_is_served(idp: ProviderUnderTest) -> None:
    found = idp.browser.get("/.well-known/openid-configuration").json()
    assert found["claims_parameter_supported"] is True
    assert found["display_values_supported"] == ["page"]


@pytest.mark.spec("OIDC Core", "3.1.2.1")
@pytest.mark.parametrize(
    "changes",
    [
        {"display": "page"}, {"display": "popup"}, {"display": "touch"}, {"display": "wap"},
        {"display": "hologram"}, {"display": "<script>"}, {"ui_locales": "de fr-CA en"},
        {"ui_locales": "x" * 500}, {"ui_locales": "'; --"}, {"claims_locales": "de ja-Hani"},
        {"claims_locales": "\u202e"}, {"login_hint": ""}, {"acr_values": "x y"},
    ],
)  # fmt: skip
def test_wishes_that_cannot_be_met_are_no_error(
    idp: ProviderUnderTest, changes: dict[str, str | None]
) -> None:
    page = idp.authorize(changes)
    assert page.status_code == 200
    assert "<script>" not in page.text
    form = login_page(page)
    answer = idp.browser.post(
        form.action, data={"login": ALICE, "password": PASSWORD, "state": form.state}
    )
    assert "code" in answer_of(answer)


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_a_login_hint_is_in_the_form(idp: ProviderUnderTest) -> None:
    page = idp.authorize({"login_hint": "bob@example.com"})
    assert 'value="bob@example.com"' in page.text
