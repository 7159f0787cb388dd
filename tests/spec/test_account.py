"""The account page: people see and end what is theirs, everywhere at once, and nobody else's."""

import json
import re
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.kit.logout_receiver import LogoutReceiver, logout_receiver
from tests.kit.provider import (
    ALICE,
    CONFIDENTIAL,
    ISSUER,
    PASSWORD,
    Browser,
    LoginPage,
    answer_of,
    login_page,
)
from tests.kit.sessions import (
    ABOUT_OTHER,
    BOB,
    World,
    claims_of,
    config_with_sessions,
    session_cookie,
    set_session_cookie,
    world_of,
)
from tests.kit.storage import Fails
from tests.spec.test_browser_csrf import FOREIGN

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1"
)
PAGE_CLIENT = f"{ISSUER}/account"


@pytest.fixture
def world() -> Iterator[World]:
    with world_of() as world:
        yield world


@pytest.fixture
def desk(world: World) -> Browser:
    return browser_of(world, FIREFOX)


def browser_of(world: World, user_agent: str = "") -> Browser:
    browser = world.provider.new_browser()
    browser.client.headers["user-agent"] = user_agent
    return browser


def account(browser: Browser, query: str = "") -> httpx.Response:
    return browser.get(f"/account{query}")


def state_of(browser: Browser) -> str:
    return login_page(account(browser)).state


def press(browser: Browser, **button: str) -> httpx.Response:
    """Press a button of the page as it is now."""
    return browser.post("/account", data={"state": state_of(browser), **button})


def values(html: str, name: str) -> list[str]:
    """Return what the buttons of a name send."""
    return [unescape(each) for each in re.findall(rf'name="{name}" value="([^"]*)"', html)]


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def works(world: World, tokens: Mapping[str, str]) -> tuple[bool, bool]:
    """Return whether an access token and a refresh token are good."""
    return (
        world.provider.userinfo(tokens["access_token"]).status_code == 200,
        world.provider.refresh(tokens["refresh_token"]).status_code == 200,
    )


def test_who_is_not_signed_in_signs_in_there_and_nothing_is_stored_before(
    world: World, desk: Browser
) -> None:
    calls = dict(world.faults.calls)
    to_the_form = account(desk)
    assert to_the_form.status_code == 303
    assert to_the_form.headers["cache-control"] == "no-store"
    form = desk.get(to_the_form.headers["location"])
    page = login_page(form)
    assert "to continue to Your account" in text_of(form.text)
    wrong = {"login": ALICE, "password": "wrong", "state": page.state}
    assert desk.post(page.action, data=wrong).status_code == 401
    assert dict(world.faults.calls) == calls

    signed_in = desk.post(page.action, data={**wrong, "password": PASSWORD})
    assert world.faults.writes == calls.get("create", 0) + 1
    location = urlsplit(signed_in.headers["location"])
    assert dict(parse_qsl(location.query)) == {"iss": ISSUER}
    back = desk.get(signed_in.headers["location"])
    assert back.headers["location"] == "/account"
    shown = account(desk)
    assert shown.headers["cache-control"] == "no-store"
    text = text_of(shown.text)
    for word in ("Alice Liddell", ALICE, "Firefox on Linux This browser"):
        assert word in text


@pytest.mark.covers("CV-3")
def test_signing_in_there_gives_nothing_to_anybody(world: World, desk: Browser) -> None:
    """The page is no client that could be used: it has no secret, and gets no code."""
    for response_type in ("id_token", "code id_token", "none code", "none none"):
        asked = {
            "client_id": PAGE_CLIENT,
            "redirect_uri": PAGE_CLIENT,
            "response_type": response_type,
        }
        location = world.visit(desk, asked).headers["location"]
        assert location.startswith(f"{PAGE_CLIENT}")
        assert "error=unsupported_response_type" in location
    barred = {"client_id": PAGE_CLIENT, "redirect_uri": PAGE_CLIENT, "response_type": "code"}
    assert "error=unauthorized_client" in world.visit(desk, barred).headers["location"]
    refused = world.visit(desk, {"response_type": "none"})
    assert answer_of(refused)["error"] == "unsupported_response_type"
    for secret in ("", "x"):
        form = {"grant_type": "client_credentials", "client_id": PAGE_CLIENT}
        if secret:
            form["client_secret"] = secret
        assert world.provider.token(form, auth=None).status_code == 401


def test_a_refused_sign_in_is_told_and_not_tried_again_for_ever(
    world: World, desk: Browser
) -> None:
    for query in ("?error=access_denied&error_description=Call+555-0100", f"?iss={ISSUER}"):
        response = account(desk, query)
        assert response.status_code == 403
        assert "You did not sign in" in response.text
        assert "555-0100" not in response.text


def test_every_session_is_shown_with_what_each_client_got(world: World, desk: Browser) -> None:
    phone, stranger = browser_of(world, IPHONE), browser_of(world)
    world.tokens(world.sign_in(desk, {"scope": "openid email offline_access"}))
    world.tokens_of_other(answer_of(world.visit(desk, ABOUT_OTHER))["code"])
    world.provider.clock.turn(2400)
    world.tokens(world.sign_in(phone))
    world.tokens(world.sign_in(stranger, username=BOB))

    html = account(desk).text
    text = text_of(html)

    assert values(html, "end_session") == [world.session_of(desk), world.session_of(phone)]
    assert len(values(html, "end_login")) == 3
    for words in (
        "Firefox on Linux This browser Signed in 40 minutes ago with",
        "Safari on an iPhone Signed in just now with",
        "The App Last used 40 minutes ago, ends ",
        "Another App",
        "See your email address",
        "Keep this access while you are away",
    ):
        assert words in text
    assert "bob" not in text
    assert text_of(account(phone).text).index("Safari on an iPhone This browser") > 0


def test_a_login_that_was_never_finished_is_not_shown(world: World, desk: Browser) -> None:
    world.sign_in(desk)
    assert values(account(desk).text, "end_login") == []


@pytest.mark.covers("I-3")
def test_one_session_is_ended_from_another_browser(world: World, desk: Browser) -> None:
    phone = browser_of(world, IPHONE)
    here = world.tokens(world.sign_in(desk))
    there = world.tokens(world.sign_in(phone))
    beside = world.tokens_of_other(answer_of(world.visit(phone, ABOUT_OTHER))["code"])

    done = press(desk, end_session=world.session_of(phone))

    assert (done.status_code, done.headers["location"]) == (303, "/account?done=ended")
    shown = account(desk, "?done=ended")
    assert "That is signed out now." in shown.text
    assert values(shown.text, "end_session") == [world.session_of(desk)]
    assert works(world, there) == (False, False)
    assert world.provider.userinfo(beside["access_token"]).status_code == 401
    assert not world.is_known(phone)
    assert works(world, here) == (True, True)
    assert world.is_known(desk)


def test_the_own_session_ends_on_the_page_after_signing_out(world: World, desk: Browser) -> None:
    tokens = world.tokens(world.sign_in(desk))
    response = press(desk, end_session=world.session_of(desk))
    assert "You are signed out" in response.text
    assert works(world, tokens) == (False, False)
    assert account(desk).status_code == 303


def test_the_access_of_one_client_ends_and_the_session_goes_on(world: World, desk: Browser) -> None:
    first = world.tokens(world.sign_in(desk))
    again = world.tokens(answer_of(world.visit(desk))["code"])
    other = world.tokens_of_other(answer_of(world.visit(desk, ABOUT_OTHER))["code"])
    html = account(desk).text
    assert len(values(html, "end_login")) == 2
    of_the_app = re.search(r"<h4><bdi>The App.*?name=\"end_login\" value=\"(.*?)\"", html, re.S)
    assert of_the_app is not None

    assert press(desk, end_login=of_the_app[1]).headers["location"] == "/account?done=ended"

    # Once more is too late, and says so.
    assert press(desk, end_login=of_the_app[1]).headers["location"] == "/account?done=gone"
    assert works(world, first) == works(world, again) == (False, False)
    assert world.provider.userinfo(other["access_token"]).status_code == 200
    assert world.is_known(desk)


def test_a_command_line_outlives_its_session_and_is_ended_here(world: World, desk: Browser) -> None:
    tokens = world.tokens(world.sign_in(browser_of(world, IPHONE)))
    world.provider.clock.turn(25 * 3600)
    tokens = world.provider.refresh(tokens["refresh_token"]).raise_for_status().json()
    world.sign_in(desk)

    html = account(desk).text
    assert "Applications that go on without a browser" in html
    assert "in Safari on an iPhone, last used just now" in text_of(html)
    (name,) = values(html, "end_login")
    assert press(desk, end_login=name).headers["location"] == "/account?done=ended"
    assert works(world, tokens) == (False, False)


@pytest.mark.covers("I-3")
def test_signing_out_everywhere_ends_all_of_the_person_and_nothing_of_others(
    world: World, desk: Browser
) -> None:
    phone, bobs = browser_of(world, IPHONE), browser_of(world)
    alone = world.tokens(world.sign_in(browser_of(world)))
    world.provider.clock.turn(25 * 3600)
    alone = world.provider.refresh(alone["refresh_token"]).raise_for_status().json()
    mine = [world.tokens(world.sign_in(each)) for each in (desk, phone)]
    mine.append(world.tokens(answer_of(world.visit(desk))["code"]))
    kept = world.tokens(world.sign_in(bobs, username=BOB))
    scans = world.faults.calls["scan"]

    state = state_of(desk)
    response = desk.post("/account", data={"state": state, "everywhere": "yes"})

    # However many sessions there are: one list for the page, two of the person, one of the session.
    # Now: some seconds later the job that looks after it lists them again.
    assert world.faults.calls["scan"] == scans + 4
    assert response.status_code == 200
    assert "All your sessions have ended" in response.text
    for tokens in (*mine, alone):
        assert works(world, tokens) == (False, False)
    assert not world.is_known(desk)
    assert not world.is_known(phone)
    assert works(world, kept) == (True, True)
    assert world.is_known(bobs)


def test_a_session_whose_first_login_was_revoked_is_found_all_the_same(
    world: World, desk: Browser
) -> None:
    phone = browser_of(world, IPHONE)
    tokens = world.tokens(world.sign_in(phone))
    form = {"token": tokens["refresh_token"]}
    revoked = world.provider.new_browser().post("/token/revoke", data=form, auth=CONFIDENTIAL)
    assert revoked.status_code == 200
    assert world.is_known(phone)
    world.sign_in(desk)
    assert world.session_of(phone) in values(account(desk).text, "end_session")
    press(desk, everywhere="yes")
    assert not world.is_known(phone)


def test_if_the_store_fails_on_the_way_the_person_is_told_and_can_try_again(
    world: World, desk: Browser
) -> None:
    phone = browser_of(world, IPHONE)
    world.sign_in(desk)
    world.sign_in(phone)
    state = state_of(desk)
    world.faults.always("replace", Fails())
    response = desk.post("/account", data={"state": state, "everywhere": "yes"})
    assert response.status_code == 503
    assert "Not everything was signed out" in response.text
    world.faults.clear()
    assert press(desk, everywhere="yes").status_code == 200
    assert not world.is_known(phone)


@pytest.mark.covers("R-110", "CV-1")
def test_nobody_ends_what_is_somebody_elses(world: World, desk: Browser) -> None:
    """By names that they know, by forms of others, and by names that nobody has."""
    bobs = browser_of(world)
    theirs = world.tokens(world.sign_in(bobs, username=BOB))
    world.sign_in(desk)
    bobs_session = world.session_of(bobs)
    (bobs_login,) = values(account(bobs).text, "end_login")
    writes = world.faults.writes

    for name in (bobs_session, bobs_login, "no-such-name", "", "../secrets", "x" * 300, "Ä"):
        for button in ("end_session", "end_login"):
            done = press(desk, **{button: name})
            # The same answer, whether there is such a session or not.
            assert done.headers["location"] == "/account?done=gone", (button, name)
    for form in ({"end_session": bobs_session}, {"everywhere": "yes"}, {"end_login": bobs_login}):
        stolen = desk.post("/account", data={"state": state_of(bobs), **form})
        assert stolen.status_code == 400
        assert "out of date" in stolen.text
    cookie = session_cookie(bobs)
    set_session_cookie(desk, *cookie)
    assert account(desk).status_code == 303
    assert world.faults.writes == writes
    assert works(world, theirs)[0]
    assert world.is_known(bobs)


def test_a_form_is_good_for_its_session_and_for_half_an_hour(world: World, desk: Browser) -> None:
    world.sign_in(desk)
    state = state_of(desk)
    other_purpose = login_page(world.visit(desk, {"prompt": "login"})).state
    for wrong in ("", "x", state[:-2], other_purpose):
        answer = desk.post("/account", data={"state": wrong, "everywhere": "yes"})
        assert answer.status_code == 400
    world.sign_in(desk, {"prompt": "login"}, username=BOB)
    assert desk.post("/account", data={"state": state, "everywhere": "yes"}).status_code == 400
    late = state_of(desk)
    world.provider.clock.turn(1801)
    assert desk.post("/account", data={"state": late, "everywhere": "yes"}).status_code == 400
    assert world.is_known(desk)


@pytest.mark.covers("R-51")
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_site_ends_nothing(world: World, desk: Browser, headers: dict[str, str]) -> None:
    world.sign_in(desk)
    form = {"state": state_of(desk), "everywhere": "yes"}
    writes = world.faults.writes
    assert desk.post("/account", data=form, headers=headers).status_code == 403
    assert world.faults.writes == writes
    assert world.is_known(desk)


def test_a_consent_is_forgotten_and_only_the_own_one(world: World) -> None:
    config = config_with_sessions()
    config["oauth2"]["skipApprovalScreen"] = False
    with world_of(config) as asking:
        mine, bobs = browser_of(asking), browser_of(asking)
        for browser, who in ((mine, ALICE), (bobs, BOB)):
            page = login_page(asking.provider.sign_in(browser=browser, username=who))
            form = {"state": page.state, "approval": "approve"}
            assert browser.post("/approval", data=form).status_code == 303
            assert asking.is_known(browser)
        assert "What you have allowed" in account(mine).text
        assert values(account(mine).text, "forget") == ["app"]

        assert press(mine, forget="app").headers["location"] == "/account?done=forgotten"

        assert 'value="approve"' in asking.visit(mine).text
        assert values(account(mine).text, "forget") == []
        assert asking.is_known(bobs)


def test_a_page_costs_two_looks_and_one_list_and_nobody_may_have_them_for_ever(
    world: World, desk: Browser
) -> None:
    world.sign_in(desk)
    calls = dict(world.faults.calls)
    account(desk)
    assert world.faults.calls["read"] == calls.get("read", 0) + 2
    assert world.faults.calls["scan"] == calls.get("scan", 0) + 1
    assert world.faults.writes == calls["create"]

    answers = [account(desk).status_code for _ in range(60)]
    assert answers[:50] == [200] * 50
    assert answers[-1] == 429
    scans = world.faults.calls["scan"]
    refused = account(desk)
    assert (refused.status_code, refused.headers["cache-control"]) == (429, "no-store")
    assert int(refused.headers["retry-after"]) > 0
    assert world.faults.calls["scan"] == scans
    # Somebody else is not slowed down, and after a minute nobody is.
    bobs = browser_of(world)
    world.sign_in(bobs, username=BOB)
    assert account(bobs).status_code == 200
    world.provider.clock.turn(61)
    assert account(desk).status_code == 200


def test_many_sessions_come_in_pages(world: World, desk: Browser) -> None:
    for _ in range(44):
        world.sign_in(browser_of(world))
    world.sign_in(desk)
    pages = [account(desk, f"?page={number}").text for number in (1, 2, 3)]
    names = [values(html, "end_session") for html in pages]
    assert [len(each) for each in names] == [20, 20, 5]
    assert len({name for each in names for name in each}) == 45
    assert names[0][0] == world.session_of(desk)
    assert 'rel="next"' in pages[0]
    for odd in ("0", "-1", "99", "x", "9" * 30, "%F0%9D%9F%99"):
        assert account(desk, f"?page={odd}").status_code == 200


def test_without_sessions_there_is_no_account_page() -> None:
    config = config_with_sessions()
    config["sessions"] = {"enabled": False}
    with world_of(config) as world:
        browser = browser_of(world)
        assert account(browser).status_code == 404
        assert "/account" not in browser.get("/").text
        asked = {"client_id": PAGE_CLIENT, "redirect_uri": PAGE_CLIENT, "response_type": "none"}
        assert world.visit(browser, asked).status_code == 400


def test_the_store_keeps_the_device_in_the_sealed_part(world: World, desk: Browser) -> None:
    world.sign_in(desk)
    document = world.provider.portal.call(
        world.stores[0].read, "refresh-grants", world.session_of(desk)
    )
    assert "Firefox" not in json.dumps(dict(document.columns))
    assert "Firefox on Linux" in account(desk).text


SELECT = {"prompt": "select_account"}


def choose(browser: Browser, page: LoginPage, answer: str) -> httpx.Response:
    response = browser.post(page.action, data={"state": page.state, "account": answer})
    assert response.status_code == 303, response.text
    return browser.get(response.headers["location"])


def selection(response: httpx.Response) -> LoginPage:
    assert 'name="account" value="current"' in response.text
    page = login_page(response)
    assert page.action == "/select"
    return page


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_select_account_offers_who_is_signed_in_and_goes_on_as_they(
    world: World, desk: Browser
) -> None:
    world.sign_in(desk)
    response = world.visit(desk, {**SELECT, "nonce": "n-1"})
    assert "Continue as Alice Liddell" in text_of(response.text)
    answer = answer_of(choose(desk, selection(response), "current"))
    assert answer["state"] == "the state"
    assert world.tokens(answer["code"])["id_token"]


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_select_account_lets_somebody_else_sign_in(world: World, desk: Browser) -> None:
    world.sign_in(desk)
    asked = {**SELECT, "login_hint": ALICE}
    form = choose(desk, selection(world.visit(desk, asked)), "other")
    page = login_page(form)
    assert ALICE not in form.text
    signed_in = desk.post(
        page.action, data={"login": BOB, "password": PASSWORD, "state": page.state}
    )
    assert "code" in answer_of(signed_in)
    assert "bob" in text_of(account(desk).text)


@pytest.mark.parametrize(
    "asked", [{"prompt": "select_account login"}, {**SELECT, "max_age": "0"}], ids=str
)
def test_a_session_that_would_not_do_is_not_offered(
    world: World, desk: Browser, asked: dict[str, str]
) -> None:
    world.sign_in(desk)
    assert 'value="current"' not in world.visit(desk, asked).text


def test_the_chosen_account_is_the_one_that_was_shown(world: World, desk: Browser) -> None:
    world.sign_in(desk)
    page = selection(world.visit(desk, SELECT))
    world.sign_in(desk, {"prompt": "login"}, username=BOB)
    form = {"state": page.state, "account": "current"}
    assert desk.post("/select", data=form).status_code == 400
    stranger = browser_of(world)
    assert stranger.post("/select", data=form).status_code == 400
    for headers in FOREIGN:
        assert desk.post("/select", data=form, headers=headers).status_code == 403


def test_another_client_gets_no_more_by_a_choice_than_without(world: World, desk: Browser) -> None:
    """What was asked for is judged anew: the choice is no approval and no sign-in."""
    config = config_with_sessions(ssoSharedWithDefault="none")
    with world_of(config) as apart:
        browser = browser_of(apart)
        apart.sign_in(browser)
        assert 'value="current"' not in apart.visit(browser, {**ABOUT_OTHER, **SELECT}).text


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[LogoutReceiver]:
    with logout_receiver(tmp_path) as receiver:
        yield receiver


@pytest.mark.covers("R-108")
@pytest.mark.parametrize("button", ["end_session", "end_login", "everywhere"])
def test_applications_hear_of_what_ends_here_each_of_its_session(
    receiver: LogoutReceiver, button: str
) -> None:
    config = config_with_sessions()
    config["staticClients"][0]["backchannelLogoutURI"] = receiver.url
    config["outbound"] = {"rootCA": str(receiver.ca), "allowedHosts": ["127.0.0.1"]}
    with world_of(config) as telling:
        desk, phone = browser_of(telling, FIREFOX), browser_of(telling, IPHONE)
        telling.sign_in(desk, ABOUT_OTHER)
        telling.tokens(telling.sign_in(phone))
        session = telling.session_of(phone)
        # The other client, which is in the session here, wants no notice.
        sent = {
            "end_session": session,
            "end_login": values(account(desk).text, "end_login")[-1],
            "everywhere": "yes",
        }[button]
        press(desk, **{button: sent})
        (token,) = receiver.tokens(1)
        assert claims_of(token)["sid"] == session
