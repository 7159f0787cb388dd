"""OpenID Connect Dynamic Client Registration 1.0: what was registered is what counts.

Demands that no other file shows; all are in `musts/oidc-dynamic-client-registration.toml`.
"""

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from idp.keys import base64url
from tests.kit.provider import (
    Browser,
    ProviderUnderTest,
    answer_of,
    claims_of,
    login_page,
    provider_under_test,
)
from tests.kit.registration import CALLBACK, Registered, register, registration_section
from tests.kit.sessions import config_with_sessions
from tests.kit.signing_client import SigningClient

REGISTRATION = "OIDC Dynamic Client Registration"


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    config = config_with_sessions()
    config["signer"] = {
        "type": "local",
        "config": {"algorithm": "ES256", "additionalAlgorithms": ["RS256"]},
    }
    config["registration"] = registration_section()
    with provider_under_test(config) as provider:
        yield provider


def ask(client: Registered, **more: str) -> dict[str, str]:
    return {"client_id": client.id, "redirect_uri": CALLBACK, "scope": "openid", **more}


def code_of(idp: ProviderUnderTest, client: Registered, browser: Browser, **more: str) -> str:
    """Return a code after signing in and, the first time, approving."""
    response = idp.sign_in(ask(client, **more), browser=browser)
    if 'value="approve"' in response.text:
        page = login_page(response)
        response = browser.post(page.action, data={"state": page.state, "approval": "approve"})
    return answer_of(response)["code"]


def form_for(code: str) -> dict[str, str]:
    return {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}


def id_token_of(idp: ProviderUnderTest, client: Registered, browser: Browser) -> str:
    answer = idp.token(form_for(code_of(idp, client, browser)), auth=client.credentials)
    return str(answer.raise_for_status().json()["id_token"])


@pytest.mark.spec(REGISTRATION, "2")
@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_id_tokens_have_the_algorithm_that_was_registered(idp: ProviderUnderTest, alg: str) -> None:
    client = register(idp, id_token_signed_response_alg=alg)
    token = id_token_of(idp, client, idp.new_browser())
    kid = json.loads(base64url.decode(token.partition(".")[0]))["kid"]
    keys = idp.browser.get("/keys").json()["keys"]
    assert [key["alg"] for key in keys if key["kid"] == kid] == [alg]


Way = Callable[[ProviderUnderTest, Registered, dict[str, str]], httpx.Response]


def in_header(idp: ProviderUnderTest, client: Registered, form: dict[str, str]) -> httpx.Response:
    return idp.token(form, auth=client.credentials)


def in_body(idp: ProviderUnderTest, client: Registered, form: dict[str, str]) -> httpx.Response:
    client_id, secret = client.credentials
    return idp.token({**form, "client_id": client_id, "client_secret": secret}, auth=None)


def unproven(idp: ProviderUnderTest, client: Registered, form: dict[str, str]) -> httpx.Response:
    return idp.token({**form, "client_id": client.id}, auth=None)


@pytest.mark.spec(REGISTRATION, "2")
@pytest.mark.parametrize(
    ("method", "right", "wrong"),
    [
        ("client_secret_basic", in_header, (in_body, unproven)),
        ("client_secret_post", in_body, (in_header, unproven)),
    ],
)
def test_the_registered_way_to_authenticate_is_the_only_one(
    idp: ProviderUnderTest, method: str, right: Way, wrong: tuple[Way, ...]
) -> None:
    client = register(idp, token_endpoint_auth_method=method)
    form = form_for(code_of(idp, client, idp.new_browser()))
    for way in wrong:
        refusal = way(idp, client, form)
        assert (refusal.status_code, refusal.json()["error"]) == (401, "invalid_client")
    assert right(idp, client, form).status_code == 200


@pytest.mark.spec(REGISTRATION, "2")
def test_who_registered_to_sign_sends_no_secret(idp: ProviderUnderTest) -> None:
    key = SigningClient("", "", alg="ES256")
    client = register(idp, token_endpoint_auth_method="private_key_jwt", jwks=key.jwks)
    form = form_for(code_of(idp, client, idp.new_browser()))
    for answer in (unproven(idp, client, form), idp.token(form, auth=(client.id, "secret"))):
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.spec(REGISTRATION, "2")
def test_the_registered_max_age_counts_where_a_request_has_none(idp: ProviderUnderTest) -> None:
    client = register(idp, default_max_age=60)
    browser = idp.new_browser()
    code_of(idp, client, browser)
    idp.clock.turn(59)
    assert "code" in answer_of(idp.authorize(ask(client), browser=browser))
    idp.clock.turn(2)
    assert 'name="password"' in idp.authorize(ask(client), browser=browser).text
    more = ask(client, max_age="3600")
    assert "code" in answer_of(idp.authorize(more, browser=browser))
    silent = answer_of(idp.authorize(ask(client, prompt="none"), browser=browser))
    assert silent["error"] == "login_required"


@pytest.mark.spec(REGISTRATION, "2")
@pytest.mark.parametrize("required", [True, False])
def test_the_time_of_the_sign_in_is_told_to_who_registered_for_it(
    idp: ProviderUnderTest, *, required: bool
) -> None:
    """To everybody else as well."""
    client = register(idp, require_auth_time=required)
    claims = claims_of(id_token_of(idp, client, idp.new_browser()))
    assert claims["auth_time"] == int(idp.clock().timestamp())
