"""Consent: asked once for each client and wish, remembered sealed, and never taken for granted.

OIDC Core section 3.1.2.4.
"""

import json
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from tests.kit.provider import (
    ALICE,
    OTHER,
    PASSWORD,
    Browser,
    LoginPage,
    answer_of,
    login_page,
)
from tests.kit.sessions import ABOUT_OTHER, BOB, World, config_with_sessions, world_of
from tests.kit.storage import Fails

PEER = f"audience:server:client_id:{OTHER[0]}"


@pytest.fixture
def world() -> Iterator[World]:
    config = config_with_sessions()
    config["oauth2"]["skipApprovalScreen"] = False
    with world_of(config) as world:
        yield world


def is_question(response: httpx.Response) -> bool:
    return response.status_code == 200 and 'value="approve"' in response.text


def question(response: httpx.Response) -> LoginPage:
    assert is_question(response), response.text
    return login_page(response)


def say(browser: Browser, response: httpx.Response, answer: str = "approve") -> httpx.Response:
    page = question(response)
    return browser.post(page.action, data={"state": page.state, "approval": answer})


def sign_in(
    world: World, browser: Browser, scope: str = "openid email", username: str = ALICE
) -> httpx.Response:
    return world.provider.sign_in({"scope": scope}, browser=browser, username=username)


def allow(world: World, browser: Browser, scope: str = "openid email") -> None:
    assert "code" in answer_of(say(browser, sign_in(world, browser, scope)))


def ask(world: World, browser: Browser, **changes: str) -> httpx.Response:
    return world.visit(browser, {"scope": "openid email", **changes})


@pytest.mark.spec("OIDC Core", "3.1.2.4")
def test_what_was_allowed_is_not_asked_again_in_any_browser(world: World) -> None:
    first, second = world.provider.new_browser(), world.provider.new_browser()
    allow(world, first)
    assert "code" in answer_of(ask(world, first))
    assert "code" in answer_of(sign_in(world, second))


def test_a_new_consent_is_one_write_and_a_remembered_one_none(world: World) -> None:
    browser = world.provider.new_browser()
    page = sign_in(world, browser)
    writes = world.faults.writes
    say(browser, page)
    # The consent, and the grant.
    assert world.faults.writes == writes + 2
    writes = world.faults.writes
    assert "code" in answer_of(ask(world, browser))
    assert world.faults.writes == writes + 1
    # Asked again all the same: nothing new to note.
    again = ask(world, browser, prompt="consent")
    writes = world.faults.writes
    say(browser, again)
    assert world.faults.writes == writes + 1


@pytest.mark.parametrize(
    ("allowed", "asked", "is_asked"),
    [
        ("openid email", "openid", False),
        ("openid email", "email openid", False),
        ("openid", "openid", False),
        ("openid email", "openid email groups", True),
        ("openid email", "openid email offline_access", True),
        ("openid", f"openid {PEER}", True),
        (f"openid {PEER}", f"openid {PEER}", False),
        (f"openid {PEER}", "openid email", True),
    ],
)
def test_whoever_asks_for_more_has_to_ask(
    world: World, allowed: str, asked: str, *, is_asked: bool
) -> None:
    browser = world.provider.new_browser()
    allow(world, browser, allowed)
    assert is_question(ask(world, browser, scope=asked)) is is_asked


@pytest.mark.spec("OIDC Core", "5.5")
def test_what_is_asked_for_by_name_is_allowed_by_name(world: World) -> None:
    browser = world.provider.new_browser()

    def asking(*claims: str, scope: str = "openid") -> httpx.Response:
        names: dict[str, None] = dict.fromkeys(claims)
        return ask(world, browser, scope=scope, claims=json.dumps({"userinfo": names}))

    allow(world, browser, "openid email")
    assert "code" in answer_of(asking("email"))
    assert "See your birthdate" in asking("email", "birthdate").text
    assert "code" in answer_of(say(browser, asking("birthdate")))
    assert "code" in answer_of(asking("birthdate", "email_verified"))
    assert is_question(asking("groups"))
    assert is_question(asking("birthdate", scope="openid profile"))
    assert "code" in answer_of(asking("unheard-of", "iss"))


def test_wishes_add_up(world: World) -> None:
    browser = world.provider.new_browser()
    allow(world, browser, "openid email")
    say(browser, ask(world, browser, scope="openid groups"))
    assert "code" in answer_of(ask(world, browser, scope="openid email groups"))


@pytest.mark.covers("CV-8")
def test_a_consent_is_for_one_client_and_one_person(world: World) -> None:
    browser = world.provider.new_browser()
    allow(world, browser)
    assert is_question(ask(world, browser, **ABOUT_OTHER))
    assert is_question(sign_in(world, world.provider.new_browser(), username=BOB))


@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_prompt_consent_asks_again(world: World) -> None:
    browser = world.provider.new_browser()
    allow(world, browser)
    assert is_question(ask(world, browser, prompt="consent"))
    assert is_question(ask(world, browser, prompt="consent"))


@pytest.mark.covers("R-7")
@pytest.mark.spec("OIDC Core", "3.1.2.6")
def test_prompt_none_without_consent_is_consent_required(world: World) -> None:
    browser = world.provider.new_browser()
    allow(world, browser)
    assert "code" in answer_of(ask(world, browser, prompt="none"))
    writes = world.faults.writes
    more = answer_of(ask(world, browser, prompt="none", scope="openid groups"))
    assert more["error"] == "consent_required"
    assert world.faults.writes == writes


@pytest.mark.covers("R-13")
def test_refusing_tells_the_client_and_remembers_nothing(world: World) -> None:
    browser = world.provider.new_browser()
    page = sign_in(world, browser)
    writes = world.faults.writes
    assert answer_of(say(browser, page, "reject"))["error"] == "access_denied"
    assert world.faults.writes == writes
    assert is_question(sign_in(world, browser))


def test_refusing_takes_back_nothing_that_was_allowed(world: World) -> None:
    browser = world.provider.new_browser()
    allow(world, browser)
    more = ask(world, browser, scope="openid groups")
    assert answer_of(say(browser, more, "reject"))["error"] == "access_denied"
    assert "code" in answer_of(ask(world, browser))


def test_the_page_names_the_person_and_lets_them_be_somebody_else(world: World) -> None:
    browser = world.provider.new_browser()
    page = sign_in(world, browser)
    assert "Not <bdi>alice</bdi>?" in page.text
    form = say(browser, page, "switch")
    assert 'name="password"' in form.text
    shown = login_page(form)
    theirs = browser.post(
        shown.action, data={"login": BOB, "password": PASSWORD, "state": shown.state}
    )
    assert BOB in unescape(theirs.text)
    assert "code" in answer_of(say(browser, theirs))


@pytest.mark.covers("R-60", "R-56")
def test_the_page_shows_what_the_client_says_of_itself_and_nothing_else() -> None:
    config = config_with_sessions()
    config["oauth2"]["skipApprovalScreen"] = False
    config["staticClients"][0] |= {
        "logoURL": "https://cdn.example.com/logo.png?a=1&b=2",
        "policyURI": "https://app.example.com/privacy",
        "tosURI": "https://app.example.com/terms",
    }
    with world_of(config) as world:
        response = sign_in(world, world.provider.new_browser())
    for address in (
        'src="https://cdn.example.com/logo.png?a=1&amp;b=2"',
        'href="https://app.example.com/privacy"',
        'href="https://app.example.com/terms"',
    ):
        assert address in response.text
    policy = response.headers["content-security-policy"]
    assert "img-src 'self' https://cdn.example.com;" in policy
    assert "app.example.com" not in policy


@pytest.mark.covers("R-88")
def test_a_dump_does_not_tell_what_anybody_allowed(world: World) -> None:
    allow(world, world.provider.new_browser())

    async def dump() -> str:
        found = [each async for each in world.stores[0].scan("user-states", {})]
        return json.dumps([[each.name, dict(each.columns), each.sealed] for each in found])

    text = world.provider.portal.call(dump)
    assert "user-1" in text
    assert "email" not in text
    assert '"app"' not in text


@pytest.mark.covers("I-7")
def test_a_consent_that_cannot_be_kept_is_asked_again_and_stops_nobody(world: World) -> None:
    browser = world.provider.new_browser()
    page = sign_in(world, browser)
    world.faults.next("create", Fails())
    assert "code" in answer_of(say(browser, page))
    assert is_question(ask(world, browser))


def test_a_record_that_an_administrator_made_is_added_to(world: World) -> None:
    """What they wrote stays: it is what locks the person."""
    from storage.base import Document
    from storage.persons import person_key

    name = person_key("local", "user-1")
    columns = {"connector": "local", "user_id": "user-1", "not_before": "2001-01-01T00:00:00Z"}
    store = world.stores[0]
    world.provider.portal.call(
        store.create, "user-states", Document(name=name, columns=columns, sealed="")
    )
    browser = world.provider.new_browser()
    allow(world, browser)
    assert "code" in answer_of(ask(world, browser))
    found = world.provider.portal.call(store.read, "user-states", name)
    assert found.sealed
    assert found.columns["not_before"] == "2001-01-01T00:00:00Z"


@pytest.mark.covers("CV-3", "CV-33")
def test_somebody_who_is_signed_out_between_page_and_answer_gets_nothing(world: World) -> None:
    browser = world.provider.new_browser()
    allow(world, browser)
    page = ask(world, browser, scope="openid groups")
    sid = world.session_of(browser)
    world.remove(sid)
    writes = world.faults.writes
    response = say(browser, page)
    assert response.status_code == 400
    assert "signed out" in response.text
    assert world.faults.writes <= writes + 1


def test_where_the_page_is_skipped_nothing_is_asked_or_kept() -> None:
    with world_of() as world:
        browser = world.provider.new_browser()
        assert "code" in answer_of(sign_in(world, browser))
        asked = ask(world, browser, prompt="consent")
        assert is_question(asked)


def test_without_sessions_people_are_asked_each_time() -> None:
    config = config_with_sessions(enabled=False)
    config["oauth2"]["skipApprovalScreen"] = False
    with world_of(config) as world:
        browser = world.provider.new_browser()
        for _ in range(2):
            page = sign_in(world, browser)
            writes = world.faults.writes
            say(browser, page)
            assert world.faults.writes == writes + 1
