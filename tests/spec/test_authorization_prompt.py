"""`prompt`, `max_age` and `id_token_hint`: what a client may ask about the person who signs in."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from idp.keys import base64url
from idp.keys.jwks import new_signing_key
from tests.kit.provider import (
    ISSUER,
    PASSWORD,
    PASSWORD_HASH,
    ProviderUnderTest,
    answer_of,
    base_config,
    provider_under_test,
)
from tests.kit.sessions import ABOUT_OTHER
from tests.kit.storage import Faults, FlakyBackend

BOB = "bob@example.com"


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults()


@pytest.fixture(scope="module")
def provider(faults: Faults) -> Iterator[ProviderUnderTest]:
    config = base_config()
    bob = {"email": BOB, "hash": PASSWORD_HASH, "username": "bob", "userID": "user-2"}
    config["staticPasswords"].append(bob)
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider


@pytest.fixture(scope="module")
def tokens(provider: ProviderUnderTest) -> dict[str, Any]:
    """Return Alice's tokens."""
    return provider.tokens()


def claims(id_token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64url.decode(id_token.split(".")[1]))
    return found


@pytest.mark.covers("R-7", "R-13")
@pytest.mark.spec("OIDC Core", "3.1.2.1")
@pytest.mark.parametrize(
    "more",
    [{}, {"max_age": "0"}, {"max_age": "999999999"}, {"login_hint": "alice@example.com"},
     {"connector_id": "local"}, {"connector_id": "ghost"}, {"approval_prompt": "force"}],
)  # fmt: skip
def test_prompt_none_is_login_required_even_for_who_was_here_before(
    provider: ProviderUnderTest, more: dict[str, str]
) -> None:
    provider.sign_in()
    response = provider.authorize({"prompt": "none", **more})
    answer = answer_of(response)
    assert answer["error"] == "login_required"
    assert (answer["state"], answer["iss"]) == ("the state", ISSUER)
    assert "set-cookie" not in response.headers


@pytest.mark.covers("R-7")
@pytest.mark.spec("OIDC Core", "3.1.2.1")
@pytest.mark.parametrize("prompt", ["none login", "consent none", "none select_account", "none x"])
def test_prompt_none_stands_alone(provider: ProviderUnderTest, prompt: str) -> None:
    assert answer_of(provider.authorize({"prompt": prompt}))["error"] == "invalid_request"


@pytest.mark.covers("R-7")
@pytest.mark.parametrize("prompt", ["login", "", "login login"])
def test_prompt_login_shows_the_form(provider: ProviderUnderTest, prompt: str) -> None:
    assert 'name="password"' in provider.authorize({"prompt": prompt}).text


@pytest.mark.covers("R-7")
def test_select_account_shows_the_chooser_which_leads_to_the_form(
    provider: ProviderUnderTest,
) -> None:
    page = provider.authorize({"prompt": "select_account"})
    assert 'name="password"' not in page.text
    assert 'data-connector="local"' in page.text


@pytest.mark.covers("R-8")
@pytest.mark.spec("OIDC Core", "3.1.2.1")
@pytest.mark.parametrize(
    "max_age", ["-1", "1.5", "1e3", "0x1", "abc", "9999999999", "9" * 4000, "１", "+5", " 5", "5 "]
)
def test_a_max_age_that_is_no_number_of_seconds_is_refused(
    provider: ProviderUnderTest, max_age: str
) -> None:
    assert answer_of(provider.authorize({"max_age": max_age}))["error"] == "invalid_request"


@pytest.mark.covers("R-8")
@pytest.mark.spec("OIDC Core", "2")
@pytest.mark.parametrize("max_age", ["0", "3600", None])
def test_the_id_token_tells_when_the_person_signed_in(
    provider: ProviderUnderTest, max_age: str | None
) -> None:
    provider.clock.turn(60)
    before = int(provider.clock().timestamp())
    code = provider.code({"max_age": max_age})
    provider.clock.turn(30)
    token = provider.redeem(code).json()["id_token"]
    assert claims(token)["auth_time"] == before
    assert claims(token)["iat"] == before + 30


@pytest.mark.covers("R-15")
def test_a_hint_of_the_person_who_signs_in_changes_nothing(
    provider: ProviderUnderTest, tokens: dict[str, Any]
) -> None:
    assert provider.code({"id_token_hint": tokens["id_token"]})


@pytest.mark.covers("R-15")
def test_an_expired_hint_still_says_who_is_meant(provider: ProviderUnderTest) -> None:
    id_token = provider.tokens()["id_token"]
    provider.clock.turn(timedelta(hours=2))
    assert provider.code({"id_token_hint": id_token})
    answer = answer_of(provider.sign_in({"id_token_hint": id_token}, username=BOB))
    assert answer["error"] == "login_required"


@pytest.mark.covers("R-15")
@pytest.mark.spec("OIDC Core", "3.1.2.2")
def test_another_person_than_the_hint_names_gets_no_code(
    provider: ProviderUnderTest, tokens: dict[str, Any], faults: Faults
) -> None:
    writes = faults.writes
    response = provider.sign_in({"id_token_hint": tokens["id_token"]}, username=BOB)
    answer = answer_of(response)
    assert answer["error"] == "login_required"
    assert (answer["state"], answer["iss"]) == ("the state", ISSUER)
    assert "code" not in answer
    assert BOB not in response.headers["location"]
    assert faults.writes == writes


@pytest.mark.covers("R-15")
def test_a_hint_with_prompt_none_is_login_required(
    provider: ProviderUnderTest, tokens: dict[str, Any]
) -> None:
    fields = {"prompt": "none", "id_token_hint": tokens["id_token"]}
    assert answer_of(provider.authorize(fields))["error"] == "login_required"


@pytest.mark.covers("R-15", "R-41", "R-45", "CV-8", "CV-12", "CV-34")
@pytest.mark.spec("OIDC Core", "3.1.2.2")
@pytest.mark.parametrize("prompt", [None, "none"])
def test_what_is_no_id_token_of_ours_is_refused(
    provider: ProviderUnderTest, tokens: dict[str, Any], prompt: str | None
) -> None:
    for name, hint in _forgeries(tokens):
        answer = answer_of(provider.authorize({"id_token_hint": hint, "prompt": prompt}))
        assert answer["error"] == "invalid_request", name


@pytest.mark.covers("R-15", "R-41")
def test_a_hint_of_another_provider_with_our_name_is_refused(provider: ProviderUnderTest) -> None:
    with provider_under_test(new_key=new_signing_key) as foreign:
        hint = foreign.tokens()["id_token"]
        assert foreign.authorize({"id_token_hint": hint}).status_code == 200
    assert answer_of(provider.authorize({"id_token_hint": hint}))["error"] == "invalid_request"


def _forgeries(tokens: dict[str, Any]) -> Iterator[tuple[str, str]]:
    good: str = tokens["id_token"]
    header, payload, signature = good.split(".")
    yield "an access token", tokens["access_token"]
    yield "a refresh token", tokens["refresh_token"]
    for alg in ("none", "None", "HS256", "ES256", "RS384"):
        members = {**json.loads(base64url.decode(header)), "alg": alg}
        yield alg, f"{_part(members)}.{payload}.{signature}"
        yield f"{alg}, unsigned", f"{_part(members)}.{payload}."
    other = {**claims(good), "sub": "somebody else"}
    yield "other claims", f"{header}.{_part(other)}.{signature}"
    for position in range(0, len(good), 41):
        changed = "B" if good[position] == "A" else "A"
        yield f"changed at {position}", good[:position] + changed + good[position + 1 :]
        yield f"without {position}", good[:position] + good[position + 1 :]
    for text in (good[:-1], good + "A", good + "=", good + ".", " " + good, good + "\n", "x", ".."):
        yield "malformed", text
    for text in (f"{header}..{signature}", f"{header}.{payload}", good.replace(".", ""), "é" * 9):
        yield "malformed", text


def _part(members: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


@pytest.mark.covers("R-15")
@pytest.mark.spec("OIDC Core", "3.1.2.1")
@pytest.mark.parametrize("prompt", [None, "none"])
def test_a_hint_that_another_client_got_is_refused(
    provider: ProviderUnderTest, tokens: dict[str, Any], prompt: str | None
) -> None:
    request = {**ABOUT_OTHER, "id_token_hint": tokens["id_token"], "prompt": prompt}
    answer = answer_of(provider.authorize(request))
    assert answer["error"] == "invalid_request"
    assert "not issued to this client" in answer["error_description"]


@pytest.mark.covers("R-15")
def test_a_wrong_password_with_a_hint_is_a_wrong_password(
    provider: ProviderUnderTest, tokens: dict[str, Any]
) -> None:
    hint = {"id_token_hint": tokens["id_token"]}
    assert provider.sign_in(hint, password="wrong").status_code == 401
    assert provider.sign_in(hint, password=PASSWORD).status_code == 303
