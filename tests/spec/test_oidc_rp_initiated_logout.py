"""OpenID Connect RP-Initiated Logout 1.0: whom it signs out, and where they are sent afterwards."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from idp.keys import base64url
from tests.kit.provider import CONFIDENTIAL, OTHER, Browser, LoginPage, answer_of, login_page
from tests.kit.sessions import (
    ABOUT_OTHER,
    BOB,
    World,
    config_with_sessions,
    session_cookie,
    set_session_cookie,
    world_of,
)
from tests.kit.storage import Fails

SPEC = "OIDC RP-Initiated Logout"
AFTERWARDS = "https://app.example.com/bye?from=idp"
PRIVATE = "com.example.app:/bye"


def config() -> dict[str, Any]:
    found = config_with_sessions()
    found["staticClients"][0]["postLogoutRedirectURIs"] = [AFTERWARDS, PRIVATE]
    found["staticClients"][1]["postLogoutRedirectURIs"] = ["https://other.example.com/"]
    return found


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with world_of(config()) as world:
        yield world


@pytest.fixture
def browser(world: World) -> Browser:
    return world.provider.new_browser()


@pytest.fixture
def tokens(world: World, browser: Browser) -> dict[str, Any]:
    """Sign alice in with the browser."""
    return world.tokens(world.sign_in(browser))


def leave(browser: Browser, **parameters: str) -> httpx.Response:
    return browser.get("/logout", params=parameters)


def is_question(response: httpx.Response) -> bool:
    return response.status_code == 200 and 'name="logout" value="yes"' in response.text


def question(response: httpx.Response) -> LoginPage:
    assert is_question(response), f"{response.status_code} {response.text}"
    page = login_page(response)
    assert page.action == "/logout/confirm"
    return page


def say(browser: Browser, page: LoginPage, answer: str = "yes", **headers: str) -> httpx.Response:
    form = {"state": page.state, "logout": answer}
    return browser.post(page.action, data=form, headers=headers)


def is_gone(world: World, browser: Browser, tokens: dict[str, Any]) -> bool:
    """Return whether nothing of a login works any more."""
    return (
        not world.is_known(browser)
        and world.provider.userinfo(tokens["access_token"]).status_code == 401
        and world.provider.refresh(tokens["refresh_token"]).status_code == 400
    )


def is_there(world: World, browser: Browser, tokens: dict[str, Any]) -> bool:
    """Return whether everything of a login works."""
    return (
        world.is_known(browser)
        and world.provider.userinfo(tokens["access_token"]).status_code == 200
    )


def changed(token: str) -> str:
    """Return an ID token for somebody else under the same signature."""
    head, payload, signature = token.split(".")
    claims = {**json.loads(base64url.decode(payload)), "sub": "somebody else"}
    return f"{head}.{base64url.encode(json.dumps(claims).encode())}.{signature}"


@pytest.mark.covers("R-107", "I-3")
@pytest.mark.spec("OIDC Back-Channel Logout", "2.7")
@pytest.mark.spec(SPEC, "2")
def test_with_an_id_token_of_the_session_the_person_is_signed_out_of_everything(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    other = world.tokens_of_other(answer_of(world.visit(browser, ABOUT_OTHER))["code"])

    response = leave(browser, id_token_hint=tokens["id_token"])

    assert response.status_code == 200
    assert "signed out" in response.text
    assert is_gone(world, browser, tokens)
    assert world.provider.userinfo(other["access_token"]).status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": other["refresh_token"]}
    assert world.provider.token(form, auth=OTHER).status_code == 400


def test_signing_out_is_one_write_for_each_login_of_the_session(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    for _ in range(2):
        world.tokens_of_other(answer_of(world.visit(browser, ABOUT_OTHER))["code"])
    writes, reads = world.faults.writes, world.faults.calls["read"]
    leave(browser, id_token_hint=tokens["id_token"])
    assert world.faults.writes == writes + 3
    assert world.faults.calls["read"] == reads + 1


@pytest.mark.covers("R-107")
@pytest.mark.spec(SPEC, "3")
def test_the_browser_goes_back_to_a_registered_address_with_the_state(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    response = leave(
        browser,
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri=AFTERWARDS,
        state="a state & more",
    )
    assert response.status_code == 303
    location = urlsplit(response.headers["location"])
    assert response.headers["location"].startswith(AFTERWARDS)
    assert dict(parse_qsl(location.query)) == {"from": "idp", "state": "a state & more"}
    assert is_gone(world, browser, tokens)


@pytest.mark.spec(SPEC, "3")
def test_without_a_state_none_is_sent(browser: Browser, tokens: dict[str, Any]) -> None:
    response = leave(browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=PRIVATE)
    assert response.headers["location"] == PRIVATE


@pytest.mark.covers("R-62", "R-107", "CV-7")
@pytest.mark.spec(SPEC, "3")
@pytest.mark.parametrize(
    "uri",
    [
        AFTERWARDS + "&x=1",
        AFTERWARDS.upper(),
        AFTERWARDS + "#",
        "https://app.example.com/bye",
        "https://app.example.com.evil.example/bye?from=idp",
        "https://evil.example/",
        "https://other.example.com/",
        "javascript:alert(1)",
        "//evil.example",
        "/account",
    ],
)
def test_no_other_address_is_gone_to_and_nobody_is_signed_out(
    world: World, browser: Browser, tokens: dict[str, Any], uri: str
) -> None:
    response = leave(
        browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=uri, state="s"
    )
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "not registered" in response.text
    assert is_there(world, browser, tokens)


@pytest.mark.covers("R-107")
@pytest.mark.spec(SPEC, "3")
def test_an_address_needs_somebody_to_belong_to(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    response = leave(browser, post_logout_redirect_uri=AFTERWARDS)
    assert response.status_code == 400
    assert is_there(world, browser, tokens)


@pytest.mark.covers("R-107")
@pytest.mark.spec(SPEC, "2")
def test_an_expired_id_token_will_do(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    for _ in range(3):
        world.provider.clock.turn(45 * 60)
        assert world.is_known(browser)
    leave(browser, id_token_hint=tokens["id_token"])
    assert not world.is_known(browser)


@pytest.mark.covers("R-41", "R-45", "R-107", "CV-12")
@pytest.mark.spec("OIDC RP-Initiated Logout", "4")
@pytest.mark.spec(SPEC, "2")
@pytest.mark.parametrize("forge", ["changed", "cut", "garbage", "access", "unsigned", "twice"])
def test_a_forged_id_token_signs_nobody_out(
    world: World, browser: Browser, tokens: dict[str, Any], forge: str
) -> None:
    genuine = tokens["id_token"]
    hint = {
        "changed": changed(genuine),
        "cut": genuine[:-2],
        "garbage": "x",
        "access": tokens["access_token"],
        "unsigned": genuine.rpartition(".")[0] + ".",
        "twice": genuine,
    }[forge]
    query = [("id_token_hint", hint), ("post_logout_redirect_uri", AFTERWARDS)]
    response = browser.get("/logout", params=query * (2 if forge == "twice" else 1))
    assert response.status_code == 400
    assert "location" not in response.headers
    assert is_there(world, browser, tokens)


@pytest.mark.covers("R-107")
@pytest.mark.spec(SPEC, "2")
def test_an_id_token_of_somebody_else_asks_and_names_who_is_signed_in(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    theirs = world.tokens(world.sign_in(world.provider.new_browser(), username=BOB))
    response = leave(browser, id_token_hint=theirs["id_token"], post_logout_redirect_uri=AFTERWARDS)
    page = question(response)
    assert "<bdi>alice</bdi>" in response.text
    assert "<bdi>The App</bdi>" in response.text
    assert is_there(world, browser, tokens)
    gone = say(browser, page)
    assert gone.headers["location"] == AFTERWARDS
    assert is_gone(world, browser, tokens)


@pytest.mark.covers("R-107")
def test_an_id_token_of_an_earlier_session_asks(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    leave(browser, id_token_hint=tokens["id_token"])
    again = world.tokens(world.sign_in(browser))
    assert is_question(leave(browser, id_token_hint=tokens["id_token"]))
    assert is_there(world, browser, again)


@pytest.mark.covers("R-107")
@pytest.mark.spec(SPEC, "2")
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"client_id": CONFIDENTIAL[0]},
        {"client_id": CONFIDENTIAL[0], "post_logout_redirect_uri": AFTERWARDS, "state": "s"},
        {"logout_hint": "alice", "ui_locales": "de fr"},
    ],
)
def test_without_an_id_token_the_person_is_asked(
    world: World, browser: Browser, tokens: dict[str, Any], parameters: dict[str, str]
) -> None:
    writes = world.faults.writes
    page = question(leave(browser, **parameters))
    assert world.faults.writes == writes
    assert is_there(world, browser, tokens)
    response = say(browser, page)
    if "post_logout_redirect_uri" in parameters:
        assert response.headers["location"] == AFTERWARDS + "&state=s"
    else:
        assert "signed out" in response.text
    assert is_gone(world, browser, tokens)


@pytest.mark.covers("R-107")
@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_whoever_would_rather_stay_stays(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    asked = {"client_id": CONFIDENTIAL[0], "post_logout_redirect_uri": AFTERWARDS}
    response = say(browser, question(leave(browser, **asked)), "no")
    assert response.status_code == 200
    assert "still signed in" in response.text
    assert is_there(world, browser, tokens)


@pytest.mark.covers("R-51", "R-107")
@pytest.mark.spec("OIDC RP-Initiated Logout", "6")
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_site_cannot_press_the_button(
    world: World, browser: Browser, tokens: dict[str, Any], headers: dict[str, str]
) -> None:
    page = question(leave(browser))
    assert say(browser, page, **headers).status_code == 403
    assert is_there(world, browser, tokens)


@pytest.mark.covers("R-50", "R-51", "CV-1", "CV-8")
def test_the_answer_counts_in_the_browser_that_was_asked_only(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    attacker = world.provider.new_browser()
    world.sign_in(attacker, username=BOB)
    theirs = question(leave(attacker))
    for state in (theirs.state, "", "x", question(leave(browser)).state[:-1]):
        response = say(browser, LoginPage("/logout/confirm", state))
        assert response.status_code == 400
        assert is_there(world, browser, tokens)
    login = login_page(world.visit(world.provider.new_browser()))
    assert say(browser, LoginPage("/logout/confirm", login.state)).status_code == 400
    assert is_there(world, browser, tokens)


@pytest.mark.covers("CV-8")
def test_a_question_about_one_session_does_not_end_the_next(world: World, browser: Browser) -> None:
    world.sign_in(browser)
    page = question(leave(browser))
    after = world.tokens(world.sign_in(browser, {"prompt": "login"}, username=BOB))
    assert say(browser, page).status_code == 400
    assert is_there(world, browser, after)


@pytest.mark.covers("R-107")
@pytest.mark.spec(SPEC, "2")
def test_a_post_does_what_a_get_does(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    form = {
        "id_token_hint": tokens["id_token"],
        "post_logout_redirect_uri": AFTERWARDS,
        "state": "s",
    }
    # From another site it brings no cookies; the GET that follows does.
    there = world.provider.new_browser().post("/logout", data=form)
    assert there.status_code == 303
    assert tokens["id_token"] not in there.headers["location"]
    back = browser.get(there.headers["location"])
    assert back.headers["location"] == AFTERWARDS + "&state=s"
    assert is_gone(world, browser, tokens)
    wrong = browser.post("/logout", data={**form, "post_logout_redirect_uri": "https://x"})
    assert wrong.status_code == 400


@pytest.mark.covers("CV-34", "R-45")
def test_a_sealed_request_is_nothing_once_it_is_changed(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    there = browser.post("/logout", data={"id_token_hint": tokens["id_token"]})
    location = there.headers["location"]
    page = question(leave(browser))
    for changed_location in (location[:-1], location + "A", f"/logout?req={page.state}"):
        assert browser.get(changed_location).status_code == 400
        assert is_there(world, browser, tokens)


@pytest.mark.covers("R-1")
@pytest.mark.spec(SPEC, "2")
@pytest.mark.parametrize("client_id", ["nobody", OTHER[0], "App"])
def test_a_client_id_must_be_known_and_that_of_the_id_token(
    world: World, browser: Browser, tokens: dict[str, Any], client_id: str
) -> None:
    response = leave(browser, id_token_hint=tokens["id_token"], client_id=client_id)
    assert response.status_code == 400
    assert is_there(world, browser, tokens)


@pytest.mark.spec(SPEC, "2")
def test_a_client_id_that_fits_the_id_token_is_fine(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    leave(browser, id_token_hint=tokens["id_token"], client_id=CONFIDENTIAL[0])
    assert is_gone(world, browser, tokens)


def test_who_is_not_signed_in_is_sent_on_without_a_question() -> None:
    # Where sessions have ended, what is left of them is looked for some seconds later.
    with world_of(config()) as world:
        stranger = world.provider.new_browser()
        calls = dict(world.faults.calls)
        assert "signed out" in leave(stranger).text
        asked = {"client_id": CONFIDENTIAL[0], "post_logout_redirect_uri": AFTERWARDS}
        assert leave(stranger, **asked).headers["location"] == AFTERWARDS
        assert dict(world.faults.calls) == calls


@pytest.mark.covers("R-54", "CV-32")
def test_the_cookie_of_an_ended_session_is_nothing(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    name, value = session_cookie(browser)
    response = leave(browser, id_token_hint=tokens["id_token"])
    assert any("Max-Age=0" in each for each in response.headers.get_list("set-cookie"))
    with pytest.raises(LookupError):
        session_cookie(browser)
    set_session_cookie(browser, name, value)
    reads = world.faults.calls["read"]
    assert not world.is_known(browser)
    assert "signed out" in leave(browser).text
    assert world.faults.calls["read"] == reads


@pytest.mark.covers("CV-10", "I-3")
def test_without_the_store_nobody_is_told_that_they_are_signed_out(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    world.faults.always("replace", Fails())
    try:
        response = leave(browser, id_token_hint=tokens["id_token"])
    finally:
        world.faults.clear()
    assert response.status_code == 503
    assert "set-cookie" not in response.headers
    assert is_there(world, browser, tokens)
    leave(browser, id_token_hint=tokens["id_token"])
    assert is_gone(world, browser, tokens)


@pytest.mark.covers("I-3")
def test_once_the_session_is_marked_nothing_of_it_works_whatever_fails_after_that(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    other = world.tokens_of_other(answer_of(world.visit(browser, ABOUT_OTHER))["code"])
    world.faults.next("scan", Fails())
    assert "signed out" in leave(browser, id_token_hint=tokens["id_token"]).text
    assert is_gone(world, browser, tokens)
    assert world.provider.userinfo(other["access_token"]).status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": other["refresh_token"]}
    assert world.provider.token(form, auth=OTHER).status_code == 400


@pytest.mark.covers("R-36")
def test_other_browsers_of_the_person_stay_signed_in(
    world: World, browser: Browser, tokens: dict[str, Any]
) -> None:
    elsewhere = world.provider.new_browser()
    theirs = world.tokens(world.sign_in(elsewhere))
    leave(browser, id_token_hint=tokens["id_token"])
    assert is_there(world, elsewhere, theirs)


@pytest.mark.covers("R-60")
@pytest.mark.parametrize("name", ["state", "logout_hint", "ui_locales", "client_id"])
def test_whatever_is_sent_is_shown_as_text_if_at_all(
    browser: Browser, tokens: dict[str, Any], name: str
) -> None:
    payload = "\"'><script>alert(1)</script>"
    text = leave(browser, **{name: payload}).text
    assert "<script>alert" not in text


@pytest.mark.spec("OIDC Back-Channel Logout", "2.1")
@pytest.mark.spec("OIDC Front-Channel Logout", "2")
@pytest.mark.spec(SPEC, "2.1")
def test_discovery_names_the_endpoint_where_it_is_served(world: World) -> None:
    found = world.provider.browser.get("/.well-known/openid-configuration").json()
    assert found["end_session_endpoint"] == "https://idp.example.com/logout"
    assert found["backchannel_logout_supported"] is True
    assert found["backchannel_logout_session_supported"] is True
    assert found["frontchannel_logout_supported"] is True
    assert found["frontchannel_logout_session_supported"] is True
    assert "sid" in found["claims_supported"]
    with world_of(config_with_sessions(enabled=False)) as without:
        browser = without.provider.browser
        assert "end_session_endpoint" not in browser.get("/.well-known/openid-configuration").json()
        assert browser.get("/logout").status_code == 404
