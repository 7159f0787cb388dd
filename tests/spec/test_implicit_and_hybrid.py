"""Tokens from the authorization endpoint: off by default, complete when switched on.

OIDC Core sections 3.2 (implicit) and 3.3 (hybrid), RFC 6749 section 4.2.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from idp.tokens.issue import left_half_hash
from tests.kit.client_answers import ClientAnswer, read_answer
from tests.kit.provider import (
    CALLBACK,
    CONFIDENTIAL,
    ISSUER,
    PUBLIC,
    Pkce,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend
from tests.kit.waiting import eventually

CORE = "OIDC Core"
ALL = ("code id_token", "code id_token token", "code token", "id_token", "id_token token")
WITH_ID_TOKEN = tuple(each for each in ALL if "id_token" in each.split())
WITH_CODE = tuple(each for each in ALL if "code" in each.split())
WITHOUT_CODE = ("id_token", "id_token token")
SCOPE = "openid email profile groups offline_access"

every_type = pytest.mark.parametrize("response_type", ALL)


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults()


@pytest.fixture(scope="module")
def provider(faults: Faults) -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["oauth2"]["responseTypes"] = ["code", "id_token", "token"]
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider


def front(provider: ProviderUnderTest, response_type: str, **more: str | None) -> ClientAnswer:
    """Return the answer to a whole login."""
    return read_answer(provider.sign_in({"response_type": response_type, "scope": SCOPE, **more}))


def claims_of(provider: ProviderUnderTest, token: str) -> dict[str, Any]:
    """Return the claims of a token whose signature the published keys verify."""
    keys = provider.browser.get("/keys").json()
    return dict(jwt.decode(token, KeySet.import_key_set(keys), ["RS256", "ES256"]).claims)


@every_type
@pytest.mark.covers("R-13")
@pytest.mark.spec("OAuth 2.0 Multiple Response Types", "3")
@pytest.mark.spec("RFC 6749", "4.2.2")
@pytest.mark.spec("RFC 9207", "2")
@pytest.mark.spec(CORE, "3.3.2.5")
def test_an_answer_holds_what_its_type_says_and_nothing_else(
    provider: ProviderUnderTest, response_type: str
) -> None:
    answer = front(provider, response_type)
    expected = {"state", "iss"}
    for word in response_type.split():
        expected |= {
            "code": {"code"},
            "id_token": {"id_token"},
            "token": {"access_token", "token_type", "expires_in", "scope"},
        }[word]
    assert answer.mode == "fragment"
    assert answer.address == CALLBACK
    assert answer.members.keys() == expected
    assert (answer.members["state"], answer.members["iss"]) == ("the state", ISSUER)


@every_type
@pytest.mark.spec(CORE, "3")
@pytest.mark.spec("RFC 6749", "3.1.1")
def test_the_order_of_the_words_means_nothing(
    provider: ProviderUnderTest, response_type: str
) -> None:
    turned = " ".join(reversed(response_type.split()))
    assert front(provider, turned).members.keys() == front(provider, response_type).members.keys()


@pytest.mark.parametrize("response_type", WITH_ID_TOKEN)
@pytest.mark.spec(CORE, "3.3.2.11")
@pytest.mark.spec(CORE, "3.2.2.10")
def test_an_id_token_is_bound_to_nonce_code_and_access_token(
    provider: ProviderUnderTest, response_type: str
) -> None:
    members = front(provider, response_type).members
    claims = claims_of(provider, members["id_token"])
    assert claims["iss"] == ISSUER
    assert claims["aud"] == CONFIDENTIAL[0]
    assert claims["nonce"] == "the nonce"
    assert claims["auth_time"] <= claims["iat"] < claims["exp"]
    hashes = {"at_hash": "access_token", "c_hash": "code"}
    for claim, member in hashes.items():
        assert claims.get(claim) == (left_half_hash(members[member]) if member in members else None)


@pytest.mark.parametrize("response_type", ["id_token token", "code token", "code id_token token"])
@pytest.mark.spec(CORE, "3.2.2.5")
@pytest.mark.spec("OIDC Core", "11")
@pytest.mark.spec("RFC 6749", "4.2.2")
def test_an_access_token_comes_with_type_life_and_scope_and_works(
    provider: ProviderUnderTest, response_type: str
) -> None:
    members = front(provider, response_type).members
    assert members["token_type"].lower() == "bearer"
    assert members["expires_in"] == "3600"
    # Not what was asked for: a refresh token comes only with a code.
    scopes = set(members["scope"].split())
    assert ("offline_access" in scopes) == ("code" in response_type.split())
    claims = provider.userinfo(members["access_token"]).json()
    assert claims["email"] == "alice@example.com"
    assert claims["groups"] == ["developers", "admins"]


@pytest.mark.parametrize("response_type", WITH_CODE)
@pytest.mark.spec(CORE, "3.3.3.6")
def test_both_id_tokens_of_a_login_are_about_the_same_person(
    provider: ProviderUnderTest, response_type: str
) -> None:
    members = front(provider, response_type).members
    tokens = provider.redeem(members["code"]).raise_for_status().json()
    second = claims_of(provider, tokens["id_token"])
    assert tokens["refresh_token"]
    if "id_token" in members:
        first = claims_of(provider, members["id_token"])
        moving = {"iat", "exp", "jti", "at_hash", "c_hash"}
        assert {name: first[name] for name in first.keys() - moving} == {
            name: second[name] for name in second.keys() - moving
        }
    if "access_token" in members:
        assert tokens["access_token"] != members["access_token"]


@pytest.mark.parametrize("response_type", WITH_ID_TOKEN)
@pytest.mark.spec(CORE, "3.2.2.1")
@pytest.mark.spec(CORE, "3.3.2.11")
def test_an_id_token_needs_a_nonce_and_openid(
    provider: ProviderUnderTest, response_type: str
) -> None:
    for change in ({"nonce": None}, {"nonce": ""}, {"scope": "email"}, {"scope": None}):
        asked = {"response_type": response_type, **change}
        answer = read_answer(provider.authorize(asked))
        assert (answer.mode, answer.members["error"]) == ("fragment", "invalid_request")


def test_a_code_with_an_access_token_needs_neither(provider: ProviderUnderTest) -> None:
    members = front(provider, "code token", nonce=None, scope="email").members
    assert members["scope"] == "email"
    tokens = provider.redeem(members["code"]).json()
    assert "id_token" not in tokens


@every_type
@pytest.mark.spec(CORE, "3.2.2.6")
@pytest.mark.spec("RFC 6749", "4.2.2.1")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"scope": '"'}, "invalid_scope"),
        ({"max_age": "x"}, "invalid_request"),
        ({"registration": "{}"}, "registration_not_supported"),
    ],
)
def test_errors_come_in_the_fragment(
    provider: ProviderUnderTest, response_type: str, changes: dict[str, str], error: str
) -> None:
    answer = read_answer(provider.authorize({"response_type": response_type, **changes}))
    assert (answer.mode, answer.members["error"]) == ("fragment", error)
    assert answer.members.keys() == {"error", "error_description", "state", "iss"}


@every_type
@pytest.mark.covers("R-14")
def test_a_form_brings_tokens_too(provider: ProviderUnderTest, response_type: str) -> None:
    by_form = front(provider, response_type, response_mode="form_post")
    assert by_form.mode == "form_post"
    assert by_form.members.keys() == front(provider, response_type).members.keys()


@every_type
@pytest.mark.covers("R-64")
def test_one_login_writes_one_record(
    provider: ProviderUnderTest, faults: Faults, response_type: str
) -> None:
    page = login_page(provider.authorize({"response_type": response_type}))
    before = faults.writes
    form = {"login": "alice@example.com", "password": "correct horse battery staple"}
    first = provider.browser.post(page.action, data={**form, "state": page.state})
    assert faults.writes == before + 1
    second = provider.browser.post(page.action, data={**form, "state": page.state})
    one, two = read_answer(first).members, read_answer(second).members
    assert one.keys() == two.keys()
    assert one.get("code") == two.get("code")


@pytest.mark.covers("R-20", "CV-33")
def test_replaying_the_code_ends_the_access_token_that_came_beside_it(
    provider: ProviderUnderTest,
) -> None:
    members = front(provider, "code token").members
    assert provider.userinfo(members["access_token"]).status_code == 200
    assert provider.redeem(members["code"]).status_code == 200
    assert provider.redeem(members["code"]).status_code == 400
    eventually(lambda: provider.userinfo(members["access_token"]).status_code == 401, within=10)


@pytest.mark.parametrize("response_type", WITHOUT_CODE)
@pytest.mark.covers("CV-8")
def test_without_a_code_there_is_none_to_redeem(
    provider: ProviderUnderTest, response_type: str
) -> None:
    members = front(provider, response_type).members
    assert "code" not in members
    claims = claims_of(provider, members["id_token"])
    for guess in (claims["jti"], members["id_token"]):
        assert provider.redeem(guess).json()["error"] == "invalid_grant"


@pytest.mark.covers("R-10", "CV-31")
def test_pkce_is_demanded_wherever_a_code_is_given(provider: ProviderUnderTest) -> None:
    asked: dict[str, str | None] = {"client_id": PUBLIC, "redirect_uri": "http://localhost:8000"}
    for response_type in ("code", *WITH_CODE):
        answer = read_answer(provider.authorize({**asked, "response_type": response_type}))
        assert answer.members["error"] == "invalid_request"
    members = read_answer(provider.sign_in({**asked, "response_type": "id_token"})).members
    assert claims_of(provider, members["id_token"])["aud"] == PUBLIC
    pkce = Pkce()
    challenge = {"code_challenge": pkce.challenge, "code_challenge_method": "S256"}
    asked |= {**challenge, "response_type": "code id_token"}
    code = read_answer(provider.sign_in(asked)).members["code"]
    form = {"grant_type": "authorization_code", "client_id": PUBLIC, "code": code,
            "redirect_uri": "http://localhost:8000"}  # fmt: skip
    assert provider.token(form, auth=None).json()["error"] == "invalid_grant"


@pytest.mark.covers("R-4")
def test_a_token_alone_is_never_served(provider: ProviderUnderTest) -> None:
    answer = read_answer(provider.authorize({"response_type": "token"}))
    assert (answer.mode, answer.members["error"]) == ("fragment", "unsupported_response_type")


@pytest.mark.covers("R-4", "CV-9")
@pytest.mark.parametrize(
    "response_type",
    ["token token", "id_token id_token", "code  id_token", " id_token", "ID_TOKEN", "code none",
     "code id_token token x", "id_token,token"],
)  # fmt: skip
def test_other_combinations_are_not_served(provider: ProviderUnderTest, response_type: str) -> None:
    answer = read_answer(provider.authorize({"response_type": response_type}))
    assert answer.members["error"] == "unsupported_response_type"


@every_type
@pytest.mark.covers("CV-3", "CV-33")
@pytest.mark.parametrize("grant_type", ["authorization_code", "implicit"])
def test_a_client_gets_only_what_its_grant_types_allow(response_type: str, grant_type: str) -> None:
    config = base_config()
    config["oauth2"]["responseTypes"] = ["code", "id_token", "token"]
    config["staticClients"][0]["grantTypes"] = [grant_type]
    with provider_under_test(config) as other:
        response = other.authorize({"response_type": response_type})
        if grant_type == "implicit" and "code" not in response_type.split():
            assert response.status_code == 200
        else:
            answer = read_answer(response)
            assert (answer.mode, answer.members["error"]) == ("fragment", "unauthorized_client")


@pytest.mark.covers("R-14")
def test_out_of_band_nothing_but_a_code_is_shown(provider: ProviderUnderTest) -> None:
    config = base_config()
    config["oauth2"]["responseTypes"] = ["code", "id_token"]
    config["staticClients"].append({"id": "copy", "name": "Copy", "public": True})
    with provider_under_test(config) as other:
        asked = {"client_id": "copy", "redirect_uri": "urn:ietf:wg:oauth:2.0:oob"}
        response = other.authorize({**asked, "response_type": "id_token"})
        assert response.status_code == 400
        assert "nothing but a code" in response.text


@pytest.mark.covers("R-4", "R-106")
@pytest.mark.parametrize(
    ("listed", "served"),
    [
        (["code"], ["code"]),
        (["code", "id_token"], ["code", "code id_token", "id_token"]),
        (["code", "token"], ["code", "code token"]),
        (["id_token"], ["id_token"]),
        (["code", "token id_token"], ["code", "id_token token"]),
        (["token", "id_token", "code"], ["code", *ALL]),
    ],
)
def test_discovery_and_endpoint_agree_on_what_is_served(
    listed: list[str], served: list[str]
) -> None:
    config = base_config()
    config["oauth2"]["responseTypes"] = listed
    with provider_under_test(config) as other:
        document = json.loads(_discovery(other).text)
        assert sorted(document["response_types_supported"]) == sorted(served)
        assert ("implicit" in document["grant_types_supported"]) == (served != ["code"])
        for response_type in ("code", "token", *ALL):
            response = other.authorize({"response_type": response_type})
            assert (response.status_code == 200) == (response_type in served)


def _discovery(provider: ProviderUnderTest) -> httpx.Response:
    return provider.browser.get("/.well-known/openid-configuration")
