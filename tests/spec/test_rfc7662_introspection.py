"""The introspection endpoint (RFC 7662), over HTTP."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.clock import HandClock
from tests.kit.provider import (
    CONFIDENTIAL,
    ISSUER,
    OTHER,
    PUBLIC,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.sizes import examples
from tests.kit.storage import Fails, Faults, FlakyBackend

FAULTS = Faults()
FORM = {"content-type": "application/x-www-form-urlencoded"}
THIRD = ("third", "the secret of the third app, long as well")
PEER_SCOPE = "openid profile offline_access audience:server:client_id:other"


def config() -> dict[str, Any]:
    found = base_config()
    found["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    found["web"]["allowedOrigins"] = ["https://spa.example.com"]
    found["staticClients"].append(
        {"id": THIRD[0], "secret": THIRD[1], "redirectURIs": ["https://third.example.com/"]}
    )
    return found


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    with provider_under_test(
        config(), wrap_backend=lambda backend: FlakyBackend(backend, FAULTS)
    ) as provider:
        yield provider


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    yield
    FAULTS.clear()


def ask(idp: ProviderUnderTest, method: str = "POST", **options: Any) -> httpx.Response:
    return idp.new_browser("203.0.113.9").request(method, "/token/introspect", **options)


def introspect(
    idp: ProviderUnderTest, token: str, *, auth: tuple[str, str] = CONFIDENTIAL, **more: str
) -> dict[str, Any]:
    response = ask(idp, data={"token": token, **more}, auth=auth)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    answer: dict[str, Any] = response.json()
    assert isinstance(answer["active"], bool)
    return answer


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def refused(response: httpx.Response, error: str, status: int = 400) -> None:
    body = response.json()
    assert (response.status_code, body["error"]) == (status, error), response.text
    assert response.headers["cache-control"] == "no-store"
    assert "active" not in body


INACTIVE = {"active": False}


@pytest.mark.covers("R-101")
@pytest.mark.spec("RFC 7662", "2.2")
def test_a_good_access_token_is_described(idp: ProviderUnderTest) -> None:
    token = idp.tokens()["access_token"]
    claims = claims_of(token)
    assert introspect(idp, token) == {
        "active": True,
        "token_use": "access_token",
        "token_type": "Bearer",
        "scope": "openid email profile groups offline_access",
        "client_id": "app",
        "username": "alice",
        "sub": claims["sub"],
        "aud": ISSUER,
        "iss": ISSUER,
        "exp": claims["exp"],
        "iat": claims["iat"],
        "jti": claims["jti"],
    }


@pytest.mark.covers("R-101")
@pytest.mark.spec("RFC 7662", "2.2")
def test_a_good_refresh_token_is_described_to_its_client(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    answer = introspect(idp, tokens["refresh_token"])
    assert answer.pop("exp") > answer.pop("iat")
    assert answer == {
        "active": True,
        "token_use": "refresh_token",
        "scope": "openid email profile groups offline_access",
        "client_id": "app",
        "username": "alice",
        "sub": claims_of(tokens["access_token"])["sub"],
        "aud": ISSUER,
        "iss": ISSUER,
    }


def test_a_token_of_a_client_itself_is_described(idp: ProviderUnderTest) -> None:
    token = idp.token({"grant_type": "client_credentials"}).json()["access_token"]
    answer = introspect(idp, token)
    assert (answer["active"], answer["client_id"], answer["sub"]) == (True, "app", "CgNhcHA")
    assert "scope" not in answer


@pytest.mark.spec("RFC 7662", "2.1")
@pytest.mark.parametrize("hint", ["refresh_token", "access_token", "x", "日本", "x" * 10_000])
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_a_wrong_or_unknown_hint_changes_nothing(
    idp: ProviderUnderTest, kind: str, hint: str
) -> None:
    token = idp.tokens()[kind]
    assert introspect(idp, token, token_type_hint=hint) == introspect(idp, token)


@pytest.mark.covers("R-101")
@pytest.mark.spec("RFC 7662", "2.2")
def test_whatever_is_no_good_token_is_inactive_and_nothing_else_is_said(
    idp: ProviderUnderTest,
) -> None:
    tokens = idp.tokens()
    access_token, refresh_token = tokens["access_token"], tokens["refresh_token"]
    for text in (
        "x", "日本", "x" * 16_000, "a.b.c", "kir_x.1.y.z", refresh_token[:-1], access_token[:-4],
        f"{access_token}.x", f"{access_token}=", f" {access_token}", tokens["id_token"],
        idp.code(), "\x00", "{}",
    ):  # fmt: skip
        assert introspect(idp, text) == INACTIVE, text[:40]


@pytest.mark.covers("R-101")
@pytest.mark.spec("RFC 7662", "4")
def test_a_token_for_somebody_else_is_inactive(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    for kind in ("access_token", "refresh_token"):
        for stranger in (OTHER, THIRD):
            assert introspect(idp, tokens[kind], auth=stranger) == INACTIVE


@pytest.mark.covers("R-101")
@pytest.mark.spec("RFC 7662", "4")
def test_an_audience_hears_of_access_tokens_that_are_meant_for_it(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens(PEER_SCOPE)
    answer = introspect(idp, tokens["access_token"], auth=OTHER)
    assert (answer["active"], answer["client_id"]) == (True, "app")
    assert OTHER[0] in answer["aud"]
    assert introspect(idp, tokens["access_token"], auth=THIRD) == INACTIVE
    # A refresh token is between its client and the provider.
    assert introspect(idp, tokens["refresh_token"], auth=OTHER) == INACTIVE
    assert introspect(idp, tokens["refresh_token"])["active"]


@pytest.mark.spec("RFC 7662", "5")
def test_the_name_of_a_person_is_told_only_where_the_token_tells_it(
    idp: ProviderUnderTest,
) -> None:
    for kind in ("access_token", "refresh_token"):
        assert "username" not in introspect(idp, idp.tokens("openid offline_access")[kind])
    answer = introspect(idp, idp.tokens("openid email")["access_token"])
    assert answer["username"] == "alice@example.com"
    assert not {"email", "groups", "name", "ext"} & set(answer)


@pytest.mark.covers("R-20", "R-101", "I-3")
@pytest.mark.spec("RFC 7662", "4")
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_is_inactive(idp: ProviderUnderTest, kind: str) -> None:
    tokens = idp.tokens()
    form = {"token": tokens["refresh_token"]}
    idp.browser.post("/token/revoke", data=form, auth=CONFIDENTIAL).raise_for_status()
    assert introspect(idp, tokens[kind]) == INACTIVE


@pytest.mark.spec("RFC 7662", "4")
def test_an_expired_token_is_inactive() -> None:
    changed = config()
    changed["expiry"] = {"refreshTokens": {"validIfNotUsedFor": "2h"}}
    with provider_under_test(changed) as idp:
        tokens = idp.tokens()
        idp.clock.turn(3599)
        assert introspect(idp, tokens["access_token"])["active"]
        idp.clock.turn(1)
        assert introspect(idp, tokens["access_token"]) == INACTIVE
        assert introspect(idp, tokens["refresh_token"])["active"]
        idp.clock.turn(3600)
        assert introspect(idp, tokens["refresh_token"]) == INACTIVE


@pytest.mark.covers("CV-33")
@pytest.mark.spec("RFC 7662", "4")
def test_a_token_of_a_client_that_was_removed_is_inactive(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = str(tmp_path_factory.mktemp("store") / "idp.db")
    before = config()
    before["storage"] = {"type": "sqlite3", "config": {"file": file}}
    after = {**before, "staticClients": before["staticClients"][1:]}
    clock = HandClock()
    with provider_under_test(before, clock=clock) as idp:
        token = idp.tokens(PEER_SCOPE)["access_token"]
        assert introspect(idp, token, auth=OTHER)["active"]
    with provider_under_test(after, clock=clock) as idp:
        assert introspect(idp, token, auth=OTHER) == INACTIVE


@pytest.mark.covers("R-101", "R-18")
@pytest.mark.spec("RFC 7662", "2.1")
@pytest.mark.spec("RFC 7662", "2.3")
@pytest.mark.parametrize(
    "attempt",
    [
        {},
        {"auth": (CONFIDENTIAL[0], "wrong")},
        {"auth": ("nobody", "x")},
        {"data": {"client_id": CONFIDENTIAL[0]}},
        {"data": {"client_id": PUBLIC}},
        {"auth": (PUBLIC, "")},
        {"headers": {"authorization": "Bearer x"}},
    ],
)
def test_who_has_proved_nothing_hears_nothing(
    idp: ProviderUnderTest, attempt: dict[str, Any]
) -> None:
    token = idp.tokens()["access_token"]
    data = {"token": token, **attempt.get("data", {})}
    response = ask(idp, **{**attempt, "data": data})
    refused(response, "invalid_client", 401)
    assert response.headers["www-authenticate"] == f'Basic realm="{ISSUER}"'


@pytest.mark.covers("R-101")
@pytest.mark.spec("RFC 7662", "2.1")
def test_an_access_token_is_no_credential_here(idp: ProviderUnderTest) -> None:
    """RFC 7662 leaves it open; a client that has a secret needs no second way in."""
    token = idp.tokens()["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    refused(ask(idp, data={"token": token}, headers=headers), "invalid_client", 401)


@pytest.mark.parametrize(
    "body",
    [
        "", "token=", "token_type_hint=x", "Token=x", "token=x&token=x", "token=%ff",
        "token=x&token_type_hint=a&token_type_hint=b", "token=" + "x" * 20_000,
        "&".join(f"p{n}=x" for n in range(100)) + "&token=x",
    ],
)  # fmt: skip
@pytest.mark.spec("RFC 7662", "2.1")
def test_a_malformed_request_is_refused(idp: ProviderUnderTest, body: str) -> None:
    refused(ask(idp, content=body, headers=FORM, auth=CONFIDENTIAL), "invalid_request")


@pytest.mark.covers("R-81")
def test_a_body_that_is_too_large_is_refused(idp: ProviderUnderTest) -> None:
    body = "token=x&x=" + "x" * 70_000
    refused(ask(idp, content=body, headers=FORM, auth=CONFIDENTIAL), "invalid_request", 413)


@pytest.mark.spec("RFC 7662", "4")
@pytest.mark.parametrize(
    "query", [{"token": "x"}, {"client_secret": "x"}, {"client_id": "app"}, {"token": ""}]
)
def test_a_token_in_the_url_is_refused(idp: ProviderUnderTest, query: dict[str, str]) -> None:
    """URLs are logged: section 4 has them sent in the body."""
    data = {"token": idp.tokens()["access_token"]}
    refused(ask(idp, params=query, data=data, auth=CONFIDENTIAL), "invalid_request")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
@pytest.mark.spec("RFC 7662", "2.1")
def test_only_forms_are_taken(idp: ProviderUnderTest, content_type: str) -> None:
    body, headers = json.dumps({"token": "x"}), {"content-type": content_type}
    refused(ask(idp, content=body, headers=headers, auth=CONFIDENTIAL), "invalid_request")


@pytest.mark.covers("R-58")
@pytest.mark.spec("RFC 7662", "2.1")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "FOO"])
def test_only_post_is_taken(idp: ProviderUnderTest, method: str) -> None:
    headers = {"origin": "https://spa.example.com", "access-control-request-method": "POST"}
    response = ask(idp, method, params={"token": "x"}, auth=CONFIDENTIAL, headers=headers)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.covers("R-58")
def test_pages_of_other_sites_never_read_an_answer(idp: ProviderUnderTest) -> None:
    headers = {"origin": "https://spa.example.com"}
    response = ask(idp, data={"token": "x"}, auth=CONFIDENTIAL, headers=headers)
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.covers("R-101", "K-1")
def test_an_access_token_is_answered_without_the_store(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    for verb in ("read", "create", "replace", "remove", "scan"):
        FAULTS.always(verb, Fails())
    FAULTS.calls.clear()
    assert introspect(idp, tokens["access_token"])["active"]
    assert introspect(idp, "x") == INACTIVE
    assert introspect(idp, tokens["id_token"]) == INACTIVE
    assert {verb: calls for verb, calls in FAULTS.calls.items() if verb != "expired"} == {}


@pytest.mark.covers("CV-10", "I-6", "I-7", "K-1")
def test_a_refresh_token_is_503_while_the_store_is_away(idp: ProviderUnderTest) -> None:
    """A resource server that heard "inactive" would sign somebody out."""
    token = idp.tokens()["refresh_token"]
    FAULTS.always("read", Fails())
    response = ask(idp, data={"token": token}, auth=CONFIDENTIAL)
    refused(response, "temporarily_unavailable", 503)
    assert int(response.headers["retry-after"]) >= 1
    FAULTS.clear()
    assert introspect(idp, token)["active"]


def test_a_refresh_token_costs_one_look_and_no_write(idp: ProviderUnderTest) -> None:
    token = idp.tokens()["refresh_token"]
    FAULTS.calls.clear()
    introspect(idp, token)
    assert (FAULTS.calls["read"], FAULTS.writes) == (1, 0)


def test_answers_are_counted() -> None:
    with provider_under_test(config()) as idp:
        introspect(idp, idp.tokens()["access_token"])
        introspect(idp, "x")
        ask(idp, data={"token": "x"}, auth=("nobody", "x"))
        registry = idp.provider.metrics.registry
        for result in ("active", "inactive", "invalid_client"):
            name, labels = "idp_introspection_requests_total", {"result": result}
            assert registry.get_sample_value(name, labels) == 1


@pytest.mark.covers("R-81", "R-82", "CV-36")
@settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.binary(max_size=300), token=st.text(max_size=200))
def test_no_input_is_a_fault(idp: ProviderUnderTest, body: bytes, token: str) -> None:
    for options in (
        {"content": body, "headers": FORM},
        {"data": {"token": token.encode("utf-8", "replace")}},
        {"content": b"token=" + body, "headers": FORM},
    ):
        assert ask(idp, auth=CONFIDENTIAL, **options).status_code in (200, 400)
