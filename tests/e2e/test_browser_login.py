"""The login in a real Chromium: policies, cookies, keyboards, and people who press Back."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import JANE, MALLORY, MARKUP, provider_config
from tests.kit.servers.browser import Browser, Person, wait_in
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.static_pages import StaticPage, StaticPages
from tests.kit.signing_in import faults, send_login
from tests.kit.stores import Store

pytestmark = pytest.mark.servers

_UNTHROTTLED = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
_ARRIVED = StaticPage("<!doctype html><link rel=icon href=data:><title>Arrived</title>Welcome")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("provider")


@pytest.fixture(scope="module")
def site(ca: CertificateAuthority, directory: Path) -> Iterator[StaticPages]:
    """Yield a web application on another origin."""
    with StaticPages(certificate=ca.issue(directory / "site", names=["localhost"])) as running:
        running.pages["/callback"] = _ARRIVED
        yield running


@pytest.fixture(scope="module")
def origin(site: StaticPages) -> str:
    """Return the site's address by a name that makes it another site than the provider."""
    return site.url.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: Store, directory: Path, origin: str
) -> Iterator[IdpProcess]:
    website = {
        "id": "website",
        "name": "Website",
        "public": True,
        "redirectURIs": [f"{origin}/callback"],
    }
    config = provider_config(directory, ca=ca, store=store, clients=[website])
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def website(provider: IdpProcess, origin: str) -> Iterator[RelyingParty]:
    with provider.client() as http:
        yield RelyingParty(
            http=http,
            issuer=provider.issuer,
            client_id="website",
            redirect_uri=f"{origin}/callback",
        )


@pytest.fixture
def person(browser: Browser) -> Person:
    return browser.person()


@pytest.mark.covers("R-56")
def test_policy_lets_the_redirect_to_an_https_application_through(
    website: RelyingParty, person: Person
) -> None:
    attempt = website.depart()

    person.page.goto(attempt.url)
    send_login(person.page, JANE)

    expect(person.page).to_have_title("Arrived")
    assert website.redeem(website.code_of(person.page.url, attempt), attempt).id_token
    assert person.complaints == []


@pytest.mark.covers("R-56")
def test_policy_lets_the_redirect_to_an_application_of_the_machine_through(
    website: RelyingParty, provider: IdpProcess, person: Person
) -> None:
    desktop = RelyingParty(
        http=website.http,
        issuer=provider.issuer,
        client_id="desktop",
        redirect_uri="com.example.desktop:/callback",
    )
    attempt = desktop.depart()
    person.page.goto(attempt.url)

    with person.page.expect_response("**/login") as sent:
        send_login(person.page, JANE)

    location = sent.value.headers["location"]
    assert desktop.redeem(desktop.code_of(location, attempt), attempt).id_token
    person.page.wait_for_timeout(200)
    assert faults(person) == []


def test_login_with_the_keyboard_alone(website: RelyingParty, person: Person) -> None:
    page = person.page
    page.goto(website.depart().url)

    expect(page.get_by_label("Email")).to_be_focused()
    page.keyboard.type(JANE.email)
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value(JANE.email)
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(JANE.password)
    page.keyboard.press("Enter")

    expect(page).to_have_title("Arrived")


def test_login_without_javascript(website: RelyingParty, browser: Browser) -> None:
    person = browser.person(java_script_enabled=False)
    attempt = website.depart(prompt="consent")

    person.page.goto(attempt.url)
    send_login(person.page, JANE)
    person.page.get_by_role("button", name="Allow").click()

    person.page.wait_for_url(re.compile("/callback"))
    assert website.redeem(website.code_of(person.page.url, attempt), attempt).id_token
    assert person.complaints == []


@pytest.mark.covers("R-52")
def test_cookie_is_bound_to_host_and_https(website: RelyingParty, person: Person) -> None:
    person.page.goto(website.depart().url)
    send_login(person.page, JANE)
    expect(person.page).to_have_title("Arrived")

    cookies = person.page.context.cookies()

    assert len(cookies) == 1
    cookie = cookies[0]
    assert cookie["name"].startswith("__Host-")
    assert cookie["secure"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert cookie["path"] == "/"
    assert cookie["domain"] == "127.0.0.1"
    assert len(cookie["name"]) + len(cookie["value"]) <= 4096


@pytest.mark.covers("R-50")
def test_login_begun_in_another_browser_is_refused(
    website: RelyingParty, browser: Browser, store: Store
) -> None:
    attacker, victim = browser.person(), browser.person()
    attacker.page.goto(website.depart().url)
    stolen = _state(attacker.page)
    victim.page.goto(website.depart().url)
    cookies = victim.page.context.cookies()
    before = store.grants_stored()

    _set_state(victim.page, stolen)
    with victim.page.expect_response("**/login") as sent:
        send_login(victim.page, JANE)

    assert sent.value.status == 400
    assert "set-cookie" not in sent.value.all_headers()
    expect(victim.page.get_by_role("heading", level=1)).to_contain_text("another browser")
    assert victim.page.context.cookies() == cookies
    assert store.grants_stored() == before


@pytest.mark.covers("R-64")
def test_double_click_makes_one_grant(website: RelyingParty, person: Person, store: Store) -> None:
    attempt = website.depart()
    person.page.goto(attempt.url)
    person.page.get_by_label("Email").fill(JANE.email)
    person.page.get_by_label("Password").fill(JANE.password)
    before = store.grants_stored()

    # The first one is on its way when the second begins, which is the one that Chromium follows:
    # the line is so long that no answer to the first can be there by then.
    line = person.page.context.new_cdp_session(person.page)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", {**_UNTHROTTLED, "latency": 20_000})
    person.page.evaluate(
        """() => new Promise(done => {
          const form = document.querySelector("form");
          form.submit();
          setTimeout(() => { form.submit(); done(); }, 500);
        })"""
    )
    line.send("Network.emulateNetworkConditions", {**_UNTHROTTLED, "latency": 0})

    expect(person.page).to_have_title("Arrived")
    assert website.redeem(website.code_of(person.page.url, attempt), attempt).id_token
    assert sum(url.endswith("/login") for url in person.requested) == 2
    assert store.grants_stored() == before + 1
    assert faults(person) == []


@pytest.mark.covers("R-64")
def test_form_whose_answer_was_used_gets_a_friendly_page(
    website: RelyingParty, person: Person, store: Store
) -> None:
    attempt = website.depart()
    person.page.goto(attempt.url)
    second_tab = person.page.context.new_page()
    second_tab.goto(website.depart().url)
    _set_state(second_tab, _state(person.page))
    send_login(person.page, JANE)
    expect(person.page).to_have_title("Arrived")
    website.redeem(website.code_of(person.page.url, attempt), attempt)
    before = store.grants_stored()

    with second_tab.expect_response("**/login") as sent:
        send_login(second_tab, JANE)

    assert sent.value.status == 409
    expect(second_tab.get_by_role("heading", level=1)).to_contain_text("already signed in")
    assert store.grants_stored() == before


@pytest.mark.covers("R-64")
def test_back_button_after_the_login_leads_to_a_form_that_works(
    website: RelyingParty, person: Person
) -> None:
    attempt = website.depart()
    person.page.goto(attempt.url)
    send_login(person.page, JANE)
    expect(person.page).to_have_title("Arrived")
    first = website.code_of(person.page.url, attempt)

    person.page.go_back()
    expect(person.page.get_by_label("Password")).to_have_value("")
    send_login(person.page, JANE)

    expect(person.page).to_have_title("Arrived")
    again = website.code_of(person.page.url, attempt)
    assert website.redeem(again, attempt).id_token
    if again != first:
        assert website.redeem(first, attempt).id_token


@pytest.mark.covers("R-51")
def test_form_on_another_site_cannot_sign_anybody_in(
    website: RelyingParty, person: Person, site: StaticPages, origin: str, store: Store
) -> None:
    person.page.goto(website.depart().url)
    action = urlsplit(person.page.url)._replace(query="", path="/auth/local/login").geturl()
    site.pages["/forge"] = StaticPage(
        f"<!doctype html><link rel=icon href=data:><form method=post action='{action}'>"
        f"<input name=state value='{_state(person.page)}'><input name=login value={JANE.email}>"
        f"<input name=password value='{JANE.password}'><button>Win a prize</button></form>"
    )
    before = store.grants_stored()

    person.page.goto(f"{origin}/forge")
    with person.page.expect_response("**/login") as sent:
        person.page.get_by_role("button").click()

    assert sent.value.status == 403
    expect(person.page.get_by_role("heading", level=1)).to_contain_text("another site")
    assert store.grants_stored() == before


def test_request_posted_by_another_site_reaches_the_login(
    website: RelyingParty, person: Person, site: StaticPages, origin: str
) -> None:
    """The answer to the POST is a redirect, so that the browser's Lax cookie comes along."""
    person.page.goto(website.depart().url)
    attempt = website.depart()
    parts = urlsplit(attempt.url)
    fields = "".join(
        f"<input type=hidden name='{name}' value='{value}'>"
        for name, value in parse_qsl(parts.query)
    )
    site.pages["/start"] = StaticPage(
        "<!doctype html><link rel=icon href=data:><form method=post"
        f" action='{parts._replace(query='').geturl()}'>{fields}<button>Sign in</button></form>"
    )

    cookies = person.page.context.cookies()
    person.page.goto(f"{origin}/start")
    person.page.get_by_role("button").click()
    expect(person.page.get_by_label("Password")).to_be_visible()
    assert person.page.context.cookies() == cookies
    send_login(person.page, JANE)

    expect(person.page).to_have_title("Arrived")
    assert website.redeem(website.code_of(person.page.url, attempt), attempt).id_token
    assert person.complaints == []


@pytest.mark.covers("R-55")
def test_pages_cannot_be_framed(
    website: RelyingParty, browser: Browser, site: StaticPages, origin: str
) -> None:
    person = browser.person()
    for address in (website.depart().url, f"{website.issuer}/auth?client_id=nobody"):
        site.pages["/frame"] = StaticPage(
            f"<!doctype html><link rel=icon href=data:><iframe src='{address}'></iframe>"
        )
        person.page.goto(f"{origin}/frame")
        frame = person.page.frames[1]
        # What the browser shows of a page that it must not show comes when it has that.
        wait_in(person.page, partial(_is_decided, frame))

        assert frame.url.startswith("chrome-error:")
        assert frame.locator("form").count() == 0


@pytest.mark.covers("R-60")
def test_nothing_that_comes_from_outside_runs(website: RelyingParty, person: Person) -> None:
    page = person.page
    hostile = RelyingParty(
        http=website.http,
        issuer=website.issuer,
        client_id="hostile",
        redirect_uri="https://hostile.test/callback",
    )
    addresses = [
        website.depart(login_hint=MARKUP).url,
        website.depart(connector_id=MARKUP).url,
        website.depart(prompt=MARKUP).url,
        website.depart(scopes=[MARKUP]).url,
        website.depart(claims=MARKUP, ui_locales=MARKUP, display=MARKUP, acr_values=MARKUP).url,
        website.depart(response_type=MARKUP, state=MARKUP).url,
        website.depart(request_uri=MARKUP, state=MARKUP).url,
        website.depart(client_id=MARKUP).url,
        website.depart(redirect_uri=MARKUP).url,
        website.depart(redirect_uri=f"javascript:alert(1)//{MARKUP}").url,
        f"{website.issuer}/{MARKUP}",
        f"{website.issuer}/auth/{MARKUP}?client_id={MARKUP}",
        hostile.depart(login_hint=MARKUP).url,
    ]
    for address in addresses:
        page.goto(address)
        assert page.evaluate("document.scripts.length") == 0, address
        assert page.locator("img[src=x]").count() == 0, address
    expect(page.get_by_role("main")).to_contain_text(MARKUP)
    expect(page.get_by_label("Email")).to_have_value(MARKUP)
    send_login(page, MALLORY, password=MARKUP)
    expect(page.get_by_role("alert")).to_be_visible()

    assert faults(person) == []
    assert person.origins() <= {website.issuer, website.redirect_uri.removesuffix("/callback")}


@pytest.mark.covers("R-60")
def test_names_of_people_and_applications_are_text(website: RelyingParty, person: Person) -> None:
    hostile = RelyingParty(
        http=website.http,
        issuer=website.issuer,
        client_id="hostile",
        redirect_uri="https://hostile.test/callback",
    )
    attempt = hostile.depart(prompt="consent", login_hint=MARKUP, state=MARKUP)
    person.page.goto(attempt.url)
    send_login(person.page, MALLORY)

    expect(person.page.get_by_role("main")).to_contain_text(MARKUP)
    assert person.page.evaluate("document.scripts.length") == 0
    # Nobody is there: that the browser sets out is all that can be seen.
    with person.page.expect_request(re.compile(r"https://hostile\.test/callback\?")):
        person.page.get_by_role("button", name="Allow").click()

    assert faults(person) == []


def _is_decided(frame: Frame) -> bool:
    return frame.url not in ("", "about:blank")


def _state(page: Page) -> str:
    return page.locator("input[name=state]").input_value()


def _set_state(page: Page, state: str) -> None:
    page.locator("input[name=state]").evaluate("(field, state) => { field.value = state }", state)
