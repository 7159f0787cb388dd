"""The client configuration endpoint (RFC 7592), over HTTP."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.clock import HandClock
from tests.kit.provider import (
    ISSUER,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.registration import (
    CALLBACK,
    INITIAL_TOKEN,
    METADATA,
    Registered,
    bearer,
    manage,
    register,
)
from tests.kit.sizes import examples
from tests.kit.storage import Fails, Faults, FlakyBackend, LosesAnswer, Verb

FAULTS = Faults()
CREDENTIALS = {"grant_types": ["client_credentials"], "redirect_uris": []}


def config(**registration: Any) -> dict[str, Any]:
    found = base_config()
    found["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    found["web"]["allowedOrigins"] = ["https://spa.example.com"]
    mode = {"mode": "token", "initialAccessTokens": [INITIAL_TOKEN]}
    found["registration"] = {**mode, **registration}
    return found


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    with provider_under_test(
        config(), wrap_backend=lambda backend: FlakyBackend(backend, FAULTS)
    ) as provider:
        yield provider


@pytest.fixture
def untouched() -> Iterator[tuple[ProviderUnderTest, Faults]]:
    """A provider that removed nobody: what such a client has is looked for a second later."""
    faults = Faults()
    with provider_under_test(
        config(), wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider, faults


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    yield
    FAULTS.clear()


def refused(response: httpx.Response, error: str, status: int = 400) -> None:
    body = response.json()
    assert (response.status_code, body["error"]) == (status, error), response.text
    assert response.headers["cache-control"] == "no-store"
    if status == 401 and error == "invalid_token":
        challenge = response.headers["www-authenticate"]
        assert challenge.startswith(f'Bearer realm="{ISSUER}", error="invalid_token"')


def eventually(is_so: Callable[[], bool]) -> bool:
    for _ in range(500):
        if is_so():
            return True
        time.sleep(0.02)
    return False


def put(idp: ProviderUnderTest, client: Registered, **sent: Any) -> httpx.Response:
    body = {"client_id": client.id, **METADATA, **sent}
    present = {name: value for name, value in body.items() if value is not ...}
    return manage(idp, "PUT", client, json=present)


def works(idp: ProviderUnderTest, credentials: tuple[str, str]) -> bool:
    """Return whether the client can get a token for itself."""
    answer = idp.token({"grant_type": "client_credentials"}, auth=credentials)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


@pytest.mark.covers("R-105")
@pytest.mark.spec("OIDC Dynamic Client Registration", "4.3")
@pytest.mark.spec("RFC 7592", "2.1")
def test_a_client_reads_its_registration(idp: ProviderUnderTest) -> None:
    client = register(idp, client_name="Wiki")
    response = manage(idp, "GET", client)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    expected = dict(client.answer)
    # Shown once: there is only a hash of it.
    del expected["client_secret"], expected["client_secret_expires_at"]
    assert response.json() == expected


@pytest.mark.covers("R-105")
@pytest.mark.spec("RFC 7592", "2.2")
def test_a_replacement_replaces_everything(idp: ProviderUnderTest) -> None:
    client = register(idp, client_name="Wiki", contacts=["a@example.com"], scope="openid")
    response = put(idp, client, client_name="Blog", contacts=..., scope=None)
    assert response.status_code == 200
    answer = response.json()
    assert answer["client_name"] == "Blog"
    assert not {"contacts", "scope", "client_secret"} & set(answer)
    assert answer["client_id"] == client.id
    assert answer["client_id_issued_at"] == client.answer["client_id_issued_at"]
    assert answer == manage(idp, "GET", client).json()


@pytest.mark.covers("R-105")
@pytest.mark.spec("RFC 7592", "2.2")
def test_what_was_replaced_counts_at_once(idp: ProviderUnderTest) -> None:
    client = register(idp)
    moved = "https://moved.example.com/callback"
    assert put(idp, client, redirect_uris=[moved]).status_code == 200
    there = {"client_id": client.id, "redirect_uri": moved}
    assert idp.authorize(there).status_code == 200
    assert idp.authorize({**there, "redirect_uri": CALLBACK}).status_code == 400


@pytest.mark.spec("RFC 7592", "3")
def test_the_token_stays_the_same(idp: ProviderUnderTest) -> None:
    """Were it replaced, a lost answer would lock the client out of its registration."""
    client = register(idp)
    for method, body in (("GET", None), ("PUT", {"client_id": client.id, **METADATA})):
        answer = manage(idp, method, client, json=body).json()
        token = client.answer["registration_access_token"]
        assert answer["registration_access_token"] == token
        assert answer["registration_client_uri"] == client.answer["registration_client_uri"]


@pytest.mark.covers("R-105")
@pytest.mark.spec("RFC 7592", "2.2")
def test_the_secret_stays_while_one_is_needed(idp: ProviderUnderTest) -> None:
    client = register(idp, **CREDENTIALS)
    assert works(idp, client.credentials)
    for method in ("client_secret_post", "client_secret_basic"):
        answer = put(idp, client, **CREDENTIALS, token_endpoint_auth_method=method)
        assert "client_secret" not in answer.json()
    assert works(idp, client.credentials)


@pytest.mark.spec("RFC 7592", "2.2")
def test_a_secret_that_becomes_needed_is_made_and_shown_once(idp: ProviderUnderTest) -> None:
    client = register(idp, token_endpoint_auth_method="none")
    answer = put(idp, client, **CREDENTIALS).json()
    assert answer["client_secret_expires_at"] == 0
    assert works(idp, (client.id, answer["client_secret"]))
    assert "client_secret" not in manage(idp, "GET", client).json()


@pytest.mark.spec("RFC 7592", "2.2")
def test_a_secret_that_is_needed_no_more_is_gone(idp: ProviderUnderTest) -> None:
    client = register(idp)
    assert put(idp, client, token_endpoint_auth_method="none").status_code == 200
    answer = put(idp, client, **CREDENTIALS).json()
    assert answer["client_secret"] != client.credentials[1]
    assert not works(idp, client.credentials)
    assert works(idp, (client.id, answer["client_secret"]))


@pytest.mark.covers("R-105")
@pytest.mark.spec("RFC 7592", "2.2")
def test_a_client_may_send_its_secret_and_choose_no_other(idp: ProviderUnderTest) -> None:
    client = register(idp, **CREDENTIALS)
    secret = client.credentials[1]
    assert put(idp, client, **CREDENTIALS, client_secret=secret).status_code == 200
    for wrong in ("a secret of my own choice", secret[:-1], "", 7, [secret]):
        refused(put(idp, client, **CREDENTIALS, client_secret=wrong), "invalid_request")
    assert works(idp, client.credentials)
    public = register(idp, token_endpoint_auth_method="none")
    refused(put(idp, public, client_secret="mine"), "invalid_request")


@pytest.mark.covers("R-105")
@pytest.mark.spec("RFC 7592", "2.2")
@pytest.mark.parametrize(
    "sent",
    [
        {"client_id": ...},
        {"client_id": "0" * 32},
        {"client_id": 7},
        {"client_id": None},
        {"registration_access_token": "x"},
        {"registration_client_uri": "https://evil.example/"},
        {"client_secret_expires_at": 0},
        {"client_id_issued_at": 0},
    ],
    ids=str,
)
def test_what_is_not_the_clients_to_say_is_refused(
    idp: ProviderUnderTest, sent: dict[str, Any]
) -> None:
    client = register(idp)
    FAULTS.calls.clear()
    refused(put(idp, client, **sent), "invalid_request")
    assert FAULTS.writes == 0
    assert manage(idp, "GET", client).json()["client_name"] == METADATA["client_name"]


@pytest.mark.covers("R-105")
@pytest.mark.spec("RFC 7592", "2.2")
@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({"redirect_uris": ["http://app.example.com/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": None}, "invalid_redirect_uri"),
        ({"subject_type": "pairwise"}, "invalid_client_metadata"),
        ({"software_statement": "x"}, "unapproved_software_statement"),
    ],
)
def test_a_replacement_is_checked_like_a_registration(
    idp: ProviderUnderTest, sent: dict[str, Any], error: str
) -> None:
    client = register(idp)
    refused(put(idp, client, **sent), error)
    assert manage(idp, "GET", client).json()["redirect_uris"] == [CALLBACK]


@pytest.mark.covers("R-105", "CV-33")
@pytest.mark.spec("RFC 7592", "2.3")
def test_a_removed_client_and_all_that_it_has_are_gone_at_once(idp: ProviderUnderTest) -> None:
    client = register(idp, **CREDENTIALS)
    form = {"grant_type": "client_credentials", "scope": "openid"}
    token = idp.token(form, auth=client.credentials).json()["access_token"]
    assert idp.userinfo(token).status_code == 200
    response = manage(idp, "DELETE", client)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["cache-control"] == "no-store"
    assert not works(idp, client.credentials)
    assert idp.userinfo(token).status_code == 401
    changes = {"client_id": client.id, "redirect_uri": CALLBACK}
    assert idp.authorize(changes).status_code == 400
    for method, body in (("GET", None), ("PUT", {"client_id": client.id}), ("DELETE", None)):
        refused(manage(idp, method, client, json=body), "invalid_token", 401)


@pytest.mark.covers("R-105", "R-102")
@pytest.mark.spec("OIDC Dynamic Client Registration", "4.2")
@pytest.mark.spec("RFC 7592", "2")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_its_own_token_opens_a_registration(
    untouched: tuple[ProviderUnderTest, Faults], method: str
) -> None:
    idp, faults = untouched
    faults.calls.clear()
    client, other = register(idp), register(idp)
    # What follows the store has looked at both.
    assert eventually(lambda: faults.calls["read"] == 2)
    own = str(client.answer["registration_access_token"])
    body = {"client_id": client.id, "redirect_uris": ["https://evil.example/"]}
    faults.calls.clear()
    bare = manage(idp, method, client, json=body, headers={})
    assert bare.status_code == 401
    assert bare.headers["www-authenticate"] == f'Bearer realm="{ISSUER}"'
    for token in (
        "x", own[:-1], own + "A", own.removeprefix("kia_"), own.upper(), INITIAL_TOKEN,
        str(other.answer["registration_access_token"]), client.credentials[1],
    ):  # fmt: skip
        refused(manage(idp, method, client, json=body, headers=bearer(token)), "invalid_token", 401)
    basic = idp.browser.request(method, client.path, json=body, auth=client.credentials)
    assert basic.status_code == 401
    # The hash of the right one is in memory: a wrong one asks no store.
    assert {verb: calls for verb, calls in faults.calls.items() if verb != "expired"} == {}
    assert manage(idp, "GET", client).json()["redirect_uris"] == [CALLBACK]


@pytest.mark.covers("R-105", "CV-6")
@pytest.mark.spec("OIDC Dynamic Client Registration", "4.4")
@pytest.mark.spec("RFC 7592", "2.1")
@pytest.mark.parametrize(
    "client_id",
    ["0" * 32, "app", "x", "A" * 32, "...", "0" * 31, "0" * 33, "日本", "a%00b", "a%0Ab"],
)
def test_a_client_that_is_not_there_is_like_a_wrong_token(
    idp: ProviderUnderTest, client_id: str
) -> None:
    token = bearer(str(register(idp).answer["registration_access_token"]))
    browser = idp.new_browser("203.0.113.30")
    for method in ("GET", "PUT", "DELETE"):
        response = browser.request(method, f"/register/{client_id}", json={}, headers=token)
        if "%0A" in client_id:
            assert response.status_code == 404
        else:
            refused(response, "invalid_token", 401)


@pytest.mark.covers("R-75")
@pytest.mark.spec("RFC 7592", "5")
def test_looking_for_clients_is_slowed_down() -> None:
    """An id that nobody here has heard of may be a second old elsewhere: only the store knows."""
    with provider_under_test(config()) as idp:
        browser = idp.new_browser("203.0.113.31")
        token = bearer("kia_" + "A" * 43)
        statuses = [
            browser.get(f"/register/{n:032x}", headers=token).status_code for n in range(25)
        ]
        assert statuses[:20] == [401] * 20
        assert set(statuses[20:]) == {429}
        # Whoever is known is not kept waiting.
        client = register(idp)
        assert manage(idp, "GET", client).status_code == 200


@pytest.mark.covers("R-58")
@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS", "FOO"])
def test_other_methods_are_not_allowed(idp: ProviderUnderTest, method: str) -> None:
    client = register(idp)
    headers = {**client.headers, "origin": "https://spa.example.com"}
    response = manage(idp, method, client, headers=headers)
    assert response.status_code == 405
    assert {"GET", "PUT", "DELETE"} <= set(response.headers["allow"].split(", "))
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_token_in_the_url_is_refused(idp: ProviderUnderTest, method: str) -> None:
    client = register(idp)
    query = {"access_token": str(client.answer["registration_access_token"])}
    for headers in ({}, client.headers):
        response = manage(idp, method, client, params=query, headers=headers)
        refused(response, "invalid_request")
    assert manage(idp, "GET", client).status_code == 200


@pytest.mark.covers("R-81")
def test_a_body_that_is_wrong_or_too_large_is_refused(idp: ProviderUnderTest) -> None:
    client = register(idp)
    json_type = {**client.headers, "content-type": "application/json"}
    for body in (b"", b"x", b"[]", b'{"client_id":"a","client_id":"b"}'):
        refused(manage(idp, "PUT", client, content=body, headers=json_type), "invalid_request")
    large = json.dumps({"client_id": client.id, "x": "x" * 40_000}).encode()
    refused(manage(idp, "PUT", client, content=large, headers=json_type), "invalid_request", 413)
    form = {**client.headers, "content-type": "application/x-www-form-urlencoded"}
    refused(manage(idp, "PUT", client, content=b"a=b", headers=form), "invalid_request")


@pytest.mark.covers("CV-10", "I-6", "K-1")
@pytest.mark.parametrize(
    ("method", "verb"),
    [
        ("GET", "read"),
        ("PUT", "read"),
        ("PUT", "replace"),
        ("DELETE", "read"),
        ("DELETE", "remove"),
    ],
)
def test_a_store_that_is_away_is_503_and_changes_nothing(
    idp: ProviderUnderTest, method: str, verb: Verb
) -> None:
    client = register(idp, **CREDENTIALS)
    FAULTS.always(verb, Fails())
    body = {"client_id": client.id, "redirect_uris": [CALLBACK]} if method == "PUT" else None
    response = manage(idp, method, client, json=body)
    FAULTS.clear()
    refused(response, "temporarily_unavailable", 503)
    assert int(response.headers["retry-after"]) >= 1
    assert works(idp, client.credentials)
    assert manage(idp, "GET", client).json()["grant_types"] == ["client_credentials"]


@pytest.mark.covers("K-6")
def test_a_replacement_whose_answer_was_lost_is_a_success(idp: ProviderUnderTest) -> None:
    client = register(idp)
    FAULTS.next("replace", LosesAnswer())
    assert put(idp, client, client_name="Renamed").status_code == 200
    assert manage(idp, "GET", client).json()["client_name"] == "Renamed"


def test_what_each_operation_costs(idp: ProviderUnderTest) -> None:
    client = register(idp)
    costs = []
    for method, body in (("GET", None), ("PUT", {"client_id": client.id, **METADATA}),
                         ("DELETE", None)):  # fmt: skip
        FAULTS.calls.clear()
        assert manage(idp, method, client, json=body).status_code in (200, 204)
        # The follower looks as well, when it hears of a change.
        costs.append(FAULTS.writes)
    assert costs == [0, 1, 1]


def shared(directory: Path) -> dict[str, Any]:
    found = config()
    file = str(directory / "idp.db")
    found["storage"] = {"type": "sqlite3", "config": {"file": file}}
    return found


@pytest.mark.covers("R-105", "I-3")
def test_replicas_hear_of_each_other(tmp_path: Path) -> None:
    clock = HandClock()
    with (
        provider_under_test(shared(tmp_path), clock=clock) as first,
        provider_under_test(shared(tmp_path), clock=clock) as second,
    ):
        grants = ["authorization_code", "client_credentials"]
        client = register(first, grant_types=grants)
        asked = {"client_id": client.id, "redirect_uri": CALLBACK}
        # At once, by looking into the store.
        assert manage(second, "GET", client).status_code == 200
        assert eventually(lambda: second.authorize(asked).status_code == 200)
        form = {"grant_type": "client_credentials", "scope": "openid"}
        token = second.token(form, auth=client.credentials).json()["access_token"]
        moved = "https://moved.example.com/callback"
        assert put(second, client, grant_types=grants, redirect_uris=[moved]).status_code == 200
        assert eventually(lambda: first.authorize(asked).status_code == 400)
        assert first.userinfo(token).status_code == 200
        assert manage(second, "DELETE", client).status_code == 204
        assert eventually(lambda: first.userinfo(token).status_code == 401)
        assert not works(first, client.credentials)


@pytest.mark.covers("I-5")
def test_registrations_outlive_a_restart_also_where_nobody_may_register_any_more(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    with provider_under_test(shared(tmp_path), clock=clock) as idp:
        client = register(idp, **CREDENTIALS)
    with provider_under_test(shared(tmp_path), clock=clock) as idp:
        assert works(idp, client.credentials)
        assert manage(idp, "GET", client).status_code == 200
    off = shared(tmp_path)
    off["registration"] = {"mode": "off"}
    with provider_under_test(off, clock=clock) as idp:
        assert works(idp, client.credentials)
        assert manage(idp, "GET", client).status_code == 404


@pytest.mark.covers("R-105")
def test_a_client_that_an_operator_wrote_keeps_its_id(tmp_path: Path) -> None:
    clock = HandClock()
    with provider_under_test(shared(tmp_path), clock=clock) as idp:
        client = register(idp, **CREDENTIALS)
    written = shared(tmp_path)
    theirs = (client.id, "the secret of the written client")
    written["staticClients"].append({"id": theirs[0], "secret": theirs[1]})
    with provider_under_test(written, clock=clock) as idp:
        assert works(idp, theirs)
        assert not works(idp, client.credentials)


def test_answers_are_counted() -> None:
    with provider_under_test(config()) as idp:
        client = register(idp)
        manage(idp, "GET", client)
        put(idp, client)
        manage(idp, "GET", client, headers=bearer("x"))
        manage(idp, "DELETE", client)
        registry = idp.provider.metrics.registry
        for method, result in (
            ("read", "ok"), ("replace", "ok"), ("remove", "ok"), ("read", "invalid_token"),
        ):  # fmt: skip
            labels = {"method": method, "result": result}
            assert registry.get_sample_value("idp_registration_requests_total", labels) == 1
        assert registry.get_sample_value("idp_registered_clients") == 0


@pytest.mark.covers("R-82", "CV-36")
@settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(path=st.text(max_size=60), token=st.binary(max_size=80))
def test_no_input_is_a_fault(idp: ProviderUnderTest, path: str, token: bytes) -> None:
    browser = idp.new_browser("203.0.113.32")
    headers = [(b"authorization", b"Bearer " + token.replace(b"\r", b"").replace(b"\n", b""))]
    for method in ("GET", "PUT", "DELETE"):
        url = httpx.URL(f"{ISSUER}/register/").copy_with(
            raw_path=b"/register/" + path.encode("utf-8", "replace").hex().encode()
        )
        response = browser.request(method, str(url), headers=headers, content=b"{}")
        assert response.status_code in (400, 401, 404, 405, 429)
