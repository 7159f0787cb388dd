"""What an operator says of one client, seen from outside: where a request is refused, and how."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kit.clock import HandClock
from tests.kit.provider import (
    ALICE,
    CALLBACK,
    CONFIDENTIAL,
    OTHER,
    PASSWORD,
    PUBLIC,
    Pkce,
    ProviderUnderTest,
    answer_of,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend


def said(**policies: Any) -> dict[str, Any]:
    """Return a configuration in which this is said of the confidential client."""
    config = base_config()
    config["signer"] = {"config": {"algorithm": "ES256"}}
    config["staticClients"][0].update(policies)
    return config


@contextmanager
def provider_of(
    config: dict[str, Any], *, clock: HandClock | None = None
) -> Iterator[ProviderUnderTest]:
    with provider_under_test(config, clock=clock) as provider:
        yield provider


def error_of(response: httpx.Response) -> str:
    """Return the error that the client is told by a redirect."""
    return answer_of(response)["error"]


def claims_of(token: str, part: int = 1) -> dict[str, Any]:
    """Return the header or the claims of a token, unchecked."""
    text = token.split(".")[part]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return claims


@pytest.mark.spec("RFC 6749", "4.1.2.1")
@pytest.mark.covers("R-19")
def test_a_client_without_the_code_grant_is_told_so_by_a_redirect() -> None:
    with provider_of(said(grantTypes=["client_credentials"])) as provider:
        assert error_of(provider.authorize()) == "unauthorized_client"
        form = {"grant_type": "client_credentials"}
        assert provider.token(form).status_code == 200


@pytest.mark.spec("RFC 6749", "5.2")
@pytest.mark.covers("R-19")
@pytest.mark.parametrize(
    ("grant_type", "form"),
    [
        ("authorization_code", {"code": "x", "redirect_uri": CALLBACK}),
        ("refresh_token", {"refresh_token": "x"}),
        ("client_credentials", {}),
    ],
)
def test_the_token_endpoint_refuses_a_grant_type_before_it_looks_at_the_grant(
    grant_type: str, form: dict[str, str]
) -> None:
    others = {"authorization_code", "refresh_token", "client_credentials"} - {grant_type}
    with provider_of(said(grantTypes=sorted(others))) as provider:
        answer = provider.token({"grant_type": grant_type, **form})
        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
        other = provider.token({"grant_type": grant_type, **form}, auth=OTHER)
        assert other.json().get("error") != "unauthorized_client"


def test_without_the_refresh_grant_a_login_gets_no_refresh_token() -> None:
    with provider_of(said(grantTypes=["authorization_code"])) as provider:
        tokens = provider.tokens("openid offline_access")
        assert "refresh_token" not in tokens
        assert tokens["scope"] == "openid"


@pytest.mark.spec("RFC 6749", "3.3")
@pytest.mark.parametrize("scope", ["openid groups", "groups", "openid offline_access"])
def test_a_scope_that_the_client_may_not_have_is_refused_everywhere(scope: str) -> None:
    with provider_of(said(allowedScopes=["openid", "email"])) as provider:
        assert error_of(provider.authorize({"scope": scope})) == "invalid_scope"
        form = {"grant_type": "client_credentials", "scope": "openid groups"}
        assert provider.token(form).json()["error"] == "invalid_scope"
        assert provider.tokens("openid email unheard-of")["scope"] == "openid email"


def test_an_audience_needs_the_trust_of_its_client_and_the_permission_of_the_asking_one() -> None:
    audience = f"openid audience:server:client_id:{OTHER[0]}"
    with provider_of(said(allowedAudiences=["kubernetes"])) as provider:
        assert error_of(provider.authorize({"scope": audience})) == "invalid_scope"
        form = {"grant_type": "client_credentials", "scope": audience}
        assert provider.token(form).json()["error"] == "invalid_scope"
    with provider_of(said(allowedAudiences=[OTHER[0], PUBLIC])) as provider:
        assert OTHER[0] in claims_of(provider.tokens(audience)["id_token"])["aud"]
        untrusting = f"openid audience:server:client_id:{PUBLIC}"
        assert error_of(provider.authorize({"scope": untrusting})) == "invalid_scope"


@pytest.mark.parametrize("asked", ["openid", "openid offline_access"])
def test_offline_access_can_be_implied(asked: str) -> None:
    """Whoever asks for it all the same asks for no more than the client has anyway."""
    with provider_of(said(offlineAccess="always", allowedScopes=["openid"])) as provider:
        tokens = provider.tokens(asked)
        assert tokens["scope"] == "openid offline_access"
        assert provider.refresh(tokens["refresh_token"]).status_code == 200


def test_offline_access_can_be_withheld() -> None:
    with provider_of(said(offlineAccess="never")) as provider:
        tokens = provider.tokens("openid offline_access")
        assert tokens["scope"] == "openid"
        assert "refresh_token" not in tokens
        answer = provider.refresh("anything")
        assert answer.json()["error"] == "unauthorized_client"


@pytest.mark.spec("RFC 9700", "2.1.1")
@pytest.mark.covers("R-10")
@pytest.mark.parametrize(
    ("enforced", "pkce", "demanded"),
    [
        (False, None, False),
        (False, "required", True),
        (False, "optional", False),
        (True, None, True),
        (True, "optional", False),
    ],
)
def test_pkce_is_demanded_per_client(*, enforced: bool, pkce: str | None, demanded: bool) -> None:
    config = said(**({} if pkce is None else {"pkce": pkce}))
    config["oauth2"]["pkce"] = {"enforce": enforced}
    challenge = {"code_challenge": Pkce().challenge, "code_challenge_method": "S256"}
    with provider_of(config) as provider:
        without = provider.authorize()
        assert (without.status_code == 303) == demanded
        if demanded:
            assert error_of(without) == "invalid_request"
        assert provider.authorize(challenge).status_code == 200


@pytest.mark.covers("R-10")
@pytest.mark.spec("RFC 9700", "2.1.1")
def test_a_public_client_needs_pkce_whatever_is_said_of_it() -> None:
    config = base_config()
    config["staticClients"][2]["pkce"] = "optional"
    changes = {"client_id": PUBLIC, "redirect_uri": "http://localhost:8000"}
    with provider_of(config) as provider:
        assert error_of(provider.authorize(changes)) == "invalid_request"


def test_an_application_of_the_house_asks_nobody_for_approval() -> None:
    config = said(skipApprovalScreen=True)
    config["oauth2"]["skipApprovalScreen"] = False
    with provider_of(config) as provider:
        assert answer_of(provider.sign_in())["code"]
        asked = provider.sign_in({"prompt": "consent"}, browser=provider.new_browser())
        assert "approval" in login_page(asked).action


@pytest.mark.spec("RFC 6749", "4.2.2")
def test_tokens_of_a_client_live_as_long_as_is_said_of_it() -> None:
    config = said(expiry={"idTokens": "2h", "accessTokens": "5m"})
    config["expiry"] = {"longestTokens": "3h"}
    clock = HandClock()
    with provider_of(config, clock=clock) as provider:
        tokens = provider.tokens()
        for name, seconds in {"id_token": 7200, "access_token": 300}.items():
            claims = claims_of(tokens[name])
            assert claims["exp"] - claims["iat"] == seconds
        assert tokens["expires_in"] == 300
        clock.turn(301)
        assert provider.userinfo(tokens["access_token"]).status_code == 401
        itself = provider.token({"grant_type": "client_credentials"}, auth=OTHER).json()
        assert itself["expires_in"] == 3600


@pytest.mark.parametrize(
    ("lifetimes", "days", "alive"),
    [
        ({}, 29, True),
        ({}, 31, False),
        ({"validIfNotUsedFor": "24h"}, 2, False),
        ({"validIfNotUsedFor": "none"}, 100, True),
        ({"validIfNotUsedFor": "none"}, 200, False),
        ({"validIfNotUsedFor": "none", "absoluteLifetime": "none"}, 4000, True),
        ({"validIfNotUsedFor": "0", "absoluteLifetime": "0"}, 4000, True),
        ({"absoluteLifetime": "48h"}, 3, False),
    ],
)
def test_refresh_tokens_of_a_client_live_as_long_as_is_said_of_it(
    *, lifetimes: dict[str, str], days: int, alive: bool
) -> None:
    clock = HandClock()
    with provider_of(said(expiry={"refreshTokens": lifetimes}), clock=clock) as provider:
        token = provider.tokens()["refresh_token"]
        clock.turn(timedelta(days=days).total_seconds())
        assert (provider.refresh(token).status_code == 200) == alive


@pytest.mark.covers("R-40")
def test_id_tokens_are_signed_with_the_algorithm_of_the_client() -> None:
    config = said(idTokenSignedResponseAlg="RS256")
    config["signer"]["config"]["additionalAlgorithms"] = ["RS256"]
    with provider_of(config) as provider:
        tokens = provider.tokens()
        assert claims_of(tokens["id_token"], 0)["alg"] == "RS256"
        assert claims_of(tokens["access_token"], 0)["alg"] == "ES256"
        assert provider.userinfo(tokens["access_token"]).status_code == 200
        itself = {"grant_type": "client_credentials", "scope": "openid"}
        other = provider.token(itself, auth=OTHER).json()
        assert claims_of(other["id_token"], 0)["alg"] == "ES256"
        published = provider.browser.get("/keys").json()["keys"]
        kid = claims_of(tokens["id_token"], 0)["kid"]
        assert [key["alg"] for key in published if key["kid"] == kid] == ["RS256"]
        document = provider.browser.get("/.well-known/openid-configuration").json()
        assert document["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]


def test_until_the_key_of_an_algorithm_that_is_new_here_signs_nothing_is_spent(
    tmp_path: Path,
) -> None:
    """Whoever verifies must have had the time to learn of the key."""
    config = said(idTokenSignedResponseAlg="RS256")
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    before = said()
    before["storage"] = config["storage"]
    config["signer"]["config"]["additionalAlgorithms"] = ["RS256"]
    clock = HandClock()
    with provider_of(before, clock=clock) as provider:
        code = provider.code()
    with provider_of(config, clock=clock) as provider:
        answer = provider.redeem(code)
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    with provider_of(before, clock=clock) as provider:
        assert provider.redeem(code).status_code == 200


@pytest.mark.covers("CV-33")
@pytest.mark.parametrize("client", [CONFIDENTIAL[0], PUBLIC])
def test_a_client_that_is_switched_off_is_nobody(client: str) -> None:
    config = said()
    for each in config["staticClients"]:
        each["disabled"] = each["id"] == client
    redirect_uri = CALLBACK if client == CONFIDENTIAL[0] else "http://localhost:8000"
    with provider_of(config) as provider:
        page = provider.authorize({"client_id": client, "redirect_uri": redirect_uri})
        assert page.status_code == 400
        assert "location" not in page.headers
        assert "switched off" in page.text
        auth = CONFIDENTIAL if client == CONFIDENTIAL[0] else None
        form = {"grant_type": "client_credentials", "client_id": client}
        assert provider.token(form, auth=auth).json()["error"] == "invalid_client"


@pytest.mark.covers("CV-33")
def test_nobody_gets_a_token_for_a_client_that_is_switched_off() -> None:
    config = said()
    config["staticClients"][1]["disabled"] = True
    with provider_of(config) as provider:
        scope = f"openid audience:server:client_id:{OTHER[0]}"
        assert error_of(provider.authorize({"scope": scope})) == "invalid_scope"


@pytest.mark.covers("CV-3")
def test_a_client_whose_people_come_from_elsewhere_is_told_so() -> None:
    with provider_of(said(allowedConnectors=["ldap"])) as provider:
        assert error_of(provider.authorize()) == "access_denied"
        assert error_of(provider.authorize({"connector_id": "local"})) == "access_denied"
        by_path = {"client_id": CONFIDENTIAL[0], "redirect_uri": CALLBACK, "response_type": "code"}
        answer = provider.browser.get("/auth/local", params=by_path)
        assert error_of(answer) == "access_denied"
    with provider_of(said(allowedConnectors=["ldap", "local"])) as provider:
        assert provider.tokens()["refresh_token"]


@pytest.mark.covers("CV-33")
@pytest.mark.parametrize("page", ["login", "approval"])
@pytest.mark.parametrize(
    ("policies", "error"),
    [
        ({"allowedConnectors": ["ldap"]}, "access_denied"),
        ({"grantTypes": ["refresh_token"]}, "unauthorized_client"),
        ({"allowedScopes": ["openid"]}, "invalid_scope"),
    ],
)
def test_a_login_under_way_ends_with_what_the_client_may_have_by_then(
    tmp_path: Path, policies: dict[str, Any], error: str, page: str
) -> None:
    """What the browser carries is sealed, but it was checked up to half an hour ago."""
    config = said()
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    config["oauth2"]["skipApprovalScreen"] = page == "login"
    with provider_of(config) as provider:
        form = login_page(provider.authorize() if page == "login" else provider.sign_in())
        cookies = dict(provider.browser.client.cookies)
    config["staticClients"][0].update(policies)
    faults = Faults()
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        provider.browser.client.cookies.update(cookies)
        faults.calls.clear()
        fields = {"login": ALICE, "password": PASSWORD, "approval": "approve", "state": form.state}
        assert error_of(provider.browser.post(form.action, data=fields)) == error
        assert faults.writes == 0
