"""The example application: sign in, look at the tokens, refresh them, call userinfo, sign out."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.kit.scene import AUDIENCE, EXAMPLE_SECRET, JANE, MALLORY, MARKUP, provider_config
from tests.kit.servers.browser import Browser, Person
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.example_app import ExampleApp
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.process import free_port
from tests.kit.signing_in import faults, send_login
from tests.kit.stores import Store

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("provider")


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: Store, directory: Path, port: int
) -> Iterator[IdpProcess]:
    config = provider_config(
        directory,
        ca=ca,
        store=store,
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


@pytest.fixture
def person(browser: Browser) -> Person:
    return browser.person()


def test_person_signs_in_refreshes_asks_and_leaves(
    application: ExampleApp, provider: IdpProcess, person: Person
) -> None:
    page = person.page
    page.goto(application.url)
    page.get_by_role("button", name="Sign in").click()
    send_login(page, JANE)

    expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()
    first = _claims(page)
    assert first["iss"] == provider.issuer
    assert first["aud"] == "example-app"
    assert first["email"] == JANE.email
    assert first["name"] == JANE.name
    assert first["groups"] == list(JANE.groups)

    raw = _raw(page, "Refresh token")
    page.get_by_role("button", name="Refresh tokens").click()
    expect(page.get_by_label("Refresh token: as sent")).not_to_have_text(raw)
    assert _claims(page)["sub"] == first["sub"]

    page.get_by_role("button", name="Call userinfo").click()
    expect(page.get_by_label("userinfo", exact=True)).to_be_visible()
    page.wait_for_load_state("load")
    told = json.loads(page.get_by_label("userinfo", exact=True).inner_text())
    assert told["sub"] == first["sub"]
    assert told["groups"] == list(JANE.groups)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert person.complaints == []
    assert person.origins() == {application.url, provider.issuer}


def test_token_for_the_cluster_too_is_given_to_a_trusted_peer(
    application: ExampleApp, person: Person
) -> None:
    person.page.goto(application.url)
    person.page.get_by_label("Also valid for").fill(AUDIENCE)
    person.page.get_by_role("button", name="Sign in").click()
    send_login(person.page, JANE)

    claims = _claims(person.page)

    assert claims["aud"] == [AUDIENCE, "example-app"] or claims["aud"] == AUDIENCE, claims
    assert claims["azp"] == "example-app"
    assert person.complaints == []


def test_provider_s_refusal_is_shown_in_its_own_words(
    application: ExampleApp, person: Person
) -> None:
    person.page.goto(application.url)
    person.page.get_by_label("Also valid for").fill("nobody")
    person.page.get_by_role("button", name="Sign in").click()

    expect(person.page.get_by_role("main")).to_contain_text("invalid_scope")
    expect(person.page.get_by_role("main")).to_contain_text("nobody")
    assert faults(person) == []


@pytest.mark.covers("R-60")
def test_names_and_groups_are_text(application: ExampleApp, person: Person) -> None:
    person.page.goto(application.url)
    person.page.get_by_role("button", name="Sign in").click()
    send_login(person.page, MALLORY)

    expect(person.page.get_by_role("heading", name="You are signed in")).to_be_visible()
    assert _claims(person.page)["groups"] == [MARKUP]
    assert person.page.evaluate("document.scripts.length") == 0
    assert person.complaints == []


def _claims(page: Page) -> Mapping[str, object]:
    page.get_by_label("ID token: claims").wait_for()
    page.wait_for_load_state("load")
    claims = json.loads(page.get_by_label("ID token: claims").inner_text())
    assert isinstance(claims, dict)
    return claims


def _raw(page: Page, token: str) -> str:
    return page.get_by_label(f"{token}: as sent").text_content() or ""
