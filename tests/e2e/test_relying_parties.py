"""Relying parties that we did not write, each from login to logout, in a real Chromium.

Authlib, go-oidc and openid-client, used as their documentation shows; what they take and what they
refuse is up to them. On one store: they see none of it.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from idp.web.logout import WAIT_SECONDS
from tests.kit.command_line import run_beside
from tests.kit.install.peers import Peers, find_peers
from tests.kit.registration import INITIAL_TOKEN, registration_section
from tests.kit.scene import JANE, provider_config
from tests.kit.servers.browser import Browser, Person
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.relying_parties import RelyingPartyProcess
from tests.kit.signing_client import key_for
from tests.kit.signing_in import send_login
from tests.kit.stores import SqliteStore
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_SCOPES = ["openid", "email", "profile", "groups", "offline_access"]
_SECRET = "the-secret-of-somebody-else's-application"
_LIBRARIES = ("authlib", "go-oidc", "openid-client")
_SIGNING = ("authlib signing", "openid-client signing")
_REGISTERED = "openid-client registered"
_EVERYBODY = (*_LIBRARIES, *_SIGNING, _REGISTERED)
"""Each a process and a client: by its secret, by a key of its own, or registered by itself."""


@pytest.fixture(scope="module")
def peers() -> Peers:
    return find_peers()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("relying-parties")


@pytest.fixture(scope="module")
def stopped(
    ca: CertificateAuthority, peers: Peers, directory: Path
) -> Mapping[str, RelyingPartyProcess]:
    """Return the applications, which do not run before their provider does."""
    return {
        name: RelyingPartyProcess(name.partition(" ")[0], peers, ca, directory / name)
        for name in _EVERYBODY
    }


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, directory: Path, stopped: Mapping[str, RelyingPartyProcess]
) -> Iterator[IdpProcess]:
    with_secret = [stopped[name].client(name, secret=_SECRET) for name in _LIBRARIES]
    signing = [
        stopped[name].client(name, jwks={"keys": [key_for("RS256", name).as_dict(private=False)]},
                             tokenEndpointAuthMethod="private_key_jwt")
        for name in _SIGNING
    ]  # fmt: skip
    config = provider_config(
        directory,
        ca=ca,
        store=SqliteStore(directory),
        clients=[*with_secret, *signing],
        overrides={
            "oauth2": {
                "responseTypes": ["code", "code id_token"],
                "skipApprovalScreen": True,
            },
            "sessions": {"enabled": True},
            "registration": registration_section(),
            "outbound": {
                "allowedHosts": ["127.0.0.1"],
                "rootCA": str(ca.write(directory / "ca.crt")),
            },
        },
    )
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def parties(
    provider: IdpProcess, stopped: Mapping[str, RelyingPartyProcess]
) -> Iterator[Mapping[str, RelyingPartyProcess]]:
    with ExitStack() as stack:
        for name, party in stopped.items():
            config = {"issuer": provider.issuer, "scopes": _SCOPES, **_credentials(name)}
            stack.enter_context(party).start(config)
        for party in stopped.values():
            party.wait_until_served()
        yield stopped


@pytest.mark.parametrize("name", _EVERYBODY)
def test_login_refresh_userinfo_and_logout(
    provider: IdpProcess, parties: Mapping[str, RelyingPartyProcess], browser: Browser, name: str
) -> None:
    party, person = parties[name], browser.person()

    signed_in = _sign_in(person, party)
    told = party.userinfo()
    renewed = party.refresh()
    told_again = party.userinfo()
    cookies = person.page.context.cookies(provider.issuer)
    left_at = time.monotonic()
    person.page.goto(f"{party.url}/logout")
    took = time.monotonic() - left_at
    expect(person.page).to_have_title("Signed out")

    assert told["userinfo"] == told_again["userinfo"]
    assert told["userinfo"]["email"] == JANE.email
    assert told["userinfo"]["groups"] == list(JANE.groups)
    for token in ("access_token", "refresh_token", "id_token"):
        assert renewed[token] != signed_in[token]
    assert renewed["claims"]["auth_time"] == signed_in["claims"]["auth_time"]
    assert person.complaints == []
    after = party.state()
    assert after["came_back_signed_out"]
    # By the back channel, verified by the library, before the browser was back, which is not held
    # up for ever.
    if took < WAIT_SECONDS:
        assert after["ended_sessions"] == [signed_in["claims"]["sid"]]
    eventually(lambda: party.state()["ended_sessions"] == [signed_in["claims"]["sid"]], within=20)
    _assert_nothing_is_left(provider, party, person, cookies, [signed_in, renewed])


def _assert_nothing_is_left(
    provider: IdpProcess,
    party: RelyingPartyProcess,
    person: Person,
    cookies: list[Any],
    answers: list[Mapping[str, Any]],
) -> None:
    """Check that tokens from before and the browser's cookies of before are worth nothing."""
    assert "invalid_grant" in party.refresh()["error"]
    assert "error" in party.userinfo()
    with provider.client() as http:
        for answer in answers:
            bearer = {"Authorization": f"Bearer {answer['access_token']}"}
            assert http.get(f"{provider.issuer}/userinfo", headers=bearer).status_code == 401
    assert any("session" in str(cookie["name"]) for cookie in cookies)
    person.page.context.add_cookies(cookies)
    person.page.goto(f"{party.url}/login")
    expect(person.page.get_by_label("Password")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "response_type"),
    [("authlib", "code"), ("go-oidc", "code id_token"), ("openid-client", "code id_token")],
)
def test_an_answer_that_comes_as_a_form(
    parties: Mapping[str, RelyingPartyProcess], browser: Browser, name: str, response_type: str
) -> None:
    """The library checks the ID token of the answer too; Authlib has no such flow for web sites."""
    person = browser.person()

    query = urlencode({"response_type": response_type, "response_mode": "form_post"})
    state = _sign_in(person, parties[name], f"?{query}")

    assert state["claims"]["email"] == JANE.email
    assert ("front_claims" in state) == (name == "go-oidc")
    assert state.get("front_claims", state["claims"])["sub"] == state["claims"]["sub"]
    assert person.complaints == []


@pytest.mark.parametrize("name", _LIBRARIES)
def test_prompt_none_tells_whether_somebody_is_signed_in(
    parties: Mapping[str, RelyingPartyProcess], browser: Browser, name: str
) -> None:
    party, person = parties[name], browser.person()

    person.page.goto(f"{party.url}/login?prompt=none")
    expect(person.page).to_have_title("Failed")
    error = party.state()["error"]
    first = _sign_in(person, party)
    person.page.goto(f"{party.url}/login?prompt=none")
    expect(person.page).to_have_title("Signed in")

    assert "login_required" in error
    assert party.state()["claims"]["sid"] == first["claims"]["sid"]
    assert party.state()["id_token"] != first["id_token"]


def test_a_key_that_was_swapped_in_an_emergency_is_fetched_at_once(
    provider: IdpProcess,
    parties: Mapping[str, RelyingPartyProcess],
    browser: Browser,
    directory: Path,
) -> None:
    """openid-client asks for unknown keys only once its copy is a minute old, by design."""
    names, known = ("authlib", "go-oidc"), _key_ids(provider)
    people = {name: browser.person() for name in names}
    before = {name: _sign_in(people[name], parties[name]) for name in names}

    run_beside(directory, "keys", "rotate", "--emergency").check()
    eventually(lambda: known.isdisjoint(_key_ids(provider)), within=20)

    for name, person in people.items():
        person.page.goto(f"{parties[name].url}/login?prompt=none")
        expect(person.page).to_have_title("Signed in")
        after = parties[name].state()
        assert after["claims"]["sub"] == before[name]["claims"]["sub"]
        assert after["id_token"] != before[name]["id_token"]


def _key_ids(provider: IdpProcess) -> set[str]:
    with provider.client() as http:
        return {key["kid"] for key in http.get(f"{provider.issuer}/keys").json()["keys"]}


def _sign_in(person: Person, party: RelyingPartyProcess, query: str = "") -> dict[str, Any]:
    """Sign Jane in to an application and return what that knows then."""
    page: Page = person.page
    page.goto(f"{party.url}/login{query}")
    send_login(page, JANE)
    if "registered" in party.directory.name:
        # Whoever registered itself is not trusted, whatever `skipApprovalScreen` says.
        page.get_by_role("button", name="Allow").click()
    expect(page).to_have_title(re.compile("Signed in|Failed"))
    state = party.state()
    assert "error" not in state, state["error"]
    return state


def _credentials(name: str) -> Mapping[str, Any]:
    if name == _REGISTERED:
        return {"initial_access_token": INITIAL_TOKEN}
    if name in _LIBRARIES:
        return {"client_id": name, "client_secret": _SECRET}
    key = key_for("RS256", name)
    if name.startswith("authlib"):
        return {"client_id": name, "private_key": key.as_pem(private=True).decode()}
    return {"client_id": name, "private_key": key.as_dict(private=True)}
