"""Single sign-on: who signed in with a browser is known there, for as long as it may be.

OIDC Core section 3.1.2.1 (`prompt`, `max_age`, `id_token_hint`), section 3.1.2.3.
"""

from collections.abc import Iterator

import pytest

from idp.app import Connectors
from tests.kit.provider import ALICE, CALLBACK, OTHER, PASSWORD, answer_of, login_page
from tests.kit.sessions import (
    ABOUT_OTHER,
    BOB,
    ForgetfulConnector,
    World,
    claims_of,
    config_with_sessions,
    session_cookie,
    set_session_cookie,
    world_of,
)
from tests.kit.storage import Fails

HOUR = 3600


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with world_of() as world:
        yield world


def test_the_second_visit_needs_no_password(world: World) -> None:
    browser = world.provider.new_browser()
    first = claims_of(world.tokens(world.sign_in(browser))["id_token"])
    world.provider.clock.turn(600)

    response = world.visit(browser)

    assert response.headers["location"].startswith(CALLBACK)
    again = claims_of(world.tokens(answer_of(response)["code"])["id_token"])
    assert again["sub"] == first["sub"]
    assert again["auth_time"] == first["auth_time"]
    assert again["iat"] > first["iat"]


@pytest.mark.spec("OIDC Back-Channel Logout", "2.1")
@pytest.mark.spec("OIDC Core", "8")
def test_another_application_gets_the_same_person_and_session(world: World) -> None:
    browser = world.provider.new_browser()
    first = world.tokens(world.sign_in(browser))
    second = world.tokens_of_other(answer_of(world.visit(browser, ABOUT_OTHER))["code"])

    one, other = claims_of(first["id_token"]), claims_of(second["id_token"])
    assert one["sid"] == other["sid"] == claims_of(second["access_token"])["sid"]
    assert one["sub"] == other["sub"]
    assert other["groups"] == ["developers", "admins"]


@pytest.mark.covers("I-8")
def test_a_login_with_a_session_is_two_writes_and_reads_the_session_once(world: World) -> None:
    browser = world.provider.new_browser()
    world.tokens(world.sign_in(browser))
    writes, reads = world.faults.writes, world.faults.calls["read"]

    world.tokens_of_other(answer_of(world.visit(browser, ABOUT_OTHER))["code"])

    assert world.faults.writes == writes + 2
    assert world.faults.calls["read"] == reads + 1


def test_a_browser_without_a_session_costs_the_store_nothing(world: World) -> None:
    calls = dict(world.faults.calls)
    for _ in range(3):
        assert not world.is_known(world.provider.new_browser())
    assert dict(world.faults.calls) == calls


@pytest.mark.spec("OIDC Core", "3.1.2.1")
@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ({}, True),
        ({"prompt": "none"}, True),
        ({"prompt": "login"}, False),
        ({"prompt": "select_account"}, False),
        ({"prompt": "login consent"}, False),
        ({"connector_id": "local"}, True),
        ({"login_hint": "somebody@example.com"}, True),
        ({"max_age": "3600"}, True),
        ({"max_age": "0"}, False),
    ],
)
def test_what_a_client_asks_decides_whether_the_session_is_used(
    world: World, asked: dict[str, str], *, known: bool
) -> None:
    browser = world.provider.new_browser()
    world.sign_in(browser)
    assert world.is_known(browser, asked) is known
    assert world.is_known(browser)


@pytest.mark.covers("R-7")
@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_prompt_none_without_a_session_is_login_required(world: World) -> None:
    answer = answer_of(world.visit(world.provider.new_browser(), {"prompt": "none"}))
    assert answer["error"] == "login_required"


@pytest.mark.covers("R-8")
@pytest.mark.spec("OIDC Core", "3.1.2.1")
def test_max_age_is_counted_from_the_sign_in_and_not_from_the_last_use(world: World) -> None:
    browser = world.provider.new_browser()
    signed_in_at = claims_of(world.tokens(world.sign_in(browser))["id_token"])["auth_time"]
    world.provider.clock.turn(600)
    assert world.is_known(browser, {"max_age": "600"})
    world.provider.clock.turn(1)
    assert not world.is_known(browser, {"max_age": "600"})
    late = answer_of(world.visit(browser, {"max_age": "600", "prompt": "none"}))
    assert late["error"] == "login_required"

    fresh = claims_of(world.tokens(world.sign_in(browser, {"max_age": "600"}))["id_token"])
    assert fresh["auth_time"] == signed_in_at + 601


@pytest.mark.covers("R-15")
@pytest.mark.spec("OIDC Core", "3.1.2.2")
def test_a_hint_of_somebody_else_is_not_answered_with_this_session(world: World) -> None:
    mine, theirs = world.provider.new_browser(), world.provider.new_browser()
    hint = world.tokens(world.sign_in(theirs, username=BOB))["id_token"]
    own = world.tokens(world.sign_in(mine))["id_token"]

    assert world.is_known(mine, {"id_token_hint": own, "prompt": "none"})
    refused = answer_of(world.visit(mine, {"id_token_hint": hint, "prompt": "none"}))
    assert refused["error"] == "login_required"
    assert 'name="password"' in world.visit(mine, {"id_token_hint": hint}).text


@pytest.mark.spec("OIDC Core", "2")
def test_acr_and_amr_say_what_was_done_and_not_what_was_asked(world: World) -> None:
    browser = world.provider.new_browser()
    asked = {"acr_values": "urn:example:hardware-token urn:example:two-factor"}
    for code in (
        world.sign_in(browser, asked),
        answer_of(world.visit(browser, asked))["code"],
    ):
        claims = claims_of(world.tokens(code)["id_token"])
        assert claims["amr"] == ["pwd"]
        assert claims["acr"].endswith("PasswordProtectedTransport")


@pytest.mark.covers("R-54", "CV-32")
def test_a_session_that_is_not_used_for_an_hour_is_over(world: World) -> None:
    browser = world.provider.new_browser()
    world.sign_in(browser)
    world.provider.clock.turn(HOUR)
    reads = world.faults.calls["read"]
    assert not world.is_known(browser)
    assert not world.is_known(browser)
    assert world.faults.calls["read"] == reads


@pytest.mark.covers("R-54")
def test_use_keeps_a_session_alive_for_a_day_and_writes_nothing_for_it() -> None:
    with world_of() as world:
        browser = world.provider.new_browser()
        world.sign_in(browser)
        for _ in range(24):
            world.provider.clock.turn(HOUR - 1)
            writes = world.faults.writes
            assert world.is_known(browser)
            # The new login is the one write: its grant.
            assert world.faults.writes == writes + 1
        world.provider.clock.turn(24)
        assert not world.is_known(browser)


def test_disuse_ends_nothing_where_the_operator_says_so() -> None:
    with world_of(config_with_sessions(validIfNotUsedFor="0")) as world:
        browser = world.provider.new_browser()
        world.sign_in(browser)
        world.provider.clock.turn(24 * HOUR - 1)
        assert world.is_known(browser)
        world.provider.clock.turn(1)
        assert not world.is_known(browser)


@pytest.mark.covers("CV-34", "R-54")
def test_a_cookie_with_any_character_changed_is_no_session(world: World) -> None:
    browser = world.provider.new_browser()
    world.sign_in(browser)
    name, value = session_cookie(browser)
    reads = world.faults.calls["read"]
    for place in range(len(value)):
        changed = value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]
        set_session_cookie(browser, name, changed)
        assert not world.is_known(browser), changed
    for altered in (
        value[:-1],
        value + "A",
        value + ".",
        "." + value,
        value.upper(),
        "",
        value * 2,
    ):
        set_session_cookie(browser, name, altered)
        assert not world.is_known(browser)
    assert world.faults.calls["read"] == reads
    set_session_cookie(browser, name, value)
    assert world.is_known(browser)


@pytest.mark.covers("R-50", "R-53", "CV-1")
def test_a_session_is_worth_nothing_in_another_browser(world: World) -> None:
    browser, thief = world.provider.new_browser(), world.provider.new_browser()
    world.sign_in(browser)
    name, value = session_cookie(browser)
    assert not world.is_known(thief)  # who now has a browser cookie of its own
    set_session_cookie(thief, name, value)
    assert not world.is_known(thief)


@pytest.mark.covers("R-53", "CV-32")
def test_a_session_planted_in_a_browser_is_not_the_victims_after_they_sign_in(world: World) -> None:
    victim, attacker = world.provider.new_browser(), world.provider.new_browser()
    world.sign_in(attacker, username=BOB)
    name, planted = session_cookie(attacker)
    for cookie in attacker.client.cookies.jar:
        victim.client.cookies.set(cookie.name, cookie.value or "", domain="idp.example.com")

    code = world.sign_in(victim, {"prompt": "login"})

    mine = claims_of(world.tokens(code)["id_token"])
    assert session_cookie(victim)[1] != planted
    assert not planted.startswith(mine["sid"])
    set_session_cookie(attacker, name, planted)
    assert not world.is_known(attacker)


@pytest.mark.covers("R-53")
def test_signing_in_again_goes_on_with_the_session_under_a_new_reference(world: World) -> None:
    browser = world.provider.new_browser()
    first = claims_of(world.tokens(world.sign_in(browser))["id_token"])
    name, old = session_cookie(browser)
    world.provider.clock.turn(60)

    again = claims_of(world.tokens(world.sign_in(browser, {"prompt": "login"}))["id_token"])

    assert again["sid"] == first["sid"]
    assert again["auth_time"] == first["auth_time"] + 60
    new = session_cookie(browser)[1]
    assert world.is_known(browser, {"max_age": "30"})
    set_session_cookie(browser, name, old)
    assert not world.is_known(browser)
    set_session_cookie(browser, name, new)
    assert world.is_known(browser)


@pytest.mark.covers("R-53")
@pytest.mark.spec("OIDC Front-Channel Logout", "3")
def test_another_person_in_the_same_browser_ends_the_session_of_the_first(world: World) -> None:
    browser = world.provider.new_browser()
    first = world.tokens(world.sign_in(browser))
    name, old = session_cookie(browser)

    second = world.tokens(world.sign_in(browser, {"prompt": "login"}, username=BOB))

    assert claims_of(second["id_token"])["sid"] != claims_of(first["id_token"])["sid"]
    assert (
        claims_of(world.tokens(answer_of(world.visit(browser))["code"])["id_token"])["sub"]
        == (claims_of(second["id_token"])["sub"])
    )
    set_session_cookie(browser, name, old)
    assert not world.is_known(browser)
    assert world.provider.refresh(first["refresh_token"]).status_code == 400


@pytest.mark.covers("R-64")
def test_a_form_that_is_sent_twice_makes_one_session(world: World) -> None:
    browser = world.provider.new_browser()
    page = login_page(world.visit(browser))
    form = {"login": ALICE, "password": PASSWORD, "state": page.state}
    codes = {answer_of(browser.post(page.action, data=form))["code"] for _ in range(3)}
    assert len(codes) == 1
    assert world.is_known(browser)


@pytest.mark.covers("R-37")
def test_somebody_who_was_deleted_is_not_let_in_by_a_session() -> None:
    connectors: list[ForgetfulConnector] = []

    def wrap(found: Connectors) -> Connectors:
        connectors.append(ForgetfulConnector(found["local"]))
        return {"local": connectors[0]}

    with world_of(wrap_connectors=wrap) as world:
        browser = world.provider.new_browser()
        world.sign_in(browser)
        assert world.is_known(browser)
        connectors[0].has_forgotten = True
        assert not world.is_known(browser)
        answer = answer_of(world.visit(browser, {"prompt": "none"}))
        assert answer["error"] == "login_required"


def test_without_sharing_a_client_has_its_own_session_only() -> None:
    with world_of(config_with_sessions(ssoSharedWithDefault="none")) as world:
        browser = world.provider.new_browser()
        world.sign_in(browser)
        assert world.is_known(browser)
        assert not world.is_known(browser, ABOUT_OTHER)
        refused = answer_of(world.visit(browser, {**ABOUT_OTHER, "prompt": "none"}))
        assert refused["error"] == "login_required"
        # Who signs in for the second client too has one session for both.
        world.sign_in(browser, ABOUT_OTHER)
        assert world.is_known(browser, ABOUT_OTHER)
        assert world.is_known(browser)


@pytest.mark.covers("K-1", "I-7")
def test_without_the_store_who_has_a_session_is_asked_to_come_back(world: World) -> None:
    browser = world.provider.new_browser()
    world.sign_in(browser)
    world.faults.always("read", Fails())
    try:
        page = world.visit(browser)
        silent = answer_of(world.visit(browser, {"prompt": "none"}))
        stranger = world.visit(world.provider.new_browser())
    finally:
        world.faults.clear()
    assert page.status_code == 503
    assert page.headers["retry-after"]
    assert silent["error"] == "temporarily_unavailable"
    assert 'name="password"' in stranger.text
    assert world.is_known(browser)


@pytest.mark.covers("I-3")
def test_a_session_whose_record_is_deleted_ends_everything_that_came_of_it(world: World) -> None:
    browser = world.provider.new_browser()
    first = world.tokens(world.sign_in(browser))
    second = world.tokens_of_other(answer_of(world.visit(browser, ABOUT_OTHER))["code"])
    assert world.provider.userinfo(second["access_token"]).status_code == 200

    world.remove(claims_of(first["id_token"])["sid"])

    assert not world.is_known(browser)
    assert world.provider.userinfo(second["access_token"]).status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}
    assert world.provider.token(form, auth=OTHER).status_code == 400


@pytest.mark.parametrize("remembered", [True, False])
def test_a_browser_is_remembered_beyond_its_window_only_if_the_person_wants(
    world: World, *, remembered: bool
) -> None:
    browser = world.provider.new_browser()
    page = login_page(world.visit(browser))
    form = {"login": ALICE, "password": PASSWORD, "state": page.state}
    if remembered:
        form["remember_me"] = "true"
    response = browser.post(page.action, data=form)
    (header,) = [each for each in response.headers.get_list("set-cookie") if "session" in each]
    assert ("Max-Age" in header) is remembered
    assert {"HttpOnly", "Path=/", "Secure", "SameSite=lax"} <= set(header.split("; "))
    assert header.startswith("__Host-")


@pytest.mark.parametrize("ticked", [True, False])
def test_the_operator_decides_whether_the_box_is_ticked(*, ticked: bool) -> None:
    with world_of(config_with_sessions(rememberMeCheckedByDefault=ticked)) as world:
        page = world.visit(world.provider.new_browser()).text
        assert 'name="remember_me"' in page
        assert (" checked" in page) is ticked


def test_without_the_section_there_is_no_session() -> None:
    config = config_with_sessions()
    del config["sessions"]
    with world_of(config) as world:
        browser = world.provider.new_browser()
        tokens = world.tokens(world.sign_in(browser))
        assert "sid" not in claims_of(tokens["id_token"])
        assert "remember_me" not in world.visit(browser).text
        assert not world.is_known(browser)
        with pytest.raises(LookupError):
            session_cookie(browser)


@pytest.mark.parametrize(("lifetime", "lives_on"), [("standalone", True), ("session", False)])
def test_a_client_may_have_its_refresh_tokens_end_with_the_session(
    lifetime: str, *, lives_on: bool
) -> None:
    config = config_with_sessions(validIfNotUsedFor="0")
    config["staticClients"][0]["refreshTokenLifetime"] = lifetime
    with world_of(config) as world:
        browser = world.provider.new_browser()
        first = world.tokens(world.sign_in(browser))["refresh_token"]
        world.provider.clock.turn(23 * HOUR)
        second = world.tokens(answer_of(world.visit(browser))["code"])["refresh_token"]
        first, second = (
            world.provider.refresh(token).raise_for_status().json()["refresh_token"]
            for token in (first, second)
        )
        world.provider.clock.turn(HOUR)
        third = world.tokens(world.sign_in(browser))["refresh_token"]
        answers = [world.provider.refresh(token) for token in (first, second, third)]
    assert [answer.status_code == 200 for answer in answers] == [lives_on, lives_on, True]
