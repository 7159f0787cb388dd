"""The client registration endpoint (RFC 7591, OIDC Dynamic Client Registration 1.0), over HTTP."""

import json
import logging
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp.oauth.client_assertion import JWT_BEARER
from tests.kit.provider import (
    CONFIDENTIAL,
    ISSUER,
    Pkce,
    ProviderUnderTest,
    answer_of,
    base_config,
    provider_under_test,
)
from tests.kit.registration import (
    CALLBACK,
    INITIAL_TOKEN,
    METADATA,
    bearer,
    register,
    try_to_register,
)
from tests.kit.signing_client import SigningClient
from tests.kit.sizes import examples
from tests.kit.storage import Fails, Faults, FlakyBackend

FAULTS = Faults()
JSON_TYPE = {"content-type": "application/json"}


def config(mode: str = "token", **more: Any) -> dict[str, Any]:
    found = base_config()
    found["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    found["web"]["allowedOrigins"] = ["https://spa.example.com"]
    tokens = {"initialAccessTokens": ["another-token-of-the-tests", INITIAL_TOKEN]}
    found["registration"] = {"mode": mode, **(tokens if mode == "token" else {}), **more}
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


def refused(response: httpx.Response, error: str, status: int = 400) -> None:
    body = response.json()
    assert (response.status_code, body["error"]) == (status, error), response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    description = body["error_description"]
    assert all(" " <= character <= "~" and character not in '"\\' for character in description)


@pytest.mark.covers("R-105")
@pytest.mark.spec("OIDC Dynamic Client Registration", "3.2")
@pytest.mark.spec("RFC 7592", "3")
@pytest.mark.spec("RFC 7591", "3.2.1")
def test_the_answer_has_what_the_specification_demands(idp: ProviderUnderTest) -> None:
    response = try_to_register(idp, {**METADATA, "unknown_member": [1]})
    answer = response.json()
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    client_id, secret = answer.pop("client_id"), answer.pop("client_secret")
    assert len(client_id) == 32
    assert len(secret) == 43
    assert answer.pop("registration_client_uri") == f"{ISSUER}/register/{client_id}"
    assert len(answer.pop("registration_access_token")) > 43
    assert answer.pop("client_id_issued_at") == int(idp.clock().timestamp())
    assert answer.pop("client_secret_expires_at") == 0
    # All registered metadata, with the defaults that were filled in.
    assert answer == {
        **METADATA,
        "application_type": "web",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "subject_type": "public",
    }


@pytest.mark.spec("RFC 7591", "5")
@pytest.mark.spec("RFC 7591", "3.2.1")
def test_a_public_client_gets_no_secret(idp: ProviderUnderTest) -> None:
    answer = register(idp, token_endpoint_auth_method="none").answer
    assert not {"client_secret", "client_secret_expires_at"} & set(answer)


@pytest.mark.spec("OIDC Dynamic Client Registration", "3.2")
@pytest.mark.spec("RFC 7591", "3.2.1")
def test_ids_secrets_and_tokens_are_all_different(idp: ProviderUnderTest) -> None:
    answers = [register(idp).answer for _ in range(20)]
    for name in ("client_id", "client_secret", "registration_access_token"):
        assert len({answer[name] for answer in answers}) == len(answers)


def code_for(idp: ProviderUnderTest, client_id: str, **more: str) -> str:
    """Return a code after signing in and approving, as a person would."""
    browser = idp.new_browser()
    changes = {"client_id": client_id, "redirect_uri": CALLBACK, "scope": "openid email", **more}
    answer = idp.sign_in(changes, browser=browser)
    assert answer.status_code == 200, "a stranger's client needs approval"
    state = answer.text.partition('name="state" value="')[2].partition('"')[0]
    approved = browser.post("/approval", data={"state": state, "approval": "approve"})
    return answer_of(approved)["code"]


@pytest.mark.covers("R-105")
@pytest.mark.spec("RFC 7591", "5")
@pytest.mark.spec("RFC 7591", "3.2.1")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_registered_client_signs_people_in(idp: ProviderUnderTest, method: str) -> None:
    client = register(idp, token_endpoint_auth_method=method)
    form = {
        "grant_type": "authorization_code",
        "code": code_for(idp, client.id),
        "redirect_uri": CALLBACK,
    }
    if method == "client_secret_post":
        client_id, secret = client.credentials
        answer = idp.token({**form, "client_id": client_id, "client_secret": secret}, auth=None)
    else:
        answer = idp.token(form, auth=client.credentials)
    assert answer.status_code == 200, answer.text
    assert idp.userinfo(answer.json()["access_token"]).json()["email"] == "alice@example.com"
    payload = answer.json()["id_token"].split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == client.id
    # Claims of scopes are at userinfo only, as OIDC Core section 5.4 has it.
    assert not {"email", "name", "groups"} & set(claims)


@pytest.mark.spec("OIDC Dynamic Client Registration", "2")
@pytest.mark.parametrize(("registered", "status"), [("ES256", 200), ("PS256", 401), ("", 200)])
def test_a_registered_client_proves_itself_by_its_key(
    idp: ProviderUnderTest, registered: str, status: int
) -> None:
    """And by the algorithm that it registered, if any."""
    key = SigningClient("x", ISSUER, alg="ES256", typ=None)
    said = {"token_endpoint_auth_signing_alg": registered} if registered else {}
    client = register(
        idp,
        token_endpoint_auth_method="private_key_jwt",
        jwks=key.jwks,
        grant_types=["client_credentials"],
        **said,
    )
    assert "client_secret" not in client.answer
    now = int(idp.clock().timestamp())
    claims = {"iss": client.id, "sub": client.id, "aud": ISSUER, "exp": now + 60, "iat": now}
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": JWT_BEARER,
        "client_assertion": key.jwt({**claims, "jti": f"j-{registered}"}),
    }
    assert idp.token(form, auth=None).status_code == status


def test_a_registered_public_client_signs_people_in_with_pkce(idp: ProviderUnderTest) -> None:
    client = register(idp, token_endpoint_auth_method="none")
    pkce = Pkce()
    challenge = {"code_challenge": pkce.challenge, "code_challenge_method": "S256"}
    form = {
        "grant_type": "authorization_code",
        "client_id": client.id,
        "code": code_for(idp, client.id, **challenge),
        "redirect_uri": CALLBACK,
        "code_verifier": pkce.verifier,
    }
    assert idp.token(form, auth=None).status_code == 200


@pytest.mark.covers("R-105", "CV-3")
@pytest.mark.parametrize(
    ("sent", "asked", "error"),
    [
        ({"scope": "openid"}, {"scope": "openid audience:server:client_id:other"}, "invalid_scope"),
        ({}, {"scope": "openid audience:server:client_id:other"}, "invalid_scope"),
    ],
)
def test_a_registered_client_may_do_no_more_than_it_registered_for(
    idp: ProviderUnderTest, sent: dict[str, Any], asked: dict[str, str], error: str
) -> None:
    client = register(idp, **sent)
    changes = {"client_id": client.id, "redirect_uri": CALLBACK, **asked}
    assert answer_of(idp.authorize(changes))["error"] == error


@pytest.mark.covers("R-105", "CV-3")
@pytest.mark.spec("OIDC Dynamic Client Registration", "2")
@pytest.mark.parametrize(
    ("response_types", "asked", "allowed"),
    [
        (["code"], "code", True),
        (["code"], "id_token", False),
        (["code"], "code id_token", False),
        (["code id_token"], "code id_token", True),
        (["code", "id_token"], "code id_token", False),
        (["code", "id_token"], "id_token", True),
    ],
)
def test_a_client_has_the_response_types_that_it_restricted_itself_to(
    response_types: list[str], asked: str, *, allowed: bool
) -> None:
    hybrid = config()
    hybrid["oauth2"]["responseTypes"] = ["code", "id_token"]
    grants = {"code": ["authorization_code"]}.get(" ".join(response_types))
    with provider_under_test(hybrid) as idp:
        client = register(
            idp,
            response_types=response_types,
            grant_types=grants or ["authorization_code", "implicit"],
        )
        changes = {"client_id": client.id, "redirect_uri": CALLBACK, "response_type": asked}
        answer = idp.authorize(changes)
        assert (answer.status_code == 200) == allowed
        assert ("error=unauthorized_client" in answer.headers.get("location", "")) != allowed


@pytest.mark.parametrize("grant_type", ["client_credentials", "refresh_token"])
def test_a_grant_type_that_was_not_registered_is_not_served(
    idp: ProviderUnderTest, grant_type: str
) -> None:
    client = register(idp)
    form = {"grant_type": grant_type, "refresh_token": "x"}
    assert idp.token(form, auth=client.credentials).json()["error"] == "unauthorized_client"


def test_a_grant_type_that_was_registered_is_served(idp: ProviderUnderTest) -> None:
    client = register(idp, grant_types=["client_credentials"], redirect_uris=[])
    form = {"grant_type": "client_credentials"}
    assert idp.token(form, auth=client.credentials).status_code == 200


def test_a_redirect_uri_that_was_not_registered_is_a_page(idp: ProviderUnderTest) -> None:
    client = register(idp)
    for uri in (CALLBACK + "/", "https://app.example.com/callback"):
        changes = {"client_id": client.id, "redirect_uri": uri}
        assert idp.authorize(changes).status_code == 400


@pytest.mark.covers("R-105", "R-102")
@pytest.mark.spec("RFC 7591", "3")
def test_without_an_initial_access_token_nobody_registers(idp: ProviderUnderTest) -> None:
    FAULTS.calls.clear()
    bare = try_to_register(idp, METADATA, headers={})
    refused(bare, "invalid_token", 401)
    # No error code where nothing was tried (RFC 6750 section 3.1).
    assert bare.headers["www-authenticate"] == f'Bearer realm="{ISSUER}"'
    for wrong in ("x", INITIAL_TOKEN[:-1], INITIAL_TOKEN + "x", INITIAL_TOKEN.upper()):
        response = try_to_register(idp, METADATA, headers=bearer(wrong))
        refused(response, "invalid_token", 401)
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert FAULTS.writes == 0
    basic = idp.new_browser("203.0.113.22").post("/register", json=METADATA, auth=CONFIDENTIAL)
    refused(basic, "invalid_token", 401)


def test_every_initial_access_token_is_as_good(idp: ProviderUnderTest) -> None:
    for token in (INITIAL_TOKEN, "another-token-of-the-tests"):
        assert try_to_register(idp, METADATA, headers=bearer(token)).status_code == 201


@pytest.mark.covers("R-75")
def test_guesses_of_an_initial_access_token_are_slowed_down() -> None:
    with provider_under_test(config()) as idp:
        statuses = [
            try_to_register(idp, METADATA, headers=bearer(f"guess-{n}")).status_code
            for n in range(12)
        ]
        assert statuses == [401] * 10 + [429] * 2
        elsewhere = idp.new_browser("198.51.100.30")
        right = elsewhere.post("/register", json=METADATA, headers=bearer(INITIAL_TOKEN))
        assert right.status_code == 201


def test_right_tokens_are_never_slowed_down(idp: ProviderUnderTest) -> None:
    assert {try_to_register(idp, METADATA).status_code for _ in range(30)} == {201}


@pytest.mark.spec("RFC 6750", "2")
def test_a_token_belongs_into_the_header(idp: ProviderUnderTest) -> None:
    browser = idp.new_browser("203.0.113.23")
    in_query = browser.post(f"/register?access_token={INITIAL_TOKEN}", json=METADATA)
    refused(in_query, "invalid_request")
    twice = [("authorization", f"Bearer {INITIAL_TOKEN}")] * 2
    refused(browser.post("/register", json=METADATA, headers=twice), "invalid_request")
    malformed = {"authorization": "Bearer a b"}
    refused(try_to_register(idp, METADATA, headers=malformed), "invalid_request")


@pytest.mark.covers("R-105")
@pytest.mark.spec("OIDC Dynamic Client Registration", "3.3")
@pytest.mark.spec("RFC 7591", "3.2.2")
@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({"redirect_uris": ["https://*.example.com/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"client_name": 7}, "invalid_client_metadata"),
        ({"sector_identifier_uri": "https://x.example.com"}, "invalid_client_metadata"),
        ({"subject_type": "pairwise"}, "invalid_client_metadata"),
        ({"id_token_signed_response_alg": "RS256"}, "invalid_client_metadata"),
        ({"software_statement": "x.y.z"}, "unapproved_software_statement"),
    ],
)
def test_refusals_have_the_codes_of_the_specification(
    idp: ProviderUnderTest, sent: dict[str, Any], error: str
) -> None:
    FAULTS.calls.clear()
    refused(try_to_register(idp, {**METADATA, **sent}), error)
    assert FAULTS.writes == 0


@pytest.mark.spec("RFC 7591", "3.1")
@pytest.mark.parametrize(
    "body",
    [
        "", "x", "null", "[]", '"x"', "7", "{", '{"redirect_uris":[]', "\ufeff{}", "{}{}",
        '{"client_name":"a","client_name":"b"}', '{"default_max_age":1e999}',
        '{"default_max_age":' + "9" * 400 + "}", '{"a":' * 30 + "1" + "}" * 30, '{"x":NaN}',
        '{"client_name":"\\ud800"}', '{"redirect_uris":["\\ud800"]}',
    ],
    ids=lambda body: body[:30],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(idp: ProviderUnderTest, body: str) -> None:
    headers = {**bearer(INITIAL_TOKEN), **JSON_TYPE}
    browser = idp.new_browser("203.0.113.24")
    response = browser.post("/register", content=body.encode(), headers=headers)
    refused(response, "invalid_request")


@pytest.mark.spec("OIDC Dynamic Client Registration", "3")
@pytest.mark.spec("RFC 7591", "3.1")
@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_only_json_is_taken(idp: ProviderUnderTest, content_type: str) -> None:
    headers = {**bearer(INITIAL_TOKEN), "content-type": content_type}
    browser = idp.new_browser("203.0.113.25")
    response = browser.post("/register", content=json.dumps(METADATA), headers=headers)
    refused(response, "invalid_request")
    labelled = {**bearer(INITIAL_TOKEN), "content-type": "application/json; charset=utf-8"}
    accepted = browser.post("/register", content=json.dumps(METADATA), headers=labelled)
    assert accepted.status_code == 201


@pytest.mark.covers("R-81", "R-82")
def test_a_body_that_is_too_large_is_refused(idp: ProviderUnderTest) -> None:
    refused(try_to_register(idp, {**METADATA, "x": "x" * 40_000}), "invalid_request", 413)
    # Who has no token sends nothing that is read.
    refused(try_to_register(idp, {"x": "x" * 40_000}, headers={}), "invalid_token", 401)


@pytest.mark.covers("R-58")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"])
def test_only_post_is_taken(idp: ProviderUnderTest, method: str) -> None:
    headers = {**bearer(INITIAL_TOKEN), "origin": "https://spa.example.com"}
    response = idp.browser.request(method, "/register", headers=headers)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.covers("R-105", "R-106")
@pytest.mark.parametrize("path", ["", "/dex"])
def test_off_there_is_no_such_address(path: str) -> None:
    off = {**config("off"), "issuer": ISSUER + path}
    with provider_under_test(off) as idp:
        found = idp.browser.get(f"{path}/.well-known/openid-configuration").json()
        assert "registration_endpoint" not in found
        assert idp.browser.post(f"{path}/register", json=METADATA).status_code == 404
        assert idp.browser.get(f"{path}/register/{'0' * 32}").status_code == 404


@pytest.mark.covers("R-106")
@pytest.mark.parametrize("path", ["", "/dex"])
def test_on_discovery_names_the_address(path: str) -> None:
    with provider_under_test({**config(), "issuer": ISSUER + path}) as idp:
        found = idp.browser.get(f"{path}/.well-known/openid-configuration").json()
        assert found["registration_endpoint"] == f"{ISSUER}{path}/register"
        headers = bearer(INITIAL_TOKEN)
        answer = idp.browser.post(f"{path}/register", json=METADATA, headers=headers).json()
        uri = answer["registration_client_uri"]
        assert uri == f"{ISSUER}{path}/register/{answer['client_id']}"
        own = bearer(answer["registration_access_token"])
        assert idp.browser.get(uri, headers=own).status_code == 200


@pytest.mark.covers("R-105")
@pytest.mark.spec("RFC 7591", "3")
def test_open_anybody_registers_a_few_times() -> None:
    with provider_under_test(config("open")) as idp:
        statuses = [try_to_register(idp, METADATA, headers={}).status_code for _ in range(12)]
        assert statuses == [201] * 10 + [429] * 2
        elsewhere = idp.new_browser("198.51.100.31").post("/register", json=METADATA)
        assert elsewhere.status_code == 201
        refusal = try_to_register(idp, METADATA, headers={})
        assert int(refusal.headers["retry-after"]) >= 1
        idp.clock.turn(601)
        assert try_to_register(idp, METADATA, headers={}).status_code == 201


def test_open_a_token_that_nobody_asked_for_is_not_looked_at() -> None:
    with provider_under_test(config("open")) as idp:
        assert try_to_register(idp, METADATA, headers=bearer("whatever")).status_code == 201


@pytest.mark.covers("R-105")
@pytest.mark.parametrize("mode", ["token", "open"])
def test_there_are_only_so_many(mode: str) -> None:
    with provider_under_test(config(mode, maxClients=3)) as idp:
        clients = [register(idp) for _ in range(3)]
        full = try_to_register(idp, METADATA)
        refused(full, "temporarily_unavailable", 429)
        assert int(full.headers["retry-after"]) >= 1
        gone = idp.browser.request("DELETE", clients[0].path, headers=clients[0].headers)
        assert gone.status_code == 204
        assert try_to_register(idp, METADATA).status_code == 201
        assert try_to_register(idp, METADATA).status_code == 429


@pytest.mark.covers("CV-10", "I-6", "K-1", "R-105")
def test_a_store_that_is_away_is_503_and_registers_nobody(idp: ProviderUnderTest) -> None:
    before = idp.provider.metrics.registry.get_sample_value("idp_registered_clients")
    FAULTS.next("create", Fails())
    response = try_to_register(idp, METADATA)
    refused(response, "temporarily_unavailable", 503)
    assert int(response.headers["retry-after"]) >= 1
    assert idp.provider.metrics.registry.get_sample_value("idp_registered_clients") == before
    register(idp)


def test_a_registration_is_one_write_and_nothing_else(idp: ProviderUnderTest) -> None:
    FAULTS.calls.clear()
    register(idp)
    assert (FAULTS.calls["create"], FAULTS.writes) == (1, 1)


@pytest.mark.covers("R-88", "R-90", "CV-30")
@pytest.mark.spec("RFC 7591", "5")
def test_no_secret_is_in_the_store_or_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = config()
    database = tmp_path / "idp.db"
    found["storage"] = {"type": "sqlite3", "config": {"file": str(database)}}
    with provider_under_test(found) as idp, caplog.at_level(logging.DEBUG):
        client = register(idp)
    secrets = [client.credentials[1], client.answer["registration_access_token"], INITIAL_TOKEN]
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert client.id.encode() in stored
    assert all(secret.encode() not in stored for secret in secrets)
    assert "client_registered" in caplog.text
    assert all(secret not in caplog.text for secret in secrets)


def test_answers_are_counted() -> None:
    with provider_under_test(config()) as idp:
        register(idp)
        try_to_register(idp, METADATA, headers={})
        try_to_register(idp, {"redirect_uris": []})
        registry = idp.provider.metrics.registry
        for result in ("ok", "invalid_token", "invalid_redirect_uri"):
            labels = {"method": "register", "result": result}
            assert registry.get_sample_value("idp_registration_requests_total", labels) == 1
        assert registry.get_sample_value("idp_registered_clients") == 1


@pytest.mark.covers("R-81", "R-82", "CV-36")
@settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.binary(max_size=300))
def test_no_input_is_a_fault(idp: ProviderUnderTest, body: bytes) -> None:
    headers = {**bearer(INITIAL_TOKEN), **JSON_TYPE}
    browser = idp.new_browser("203.0.113.26")
    for content in (body, b'{"redirect_uris":' + body + b"}", b'{"' + body + b'":1}'):
        response = browser.post("/register", content=content, headers=headers)
        assert response.status_code == 400
