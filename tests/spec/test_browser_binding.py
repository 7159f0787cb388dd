"""A login ends in the browser that started it, at the step it stands at, and nowhere else."""

from collections.abc import Iterator

import httpx
import pytest

from tests.kit.provider import (
    ALICE,
    PASSWORD,
    Browser,
    LoginPage,
    ProviderUnderTest,
    answer_of,
    authorization_parameters,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults()


@pytest.fixture(scope="module")
def provider(faults: Faults) -> Iterator[ProviderUnderTest]:
    with provider_under_test(
        wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider


def send(browser: Browser, page: LoginPage, **headers: str) -> httpx.Response:
    """Send the right name and password."""
    form = {"login": ALICE, "password": PASSWORD, "state": page.state}
    return browser.post(page.action, data=form, headers=headers)


def is_refused(response: httpx.Response, status: int = 400) -> bool:
    """Tell whether this is a page that hands out nothing."""
    return (
        response.status_code == status
        and "location" not in response.headers
        and "set-cookie" not in response.headers
        and "kic_" not in response.text
    )


def cookie_of(browser: Browser) -> tuple[str, str]:
    (cookie,) = browser.client.cookies.jar
    assert cookie.value is not None
    return cookie.name, cookie.value


@pytest.mark.covers("R-50", "CV-1")
@pytest.mark.spec("RFC 6749", "10.12")
@pytest.mark.spec("RFC 9700", "4.7.1")
def test_a_login_started_elsewhere_ends_nowhere(
    provider: ProviderUnderTest, faults: Faults
) -> None:
    attacker, victim = provider.new_browser(), provider.new_browser()
    page = login_page(provider.authorize(browser=attacker))
    writes = faults.writes
    assert is_refused(send(victim, page))
    provider.authorize(browser=victim)
    assert is_refused(send(victim, page))
    provider.sign_in(browser=victim)
    assert is_refused(send(victim, page))
    assert faults.writes == writes + 1, "the victim's own login and nothing else"
    assert send(attacker, page).status_code == 303


@pytest.mark.covers("R-50", "CV-1")
def test_an_address_that_was_started_elsewhere_starts_a_login_of_its_own(
    provider: ProviderUnderTest,
) -> None:
    attacker, victim = provider.new_browser(), provider.new_browser()
    posted = attacker.post("/auth", data=authorization_parameters({}))
    mine = login_page(victim.get(posted.headers["location"]))
    assert send(victim, mine).status_code == 303
    assert is_refused(send(attacker, mine))


@pytest.mark.covers("R-50", "R-54")
@pytest.mark.parametrize(
    "change",
    ["", "x", "A" * 22, "{id}A", "A{id}", "{id}.", "{id}.x", ".{id}", "{id}..", '"{id}', "{id} x",
     "{id}%00", "{id}." + ".".join("A" * 32 for _ in range(6)), "{id}" * 300],
)  # fmt: skip
def test_a_cookie_that_is_not_ours_is_no_cookie(
    provider: ProviderUnderTest, faults: Faults, change: str
) -> None:
    page = login_page(provider.authorize(browser=provider.new_browser()))
    browser = provider.new_browser()
    own = login_page(provider.authorize(browser=browser))
    name, value = cookie_of(browser)
    browser.client.cookies.clear()
    writes = faults.writes
    header = {"cookie": f"{name}={change.format(id=value)}"}
    for each in (page, own):
        assert is_refused(send(browser, each, **header))
    assert faults.writes == writes


@pytest.mark.covers("R-50")
def test_a_browser_without_cookies_is_told_so(provider: ProviderUnderTest) -> None:
    browser = provider.new_browser()
    page = login_page(provider.authorize(browser=browser))
    browser.client.cookies.clear()
    response = send(browser, page)
    assert is_refused(response)
    assert "cookies" in response.text


@pytest.mark.covers("R-50", "R-53")
def test_two_logins_of_one_browser_go_on_side_by_side(provider: ProviderUnderTest) -> None:
    first = login_page(provider.authorize())
    second = login_page(provider.authorize({"state": "second"}))
    assert answer_of(send(provider.browser, second))["state"] == "second"
    assert answer_of(send(provider.browser, first))["state"] == "the state"


@pytest.mark.covers("R-53", "R-54", "CV-32")
def test_a_cookie_planted_before_a_login_is_worth_nothing_after_it(
    provider: ProviderUnderTest,
) -> None:
    attacker, victim = provider.new_browser(), provider.new_browser()
    attackers_page = login_page(provider.authorize(browser=attacker))
    name, planted = cookie_of(attacker)
    victim.client.cookies.set(name, planted, domain="idp.example.com", path="/")
    page = login_page(provider.authorize(browser=victim))
    response = send(victim, page)
    answer = answer_of(response)
    # What the login adds to the cookie is not to be guessed from what was planted.
    assert planted in response.headers["set-cookie"]
    assert f"{name}={planted};" not in response.headers["set-cookie"]
    # The attacker, who still holds the planted value, is signed in nowhere and has no code.
    assert answer_of(provider.authorize({"prompt": "none"}, browser=attacker))["error"]
    assert 'name="password"' in provider.authorize(browser=attacker).text
    wrong = {"login": ALICE, "password": "wrong", "state": attackers_page.state}
    assert attacker.post("/auth/local/login", data=wrong).status_code == 401
    assert answer["code"] not in provider.authorize(browser=attacker).text


@pytest.mark.covers("R-54", "CV-32")
def test_a_login_form_is_good_for_half_an_hour_and_no_longer() -> None:
    with provider_under_test() as provider:
        page = login_page(provider.authorize())
        provider.clock.turn(30 * 60 - 1)
        assert send(provider.browser, page).status_code == 303
        late = login_page(provider.authorize())
        provider.clock.turn(30 * 60)
        response = send(provider.browser, late)
        assert is_refused(response)
        assert "expired" in response.text
        assert provider.sign_in().status_code == 303


@pytest.mark.covers("CV-34", "R-45")
@pytest.mark.parametrize("change", ["flip", "drop", "append"])
def test_a_changed_state_is_refused_at_every_position(
    provider: ProviderUnderTest, faults: Faults, change: str
) -> None:
    page = login_page(provider.authorize({"scope": None, "nonce": None, "state": None}))
    sealed, writes = page.state, faults.writes
    # A flipped byte is sent for every position; the unit tests drop and append at all of them too.
    for position in range(0, len(sealed), 1 if change == "flip" else 7):
        before, here, after = sealed[:position], sealed[position], sealed[position + 1 :]
        changed = {
            "flip": before + ("B" if here == "A" else "A") + after,
            "drop": before + after,
            "append": before + here + "A" + after,
        }[change]
        if changed != sealed:
            assert is_refused(send(provider.browser, LoginPage(page.action, changed))), position
    assert faults.writes == writes
    assert send(provider.browser, page).status_code == 303


@pytest.mark.covers("CV-8", "R-45")
def test_what_is_no_login_state_is_refused(provider: ProviderUnderTest) -> None:
    tokens = provider.tokens()
    posted = provider.browser.post("/auth", data=authorization_parameters({}))
    request = posted.headers["location"].removeprefix("/auth?req=")
    others = (request, provider.code(), tokens["id_token"], tokens["refresh_token"], "", "\0", "é")
    for state in (*others, "A" * 60_000):
        assert is_refused(send(provider.browser, LoginPage("/auth/local/login", state)))
    form = {"login": ALICE, "password": PASSWORD}
    assert is_refused(provider.browser.post("/auth/local/login", data=form))


@pytest.mark.covers("CV-8")
def test_the_state_of_another_provider_is_refused(
    provider: ProviderUnderTest, faults: Faults
) -> None:
    with provider_under_test() as foreign:
        page = login_page(foreign.authorize())
        name, value = cookie_of(foreign.browser)
        browser = provider.new_browser()
        browser.client.cookies.set(name, value, domain="idp.example.com", path="/")
        writes = faults.writes
        assert is_refused(send(browser, page))
        assert faults.writes == writes


@pytest.mark.covers("CV-8", "CV-9")
@pytest.mark.parametrize("connector", ["ghost", "LOCAL", "local%00", "loca", "approval"])
def test_a_state_is_for_the_door_of_its_connector(
    provider: ProviderUnderTest, connector: str
) -> None:
    page = login_page(provider.authorize())
    assert is_refused(send(provider.browser, LoginPage(f"/auth/{connector}/login", page.state)))


@pytest.mark.covers("CV-1", "R-50")
def test_a_state_in_the_address_is_no_state(provider: ProviderUnderTest) -> None:
    page = login_page(provider.authorize())
    form = {"login": ALICE, "password": PASSWORD}
    response = provider.browser.post(f"{page.action}?state={page.state}", data=form)
    assert is_refused(response)
