"""Userinfo as a signed JWT, for clients that asked for it (OIDC Core section 5.3.2)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from tests.kit.clock import HandClock
from tests.kit.provider import (
    CONFIDENTIAL,
    ISSUER,
    OTHER,
    ProviderUnderTest,
    base_config,
    claims_of,
    provider_under_test,
)
from tests.kit.registration import register, registration_section, try_to_register

CORE = "OIDC Core"
ABOUT_OTHER = {"client_id": OTHER[0], "redirect_uri": "https://other.example.com/callback"}


def config() -> dict[str, Any]:
    found = base_config()
    found["signer"] = {
        "type": "local",
        "config": {"algorithm": "ES256", "additionalAlgorithms": ["RS256"]},
    }
    found["sessions"] = {"enabled": True}
    found["registration"] = registration_section()
    found["staticClients"][0]["userinfoSignedResponseAlg"] = "RS256"
    return found


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    with provider_under_test(config()) as provider:
        yield provider


@pytest.fixture(scope="module")
def tokens(idp: ProviderUnderTest) -> dict[str, Any]:
    return idp.tokens("openid email")


@pytest.fixture
def answer(idp: ProviderUnderTest, tokens: dict[str, Any]) -> httpx.Response:
    return idp.userinfo(tokens["access_token"])


def opened(
    idp: ProviderUnderTest, response: httpx.Response
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of an answer, verified with the published keys by a library."""
    keys = KeySet.import_key_set(idp.browser.get("/keys").json())
    token = jws.deserialize_compact(response.text, keys, algorithms=["RS256", "ES256"])
    return token.headers(), json.loads(token.payload)


@pytest.mark.spec(CORE, "5.3.2")
@pytest.mark.spec("OIDC Dynamic Client Registration", "2")
def test_the_answer_is_a_jwt_signed_as_the_client_asked(
    idp: ProviderUnderTest, tokens: dict[str, Any], answer: httpx.Response
) -> None:
    header, claims = opened(idp, answer)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jwt"
    assert answer.headers["cache-control"] == "no-store"
    assert header["alg"] == "RS256"
    assert claims == {
        "sub": claims_of(tokens["id_token"])["sub"],
        "email": "alice@example.com",
        "email_verified": True,
        "iss": ISSUER,
        "aud": CONFIDENTIAL[0],
    }


@pytest.mark.spec(CORE, "5.3.2")
def test_others_are_answered_plain_json(idp: ProviderUnderTest) -> None:
    form = {
        "grant_type": "authorization_code",
        "code": idp.code(ABOUT_OTHER, browser=idp.new_browser()),
        "redirect_uri": ABOUT_OTHER["redirect_uri"],
    }
    response = idp.userinfo(idp.token(form, auth=OTHER).json()["access_token"])
    assert response.headers["content-type"] == "application/json"
    assert "aud" not in response.json()


@pytest.mark.spec(CORE, "5.3.2")
@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_a_client_may_register_for_each_algorithm_that_signs(
    idp: ProviderUnderTest, alg: str
) -> None:
    client = register(idp, userinfo_signed_response_alg=alg)
    assert client.answer["userinfo_signed_response_alg"] == alg
    assert alg in _discovery(idp)["userinfo_signing_alg_values_supported"]


@pytest.mark.parametrize("alg", ["HS256", "PS256", "RS512", "", 1])
def test_a_client_may_register_for_no_other(idp: ProviderUnderTest, alg: object) -> None:
    response = try_to_register(
        idp,
        {"redirect_uris": ["https://a.example.com/cb"], "userinfo_signed_response_alg": alg},
    )
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_client_metadata"
    assert "userinfo_signed_response_alg" in response.json()["error_description"]


def test_the_answer_passes_for_no_id_token(idp: ProviderUnderTest, answer: httpx.Response) -> None:
    """An ID token has an end (OIDC Core section 2); kube-apiserver takes nothing without one."""
    _, claims = opened(idp, answer)
    assert not {"exp", "nonce", "auth_time", "at_hash"} & claims.keys()
    refused = idp.authorize({"id_token_hint": answer.text, "prompt": "none"})
    assert "error=invalid_request" in refused.headers["location"]
    assert idp.browser.get("/logout", params={"id_token_hint": answer.text}).status_code == 400
    assert idp.userinfo(answer.text).status_code == 401


def test_while_no_key_of_the_algorithm_signs_the_client_is_asked_to_wait(tmp_path: Path) -> None:
    """A key of an algorithm that is new signs when everybody can know it."""
    storage = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    before, after = ({**config(), "storage": storage} for _ in range(2))
    del before["signer"]["config"]["additionalAlgorithms"]
    del before["staticClients"][0]["userinfoSignedResponseAlg"]
    clock = HandClock()
    with provider_under_test(before, clock=clock) as provider:
        token = provider.tokens()["access_token"]
    with provider_under_test(after, clock=clock) as provider:
        answer = provider.userinfo(token)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["retry-after"]) > 0


def _discovery(idp: ProviderUnderTest) -> dict[str, Any]:
    found: dict[str, Any] = idp.browser.get("/.well-known/openid-configuration").json()
    return found
