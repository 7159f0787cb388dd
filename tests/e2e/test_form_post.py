"""An answer that comes as a form, in a real Chromium: by script, by button, under our policy."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Page, expect

from tests.kit.relying_party import Attempt, RelyingParty
from tests.kit.scene import JANE, MARKUP, provider_config
from tests.kit.servers.browser import Browser, ColorScheme, Device, Person
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.static_pages import StaticPage, StaticPages
from tests.kit.signing_in import send_login
from tests.kit.stores import SqliteStore

pytestmark = pytest.mark.servers

_ARRIVED = StaticPage("<!doctype html><link rel=icon href=data:><title>Arrived</title>Welcome")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("form-post")


@pytest.fixture(scope="module")
def site(ca: CertificateAuthority, directory: Path) -> Iterator[StaticPages]:
    """Yield a web application on another origin, reached by another name than the provider."""
    with StaticPages(certificate=ca.issue(directory / "site", names=["localhost"])) as running:
        running.pages["/callback"] = _ARRIVED
        running.pages["/home"] = _ARRIVED
        # On to another host of the same application, which the policy must not stop.
        elsewhere = {"Location": f"{running.url}/home"}
        running.pages["/onward"] = StaticPage("", status=303, headers=elsewhere)
        yield running


@pytest.fixture(scope="module")
def origin(site: StaticPages) -> str:
    return site.url.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def provider(ca: CertificateAuthority, directory: Path, origin: str) -> Iterator[IdpProcess]:
    website = {
        "id": "website",
        "name": "Website",
        "public": True,
        "redirectURIs": [f"{origin}/callback", f"{origin}/onward"],
    }
    store = SqliteStore(directory)
    config = provider_config(directory, ca=ca, store=store, clients=[website])
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture
def website(provider: IdpProcess, site: StaticPages, origin: str) -> Iterator[RelyingParty]:
    site.forms.clear()
    with provider.client() as http:
        yield RelyingParty(
            http=http,
            issuer=provider.issuer,
            client_id="website",
            redirect_uri=f"{origin}/callback",
        )


@pytest.mark.covers("R-14", "R-56")
def test_the_form_sends_itself_and_brings_the_code(
    website: RelyingParty, site: StaticPages, browser: Browser
) -> None:
    person = browser.person()
    attempt = website.depart(response_mode="form_post")

    _sign_in(person, attempt)

    expect(person.page).to_have_title("Arrived")
    assert website.redeem(_answer(site)["code"], attempt).id_token
    assert _answer(site)["state"] == attempt.state
    assert _answer(site)["iss"] == website.issuer
    assert person.page.url == website.redirect_uri
    assert person.complaints == []


@pytest.mark.covers("R-14")
def test_an_error_comes_by_the_same_way(
    website: RelyingParty, site: StaticPages, browser: Browser
) -> None:
    person = browser.person()

    person.page.goto(website.depart(response_mode="form_post", scope='"').url)

    expect(person.page).to_have_title("Arrived")
    assert _answer(site)["error"] == "invalid_scope"
    assert person.complaints == []


@pytest.mark.covers("R-56")
def test_the_application_may_send_people_on_to_another_host(
    website: RelyingParty, site: StaticPages, browser: Browser, origin: str
) -> None:
    person = browser.person()
    attempt = website.depart(response_mode="form_post", redirect_uri=f"{origin}/onward")

    _sign_in(person, attempt)

    expect(person.page).to_have_url(f"{site.url}/home")
    assert _answer(site)["code"]
    assert person.complaints == []


@pytest.mark.covers("R-14", "R-60", "CV-18")
@pytest.mark.parametrize(
    "state", [MARKUP, "\"'&<>日本 é+%0a", "</script><script>alert(3)</script>"]
)
def test_what_the_form_carries_arrives_as_it_was_and_runs_nothing(
    website: RelyingParty, site: StaticPages, browser: Browser, state: str
) -> None:
    person = browser.person()

    _sign_in(person, website.depart(response_mode="form_post", state=state))

    expect(person.page).to_have_title("Arrived")
    assert _answer(site)["state"] == state
    assert person.complaints == []


@pytest.mark.covers("R-14")
@pytest.mark.parametrize(
    ("look", "color_scheme", "device"),
    [("light", "light", "desktop"), ("dark", "dark", "desktop"), ("phone", "light", "phone")],
)
def test_without_javascript_there_is_a_button(
    website: RelyingParty,
    site: StaticPages,
    browser: Browser,
    look: str,
    color_scheme: ColorScheme,
    device: Device,
) -> None:
    person = browser.person(color_scheme=color_scheme, device=device, java_script_enabled=False)
    attempt = website.depart(response_mode="form_post")

    _sign_in(person, attempt)

    button = person.page.get_by_role("button", name="Continue")
    expect(button).to_be_visible()
    person.screenshot(f"form-post-{look}")
    assert site.forms == []
    button.click()
    expect(person.page).to_have_title("Arrived")
    assert website.redeem(_answer(site)["code"], attempt).id_token
    assert person.complaints == []


def _sign_in(person: Person, attempt: Attempt) -> None:
    page: Page = person.page
    page.goto(attempt.url)
    send_login(page, JANE)


def _answer(site: StaticPages) -> dict[str, str]:
    """Return the one form that came."""
    (form,) = site.forms
    return dict(parse_qsl(form, strict_parsing=True))
