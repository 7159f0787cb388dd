"""Every endpoint with every fault of the store (CV-10): no success, no `invalid_grant`, no leak.

What needs the store says 503 and may be tried again; what does not need it goes on.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from storage.base import StorageUnavailable
from tests.kit.provider import (
    ALICE,
    PASSWORD,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Fails, Fault, Faults, FlakyBackend, LosesAnswer, Verb

SECRET_TEXT = "10.96.0.1:6443 said no to system:serviceaccount:idp"
AWAY = Fails(StorageUnavailable(SECRET_TEXT))
VERBS: tuple[Verb, ...] = ("read", "create", "replace", "remove", "scan", "expired", "watch")
STRANGE_ERRORS = [
    OSError(SECRET_TEXT),
    TimeoutError(SECRET_TEXT),
    sqlite3.OperationalError(SECRET_TEXT),
    RuntimeError(SECRET_TEXT),
    KeyError(SECRET_TEXT),
    ValueError(SECRET_TEXT),
]


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def idp(faults: Faults) -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider


Ask = Callable[[], httpx.Response]


@dataclass(frozen=True, slots=True)
class Door:
    """A request that is ready to be sent, what it needs of the store, and what success is."""

    prepare: Callable[[ProviderUnderTest], Ask]
    needs: frozenset[Verb] = frozenset()
    success: int = 200


def forgotten_code(idp: ProviderUnderTest) -> str:
    """Return a code whose record the process no longer has in hand, so that it must be read."""
    code = idp.code()
    idp.redeem(code, {"code_verifier": "w" * 43})
    return code


def redeeming(idp: ProviderUnderTest) -> Ask:
    code = forgotten_code(idp)
    return lambda: idp.redeem(code)


def redeeming_at_once(idp: ProviderUnderTest) -> Ask:
    """Redeem right after the login: the record is still in hand."""
    code = idp.code()
    return lambda: idp.redeem(code)


def refreshing(idp: ProviderUnderTest) -> Ask:
    token = idp.tokens()["refresh_token"]
    return lambda: idp.refresh(token)


def reusing(idp: ProviderUnderTest) -> Ask:
    """A refresh inside the grace: it only reads."""
    token = idp.tokens()["refresh_token"]
    idp.refresh(token)
    return lambda: idp.refresh(token)


def for_itself(idp: ProviderUnderTest) -> Ask:
    return lambda: idp.token({"grant_type": "client_credentials", "scope": "openid"})


def userinfo(idp: ProviderUnderTest) -> Ask:
    token = idp.tokens()["access_token"]
    return lambda: idp.userinfo(token)


def signing_in(idp: ProviderUnderTest) -> Ask:
    page = login_page(idp.authorize())
    form = {"login": ALICE, "password": PASSWORD, "state": page.state}
    return lambda: idp.browser.post(page.action, data=form)


def wrong_password(idp: ProviderUnderTest) -> Ask:
    page = login_page(idp.authorize())
    form = {"login": ALICE, "password": "wrong", "state": page.state}
    return lambda: idp.browser.post(page.action, data=form)


def getting(path: str) -> Callable[[ProviderUnderTest], Ask]:
    return lambda idp: lambda: idp.browser.get(path)


def starting(idp: ProviderUnderTest) -> Ask:
    return lambda: idp.authorize()


DOORS: dict[str, Door] = {
    "code": Door(redeeming, frozenset({"read", "replace"})),
    "fresh code": Door(redeeming_at_once, frozenset({"replace"})),
    "refresh": Door(refreshing, frozenset({"read", "replace"})),
    "refresh in the grace": Door(reusing, frozenset({"read"})),
    "client credentials": Door(for_itself),
    "userinfo": Door(userinfo),
    "authorization": Door(starting, success=200),
    "sign-in": Door(signing_in, frozenset({"create"}), success=303),
    "wrong password": Door(wrong_password, success=401),
    "discovery": Door(getting("/.well-known/openid-configuration")),
    "keys": Door(getting("/keys")),
    "health": Door(getting("/healthz")),
    "home": Door(getting("/")),
}
NEEDS = [(name, verb) for name, door in DOORS.items() for verb in sorted(door.needs)]


def no_leak(response: httpx.Response) -> None:
    assert "10.96" not in response.text
    assert "10.96" not in str(response.headers)
    assert "Traceback" not in response.text


@pytest.mark.covers("CV-10", "K-1", "I-6", "I-7")
@pytest.mark.parametrize(("name", "verb"), NEEDS)
def test_what_needs_the_store_is_a_503_and_works_afterwards(
    idp: ProviderUnderTest, faults: Faults, name: str, verb: Verb
) -> None:
    ask = DOORS[name].prepare(idp)
    faults.always(verb, AWAY)
    for _ in range(3):
        response = ask()
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert response.headers["cache-control"] == "no-store"
        assert "location" not in response.headers
        no_leak(response)
        if response.headers["content-type"] == "application/json":
            assert response.json()["error"] == "temporarily_unavailable"
    faults.clear()
    assert ask().status_code == DOORS[name].success


@pytest.mark.covers("CV-10", "K-1")
@pytest.mark.parametrize("name", DOORS)
def test_what_does_not_need_the_store_goes_on(
    idp: ProviderUnderTest, faults: Faults, name: str
) -> None:
    ask = DOORS[name].prepare(idp)
    for verb in VERBS:
        if verb not in DOORS[name].needs:
            faults.always(verb, AWAY)
    assert ask().status_code == DOORS[name].success


@pytest.mark.covers("CV-10", "I-6", "I-7")
@pytest.mark.parametrize("error", STRANGE_ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("name", "verb"), NEEDS)
def test_an_error_that_no_store_should_raise_is_never_a_verdict(
    idp: ProviderUnderTest, faults: Faults, name: str, verb: Verb, error: Exception
) -> None:
    """A bug of an adapter must not make clients throw their tokens away."""
    ask = DOORS[name].prepare(idp)
    faults.next(verb, Fails(error))
    response = ask()
    assert response.status_code in (500, 503)
    assert "invalid_grant" not in response.text
    no_leak(response)
    assert ask().status_code == DOORS[name].success


@pytest.mark.covers("K-6", "I-1", "I-7")
@pytest.mark.parametrize("reads", [[], [None, AWAY]], ids=["store is back", "store stays away"])
def test_a_code_whose_write_was_done_but_not_answered_is_no_replay(
    idp: ProviderUnderTest, faults: Faults, reads: list[Fault | None]
) -> None:
    """Go clients try a second time by themselves, with the secret in the body (G5)."""
    code = forgotten_code(idp)
    faults.next("replace", LosesAnswer())
    faults.next("read", *reads)
    first = idp.redeem(code)
    answer = first if first.status_code == 200 else idp.redeem(code)
    assert answer.status_code == 200
    assert idp.refresh(answer.json()["refresh_token"]).status_code == 200
    assert idp.userinfo(answer.json()["access_token"]).status_code == 200


@pytest.mark.covers("K-6", "I-2", "I-7")
@pytest.mark.parametrize("reads", [[], [None, AWAY]], ids=["store is back", "store stays away"])
def test_a_refresh_whose_write_was_done_but_not_answered_is_no_theft(
    idp: ProviderUnderTest, faults: Faults, reads: list[Fault | None]
) -> None:
    token = idp.tokens()["refresh_token"]
    faults.next("replace", LosesAnswer())
    faults.next("read", *reads)
    first = idp.refresh(token)
    idp.clock.turn(30)
    answer = idp.refresh(token)
    assert first.status_code in (200, 503)
    assert answer.status_code == 200
    idp.clock.turn(3600)
    assert idp.refresh(answer.json()["refresh_token"]).status_code == 200


@pytest.mark.covers("K-6", "R-64")
def test_a_login_whose_write_was_done_but_not_answered_can_be_sent_again(
    idp: ProviderUnderTest, faults: Faults
) -> None:
    ask = signing_in(idp)
    faults.next("create", LosesAnswer())
    first = ask()
    answer = first if first.status_code == 303 else ask()
    assert answer.status_code == 303


@pytest.mark.covers("K-1", "R-20", "I-3")
def test_a_revocation_that_could_not_be_written_is_not_forgotten(
    idp: ProviderUnderTest, faults: Faults
) -> None:
    """A replay during an outage is a 503, never a quiet refusal; the next one ends the grant."""
    code = idp.code()
    tokens = idp.redeem(code).json()
    faults.always("replace", AWAY)
    assert idp.redeem(code).status_code == 503
    faults.clear()
    assert idp.redeem(code).json()["error"] == "invalid_grant"
    assert idp.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.covers("K-1", "I-3")
def test_what_was_revoked_stays_revoked_while_the_store_is_away(
    idp: ProviderUnderTest, faults: Faults
) -> None:
    code = idp.code()
    tokens = idp.redeem(code).json()
    idp.redeem(code)

    def is_dead() -> bool:
        return idp.userinfo(tokens["access_token"]).status_code == 401

    for _ in range(100):
        if is_dead():
            break
        idp.browser.get("/healthz")
    for verb in VERBS:
        faults.always(verb, AWAY)
    assert is_dead()


@pytest.mark.covers("I-6", "R-65")
def test_a_fault_of_ours_is_a_fixed_text_with_a_request_id(
    idp: ProviderUnderTest, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    token = idp.tokens()["refresh_token"]
    faults.next("read", Fails(RuntimeError(SECRET_TEXT)))
    response = idp.refresh(token)
    body: dict[str, Any] = json.loads(response.text)
    assert (response.status_code, body["error"]) == (500, "server_error")
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["cache-control"] == "no-store"
    assert "unexpected_error" in caplog.text
    assert token not in caplog.text
