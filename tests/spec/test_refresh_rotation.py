"""Refresh tokens: rotation, the grace window, reuse (RFC 6749 section 6, RFC 9700 section 4.14)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from connectors.base import ConnectorUnavailable, Identity
from idp.app import Connectors
from storage.base import Backend, Document
from tests.kit.clock import HandClock
from tests.kit.connectors import ScriptedPasswordConnector
from tests.kit.provider import (
    ALICE,
    CALLBACK,
    CONFIDENTIAL,
    OTHER,
    PASSWORD,
    PUBLIC,
    Browser,
    Pkce,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend
from tests.kit.waiting import becomes

IDENTITY = Identity(user_id="user-1", username="Alice", email=ALICE, groups=("developers",))


def quick_config() -> dict[str, Any]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    return config


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def kept() -> list[Backend]:
    """Holds the store itself, past the faults, once the provider is up."""
    return []


@pytest.fixture
def connector() -> ScriptedPasswordConnector:
    return ScriptedPasswordConnector(people={ALICE: (PASSWORD, IDENTITY)})


@pytest.fixture
def idp(
    faults: Faults, kept: list[Backend], connector: ScriptedPasswordConnector
) -> Iterator[ProviderUnderTest]:
    def wrap(backend: Backend) -> Backend:
        kept.append(backend)
        return FlakyBackend(backend, faults)

    def scripted(_: Connectors) -> Connectors:
        return {"local": connector}

    with provider_under_test(
        quick_config(), wrap_backend=wrap, wrap_connectors=scripted
    ) as provider:
        yield provider


def in_parallel(idp: ProviderUnderTest, number: int, refresh_token: str) -> list[httpx.Response]:
    answers: list[httpx.Response] = []
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}

    async def ask(browser: Browser) -> None:
        answers.append(await browser.client.post("/token", data=form, auth=CONFIDENTIAL))

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(ask, idp.new_browser("198.51.100.7"))

    idp.portal.call(all_at_once)
    return answers


def refused(response: httpx.Response, error: str = "invalid_grant") -> None:
    assert (response.status_code, response.json()["error"]) == (400, error), response.text


def access_dies(idp: ProviderUnderTest, access_token: str) -> bool:
    return becomes(lambda: idp.userinfo(access_token).status_code == 401, within=1)


def grant_document(idp: ProviderUnderTest, backend: Backend) -> Document:
    async def read() -> Document:
        [document] = [found async for found in backend.scan("refresh-grants", {})]
        return document

    return idp.portal.call(read)


@pytest.mark.covers("R-30")
@pytest.mark.spec("RFC 9700", "4.14.2")
def test_every_use_returns_a_new_token(idp: ProviderUnderTest) -> None:
    seen = [idp.tokens()["refresh_token"]]
    for _ in range(10):
        seen.append(idp.refresh(seen[-1]).raise_for_status().json()["refresh_token"])
        idp.clock.turn(3600)
    assert len(set(seen)) == len(seen)


@pytest.mark.covers("R-31", "I-2")
def test_a_hundred_parallel_uses_get_one_successor_for_one_write(
    idp: ProviderUnderTest, faults: Faults
) -> None:
    token = idp.tokens()["refresh_token"]
    faults.calls.clear()
    answers = in_parallel(idp, 100, token)
    assert [answer.status_code for answer in answers] == [200] * 100
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert len({answer.json()["id_token"] for answer in answers}) == 100
    assert faults.writes == 1


@pytest.mark.covers("R-31", "K-10")
def test_two_replicas_return_the_same_successor(tmp_path: Path) -> None:
    config = quick_config()
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    with provider_under_test(config) as first, provider_under_test(config) as second:
        token = first.tokens()["refresh_token"]
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(in_parallel, replica, 20, token) for replica in (first, second)]
            answers = [answer for future in asked for answer in future.result()]
        assert [answer.status_code for answer in answers] == [200] * 40
        [successor] = {answer.json()["refresh_token"] for answer in answers}
        assert ".2." in successor
        assert second.refresh(successor).status_code == 200


def test_where_a_token_was_reused_the_access_token_is_dead_at_once(tmp_path: Path) -> None:
    """Other processes hear of it within a second, this one need not."""
    config = quick_config()
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    with provider_under_test(config) as provider:
        for _ in range(5):
            first = provider.tokens()
            latest = provider.refresh(first["refresh_token"]).raise_for_status().json()
            provider.clock.turn(61)
            assert provider.refresh(first["refresh_token"]).status_code == 400
            assert provider.userinfo(latest["access_token"]).status_code == 401


@pytest.mark.covers("R-31", "R-33")
@pytest.mark.parametrize("later", [0, 1, 30, 59.9])
def test_a_token_that_was_just_used_gets_the_same_successor(
    idp: ProviderUnderTest, faults: Faults, later: float
) -> None:
    idp.clock.turn(0.95)
    token = idp.tokens()["refresh_token"]
    successor = idp.refresh(token).json()["refresh_token"]
    faults.calls.clear()
    idp.clock.turn(later)
    again = idp.refresh(token).json()
    assert again["refresh_token"] == successor
    assert again["id_token"]
    assert faults.writes == 0


@pytest.mark.covers("R-31")
def test_every_generation_of_the_last_minute_gets_the_leaf(idp: ProviderUnderTest) -> None:
    """The grace does not end when the successor is used: others may still hold this one."""
    tokens = [idp.tokens()["refresh_token"]]
    for _ in range(5):
        tokens.append(idp.refresh(tokens[-1]).json()["refresh_token"])
        idp.clock.turn(10)
    for token in tokens:
        assert idp.refresh(token).status_code == 200
    leaf = idp.refresh(tokens[-1]).json()["refresh_token"]
    assert {idp.refresh(token).json()["refresh_token"] for token in tokens} == {leaf}


@pytest.mark.covers("R-32", "I-2", "I-3")
@pytest.mark.spec("RFC 9700", "4.14.2")
def test_reuse_after_the_grace_ends_the_family(idp: ProviderUnderTest) -> None:
    first = idp.tokens()
    second = idp.refresh(first["refresh_token"]).json()
    idp.clock.turn(62)
    refused(idp.refresh(first["refresh_token"]))
    for answer in (first, second):
        refused(idp.refresh(answer["refresh_token"]))
        assert access_dies(idp, answer["access_token"])


@pytest.mark.covers("R-32")
def test_a_grandparent_outside_the_grace_ends_the_family(idp: ProviderUnderTest) -> None:
    first = idp.tokens()["refresh_token"]
    second = idp.refresh(first).json()["refresh_token"]
    idp.clock.turn(45)
    third = idp.refresh(second).json()["refresh_token"]
    idp.clock.turn(45)
    assert idp.refresh(second).json()["refresh_token"] == third
    refused(idp.refresh(first))
    refused(idp.refresh(third))


@pytest.mark.covers("R-33")
def test_an_answer_that_never_arrived_costs_at_most_this_one_session(
    idp: ProviderUnderTest,
) -> None:
    lost, other = idp.tokens()["refresh_token"], idp.tokens()["refresh_token"]
    idp.refresh(lost)
    idp.clock.turn(3600)
    refused(idp.refresh(lost))
    assert idp.refresh(other).status_code == 200
    assert "refresh_token" in idp.tokens()


@pytest.mark.covers("R-34")
@pytest.mark.spec("RFC 6749", "6")
def test_scopes_may_be_fewer_and_never_more(idp: ProviderUnderTest, faults: Faults) -> None:
    token = idp.tokens("openid email offline_access")["refresh_token"]
    faults.calls.clear()
    for wider in ("openid groups", "groups", "openid email offline_access profile", "x", '"'):
        refused(idp.refresh(token, scope=wider), "invalid_scope")
    assert faults.writes == 0
    narrow = idp.refresh(token, scope="openid").json()
    assert narrow["scope"] == "openid"
    assert idp.userinfo(narrow["access_token"]).json() == {"sub": "CgZ1c2VyLTESBWxvY2Fs"}
    wide = idp.refresh(narrow["refresh_token"]).json()
    assert wide["scope"] == "openid email offline_access"
    without = idp.refresh(wide["refresh_token"], scope="email").json()
    assert "id_token" not in without


@pytest.mark.covers("R-35", "CV-8")
@pytest.mark.spec("RFC 6749", "6")
def test_another_client_gets_nothing_and_ends_nothing(
    idp: ProviderUnderTest, faults: Faults
) -> None:
    first = idp.tokens()["refresh_token"]
    second = idp.refresh(first).json()["refresh_token"]
    idp.clock.turn(90)
    faults.calls.clear()
    for token in (first, second):
        form = {"grant_type": "refresh_token", "refresh_token": token}
        refused(idp.token(form, auth=OTHER))
        refused(idp.token({**form, "client_id": PUBLIC}, auth=None))
    assert faults.writes == 0
    assert idp.refresh(second).status_code == 200


@pytest.mark.covers("R-36")
def test_logins_of_one_person_live_side_by_side(idp: ProviderUnderTest) -> None:
    sessions = [idp.tokens()["refresh_token"] for _ in range(5)]
    for _ in range(3):
        idp.clock.turn(86400)
        sessions = [idp.refresh(token).json()["refresh_token"] for token in sessions]
    assert len(set(sessions)) == 5


@pytest.mark.covers("CV-34")
@pytest.mark.spec("RFC 6749", "10.4")
def test_no_truncated_or_altered_refresh_token_is_accepted(
    idp: ProviderUnderTest, faults: Faults
) -> None:
    token = idp.tokens()["refresh_token"]
    tag = token.rindex(".") + 1
    faults.calls.clear()
    texts = {token[:length] for length in range(1, len(token))}
    for position, character in enumerate(token):
        texts.add(token[:position] + token[position + 1 :])
        texts.add(token[:position] + character + token[position:])
        if not tag <= position < tag + 8:
            for other in "A_.2":
                texts.add(token[:position] + other + token[position + 1 :])
    texts.discard(token)
    for text in sorted(texts):
        refused(idp.refresh(text))
    assert dict(faults.calls) == {}
    assert idp.refresh(token).status_code == 200


@pytest.mark.covers("R-45", "CV-8")
def test_tokens_of_other_kinds_are_no_refresh_tokens(idp: ProviderUnderTest) -> None:
    code, tokens = idp.code(), idp.tokens()
    for text in (code, tokens["access_token"], tokens["id_token"]):
        refused(idp.refresh(text))
    for text in (tokens["refresh_token"], tokens["access_token"], tokens["id_token"]):
        refused(idp.redeem(text))
    assert idp.redeem(code).status_code == 200
    assert idp.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.covers("R-37", "CV-33")
def test_a_person_who_was_deleted_gets_no_more_tokens(
    idp: ProviderUnderTest, faults: Faults, connector: ScriptedPasswordConnector
) -> None:
    token = idp.tokens()["refresh_token"]
    known = connector.people.pop(ALICE)
    faults.calls.clear()
    refused(idp.refresh(token))
    assert faults.writes == 0
    connector.people[ALICE] = (PASSWORD, replace(IDENTITY, user_id="another-alice"))
    refused(idp.refresh(token))
    connector.people[ALICE] = known
    assert idp.refresh(token).status_code == 200


@pytest.mark.covers("R-37", "I-6", "I-7")
def test_a_connector_that_is_away_is_a_503_and_spends_nothing(
    idp: ProviderUnderTest, faults: Faults, connector: ScriptedPasswordConnector
) -> None:
    token = idp.tokens()["refresh_token"]
    connector.trouble = ConnectorUnavailable("ldaps://10.0.0.1: bind of cn=admin failed")
    faults.calls.clear()
    for _ in range(3):
        response = idp.refresh(token)
        assert response.status_code == 503
        assert response.json()["error"] == "temporarily_unavailable"
        assert int(response.headers["retry-after"]) >= 1
        assert response.headers["cache-control"] == "no-store"
        assert "10.0.0.1" not in response.text
    assert faults.writes == 0
    connector.trouble = None
    idp.clock.turn(3600)
    assert ".2." in idp.refresh(token).json()["refresh_token"]


@pytest.mark.covers("R-37")
def test_a_refresh_tells_what_the_connector_knows_now(
    idp: ProviderUnderTest, connector: ScriptedPasswordConnector
) -> None:
    token = idp.tokens()["refresh_token"]
    changed = replace(IDENTITY, groups=("retired",), email="alice@new.example.com")
    connector.people[ALICE] = (PASSWORD, changed)
    claims = idp.userinfo(idp.refresh(token).json()["access_token"]).json()
    assert (claims["groups"], claims["email"]) == (["retired"], "alice@new.example.com")
    assert claims["sub"] == "CgZ1c2VyLTESBWxvY2Fs"


@pytest.mark.covers("K-14")
def test_a_token_later_than_a_restored_record_heals_it(
    idp: ProviderUnderTest, kept: list[Backend]
) -> None:
    tokens = [idp.tokens()["refresh_token"]]
    backup = grant_document(idp, kept[0])
    for _ in range(4):
        tokens.append(idp.refresh(tokens[-1]).json()["refresh_token"])
        idp.clock.turn(600)
    current = grant_document(idp, kept[0])
    restored = replace(backup, version=current.version)
    idp.portal.call(partial(kept[0].replace, "refresh-grants", restored))

    leaf = idp.refresh(tokens[-1])
    assert leaf.status_code == 200
    assert ".6." in leaf.json()["refresh_token"]
    assert idp.refresh(leaf.json()["refresh_token"]).status_code == 200
    idp.clock.turn(600)
    refused(idp.refresh(tokens[1]))


@pytest.mark.covers("I-5")
def test_a_restart_signs_nobody_out(tmp_path: Path) -> None:
    config = quick_config()
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    clock = HandClock()
    with provider_under_test(config, clock=clock) as before:
        tokens = before.tokens()
        ended = before.tokens()
        successor = before.refresh(ended["refresh_token"]).json()
        clock.turn(90)
        refused(before.refresh(ended["refresh_token"]))
        held = before.code()
    with provider_under_test(config, clock=clock) as after:
        assert after.userinfo(tokens["access_token"]).status_code == 200
        assert after.refresh(tokens["refresh_token"]).status_code == 200
        assert after.redeem(held).status_code == 200
        refused(after.refresh(successor["refresh_token"]))
        # The tombstone is read at start: the access token stays dead.
        assert access_dies(after, successor["access_token"])


@pytest.mark.covers("R-30", "R-18")
@pytest.mark.spec("RFC 9700", "2.2.2")
def test_a_public_client_rotates_as_well(idp: ProviderUnderTest) -> None:
    pkce = Pkce()
    redirect_uri = "http://localhost:8000"
    code = idp.code(
        {"client_id": PUBLIC, "redirect_uri": redirect_uri, "code_challenge": pkce.challenge,
         "code_challenge_method": "S256"}
    )  # fmt: skip
    form = {
        "grant_type": "authorization_code", "code": code, "client_id": PUBLIC,
        "redirect_uri": redirect_uri, "code_verifier": pkce.verifier,
    }  # fmt: skip
    first = idp.token(form, auth=None).json()["refresh_token"]
    refresh = {"grant_type": "refresh_token", "client_id": PUBLIC}
    second = idp.token({**refresh, "refresh_token": first}, auth=None).json()["refresh_token"]
    idp.clock.turn(90)
    refused(idp.token({**refresh, "refresh_token": first}, auth=None))
    refused(idp.token({**refresh, "refresh_token": second}, auth=None))


@pytest.mark.covers("R-32")
def test_what_other_parameters_say_does_not_matter(idp: ProviderUnderTest) -> None:
    """Some clients send redirect_uri, code_verifier or nonce with a refresh."""
    token = idp.tokens()["refresh_token"]
    more = {"redirect_uri": CALLBACK, "code_verifier": "x", "nonce": "n", "access_type": "offline"}
    assert idp.refresh(token, **more).status_code == 200


@pytest.mark.covers("I-7", "K-10")
def test_the_replica_that_signed_somebody_in_refreshes_what_another_redeemed(
    tmp_path: Path,
) -> None:
    """Whatever a replica still remembers of the login is older than what is in the store."""
    config = quick_config()
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    with provider_under_test(config) as first, provider_under_test(config) as second:
        tokens = second.redeem(first.code()).raise_for_status().json()
        assert first.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.covers("I-1", "I-2", "K-10")
def test_many_replicas_one_after_the_other_see_one_session(tmp_path: Path) -> None:
    config = quick_config()
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    clock = HandClock()
    with ExitStack() as stack:
        replicas = [stack.enter_context(provider_under_test(config, clock=clock)) for _ in range(3)]
        token = replicas[0].tokens()["refresh_token"]
        for turn in range(9):
            token = replicas[turn % 3].refresh(token).raise_for_status().json()["refresh_token"]
            clock.turn(30)
        assert ".10." in token
