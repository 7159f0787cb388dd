"""Every page as people see it, photographed into `run/screenshots`: light, dark, on a phone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import (
    EXAMPLE_SECRET,
    JANE,
    OMAR,
    example_party,
    kubernetes_party,
    provider_config,
)
from tests.kit.servers.browser import Browser, ColorScheme, Device, Person
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.example_app import ExampleApp
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.process import free_port
from tests.kit.servers.static_pages import StaticPage, StaticPages
from tests.kit.signing_in import faults, send_login
from tests.kit.stores import SqliteStore

pytestmark = pytest.mark.servers

_LOOKS: list[tuple[str, ColorScheme, Device]] = [
    ("light", "light", "desktop"),
    ("dark", "dark", "desktop"),
    ("phone", "light", "phone"),
    ("phone-dark", "dark", "phone"),
]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("provider")


@pytest.fixture(scope="module")
def provider(ca: CertificateAuthority, directory: Path, port: int) -> Iterator[IdpProcess]:
    config = provider_config(
        directory,
        ca=ca,
        store=SqliteStore(directory),
        redirect_uri_of_the_example=f"http://127.0.0.1:{port}/callback",
    )
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def application(
    provider: IdpProcess, ca: CertificateAuthority, directory: Path, port: int
) -> Iterator[ExampleApp]:
    with ExampleApp(
        issuer=provider.issuer,
        client_id="example-app",
        client_secret=EXAMPLE_SECRET,
        port=port,
        ca_file=ca.write(directory / "ca.crt"),
        directory=directory,
    ) as running:
        yield running


@pytest.fixture(params=_LOOKS, ids=[look for look, _, _ in _LOOKS])
def camera(request: pytest.FixtureRequest, browser: Browser) -> "Camera":
    look, color_scheme, device = request.param
    return Camera(browser.person(color_scheme=color_scheme, device=device), look)


class Camera:
    """A person who photographs what they see."""

    def __init__(self, person: Person, look: str) -> None:
        self.person = person
        self.page: Page = person.page
        self._look = look

    def take(self, name: str) -> None:
        """Photograph the page, which must fit into the window and be free of faults."""
        # Elements are there before their style is: without it everything is wider.
        self.page.wait_for_load_state("load")
        width = self.page.viewport_size["width"] if self.page.viewport_size else 0
        assert self.page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert self.page.title(), name
        assert faults(self.person) == [], name
        self.person.screenshot(f"{name}-{self._look}")


def test_pages_of_the_provider(camera: Camera, party: RelyingParty) -> None:
    page = camera.page
    page.goto(party.depart().url)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    camera.take("login")
    send_login(page, JANE, password="wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    camera.take("login-failed")
    page.goto(party.depart(prompt="consent").url)
    send_login(page, JANE)
    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    camera.take("approval")
    page.goto(party.depart(prompt="select_account").url)
    camera.take("chooser")
    page.goto(f"{party.issuer}/")
    camera.take("home")


def test_page_with_a_code_to_copy(camera: Camera, party: RelyingParty) -> None:
    command_line = RelyingParty(
        http=party.http,
        issuer=party.issuer,
        client_id="command-line",
        redirect_uri="urn:ietf:wg:oauth:2.0:oob",
    )
    attempt = command_line.depart()
    camera.page.goto(attempt.url)
    send_login(camera.page, JANE)
    code = camera.page.get_by_label("code")
    expect(code).to_be_visible()
    camera.take("out-of-band")

    assert command_line.redeem(code.input_value(), attempt).id_token


def test_pages_that_tell_what_is_wrong(camera: Camera, party: RelyingParty) -> None:
    page = camera.page
    page.goto(party.depart(client_id="nobody").url)
    camera.take("error-unknown-client")
    page.goto(f"{party.issuer}/nowhere")
    camera.take("error-not-found")
    page.goto(party.depart().url)
    page.context.clear_cookies()
    send_login(page, JANE)
    expect(page.get_by_role("heading", level=1)).to_contain_text("another browser")
    camera.take("error-other-browser")


def test_pages_of_the_example_application(camera: Camera, application: ExampleApp) -> None:
    page = camera.page
    page.goto(application.url)
    camera.take("example-start")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Password")).to_be_visible()
    camera.take("login-for-the-example")
    send_login(page, OMAR)
    page.get_by_role("button", name="Call userinfo").click()
    expect(page.get_by_label("userinfo", exact=True)).to_be_visible()
    camera.take("example-tokens")
    page.goto(f"{application.url}/callback?state=old&code=old")
    camera.take("example-error")


@pytest.fixture(scope="module")
def callback() -> Iterator[str]:
    """Yield an address of an application, to which the browser can come back."""
    with StaticPages() as running:
        running.pages["/callback"] = StaticPage("<!doctype html><title>Arrived</title>Welcome")
        yield f"{running.url}/callback"


@pytest.fixture(scope="module")
def remembering(
    ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory, callback: str
) -> Iterator[IdpProcess]:
    """Yield a provider with sessions that asks people what applications may have."""
    directory = tmp_path_factory.mktemp("remembering")
    config = provider_config(
        directory,
        ca=ca,
        store=SqliteStore(directory),
        overrides={"sessions": {"ssoSharedWithDefault": "all"}, "oauth2": {}},
        redirect_uri_of_the_example=callback,
    )
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


def test_pages_of_an_account(
    camera: Camera, browser: Browser, remembering: IdpProcess, callback: str
) -> None:
    page = camera.page
    address = f"{remembering.issuer}/account"
    with remembering.client() as http:
        kubernetes = kubernetes_party(http, remembering.issuer)
        example = replace(example_party(http, remembering.issuer), redirect_uri=callback)
        other_device = browser.person()
        there = kubernetes.depart(prompt="consent")
        other_device.page.goto(there.url)
        send_login(other_device.page, JANE)
        # Nobody listens where this browser goes then.
        with other_device.page.expect_response("**/approval") as sent:
            other_device.page.get_by_role("button", name="Allow").click(no_wait_after=True)
        kubernetes.redeem(kubernetes.code_of(sent.value.headers["location"], there), there)
        page.goto(address)
        send_login(page, JANE)
        here = example.depart(prompt="consent")
        page.goto(here.url)
        page.get_by_role("button", name="Allow").click()
        expect(page).to_have_title("Arrived")
        example.redeem(example.code_of(page.url, here), here)
        page.goto(address)
        expect(page.get_by_role("heading", name="What you have allowed")).to_be_visible()
        camera.take("account")
        page.goto(example.depart(prompt="select_account").url)
        camera.take("select-account")
    page.goto(f"{remembering.issuer}/logout")
    camera.take("logout")
    page.get_by_role("button", name="Stay signed in").click()
    where = page.get_by_role("link", name="See where you are signed in")
    expect(where).to_be_visible()
    camera.take("still-signed-in")
    where.click()
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    camera.take("signed-out-everywhere")
    page.goto(f"{remembering.issuer}/logout")
    camera.take("signed-out")
