"""The userinfo endpoint (OIDC Core section 5.3, RFC 6750)."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.provider import (
    ISSUER,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.sizes import examples
from tests.kit.storage import Faults, FlakyBackend

FORM = {"content-type": "application/x-www-form-urlencoded"}
FAULTS = Faults()
ALICE_CLAIMS = {
    "sub": "CgZ1c2VyLTESBWxvY2Fs",
    "email": "alice@example.com",
    "email_verified": True,
    "name": "Alice Liddell",
    "preferred_username": "alice",
    "groups": ["developers", "admins"],
}


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["web"]["allowedOrigins"] = ["https://spa.example.com"]
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, FAULTS)
    ) as provider:
        yield provider


def ask(idp: ProviderUnderTest, method: str = "GET", **options: Any) -> httpx.Response:
    return idp.new_browser("203.0.113.9").request(method, "/userinfo", **options)


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"authorization": f"{scheme} {token}"}


def refused(response: httpx.Response, error: str, status: int) -> None:
    """Assert a refusal of RFC 6750 section 3: the code in the challenge and in the body."""
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert response.headers["cache-control"] == "no-store"
    if status != 400:
        assert challenged(response, error)


def challenged(response: httpx.Response, error: str) -> bool:
    challenge = response.headers.get("www-authenticate", "")
    expected = f'Bearer realm="{ISSUER}", error="{error}"'
    return bool(challenge.startswith(expected))


@pytest.mark.covers("R-102")
@pytest.mark.spec("RFC 6750", "2.1")
@pytest.mark.spec("OIDC Core", "5.3")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_token_comes_in_the_header(idp: ProviderUnderTest, method: str, scheme: str) -> None:
    token = idp.tokens()["access_token"]
    response = ask(idp, method, headers=bearer(token, scheme))
    assert response.status_code == 200
    assert response.json() == ALICE_CLAIMS
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.covers("R-102")
@pytest.mark.spec("OIDC Core", "5.3")
@pytest.mark.spec("RFC 6750", "2.2")
def test_the_token_may_come_in_the_body_of_a_post(idp: ProviderUnderTest) -> None:
    token = idp.tokens()["access_token"]
    assert ask(idp, "POST", data={"access_token": token}).json() == ALICE_CLAIMS
    # Some proxies put credentials of their own into the header.
    headers = {"authorization": "Basic eDp5"}
    assert ask(idp, "POST", data={"access_token": token}, headers=headers).status_code == 200


@pytest.mark.covers("R-102")
def test_a_body_in_chunks_is_read_like_any_other(idp: ProviderUnderTest) -> None:
    token = idp.tokens()["access_token"]

    async def body() -> AsyncIterator[bytes]:
        yield b"access_token="
        yield token.encode()

    assert ask(idp, "POST", content=body(), headers=FORM).json() == ALICE_CLAIMS
    refused(ask(idp, "POST", content=body(), headers={**FORM, **bearer(token)}),
            "invalid_request", 400)  # fmt: skip


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain"])
def test_a_post_without_a_body_needs_no_media_type(
    idp: ProviderUnderTest, content_type: str
) -> None:
    token = idp.tokens()["access_token"]
    headers = {**bearer(token), "content-type": content_type}
    assert ask(idp, "POST", headers=headers).status_code == 200


@pytest.mark.covers("R-102")
@pytest.mark.spec("RFC 6750", "3.1")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"authorization": "Basic eDp5"}},
        {"headers": {"authorization": ""}},
        {"headers": {"cookie": "access_token=x"}},
        {"method": "POST"},
        {"method": "POST", "data": {"x": "y"}},
        {"method": "POST", "data": {"access_token": ""}},
    ],
)
def test_without_a_token_the_challenge_names_no_error(
    idp: ProviderUnderTest, options: dict[str, Any]
) -> None:
    response = ask(idp, **options)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == f'Bearer realm="{ISSUER}"'
    assert response.headers["cache-control"] == "no-store"
    assert "error" not in response.json()


@pytest.mark.covers("R-102")
@pytest.mark.spec("RFC 6750", "5.3")
@pytest.mark.spec("RFC 9700", "4.3.2")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_in_the_url_is_refused_and_ignored(idp: ProviderUnderTest, method: str) -> None:
    token = idp.tokens()["access_token"]
    for query in (f"access_token={token}", "access_token=", "x=1&access%5Ftoken=x"):
        refused(idp.browser.request(method, f"/userinfo?{query}"), "invalid_request", 400)
        answer = idp.browser.request(method, f"/userinfo?{query}", headers=bearer(token))
        refused(answer, "invalid_request", 400)
        assert token not in answer.text


@pytest.mark.covers("R-102")
@pytest.mark.spec("RFC 6750", "2")
def test_a_token_in_two_places_is_refused(idp: ProviderUnderTest) -> None:
    token = idp.tokens()["access_token"]
    other = idp.tokens()["access_token"]
    for second in (token, other, "x"):
        data = {"access_token": second}
        answer = ask(idp, "POST", data=data, headers=bearer(token))
        refused(answer, "invalid_request", 400)
        pair = [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {second}")]
        refused(ask(idp, headers=pair), "invalid_request", 400)
        refused(ask(idp, headers=pair[::-1]), "invalid_request", 400)
    doubled = f"access_token={token}&access_token={other}"
    refused(ask(idp, "POST", content=doubled, headers=FORM), "invalid_request", 400)


@pytest.mark.covers("R-102")
@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer  x", "Bearer x y", "Bearer x,y", 'Bearer "x"', "Bearer x;y",
     "Bearer =", "Bearer \x00", "Bearer é", "Bearer x=y"],
)  # fmt: skip
def test_a_header_that_is_no_bearer_token_is_refused(idp: ProviderUnderTest, header: str) -> None:
    headers = [(b"authorization", header.encode("latin-1"))]
    refused(ask(idp, headers=headers), "invalid_request", 400)


@pytest.mark.covers("R-102")
@pytest.mark.spec("RFC 6750", "3")
def test_a_malformed_request_gets_a_challenge_too(idp: ProviderUnderTest) -> None:
    for response in (
        ask(idp, headers={"authorization": "Bearer x y"}),
        ask(idp, params={"access_token": "x"}),
        ask(idp, "POST", data={"access_token": "x"}, headers=bearer("x")),
    ):
        refused(response, "invalid_request", 400)
        assert challenged(response, "invalid_request")


def hostile(good: str, id_token: str) -> dict[str, str]:
    header, claims, signature = good.split(".")

    def encoded(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    def header_with(**changes: object) -> str:
        known = json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))
        return encoded({**known, **changes})

    payload = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return {
        "garbage": "x",
        "two parts": f"{header}.{claims}",
        "four parts": f"{good}.x",
        "five parts": f"{header}.{claims}.{signature}.x.y",
        "no signature": f"{header}.{claims}.",
        "alg none": f"{header_with(alg='none')}.{claims}.",
        "alg none, signature": f"{header_with(alg='nOnE')}.{claims}.{signature}",
        "alg HS256": f"{header_with(alg='HS256')}.{claims}.{signature}",
        "alg RS256": f"{header_with(alg='RS256')}.{claims}.{signature}",
        "another kid": f"{header_with(kid='x')}.{claims}.{signature}",
        "a huge kid": f"{header_with(kid='x' * 3000)}.{claims}.{signature}",
        "jwk": f"{header_with(jwk={'kty': 'oct', 'k': 'AA'})}.{claims}.{signature}",
        "jku": f"{header_with(jku='http://127.0.0.1:9/keys')}.{claims}.{signature}",
        "crit": f"{header_with(crit=['x'])}.{claims}.{signature}",
        "another subject": f"{header}.{encoded({**payload, 'sub': 'x'})}.{signature}",
        "a later exp": f"{header}.{encoded({**payload, 'exp': 2**40})}.{signature}",
        "another scope": f"{header}.{encoded({**payload, 'scope': 'openid x'})}.{signature}",
        "signature of another token": f"{header}.{claims}.{id_token.split('.')[2]}",
        "a huge token": f"{header}.{'A' * 60_000}.{signature}",
        "the ID token": id_token,
        "padded": f"{good}==",
        "not canonical": good[:-1] + chr(ord(good[-1]) + 1),
    }


@pytest.mark.covers("R-102", "R-41", "R-43", "CV-12", "CV-13")
@pytest.mark.spec("OIDC Core", "5.3.3")
@pytest.mark.spec("RFC 9068", "4")
@pytest.mark.spec("RFC 6750", "3.1")
def test_a_token_that_is_not_good_is_invalid(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    for name, text in hostile(tokens["access_token"], tokens["id_token"]).items():
        for response in (
            ask(idp, headers=bearer(text)),
            ask(idp, "POST", data={"access_token": text}),
        ):
            body = response.json()
            if response.status_code == 400:
                # Longer than any parameter, or not the characters of a token at all.
                assert body["error"] == "invalid_request", name
                continue
            refused(response, "invalid_token", 401)


@pytest.mark.covers("R-45")
@pytest.mark.spec("RFC 9068", "4")
@pytest.mark.spec("RFC 8725", "3.11")
def test_other_things_of_ours_are_no_access_token(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    for other in (tokens["id_token"], tokens["refresh_token"], idp.code()):
        refused(ask(idp, headers=bearer(other)), "invalid_token", 401)


@pytest.mark.covers("R-102")
@pytest.mark.parametrize(("age", "status"), [(3599, 200), (3600, 401), (86400, 401)])
def test_an_expired_token_is_invalid(age: float, status: int) -> None:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    with provider_under_test(config) as idp:
        token = idp.tokens()["access_token"]
        idp.clock.turn(age)
        assert idp.userinfo(token).status_code == status


@pytest.mark.covers("R-102")
@pytest.mark.spec("RFC 6750", "3.1")
@pytest.mark.spec("OIDC Core", "5.3")
def test_a_token_without_openid_has_too_little_scope(idp: ProviderUnderTest) -> None:
    narrow = idp.refresh(idp.tokens()["refresh_token"], scope="email").json()["access_token"]
    machine = idp.token({"grant_type": "client_credentials"}).json()["access_token"]
    for token in (narrow, machine):
        refused(ask(idp, headers=bearer(token)), "insufficient_scope", 403)


@pytest.mark.covers("R-102")
@pytest.mark.spec("OIDC Core", "5.4")
@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", {"sub"}),
        ("openid email", {"sub", "email", "email_verified"}),
        ("openid profile", {"sub", "name", "preferred_username"}),
        ("openid groups", {"sub", "groups"}),
        ("openid federated:id", {"sub", "federated_claims"}),
        ("openid email profile groups offline_access", set(ALICE_CLAIMS)),
    ],
)
def test_the_answer_is_exactly_what_the_scopes_grant(
    idp: ProviderUnderTest, scope: str, names: set[str]
) -> None:
    """No `iss`, `aud`, `exp` or grant of the token itself."""
    claims = idp.userinfo(idp.tokens(scope)["access_token"]).json()
    assert set(claims) == names
    assert all(claims[name] == ALICE_CLAIMS[name] for name in names - {"federated_claims"})


@pytest.mark.spec("OIDC Core", "5.3.2")
def test_the_subject_is_that_of_the_id_token(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    payload = tokens["id_token"].split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    userinfo = idp.userinfo(tokens["access_token"]).json()
    assert userinfo == {name: claims[name] for name in userinfo}


def test_a_client_on_its_own_behalf_may_look_itself_up(idp: ProviderUnderTest) -> None:
    form = {"grant_type": "client_credentials", "scope": "openid profile"}
    token = idp.token(form).json()["access_token"]
    assert idp.userinfo(token).json()["sub"] == "CgNhcHA"


@pytest.mark.covers("R-102", "K-1")
def test_no_request_asks_the_store(idp: ProviderUnderTest) -> None:
    token = idp.tokens()["access_token"]
    FAULTS.calls.clear()
    for text in (token, "x", ""):
        ask(idp, headers=bearer(text))
        ask(idp, "POST", data={"access_token": text})
    assert {verb: calls for verb, calls in FAULTS.calls.items() if verb != "expired"} == {}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "FOO"])
def test_other_methods_are_not_allowed(idp: ProviderUnderTest, method: str) -> None:
    response = ask(idp, method, headers=bearer(idp.tokens()["access_token"]))
    assert response.status_code == 405
    assert {"GET", "POST"} <= set(response.headers["allow"].split(", "))
    assert "alice" not in response.text


def test_head_tells_what_get_would_tell_without_a_body(idp: ProviderUnderTest) -> None:
    token = idp.tokens()["access_token"]
    assert ask(idp, "HEAD", headers=bearer(token)).status_code == 200
    assert ask(idp, "HEAD").status_code == 401
    assert ask(idp, "HEAD", headers=bearer("x")).status_code == 401


@pytest.mark.covers("R-58")
def test_pages_of_allowed_origins_may_read_the_answer(idp: ProviderUnderTest) -> None:
    token = idp.tokens()["access_token"]
    allowed = {**bearer(token), "origin": "https://spa.example.com"}
    for response in (ask(idp, headers=allowed), ask(idp, headers={**allowed, **bearer("x")})):
        assert response.headers["access-control-allow-origin"] == "https://spa.example.com"
        assert "access-control-allow-credentials" not in response.headers
    for origin in ("null", "https://evil.example", "http://spa.example.com"):
        response = ask(idp, headers={**bearer(token), "origin": origin})
        assert "access-control-allow-origin" not in response.headers
        assert "Origin" in response.headers["vary"]


@pytest.mark.covers("R-58")
def test_a_preflight_needs_no_token(idp: ProviderUnderTest) -> None:
    headers = {"origin": "https://spa.example.com", "access-control-request-method": "GET",
               "access-control-request-headers": "authorization"}  # fmt: skip
    response = ask(idp, "OPTIONS", headers=headers)
    assert response.status_code == 204
    assert "GET" in response.headers["access-control-allow-methods"]
    assert "authorization" in response.headers["access-control-allow-headers"].lower()
    assert not response.content


@pytest.mark.covers("R-81", "R-102")
@settings(
    deadline=None,
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    header=st.binary(max_size=200).map(
        lambda raw: bytes(byte for byte in raw if byte >= 0x20 and byte != 0x7F)
    ),
    body=st.binary(max_size=200),
)
def test_no_bytes_make_a_fault_or_let_anybody_in(
    idp: ProviderUnderTest, header: bytes, body: bytes
) -> None:
    headers = [(b"authorization", b"Bearer " + header), (b"content-type", b"application/x-www-form-urlencoded")]  # fmt: skip  # noqa: E501
    for method, content in (("GET", None), ("POST", body)):
        response = ask(idp, method, headers=headers, content=content)
        assert response.status_code in (400, 401)
        json.loads(response.text)


@pytest.mark.covers("R-81")
def test_a_body_that_is_too_large_is_refused(idp: ProviderUnderTest) -> None:
    response = ask(idp, "POST", content=b"x=" + b"a" * 100_000, headers=FORM)
    assert response.status_code == 413
