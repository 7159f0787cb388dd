"""Authorization codes at the token endpoint (RFC 6749 section 4.1, RFC 7636, RFC 9700)."""

import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.kit.clock import HandClock
from tests.kit.provider import (
    CALLBACK,
    CONFIDENTIAL,
    OTHER,
    PUBLIC,
    Browser,
    Pkce,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend
from tests.kit.waiting import becomes

FORM: Mapping[str, str] = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}


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


def pkce_code(idp: ProviderUnderTest, pkce: Pkce) -> str:
    return idp.code({"code_challenge": pkce.challenge, "code_challenge_method": "S256"})


def body_of(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    body.pop("request_id", None)
    return body


def in_parallel(idp: ProviderUnderTest, number: int, form: dict[str, str]) -> list[httpx.Response]:
    """Return the answers to many requests that are on their way at the same time."""
    answers: list[httpx.Response] = []

    async def ask(browser: Browser) -> None:
        answers.append(await browser.client.post("/token", data=form, auth=CONFIDENTIAL))

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for number_of_browser in range(number):
                address = f"198.51.100.{number_of_browser}"
                group.start_soon(ask, idp.new_browser(address))

    idp.portal.call(all_at_once)
    return answers


def dies_within_a_second(ask: Callable[[], httpx.Response]) -> bool:
    def is_dead() -> bool:
        response = ask()
        if response.status_code != 401:
            return False
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
        return True

    return becomes(is_dead, within=1)


@pytest.mark.covers("R-21")
@pytest.mark.spec("OIDC Core", "3.1.3.2")
@pytest.mark.spec("RFC 6749", "4.1.3")
def test_every_code_that_is_not_good_gets_the_same_answer(idp: ProviderUnderTest) -> None:
    pkce = Pkce()
    good = pkce_code(idp, pkce)
    spent = pkce_code(idp, pkce)
    right = {**FORM, "code": good, "code_verifier": pkce.verifier}
    assert idp.token({**right, "code": spent}).status_code == 200
    expired = pkce_code(idp, pkce)
    idp.clock.turn(60)
    good = pkce_code(idp, pkce)
    right = {**right, "code": good}

    answers = [
        idp.token(right, auth=OTHER),
        idp.token({**right, "client_id": PUBLIC}, auth=None),
        idp.token({**right, "redirect_uri": CALLBACK + "/"}),
        idp.token({**right, "redirect_uri": ""}),
        idp.token({**right, "redirect_uri": CALLBACK.upper()}),
        idp.token({**right, "code_verifier": Pkce().verifier}),
        idp.token({**right, "code_verifier": pkce.challenge}),
        idp.token({**right, "code_verifier": "short"}),
        idp.token({**right, "code_verifier": ""}),
        idp.token({**right, "code": expired}),
        idp.token({**right, "code": spent}),
        idp.token({**right, "code": good[:-1]}),
        idp.token({**right, "code": good + "A"}),
        idp.token({**right, "code": "x"}),
        idp.token({**right, "code": "x" * 10_000}),
    ]
    assert {answer.status_code for answer in answers} == {400}
    assert all(body_of(answer) == body_of(answers[0]) for answer in answers)
    assert answers[0].json()["error"] == "invalid_grant"
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    # None of it burned the good code.
    assert idp.token(right).status_code == 200


@pytest.mark.covers("R-21", "I-8")
def test_wrong_tries_write_nothing(idp: ProviderUnderTest, faults: Faults) -> None:
    pkce = Pkce()
    code = pkce_code(idp, pkce)
    faults.calls.clear()
    form = {**FORM, "code": code}
    for _ in range(20):
        idp.token({**form, "code_verifier": Pkce().verifier})
        idp.token({**form, "code_verifier": pkce.verifier}, auth=OTHER)
        idp.token({**form, "code_verifier": pkce.verifier, "redirect_uri": "https://evil.example"})
        idp.token({**form, "client_id": PUBLIC}, auth=None)
    assert faults.writes == 0
    assert idp.token({**form, "code_verifier": pkce.verifier}).status_code == 200


@pytest.mark.covers("R-21")
@pytest.mark.spec("RFC 6749", "4.1.2")
@pytest.mark.parametrize(("age", "status"), [(59.99, 200), (60, 400), (600, 400), (86400, 400)])
def test_a_code_lives_for_a_minute(idp: ProviderUnderTest, age: float, status: int) -> None:
    code = idp.code()
    idp.clock.turn(age)
    assert idp.redeem(code).status_code == status


def test_the_life_of_a_code_is_what_the_configuration_says() -> None:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["expiry"] = {"authCodes": "5s"}
    with provider_under_test(config) as idp:
        late, early = idp.code(), idp.code()
        idp.clock.turn(4.9)
        assert idp.redeem(early).status_code == 200
        idp.clock.turn(0.1)
        assert idp.redeem(late).status_code == 400


@pytest.mark.covers("R-12", "CV-31")
@pytest.mark.spec("RFC 7636", "4.6")
def test_challenge_and_verifier_need_each_other(idp: ProviderUnderTest) -> None:
    pkce = Pkce()
    bound, unbound = pkce_code(idp, pkce), idp.code()
    assert idp.redeem(bound).json()["error"] == "invalid_grant"
    answer = idp.redeem(unbound, {"code_verifier": pkce.verifier})
    assert answer.json()["error"] == "invalid_grant"
    assert idp.redeem(bound, {"code_verifier": pkce.verifier}).status_code == 200
    assert idp.redeem(unbound).status_code == 200


@pytest.mark.covers("CV-34", "R-21")
def test_no_truncated_or_altered_code_is_accepted(idp: ProviderUnderTest, faults: Faults) -> None:
    """Every byte but those of the key id inside the tag, which the record's MAC has to judge."""
    code = idp.code()
    tag = code.rindex(".") + 1
    faults.calls.clear()
    texts = {code[:length] for length in range(1, len(code))}
    for position, character in enumerate(code):
        texts.add(code[:position] + code[position + 1 :])
        texts.add(code[:position] + character + code[position:])
        if not tag <= position < tag + 8:
            for other in ("A", "a", "_", ".", "é"):
                if other != character:
                    texts.add(code[:position] + other + code[position + 1 :])
    texts.discard(code)
    assert len(texts) > 500
    for text in sorted(texts):
        response = idp.redeem(text)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_grant"), text
    assert faults.calls["read"] == 0
    assert idp.redeem(code).status_code == 200


@pytest.mark.covers("CV-34")
def test_another_key_id_in_the_tag_never_makes_a_second_code_of_one(
    idp: ProviderUnderTest,
) -> None:
    """The record's own MAC proves such a text, so it can only be the same code again."""
    code = idp.code()
    tag = code.rindex(".") + 1
    twin = code[:tag] + ("A" if code[tag] != "A" else "B") + code[tag + 1 :]
    answers = [idp.redeem(text).status_code for text in (twin, code)]
    assert answers in ([400, 200], [200, 400])
    mac = code.rindex(".", 0, tag - 1) + 1
    forged = twin[:mac] + ("A" if twin[mac] != "A" else "B") + twin[mac + 1 :]
    assert idp.redeem(forged).status_code == 400


@pytest.mark.covers("R-22")
@pytest.mark.spec("RFC 6749", "10.10")
def test_codes_cannot_be_guessed(idp: ProviderUnderTest) -> None:
    codes = [idp.code() for _ in range(50)]
    parts = [code.removeprefix("kic_").split(".") for code in codes]
    assert all(code.startswith("kic_") for code in codes)
    names, macs = {name for name, _, _ in parts}, {mac for _, mac, _ in parts}
    assert len(names) == len(macs) == 50
    # 18 bytes each of MAC and of tag, both needed; and nobody chose any bit of them.
    assert {len(urlsafe_b64decode(mac)) * 8 for mac in macs} == {144}
    bits = sum(urlsafe_b64decode(mac)[0] & 1 for mac in macs)
    assert 8 <= bits <= 42


@pytest.mark.covers("R-20", "I-3")
@pytest.mark.spec("RFC 6749", "4.1.2")
def test_a_fully_correct_replay_kills_what_the_code_gave(idp: ProviderUnderTest) -> None:
    code = idp.code()
    tokens = idp.redeem(code).json()
    successor = idp.refresh(tokens["refresh_token"]).json()
    assert idp.userinfo(tokens["access_token"]).status_code == 200

    assert idp.redeem(code).json()["error"] == "invalid_grant"

    for refresh_token in (tokens["refresh_token"], successor["refresh_token"]):
        assert idp.refresh(refresh_token).json()["error"] == "invalid_grant"
    for access_token in (tokens["access_token"], successor["access_token"]):
        assert dies_within_a_second(partial(idp.userinfo, access_token))


@pytest.mark.covers("R-20")
@pytest.mark.parametrize("later", [61, 1800, 3500])
def test_a_replay_after_the_expiry_of_the_code_kills_as_well(
    idp: ProviderUnderTest, later: float
) -> None:
    code = idp.code()
    tokens = idp.redeem(code).json()
    idp.clock.turn(later)
    assert idp.redeem(code).status_code == 400
    assert idp.refresh(tokens["refresh_token"]).status_code == 400
    assert dies_within_a_second(partial(idp.userinfo, tokens["access_token"]))


@pytest.mark.covers("R-20", "R-21")
@pytest.mark.spec("RFC 9700", "4.2.4")
def test_a_replay_that_is_wrong_in_anything_kills_nothing(idp: ProviderUnderTest) -> None:
    """Else whoever finds an old code in a log could sign people out."""
    pkce = Pkce()
    code = pkce_code(idp, pkce)
    right = {**FORM, "code": code, "code_verifier": pkce.verifier}
    tokens = idp.token(right).json()
    for wrong in (
        idp.token({**right, "code_verifier": Pkce().verifier}),
        idp.token({**right, "code_verifier": ""}),
        idp.token({**right, "redirect_uri": "https://evil.example"}),
        idp.token(right, auth=OTHER),
        idp.token({**right, "client_id": PUBLIC}, auth=None),
        idp.token(right, auth=(CONFIDENTIAL[0], "wrong")),
    ):
        assert wrong.status_code in (400, 401)
    time.sleep(0.05)
    assert idp.userinfo(tokens["access_token"]).status_code == 200
    assert idp.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.covers("R-20", "R-36")
def test_a_replay_leaves_other_logins_alone(idp: ProviderUnderTest) -> None:
    code, other = idp.code(), idp.tokens()
    idp.redeem(code)
    idp.redeem(code)
    assert idp.refresh(other["refresh_token"]).status_code == 200
    assert idp.userinfo(other["access_token"]).status_code == 200


@pytest.mark.covers("R-20", "I-1")
@pytest.mark.spec("RFC 9700", "2.1.1")
@pytest.mark.parametrize("run", range(3))
def test_fifty_parallel_redemptions_give_tokens_to_one_at_most(
    idp: ProviderUnderTest, run: int
) -> None:
    answers = in_parallel(idp, 50, {**FORM, "code": idp.code()})
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 1
    assert statuses.count(400) == 49


@pytest.mark.covers("R-20")
def test_a_code_of_a_login_without_offline_access_dies_by_a_replay_too(
    idp: ProviderUnderTest,
) -> None:
    code = idp.code({"scope": "openid"})
    tokens = idp.redeem(code).json()
    assert "refresh_token" not in tokens
    idp.redeem(code)
    assert dies_within_a_second(partial(idp.userinfo, tokens["access_token"]))


@pytest.mark.covers("CV-8")
@pytest.mark.spec("OIDC Core", "16.15")
@pytest.mark.spec("RFC 6749", "4.1.3")
def test_no_other_client_can_redeem_a_code(idp: ProviderUnderTest) -> None:
    pkce = Pkce()
    redirect_uri = "http://localhost:8000"
    code = idp.code(
        {"client_id": PUBLIC, "redirect_uri": redirect_uri, "code_challenge": pkce.challenge,
         "code_challenge_method": "S256"}
    )  # fmt: skip
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
        "code_verifier": pkce.verifier,
    }  # fmt: skip
    for auth in (CONFIDENTIAL, OTHER):
        assert idp.token(form, auth=auth).json()["error"] == "invalid_grant"
    assert idp.token({**form, "client_id": PUBLIC}, auth=None).status_code == 200


@pytest.mark.covers("R-23")
@pytest.mark.spec("RFC 6749", "4.1.2")
def test_the_redirect_uri_that_counts_is_the_one_that_was_used(idp: ProviderUnderTest) -> None:
    """A loopback port that is free to choose is fixed by the request (RFC 8252 section 7.3)."""
    pkce = Pkce()
    code = idp.code(
        {"client_id": PUBLIC, "redirect_uri": "http://localhost:51234",
         "code_challenge": pkce.challenge, "code_challenge_method": "S256"}
    )  # fmt: skip
    form = {
        "grant_type": "authorization_code", "code": code, "client_id": PUBLIC,
        "code_verifier": pkce.verifier,
    }  # fmt: skip
    registered = {**form, "redirect_uri": "http://localhost:8000"}
    assert idp.token(registered, auth=None).json()["error"] == "invalid_grant"
    used = {**form, "redirect_uri": "http://localhost:51234"}
    assert idp.token(used, auth=None).status_code == 200


def test_a_login_is_two_writes_whatever_came_before(idp: ProviderUnderTest, faults: Faults) -> None:
    idp.authorize()
    idp.sign_in(password="wrong")
    before = faults.writes
    assert idp.redeem(idp.code()).status_code == 200
    assert faults.writes == before + 2


@pytest.mark.covers("R-20", "I-1", "K-10")
def test_two_replicas_give_tokens_to_one_at_most(tmp_path: Path) -> None:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    with provider_under_test(config) as first, provider_under_test(config) as second:
        code = first.code()
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(in_parallel, replica, 10, {**FORM, "code": code})
                     for replica in (first, second)]  # fmt: skip
            answers = [answer for future in asked for answer in future.result()]
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] + [400] * 19
        tokens = next(answer.json() for answer in answers if answer.status_code == 200)
        for replica in (first, second):
            assert replica.refresh(tokens["refresh_token"]).status_code == 400
            assert dies_within_a_second(partial(replica.userinfo, tokens["access_token"]))


@pytest.mark.covers("R-20")
@pytest.mark.spec("RFC 6749", "4.1.2")
def test_where_a_code_was_replayed_its_access_token_is_dead_at_once(tmp_path: Path) -> None:
    """Other processes hear of it within a second, this one need not."""
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    with provider_under_test(config) as provider:
        for _ in range(5):
            code = provider.code(browser=provider.new_browser())
            token = provider.redeem(code).raise_for_status().json()["access_token"]
            assert provider.redeem(code).status_code == 400
            assert provider.userinfo(token).status_code == 401


@pytest.mark.covers("R-20", "K-10")
@pytest.mark.parametrize("later", [0, 59, 61, 3000])
def test_a_replay_at_the_replica_that_signed_in_kills_what_another_replica_gave(
    tmp_path: Path, later: float
) -> None:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    clock = HandClock()
    with (
        provider_under_test(config, clock=clock) as first,
        provider_under_test(config, clock=clock) as second,
    ):
        code = first.code()
        tokens = second.redeem(code).raise_for_status().json()
        clock.turn(later)
        assert first.redeem(code).json()["error"] == "invalid_grant"
        assert second.refresh(tokens["refresh_token"]).status_code == 400
        assert dies_within_a_second(partial(second.userinfo, tokens["access_token"]))
