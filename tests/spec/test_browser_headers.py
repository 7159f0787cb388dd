"""Every answer that a browser may show carries the headers that keep it from being misused."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from connectors.base import (
    AccessRefused,
    AccountLocked,
    BadCredentials,
    ConnectorUnavailable,
    Identity,
)
from storage.base import StorageUnavailable
from tests.kit.provider import (
    ALICE,
    PASSWORD,
    Pkce,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Fails, Faults, FlakyBackend

FORM = {"content-type": "application/x-www-form-urlencoded"}
SECRET_TROUBLE = "cn=admin,dc=corp at ldaps://10.0.0.7 with hunter2"


@dataclass(frozen=True, slots=True)
class Scene:
    """A provider whose store does as a test says."""

    provider: ProviderUnderTest
    faults: Faults

    def sign_in(self, password: str = PASSWORD) -> httpx.Response:
        """Send the login form from an address of its own."""
        return self.provider.sign_in(password=password, browser=self.provider.new_browser())


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    config = base_config()
    config["staticClients"].append({"id": "any", "name": "Any", "public": True})
    faults = Faults()
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield Scene(provider, faults)


@dataclass(slots=True)
class Raising:
    """A password connector that raises anything, or knows everybody."""

    error: Exception | None = None
    username_prompt: str = "Email address"

    async def login(self, username: str, password: str) -> Identity:
        if self.error is not None:
            raise self.error
        return Identity(user_id=username)


@pytest.fixture(scope="module")
def raising() -> Raising:
    return Raising()


@pytest.fixture(scope="module")
def troubled(raising: Raising) -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["staticClients"][2]["redirectURIs"] += ["com.example.app:/x", "http://[::1]/done"]
    with provider_under_test(config, wrap_connectors=lambda _: {"local": raising}) as provider:
        yield provider


def store_fails(scene: Scene, error: Exception) -> httpx.Response:
    scene.faults.always("create", Fails(error))
    try:
        return scene.sign_in()
    finally:
        scene.faults.clear()


def too_many_tries(scene: Scene) -> httpx.Response:
    browser = scene.provider.new_browser("203.0.113.77")
    page = login_page(scene.provider.authorize(browser=browser))
    for number in range(30):
        form = {"login": f"user{number}", "password": "x", "state": page.state}
        response = browser.post(page.action, data=form)
    return response


def used_twice(scene: Scene) -> httpx.Response:
    page = login_page(scene.provider.authorize())
    form = {"login": ALICE, "password": PASSWORD, "state": page.state}
    first = scene.provider.browser.post(page.action, data=form)
    scene.provider.redeem(httpx.URL(first.headers["location"]).params["code"])
    return scene.provider.browser.post(page.action, data=form)


def out_of_band(scene: Scene) -> httpx.Response:
    return scene.provider.sign_in(
        {"client_id": "any", "redirect_uri": "urn:ietf:wg:oauth:2.0:oob",
         "code_challenge": Pkce().challenge, "code_challenge_method": "S256"}
    )  # fmt: skip


ANSWERS: dict[str, tuple[int, Callable[[Scene], httpx.Response]]] = {
    "login form": (200, lambda s: s.provider.authorize()),
    "chooser": (200, lambda s: s.provider.authorize({"prompt": "select_account"})),
    "approval": (200, lambda s: s.provider.sign_in({"prompt": "consent"})),
    "code to copy": (200, out_of_band),
    "home": (200, lambda s: s.provider.browser.get("/")),
    "wrong password": (401, lambda s: s.sign_in("wrong")),
    "unknown client": (400, lambda s: s.provider.authorize({"client_id": "ghost"})),
    "unreadable": (400, lambda s: s.provider.browser.get("/auth?a=%ff")),
    "broken state": (
        400,
        lambda s: s.provider.browser.post("/auth/local/login", data={"state": "x"}),
    ),
    "cross-site": (
        403,
        lambda s: s.provider.browser.post("/approval", headers={"sec-fetch-site": "cross-site"}),
    ),
    "not found": (404, lambda s: s.provider.browser.get("/nothing/here")),
    "used twice": (409, used_twice),
    "too large": (
        413,
        lambda s: s.provider.browser.post("/approval", content=b"a" * 70_000, headers=FORM),
    ),
    "too many tries": (429, too_many_tries),
    "fault": (500, lambda s: store_fails(s, RuntimeError(SECRET_TROUBLE))),
    "store away": (503, lambda s: store_fails(s, StorageUnavailable(SECRET_TROUBLE))),
}
EACH = pytest.mark.parametrize("name", ANSWERS)


@pytest.fixture(scope="module")
def answers(scene: Scene) -> dict[str, httpx.Response]:
    return {name: ask(scene) for name, (_, ask) in ANSWERS.items()}


def policy_of(response: httpx.Response) -> dict[str, list[str]]:
    (header,) = response.headers.get_list("content-security-policy")
    directives = [directive.split() for directive in header.split(";")]
    assert len({words[0] for words in directives}) == len(directives)
    return {words[0]: words[1:] for words in directives}


@EACH
@pytest.mark.covers("R-55", "R-57")
@pytest.mark.spec("RFC 6749", "10.13")
@pytest.mark.spec("RFC 9700", "4.16")
@pytest.mark.spec("RFC 9700", "4.2.4")
def test_no_page_can_be_framed_sniffed_cached_or_followed(
    answers: dict[str, httpx.Response], name: str
) -> None:
    response = answers[name]
    assert response.status_code == ANSWERS[name][0]
    headers = response.headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "max-age=" in headers["strict-transport-security"]
    assert len(headers.get_list("x-request-id")) == 1
    for once in ("cache-control", "x-frame-options", "referrer-policy", "content-type"):
        assert len(headers.get_list(once)) == 1


@EACH
@pytest.mark.covers("R-55", "R-56")
def test_no_page_runs_a_script_or_loads_from_elsewhere(
    answers: dict[str, httpx.Response], name: str
) -> None:
    policy = policy_of(answers[name])
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"]
    assert policy["style-src"] == policy["img-src"] == ["'self'"]
    assert not {"script-src", "connect-src", "frame-src", "object-src"} & policy.keys()
    assert "unsafe" not in str(policy)
    html = answers[name].text
    assert not re.search(r"<script|<iframe|<object|<base|javascript:|\son\w+=|style=", html, re.I)


@EACH
def test_attributes_stand_apart(answers: dict[str, httpx.Response], name: str) -> None:
    assert not re.search(r'<[^>]*="[^"]*"[A-Za-z]', answers[name].text)


@EACH
@pytest.mark.covers("R-56")
def test_forms_may_be_sent_where_they_end_and_nowhere_else(
    answers: dict[str, httpx.Response], name: str
) -> None:
    html, allowed = answers[name].text, policy_of(answers[name])["form-action"]
    assert allowed == (["'self'", "https:"] if "<form" in html else ["'none'"])


@pytest.mark.covers("R-56")
@pytest.mark.parametrize(
    ("redirect_uri", "source"),
    [
        ("http://localhost:4711", "http://localhost:4711"),
        ("http://127.0.0.1:1/done", "http://127.0.0.1:1"),
        ("com.example.app:/x", "com.example.app:"),
        # There are no IPv6 literals in CSP: Chromium would ignore one and block the redirect.
        ("http://[::1]:4711/done", "http://*:4711"),
    ],
)
def test_a_form_may_end_at_the_address_of_its_own_client(
    troubled: ProviderUnderTest, raising: Raising, redirect_uri: str, source: str
) -> None:
    fields = {"client_id": "cli", "redirect_uri": redirect_uri,
              "code_challenge": Pkce().challenge, "code_challenge_method": "S256"}  # fmt: skip
    answers = [troubled.authorize(fields)]
    for error, changes in ((BadCredentials("x"), {}), (None, {"prompt": "consent"})):
        raising.error = error
        answers.append(troubled.sign_in({**fields, **changes}, username=redirect_uri))
    assert [answer.status_code for answer in answers] == [200, 401, 200]
    for answer in answers:
        assert policy_of(answer)["form-action"] == ["'self'", source]


@EACH
@pytest.mark.covers("R-65", "CV-30")
def test_an_error_says_a_number_and_nothing_from_inside(
    answers: dict[str, httpx.Response], name: str
) -> None:
    response = answers[name]
    text = response.text + str(response.headers)
    for secret in ("hunter2", "ldaps", "Traceback", "RuntimeError", "/work", PASSWORD):
        assert secret not in text
    # Codes and cookies have dots in them: what follows one may begin with any two letters.
    assert ".py" not in re.sub(r"[\w-]{16,}", "", text)
    if "<h1><bdi>" in response.text:
        assert response.headers["x-request-id"] in response.text
        assert str(response.status_code) in response.text


@pytest.mark.covers("R-65", "R-90")
def test_the_log_has_the_fault_under_the_number_that_the_page_shows(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "idp.web"):
        store_fails(scene, RuntimeError(SECRET_TROUBLE))
    (record,) = [each for each in caplog.records if each.message == "unexpected_error"]
    assert record.exc_info is not None
    assert PASSWORD not in json.dumps(record.getMessage())


@pytest.mark.covers("R-57")
@pytest.mark.parametrize("name", ["too many tries", "store away"])
def test_whoever_shall_come_again_is_told_when(
    answers: dict[str, httpx.Response], name: str
) -> None:
    assert int(answers[name].headers["retry-after"]) > 0


@pytest.mark.covers("R-65", "CV-30")
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AccessRefused(SECRET_TROUBLE), 403),
        (AccountLocked(SECRET_TROUBLE), 403),
        (ConnectorUnavailable(SECRET_TROUBLE), 503),
        (RuntimeError(SECRET_TROUBLE), 500),
        (ValueError(SECRET_TROUBLE), 500),
        (RecursionError(SECRET_TROUBLE), 500),
        (TimeoutError(SECRET_TROUBLE), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_trouble_of_the_connector_is_a_page_that_keeps_it_quiet(
    troubled: ProviderUnderTest, raising: Raising, error: Exception, status: int
) -> None:
    raising.error = error
    response = troubled.sign_in(browser=troubled.new_browser())
    assert response.status_code == status
    assert response.headers["x-frame-options"] == "DENY"
    assert "set-cookie" not in response.headers
    for secret in SECRET_TROUBLE.split():
        assert len(secret) < 5 or secret not in response.text


@pytest.mark.covers("R-57")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/auth", 405), ("GET", "/approval", 405), ("DELETE", "/token", 405),
     ("GET", "/healthz", 200), ("OPTIONS", "/auth", 405)],
)  # fmt: skip
def test_what_is_no_page_is_not_sniffed_either(
    scene: Scene, method: str, path: str, status: int
) -> None:
    response = scene.provider.browser.request(method, path)
    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "text/html" not in response.headers["content-type"]


@pytest.mark.covers("R-57", "R-16")
@pytest.mark.spec("RFC 9700", "4.12")
def test_a_redirect_with_a_code_is_not_kept_anywhere(scene: Scene) -> None:
    response = scene.sign_in()
    assert response.status_code == 303
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.text == ""


@pytest.mark.covers("R-57")
def test_on_loopback_http_nobody_is_sent_to_https() -> None:
    config = {**base_config(), "issuer": "http://127.0.0.1:5556"}
    with provider_under_test(config) as provider:
        response = provider.browser.get("http://127.0.0.1:5556/")
        assert response.status_code == 200
        assert "strict-transport-security" not in response.headers


@pytest.mark.covers("R-56", "CV-29")
def test_every_file_that_a_page_needs_is_there(
    answers: dict[str, httpx.Response], scene: Scene
) -> None:
    found = set()
    for response in answers.values():
        found |= set(re.findall(r'(?:href|src)="(/static/[^"]+)"', response.text))
    assert found
    for path in found:
        response = scene.provider.browser.get(path)
        assert response.status_code == 200
        assert response.headers["x-content-type-options"] == "nosniff"
    for path in (
        "/static/",
        "/static/../idp/cli.py",
        "/static/..%2f..%2fcli.py",
        "/static/main.css",
    ):
        assert scene.provider.browser.get(path).status_code == 404
