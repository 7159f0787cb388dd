"""The revocation endpoint (RFC 7009), over HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.provider import (
    CONFIDENTIAL,
    ISSUER,
    OTHER,
    PUBLIC,
    Pkce,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.sizes import examples
from tests.kit.storage import Fails, Faults, FlakyBackend, Verb

FAULTS = Faults()
FORM = {"content-type": "application/x-www-form-urlencoded"}
SPA = "https://spa.example.com"


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["web"]["allowedOrigins"] = [SPA]
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, FAULTS)
    ) as provider:
        yield provider


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    yield
    FAULTS.clear()


def ask(idp: ProviderUnderTest, method: str = "POST", **options: Any) -> httpx.Response:
    return idp.new_browser("203.0.113.9").request(method, "/token/revoke", **options)


def revoke(
    idp: ProviderUnderTest,
    token: str,
    *,
    auth: tuple[str, str] | None = CONFIDENTIAL,
    **more: str,
) -> httpx.Response:
    return ask(idp, data={"token": token, **more}, auth=auth)


def done(response: httpx.Response) -> None:
    assert (response.status_code, response.content) == (200, b""), response.text
    assert response.headers["cache-control"] == "no-store"


def refused(response: httpx.Response, error: str, status: int = 400) -> None:
    body = response.json()
    assert (response.status_code, body["error"]) == (status, error), response.text
    assert response.headers["cache-control"] == "no-store"
    assert set(body) == {"error", "error_description", "request_id"}


def is_alive(idp: ProviderUnderTest, tokens: dict[str, Any]) -> bool:
    alive = idp.userinfo(tokens["access_token"]).status_code == 200
    refreshed = idp.refresh(tokens["refresh_token"])
    assert (refreshed.status_code == 200) == alive, refreshed.text
    return alive


def public_tokens(idp: ProviderUnderTest) -> dict[str, Any]:
    pkce = Pkce()
    redirect_uri = "http://localhost:8000"
    code = idp.code(
        {
            "client_id": PUBLIC,
            "redirect_uri": redirect_uri,
            "code_challenge": pkce.challenge,
            "code_challenge_method": "S256",
        }
    )
    form = {
        "grant_type": "authorization_code",
        "client_id": PUBLIC,
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": pkce.verifier,
    }
    answer: dict[str, Any] = idp.token(form, auth=None).raise_for_status().json()
    return answer


@pytest.mark.covers("R-100", "I-3")
@pytest.mark.spec("RFC 7009", "2")
@pytest.mark.spec("RFC 7009", "2.1")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_either_token_ends_both_at_once(idp: ProviderUnderTest, kind: str) -> None:
    tokens = idp.tokens()
    assert is_alive(idp, tokens)
    done(revoke(idp, tokens[kind]))
    assert not is_alive(idp, tokens)


@pytest.mark.covers("R-36")
def test_other_logins_of_the_same_person_live_on(idp: ProviderUnderTest) -> None:
    tokens, others = idp.tokens(), idp.tokens()
    done(revoke(idp, tokens["refresh_token"]))
    assert is_alive(idp, others)


@pytest.mark.spec("RFC 7009", "2.1")
@pytest.mark.parametrize(
    "hint", ["refresh_token", "access_token", "id_token", "", "x", "日本", "x" * 10_000]
)
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_a_wrong_or_unknown_hint_does_not_keep_a_token_from_being_found(
    idp: ProviderUnderTest, kind: str, hint: str
) -> None:
    tokens = idp.tokens()
    done(revoke(idp, tokens[kind], token_type_hint=hint))
    assert not is_alive(idp, tokens)


@pytest.mark.covers("R-100", "I-8")
@pytest.mark.spec("RFC 7009", "2.2")
def test_what_is_no_token_is_revoked_already(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    refresh_token, access_token = tokens["refresh_token"], tokens["access_token"]
    FAULTS.calls.clear()
    for text in (
        "x", "日本", "x" * 16_000, "kir_x.1.y.z", refresh_token[:-1], refresh_token + "A",
        access_token[:-4], f"{access_token}.x", idp.code(), "\x00", "a b", "{}",
    ):  # fmt: skip
        FAULTS.calls.clear()
        done(revoke(idp, text))
        assert {verb: calls for verb, calls in FAULTS.calls.items() if verb != "expired"} == {}
    assert is_alive(idp, tokens)


@pytest.mark.spec("RFC 7009", "2.2")
def test_revoking_twice_is_no_error_and_one_write(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    FAULTS.calls.clear()
    for _ in range(2):
        for kind in ("refresh_token", "access_token"):
            done(revoke(idp, tokens[kind]))
    assert FAULTS.writes == 1


@pytest.mark.spec("RFC 7009", "2.2")
def test_an_expired_token_is_revoked_already() -> None:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["expiry"] = {"refreshTokens": {"validIfNotUsedFor": "2h"}}
    faults = Faults()
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as idp:
        tokens = idp.tokens()
        idp.clock.turn(7200)
        faults.calls.clear()
        done(revoke(idp, tokens["access_token"]))
        done(revoke(idp, tokens["refresh_token"]))
        assert faults.writes == 0


@pytest.mark.covers("R-100", "CV-8")
@pytest.mark.spec("RFC 7009", "2.1")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
@pytest.mark.parametrize("as_whom", [{"auth": OTHER}, {"auth": None, "client_id": PUBLIC}])
def test_a_token_of_another_client_is_refused_and_nothing_is_revoked(
    idp: ProviderUnderTest, kind: str, as_whom: dict[str, Any]
) -> None:
    tokens = idp.tokens()
    FAULTS.calls.clear()
    refused(revoke(idp, tokens[kind], **as_whom), "invalid_grant")
    assert FAULTS.writes == 0
    assert is_alive(idp, tokens)


@pytest.mark.covers("R-100")
@pytest.mark.spec("RFC 7009", "2.1")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_a_public_client_names_itself(idp: ProviderUnderTest, kind: str) -> None:
    tokens = public_tokens(idp)
    done(revoke(idp, tokens[kind], auth=None, client_id=PUBLIC))
    refresh = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": PUBLIC,
    }
    assert idp.token(refresh, auth=None).json()["error"] == "invalid_grant"
    assert idp.userinfo(tokens["access_token"]).status_code == 401


@pytest.mark.covers("R-100", "R-18")
@pytest.mark.spec("RFC 7009", "2.1")
@pytest.mark.parametrize(
    "attempt",
    [
        {},
        {"auth": (CONFIDENTIAL[0], "wrong")},
        {"auth": ("nobody", "x")},
        {"data": {"client_id": CONFIDENTIAL[0]}},
        {"data": {"client_id": "nobody"}},
        {"data": {"client_id": PUBLIC, "client_secret": "x"}},
        {"headers": {"authorization": "Bearer x"}},
    ],
)
def test_who_does_not_authenticate_revokes_nothing(
    idp: ProviderUnderTest, attempt: dict[str, Any]
) -> None:
    tokens = idp.tokens()
    data = {"token": tokens["refresh_token"], **attempt.get("data", {})}
    FAULTS.calls.clear()
    response = ask(idp, **{**attempt, "data": data})
    refused(response, "invalid_client", 401)
    assert response.headers["www-authenticate"] == f'Basic realm="{ISSUER}"'
    assert FAULTS.writes == 0
    assert is_alive(idp, tokens)


@pytest.mark.covers("R-75")
def test_guesses_of_a_client_secret_are_slowed_down_here_too(idp: ProviderUnderTest) -> None:
    browser = idp.new_browser("203.0.113.77")
    statuses = [
        browser.post("/token/revoke", data={"token": "x"}, auth=("app", f"{n}")).status_code
        for n in range(12)
    ]
    assert statuses[:10] == [401] * 10
    assert set(statuses[10:]) == {429}


@pytest.mark.covers("R-100")
@pytest.mark.spec("RFC 7009", "2.2.1")
@pytest.mark.parametrize(
    "body",
    [
        "", "token=", "token_type_hint=refresh_token", "Token=x", "token=x&token=x",
        "token=x&token_type_hint=a&token_type_hint=b", "token=%ff", "token=x&x=1&x=1",
        "token=" + "x" * 20_000, "&".join(f"p{n}=x" for n in range(100)) + "&token=x",
    ],
)  # fmt: skip
def test_a_malformed_request_is_refused(idp: ProviderUnderTest, body: str) -> None:
    refused(ask(idp, content=body, headers=FORM, auth=CONFIDENTIAL), "invalid_request")


@pytest.mark.parametrize(
    "query",
    [{"token": "x"}, {"client_secret": "x"}, {"client_id": "app"}, {"refresh_token": "x"}],
)
def test_tokens_and_credentials_in_the_url_are_refused(
    idp: ProviderUnderTest, query: dict[str, str]
) -> None:
    """They end up in logs."""
    tokens = idp.tokens()
    data = {"token": tokens["refresh_token"]}
    refused(ask(idp, params=query, data=data, auth=CONFIDENTIAL), "invalid_request")
    assert is_alive(idp, tokens)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_only_forms_are_taken(idp: ProviderUnderTest, content_type: str) -> None:
    headers = {"content-type": content_type}
    body = json.dumps({"token": "x"})
    refused(ask(idp, content=body, headers=headers, auth=CONFIDENTIAL), "invalid_request")


@pytest.mark.covers("R-81")
def test_a_body_that_is_too_large_is_refused(idp: ProviderUnderTest) -> None:
    body = "token=x&x=" + "x" * 70_000
    refused(ask(idp, content=body, headers=FORM, auth=CONFIDENTIAL), "invalid_request", 413)


@pytest.mark.spec("RFC 7009", "2.1")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "FOO"])
def test_only_post_is_taken(idp: ProviderUnderTest, method: str) -> None:
    tokens = idp.tokens()
    response = ask(idp, method, params={"token": tokens["refresh_token"]}, auth=CONFIDENTIAL)
    assert response.status_code == 405
    assert "POST" in response.headers["allow"].split(", ")
    assert is_alive(idp, tokens)


@pytest.mark.covers("R-100")
@pytest.mark.spec("RFC 7009", "2.2.1")
def test_what_cannot_be_revoked_is_said_not_to_be(idp: ProviderUnderTest) -> None:
    """200 would mean that the token is dead."""
    refused(revoke(idp, idp.tokens()["id_token"]), "unsupported_token_type")
    own = idp.token({"grant_type": "client_credentials"}).json()["access_token"]
    refused(revoke(idp, own), "unsupported_token_type")


@pytest.mark.covers("R-100", "CV-10", "K-1", "I-6")
@pytest.mark.spec("RFC 7009", "2.2.1")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
@pytest.mark.parametrize("verb", ["read", "replace"])
def test_a_store_that_is_away_is_503_and_the_token_lives(
    idp: ProviderUnderTest, kind: str, verb: Verb
) -> None:
    tokens = idp.tokens()
    FAULTS.always(verb, Fails())
    response = revoke(idp, tokens[kind])
    FAULTS.clear()
    refused(response, "temporarily_unavailable", 503)
    assert int(response.headers["retry-after"]) >= 1
    assert is_alive(idp, tokens)


@pytest.mark.covers("R-58")
@pytest.mark.spec("RFC 7009", "2.3")
def test_pages_of_allowed_origins_may_revoke(idp: ProviderUnderTest) -> None:
    preflight = {"origin": SPA, "access-control-request-method": "POST"}
    answer = ask(idp, "OPTIONS", headers=preflight)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == SPA
    assert "POST" in answer.headers["access-control-allow-methods"]
    for auth in (CONFIDENTIAL, ("nobody", "x")):
        response = ask(idp, data={"token": "x"}, auth=auth, headers={"origin": SPA})
        assert response.headers["access-control-allow-origin"] == SPA
        assert "access-control-allow-credentials" not in response.headers
    for origin in ("null", "https://evil.example"):
        response = ask(idp, data={"token": "x"}, auth=CONFIDENTIAL, headers={"origin": origin})
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.covers("R-90", "CV-30")
def test_no_token_is_repeated_in_an_answer(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    for kind in ("refresh_token", "access_token", "id_token"):
        for auth in (OTHER, ("app", "wrong"), CONFIDENTIAL):
            assert tokens[kind] not in revoke(idp, tokens[kind], auth=auth).text


def test_answers_are_counted() -> None:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    with provider_under_test(config) as idp:
        tokens = idp.tokens()
        revoke(idp, tokens["refresh_token"])
        revoke(idp, tokens["refresh_token"])
        revoke(idp, "x", auth=("nobody", "x"))
        registry = idp.provider.metrics.registry
        for result in ("ended", "nothing", "invalid_client"):
            name, labels = "idp_revocation_requests_total", {"result": result}
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
