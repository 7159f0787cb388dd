"""The successful answer of the token endpoint (RFC 6749 section 5.1, OIDC Core 3.1.3.3)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.provider import ProviderUnderTest, base_config, provider_under_test


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["web"]["allowedOrigins"] = ["https://spa.example.com"]
    with provider_under_test(config) as provider:
        yield provider


ALWAYS = {"access_token", "token_type", "expires_in", "scope"}


def answer(idp: ProviderUnderTest, scope: str) -> dict[str, Any]:
    response = idp.redeem(idp.code({"scope": scope}))
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.covers("R-23")
@pytest.mark.spec("RFC 6749", "5.1")
@pytest.mark.parametrize(
    ("scope", "granted", "more"),
    [
        ("openid", "openid", {"id_token"}),
        ("openid offline_access", "openid offline_access", {"id_token", "refresh_token"}),
        ("openid unknown groups", "openid groups", {"id_token"}),
        ("groups openid openid groups", "groups openid", {"id_token"}),
    ],
)
def test_the_members_are_those_of_the_scope(
    idp: ProviderUnderTest, scope: str, granted: str, more: set[str]
) -> None:
    body = answer(idp, scope)
    assert set(body) == ALWAYS | more
    assert body["scope"] == granted
    assert body["token_type"].lower() == "bearer"
    assert all(type(body[name]) is str for name in set(body) - {"expires_in"})


@pytest.mark.covers("R-23")
def test_expires_in_is_a_json_integer(idp: ProviderUnderTest) -> None:
    """x/oauth2 fails on 3600.0."""
    response = idp.redeem(idp.code())
    assert '"expires_in":3600,' in response.text.replace(" ", "")
    floats: list[str] = []
    json.loads(response.text, parse_float=floats.append)
    assert floats == []


@pytest.mark.covers("R-23", "R-57")
@pytest.mark.spec("OIDC Core", "3.1.3.3")
@pytest.mark.spec("RFC 6749", "5.1")
def test_answers_are_never_cached_and_are_plain_json(idp: ProviderUnderTest) -> None:
    redeemed = idp.redeem(idp.code())
    refreshed = idp.refresh(redeemed.json()["refresh_token"])
    machine = idp.token({"grant_type": "client_credentials"})
    failed = idp.redeem("x")
    for response in (redeemed, refreshed, machine, failed):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "etag" not in response.headers


@pytest.mark.covers("R-23")
@pytest.mark.spec("OIDC Core", "11")
def test_a_refresh_token_needs_offline_access(idp: ProviderUnderTest) -> None:
    assert "refresh_token" not in answer(idp, "openid email profile groups")
    assert "refresh_token" in answer(idp, "openid offline_access")


def test_a_refresh_answers_with_an_id_token_every_time(idp: ProviderUnderTest) -> None:
    """kubectl's own provider fails without one."""
    token = answer(idp, "openid offline_access")["refresh_token"]
    for _ in range(4):
        body = idp.refresh(token).json()
        assert set(body) == ALWAYS | {"id_token", "refresh_token"}
        token = body["refresh_token"]


@pytest.mark.covers("R-23")
def test_lifetimes_are_what_the_configuration_says() -> None:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["expiry"] = {"idTokens": "90s"}
    with provider_under_test(config) as idp:
        tokens = idp.tokens()
        assert tokens["expires_in"] == 90
        idp.clock.turn(89)
        assert idp.userinfo(tokens["access_token"]).status_code == 200
        idp.clock.turn(1)
        assert idp.userinfo(tokens["access_token"]).status_code == 401


@pytest.mark.covers("R-58")
def test_only_allowed_origins_may_read_the_answer(idp: ProviderUnderTest) -> None:
    def ask(method: str, origin: str) -> Any:
        headers = {"origin": origin, "content-type": "application/x-www-form-urlencoded"}
        return idp.new_browser("203.0.113.7").request(method, "/token", headers=headers)

    for method in ("POST", "OPTIONS"):
        allowed = ask(method, "https://spa.example.com")
        assert allowed.headers["access-control-allow-origin"] == "https://spa.example.com"
        assert "Origin" in allowed.headers["vary"]
        for origin in (
            "null", "", "https://evil.example", "https://spa.example.com.evil.example", "*",
            "http://spa.example.com", "https://spa.example.com:8443", "HTTPS://SPA.EXAMPLE.COM",
        ):  # fmt: skip
            refused = ask(method, origin)
            assert "access-control-allow-origin" not in refused.headers
            assert "Origin" in refused.headers["vary"]
        assert "access-control-allow-credentials" not in allowed.headers


@pytest.mark.covers("R-58")
def test_a_preflight_lets_a_page_send_its_credentials(idp: ProviderUnderTest) -> None:
    headers = {
        "origin": "https://spa.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    response = idp.browser.request("OPTIONS", "/token", headers=headers)
    assert response.status_code == 204
    assert "POST" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type"} <= set(allowed.split(", "))
