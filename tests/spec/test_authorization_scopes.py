"""Scopes from the request to the token: refused, left out, or granted; never more than asked."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from idp.keys import base64url
from tests.kit.provider import (
    CALLBACK,
    CONFIDENTIAL,
    OTHER,
    ProviderUnderTest,
    answer_of,
    provider_under_test,
)

AUDIENCE = "audience:server:client_id:"


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    with provider_under_test() as provider:
        yield provider


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64url.decode(token.split(".")[1]))
    return found


@pytest.mark.covers("R-6", "CV-27")
@pytest.mark.spec("RFC 6749", "3.3")
@pytest.mark.parametrize(
    "scope",
    ['openid "', "openid\\", "openid\temail", "openid\nemail", "openid\r\n", "öpenid", "openid\0",
     "openid\x7f", "openid\u00a0email", "日本", "openid " + "a" * 1024, "a " * 600, "<script>\n",
     " ", "openid ", " openid", "openid  email"],
)  # fmt: skip
def test_a_scope_that_breaks_the_syntax_is_invalid_scope(
    provider: ProviderUnderTest, scope: str
) -> None:
    assert answer_of(provider.authorize({"scope": scope}))["error"] == "invalid_scope"


@pytest.mark.covers("R-6", "R-82", "CV-27")
@pytest.mark.parametrize(
    "scope", ["a" * 50_000, "openid " * 2000, "a " * 5000, "openid " * 7000], ids=len
)
def test_a_scope_of_any_size_is_refused_in_no_time(provider: ProviderUnderTest, scope: str) -> None:
    started = time.process_time()
    response = provider.authorize({"scope": scope})
    assert time.process_time() - started < 0.25
    assert response.status_code in (303, 400)
    if response.status_code == 303:
        assert answer_of(response)["error"] in ("invalid_scope", "invalid_request")


@pytest.mark.covers("R-6", "R-23")
@pytest.mark.spec("RFC 6749", "3.3")
@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("openid", "openid"),
        ("openid email", "openid email"),
        ("email openid", "email openid"),
        ("openid openid email openid", "openid email"),
        ("openid address phone kubernetes:admin <script>", "openid address phone"),
        ("openid OpenID EMAIL Groups", "openid"),
        ("openid offline_access", "openid offline_access"),
    ],
)
def test_unknown_scopes_are_left_out_and_the_answer_says_so(
    provider: ProviderUnderTest, asked: str, granted: str
) -> None:
    tokens = provider.redeem(provider.code({"scope": asked})).json()
    assert tokens["scope"] == granted
    assert ("refresh_token" in tokens) == ("offline_access" in granted)


@pytest.mark.covers("R-23")
@pytest.mark.parametrize("scope", [None, "", "email", "unknown"])
def test_without_openid_there_is_no_id_token(
    provider: ProviderUnderTest, scope: str | None
) -> None:
    request = {"scope": scope, "nonce": None}
    assert "id_token" not in provider.redeem(provider.code(request)).json()


@pytest.mark.covers("R-6")
@pytest.mark.spec("OIDC Core", "3.1.2.1")
@pytest.mark.parametrize("scope", [None, "", "email", "offline_access", "unknown", "OPENID"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("nonce", "n"), ("max_age", "5"), ("claims", "{}"), ("id_token_hint", "x"),
     ("acr_values", "x"), ("claims_locales", "de")],
)  # fmt: skip
def test_what_only_an_id_token_could_answer_needs_openid(
    provider: ProviderUnderTest, scope: str | None, name: str, value: str
) -> None:
    response = provider.authorize({"nonce": None, "scope": scope, name: value})
    assert answer_of(response)["error"] == "invalid_request"
    assert name in answer_of(response)["error_description"]


def test_claims_are_those_of_the_scopes(provider: ProviderUnderTest) -> None:
    few = claims(provider.tokens("openid")["id_token"])
    assert not {"email", "email_verified", "name", "preferred_username", "groups"} & set(few)
    many = claims(provider.tokens("openid email profile groups")["id_token"])
    assert many["email_verified"] is True
    assert many["groups"] == ["developers", "admins"]


@pytest.mark.covers("CV-3")
def test_an_audience_that_trusts_the_client_is_in_the_token(provider: ProviderUnderTest) -> None:
    tokens = provider.tokens(f"openid {AUDIENCE}{OTHER[0]}")
    found = claims(tokens["id_token"])
    assert set(found["aud"]) == {CONFIDENTIAL[0], OTHER[0]}
    assert found["azp"] == CONFIDENTIAL[0]


@pytest.mark.covers("CV-3", "R-6", "R-65")
def test_no_trust_and_no_such_client_get_one_answer(provider: ProviderUnderTest) -> None:
    answers = []
    for peer in ("cli", "xyz"):
        answer = answer_of(provider.authorize({"scope": f"openid {AUDIENCE}{peer}"}))
        assert answer["error"] == "invalid_scope"
        answers.append(answer["error_description"].replace(f"client {peer} ", "client PEER "))
    assert answers[0] == answers[1]


@pytest.mark.covers("CV-3", "CV-7")
@pytest.mark.parametrize("peer", ["", "OTHER", "other/", "*", "other,cli", "%6fther", "othe"])
def test_an_audience_is_compared_exactly(provider: ProviderUnderTest, peer: str) -> None:
    answer = answer_of(provider.authorize({"scope": f"openid {AUDIENCE}{peer}"}))
    assert answer["error"] == "invalid_scope"


@pytest.mark.covers("CV-3")
def test_trust_goes_one_way(provider: ProviderUnderTest) -> None:
    fields = {
        "client_id": OTHER[0],
        "redirect_uri": "https://other.example.com/callback",
        "scope": f"openid {AUDIENCE}{CONFIDENTIAL[0]}",
    }
    assert answer_of(provider.authorize(fields))["error"] == "invalid_scope"


@pytest.mark.covers("CV-3")
def test_a_client_is_its_own_audience(provider: ProviderUnderTest) -> None:
    found = claims(provider.tokens(f"openid {AUDIENCE}{CONFIDENTIAL[0]}")["id_token"])
    assert found["aud"] == CONFIDENTIAL[0]
    assert CALLBACK not in json.dumps(found)
