"""The account page in a real browser: what people see and end there, and what becomes of it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.kit.relying_party import Attempt, RelyingParty, Tokens
from tests.kit.scene import JANE, OMAR, Account, kubernetes_party, provider_config
from tests.kit.servers.browser import Browser, Person
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.replicas import Replicas
from tests.kit.servers.static_pages import StaticPage, StaticPages
from tests.kit.signing_in import faults, send_login
from tests.kit.stores import Store
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_ARRIVED = StaticPage("<!doctype html><link rel=icon href=data:><title>Arrived</title>Welcome")
SESSIONS = {"sessions": {"ssoSharedWithDefault": "all"}}
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) Version/19.1 Safari/604.1"
WITHIN = 1.0
"""Seconds within which every replica knows of an end."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("account")


@pytest.fixture(scope="module")
def callback(ca: CertificateAuthority, directory: Path) -> Iterator[str]:
    """Yield an address of a web application, which says that somebody has come back."""
    certificate = ca.issue(directory / "site", names=["localhost"])
    with StaticPages(certificate=certificate) as running:
        running.pages["/callback"] = _ARRIVED
        yield f"{running.url.replace('127.0.0.1', 'localhost')}/callback"


@pytest.fixture(scope="module")
def replicas(
    ca: CertificateAuthority, store: Store, directory: Path, callback: str
) -> Iterator[Replicas]:
    website = {"id": "website", "name": "Website", "public": True, "redirectURIs": [callback]}
    config = provider_config(directory, ca=ca, store=store, overrides=SESSIONS, clients=[website])
    with Replicas(config, directory=directory, ca=ca, count=2) as running:
        yield running


@pytest.fixture(scope="module")
def http(replicas: Replicas) -> Iterator[httpx.Client]:
    """Yield a client each of whose requests goes to the other replica."""
    with replicas.client(connections_kept=0) as client:
        yield client


@pytest.fixture(scope="module")
def command_line(http: httpx.Client, replicas: Replicas) -> RelyingParty:
    return kubernetes_party(http, replicas.issuer)


@pytest.fixture(scope="module")
def application(http: httpx.Client, replicas: Replicas, callback: str) -> RelyingParty:
    return RelyingParty(
        http=http, issuer=replicas.issuer, client_id="website", redirect_uri=callback
    )


def arrive(page: Page, party: RelyingParty, account: Account | None) -> Tokens:
    """Sign in to a client, by password where an account is given, and return what it gets."""
    attempt = party.depart()
    page.goto(attempt.url)
    if account is not None:
        send_login(page, account)
    return came_back(page, party, attempt)


def came_back(page: Page, party: RelyingParty, attempt: Attempt) -> Tokens:
    """Return what a client gets once the browser is back there."""
    expect(page).to_have_title("Arrived")
    return party.redeem(party.code_of(page.url, attempt), attempt)


def is_alive(party: RelyingParty, access_token: str) -> bool:
    """Return whether every replica takes an access token."""
    return all(party.userinfo(access_token).status_code == 200 for _ in range(2))


def is_dead(party: RelyingParty, access_token: str) -> bool:
    """Return whether no replica takes an access token."""
    return all(party.userinfo(access_token).status_code == 401 for _ in range(2))


def is_refused(party: RelyingParty, refresh_token: str) -> bool:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return party.token(**form).status_code == 400


def headings(person: Person) -> list[str]:
    """Return those of the entries of a page that has come whole."""
    person.page.wait_for_load_state("load")
    return person.page.locator(".entry h3").all_inner_texts()


def test_one_browser_is_ended_from_another_and_everything_from_there(
    browser: Browser, replicas: Replicas, command_line: RelyingParty, application: RelyingParty
) -> None:
    desk, phone, stranger = browser.person(), browser.person(device="phone"), browser.person()
    address = f"{replicas.issuer}/account"
    phone.page.context.set_extra_http_headers({"User-Agent": IPHONE})
    of_omar = arrive(stranger.page, application, OMAR)

    # A device without a screen, whose login a third browser has done long ago.
    kubectl = command_line.sign_in(JANE.email, JANE.password)
    at_phone = arrive(phone.page, application, JANE)
    desk.page.goto(address)
    send_login(desk.page, JANE)
    expect(desk.page).to_have_url(address)
    at_desk = arrive(desk.page, application, None)
    desk.page.goto(address)
    assert len(headings(desk)) >= 3
    assert "This browser" in headings(desk)[0]
    desk.page.get_by_text("What it got").first.click()
    expect(desk.page.get_by_text("See the groups that you belong to").first).to_be_visible()
    expect(desk.page.get_by_text(OMAR.email)).to_have_count(0)

    mobile = desk.page.locator(".entry", has_text="an iPhone")
    mobile.get_by_role("button", name="Sign out").click()
    expect(desk.page.get_by_role("status")).to_have_text("That is signed out now.")
    eventually(lambda: is_dead(application, at_phone.access_token), within=WITHIN)
    assert is_refused(application, at_phone.refresh_token)
    phone.page.goto(address)
    expect(phone.page.get_by_label("Password")).to_be_visible()
    assert is_alive(application, at_desk.access_token)
    assert is_alive(command_line, kubectl.access_token)

    desk.page.get_by_role("button", name="Sign out everywhere").click()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    eventually(lambda: is_dead(application, at_desk.access_token), within=WITHIN)
    eventually(lambda: is_dead(command_line, kubectl.access_token), within=WITHIN)
    assert is_refused(application, at_desk.refresh_token)
    assert is_refused(command_line, kubectl.refresh_token)
    desk.page.goto(address)
    expect(desk.page.get_by_label("Password")).to_be_visible()

    assert is_alive(application, of_omar.access_token)
    assert application.refresh(of_omar.refresh_token).access_token
    stranger.page.goto(address)
    assert len(headings(stranger)) == 1
    for person in (desk, phone, stranger):
        assert faults(person) == []


def test_an_application_that_asks_for_an_account_gets_the_chosen_one(
    browser: Browser, application: RelyingParty
) -> None:
    person = browser.person(java_script_enabled=False)
    page = person.page
    arrive(page, application, JANE)
    attempt = application.depart(prompt="select_account")
    page.goto(attempt.url)
    page.get_by_role("button", name=f"Continue as {JANE.name}").click()
    claims = application.claims(came_back(page, application, attempt).id_token)
    assert claims["email"] == JANE.email

    attempt = application.depart(prompt="select_account")
    page.goto(attempt.url)
    page.get_by_role("button", name="Use another account").click()
    send_login(page, OMAR)
    claims = application.claims(came_back(page, application, attempt).id_token)
    assert claims["email"] == OMAR.email
    assert faults(person) == []


def test_the_page_works_by_keyboard_alone_and_without_scripts(
    browser: Browser, replicas: Replicas, application: RelyingParty
) -> None:
    person = browser.person(java_script_enabled=False)
    page = person.page
    tokens = arrive(page, application, JANE)
    page.goto(f"{replicas.issuer}/account")
    sessions = len(headings(person))
    page.get_by_role("button", name="End the access of Website").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("That is signed out now.")
    eventually(lambda: is_dead(application, tokens.access_token), within=WITHIN)
    assert len(headings(person)) == sessions
