"""OpenID Connect Back-Channel Logout 1.0: what an application is told when a session ends."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from idp.keys import base64url
from idp.oauth.subject import subject
from tests.kit.logout_receiver import LogoutReceiver, logout_receiver
from tests.kit.provider import CONFIDENTIAL, ISSUER, Browser, answer_of
from tests.kit.sessions import ABOUT_OTHER, World, claims_of, config_with_sessions, world_of
from tests.kit.waiting import eventually

SPEC = "OIDC Back-Channel Logout"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def config(receiver: LogoutReceiver, *, trusted: bool = True) -> dict[str, Any]:
    found = config_with_sessions()
    found["staticClients"][0]["backchannelLogoutURI"] = receiver.url
    found["outbound"] = {"rootCA": str(receiver.ca)}
    if trusted:
        found["outbound"]["allowedHosts"] = ["127.0.0.1"]
    return found


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[LogoutReceiver]:
    with logout_receiver(tmp_path) as receiver:
        yield receiver


@pytest.fixture
def world(receiver: LogoutReceiver) -> Iterator[World]:
    with world_of(config(receiver)) as world:
        yield world


def leave(browser: Browser, tokens: dict[str, Any]) -> httpx.Response:
    return browser.get("/logout", params={"id_token_hint": tokens["id_token"]})


def verified(world: World, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(world.provider.browser.get("/keys").json())
    return dict(jwt.decode(token, keys, ["RS256"]).claims)


@pytest.mark.covers("R-108")
@pytest.mark.spec("OIDC Back-Channel Logout", "2.5")
@pytest.mark.spec(SPEC, "2.4")
def test_the_logout_token_to_the_letter(world: World, receiver: LogoutReceiver) -> None:
    browser = world.provider.new_browser()
    tokens = world.tokens(world.sign_in(browser))

    leave(browser, tokens)

    (token,) = receiver.tokens(1)
    header = json.loads(base64url.decode(token.split(".")[0]))
    assert header["typ"] == "logout+jwt"
    claims = verified(world, token)
    now = int(world.provider.clock().timestamp())
    assert len(claims.pop("jti")) == 32
    assert claims == {
        "iss": ISSUER,
        "sub": subject("user-1", "local"),
        "aud": CONFIDENTIAL[0],
        "iat": now,
        "exp": now + 120,
        "sid": claims_of(tokens["id_token"])["sid"],
        "events": {EVENT: {}},
    }
    assert receiver.bodies[0][0] == "application/x-www-form-urlencoded"


@pytest.mark.spec(SPEC, "2.4")
def test_each_logout_token_has_an_id_of_its_own(world: World, receiver: LogoutReceiver) -> None:
    for _ in range(3):
        browser = world.provider.new_browser()
        leave(browser, world.tokens(world.sign_in(browser)))
    assert len({claims_of(token)["jti"] for token in receiver.tokens(3)}) == 3


@pytest.mark.covers("R-45", "R-108")
@pytest.mark.spec("OIDC Back-Channel Logout", "2.4")
def test_a_logout_token_opens_no_door_of_ours(world: World, receiver: LogoutReceiver) -> None:
    browser = world.provider.new_browser()
    leave(browser, world.tokens(world.sign_in(browser)))
    (token,) = receiver.tokens(1)
    assert world.provider.userinfo(token).status_code == 401
    hinted = browser.get("/logout", params={"id_token_hint": token})
    assert hinted.status_code == 400
    asked = answer_of(world.visit(browser, {"id_token_hint": token}))
    assert asked["error"] == "invalid_request"


@pytest.mark.spec(SPEC, "2.5")
def test_an_application_is_told_once_however_often_it_signed_in(
    world: World, receiver: LogoutReceiver
) -> None:
    browser = world.provider.new_browser()
    tokens = world.tokens(world.sign_in(browser))
    for _ in range(3):
        world.tokens(answer_of(world.visit(browser))["code"])
    world.tokens_of_other(answer_of(world.visit(browser, ABOUT_OTHER))["code"])
    leave(browser, tokens)
    receiver.tokens(1)
    assert len(receiver.bodies) == 1


@pytest.mark.spec("OIDC Back-Channel Logout", "2.3")
@pytest.mark.spec(SPEC, "2.5")
def test_an_application_that_somebody_came_to_by_their_session_is_told_too(
    world: World, receiver: LogoutReceiver
) -> None:
    browser = world.provider.new_browser()
    first = world.tokens_of_other(world.sign_in(browser, ABOUT_OTHER))
    world.tokens(answer_of(world.visit(browser))["code"])
    leave(browser, first)
    (token,) = receiver.tokens(1)
    assert claims_of(token)["sid"] == claims_of(first["id_token"])["sid"]


def test_an_application_is_told_as_long_as_the_session_lasts(
    world: World, receiver: LogoutReceiver
) -> None:
    """Also one that cannot refresh, whose login would be forgotten after an hour."""
    browser = world.provider.new_browser()
    tokens = world.tokens_of_other(world.sign_in(browser, ABOUT_OTHER))
    world.tokens(answer_of(world.visit(browser, {"scope": "openid"}))["code"])
    for _ in range(20):
        world.provider.clock.turn(3500)
        assert world.is_known(browser, ABOUT_OTHER)

    async def expired() -> list[str]:
        now = world.provider.clock().isoformat(timespec="seconds").replace("+00:00", "Z")
        return await world.stores[0].expired("refresh-grants", now, 1000)

    for name in world.provider.portal.call(expired):
        world.remove(name)
    leave(browser, tokens)
    assert receiver.tokens(1)


@pytest.mark.covers("R-108")
@pytest.mark.spec(SPEC, "2.8")
@pytest.mark.parametrize("status", [200, 204, 400, 404])
def test_an_application_that_has_answered_is_not_asked_again(
    world: World, receiver: LogoutReceiver, status: int
) -> None:
    receiver.statuses.append(status)
    browser = world.provider.new_browser()
    assert "signed out" in leave(browser, world.tokens(world.sign_in(browser))).text
    receiver.tokens(1)
    assert len(receiver.bodies) == 1


@pytest.mark.covers("R-83", "R-108", "CV-21")
@pytest.mark.spec("OIDC Back-Channel Logout", "4")
def test_no_address_of_this_network_is_asked_unless_the_operator_named_it(
    receiver: LogoutReceiver,
) -> None:
    with world_of(config(receiver, trusted=False)) as world:
        browser = world.provider.new_browser()
        assert "signed out" in leave(browser, world.tokens(world.sign_in(browser))).text
    assert receiver.bodies == []


@pytest.mark.servers
@pytest.mark.covers("R-108")
def test_an_application_that_fails_is_tried_again(world: World, receiver: LogoutReceiver) -> None:
    receiver.statuses += [500, 503]
    browser = world.provider.new_browser()
    leave(browser, world.tokens(world.sign_in(browser)))
    tokens = receiver.tokens(3, within=30)
    assert len(set(tokens)) == 1


@pytest.mark.servers
@pytest.mark.covers("R-108")
def test_nobody_waits_long_for_an_application_that_does_not_answer(
    world: World, receiver: LogoutReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "idp.audit")
    receiver.let_go.clear()
    browser = world.provider.new_browser()
    tokens = world.tokens(world.sign_in(browser))
    began = time.monotonic()
    assert "signed out" in leave(browser, tokens).text
    # Two seconds, on a machine that has other things to do.
    assert time.monotonic() - began < 20
    assert world.provider.userinfo(tokens["access_token"]).status_code == 401
    receiver.let_go.set()
    eventually(lambda: "logout_notice_sent" in caplog.messages, within=30)


@pytest.mark.servers
@pytest.mark.covers("I-3")
def test_a_session_whose_record_is_deleted_is_told_of_in_the_background(
    world: World, receiver: LogoutReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "idp.audit")
    browser = world.provider.new_browser()
    first = world.tokens_of_other(world.sign_in(browser, ABOUT_OTHER))
    world.tokens(answer_of(world.visit(browser))["code"])
    world.remove(claims_of(first["id_token"])["sid"])
    (token,) = receiver.tokens(1, within=60)
    assert claims_of(token)["sid"] == claims_of(first["id_token"])["sid"]
    eventually(lambda: "logout_notice_sent" in caplog.messages, within=20)
