"""The one cookie: flagged as tightly as the issuer allows, small, and set only when needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from idp.settings import ConfigurationInvalid, parse
from tests.kit.provider import (
    ALICE,
    PASSWORD,
    PASSWORD_HASH,
    Browser,
    ProviderUnderTest,
    authorization_parameters,
    base_config,
    login_page,
    provider_under_test,
)


@contextmanager
def at(issuer: str) -> Iterator[tuple[ProviderUnderTest, Browser]]:
    """Start a provider with an issuer of one's own, and a browser that knows it."""
    signer = {"type": "local", "config": {"algorithm": "ES256"}}
    config = {**base_config(), "issuer": issuer, "signer": signer}
    config["staticPasswords"] += [
        {"email": f"user{n}@example.com", "hash": PASSWORD_HASH, "userID": f"id-{n}"}
        for n in range(8)
    ]
    with provider_under_test(config) as provider:
        app: Any = provider.provider.web
        transport = httpx.ASGITransport(app=app, client=("192.0.2.9", 1))
        client = httpx.AsyncClient(transport=transport, base_url=issuer)
        yield provider, Browser(client, provider.portal)


def start(browser: Browser) -> httpx.Response:
    path = browser.client.base_url.path.rstrip("/")
    origin = str(browser.client.base_url.copy_with(path="/")).rstrip("/")
    return browser.get(f"{origin}{path}/auth", params=authorization_parameters({}))


def sign_in(browser: Browser, username: str = ALICE) -> httpx.Response:
    page = login_page(start(browser))
    form = {"login": username, "password": PASSWORD, "state": page.state}
    return browser.post(str(browser.client.base_url.join(page.action)), data=form)


def attributes(response: httpx.Response) -> tuple[str, str, dict[str, str]]:
    """Return name, value and attributes of the one cookie that an answer sets."""
    (header,) = response.headers.get_list("set-cookie")
    pair, *rest = header.split("; ")
    name, _, value = pair.partition("=")
    split = [attribute.partition("=") for attribute in rest]
    return name, value, {key.lower(): text for key, _, text in split}


@pytest.mark.covers("R-52")
@pytest.mark.parametrize("issuer", ["https://idp.example.com", "https://idp.example.com/dex"])
def test_on_https_the_cookie_is_bound_to_the_host_and_to_https(issuer: str) -> None:
    with at(issuer) as (_, browser):
        for response in (start(browser), sign_in(browser)):
            name, value, flags = attributes(response)
            assert name.startswith("__Host-")
            assert flags.keys() == {"secure", "httponly", "samesite", "path", "max-age"}
            assert (flags["path"], flags["samesite"].lower()) == ("/", "lax")
            assert len(value.partition(".")[0]) == 22


@pytest.mark.covers("R-52")
@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:5556", "http://localhost:5556/dex", "http://[::1]:5556"]
)
def test_on_loopback_http_the_cookie_has_no_prefix_that_browsers_would_refuse(issuer: str) -> None:
    with at(issuer) as (_, browser):
        for response in (start(browser), sign_in(browser)):
            name, _, flags = attributes(response)
            assert not name.startswith("__")
            assert flags.keys() == {"httponly", "samesite", "path", "max-age"}


@pytest.mark.covers("R-52")
@pytest.mark.spec("OIDC Dynamic Client Registration", "3")
@pytest.mark.spec("RFC 7591", "3")
@pytest.mark.spec("RFC 7592", "2")
@pytest.mark.spec("OIDC Core", "16.17")
@pytest.mark.spec("OIDC Discovery", "7.1")
@pytest.mark.spec("RFC 6749", "3.1")
@pytest.mark.parametrize(
    "issuer", ["http://idp.example.com", "http://192.0.2.1", "http://127.0.0.1.evil.example"]
)
def test_http_on_any_other_host_does_not_even_start(issuer: str) -> None:
    text = f"issuer: {issuer}\nstorage: {{type: memory}}\nweb: {{http: ':0'}}\n"
    with pytest.raises(ConfigurationInvalid, match="http"):
        parse(text, environ={}, directory=Path.cwd())


@pytest.mark.covers("R-52")
def test_two_issuers_on_one_host_do_not_share_a_cookie() -> None:
    names = set()
    for issuer in ("http://localhost:5556", "http://localhost:5557", "http://localhost:5556/dex"):
        with at(issuer) as (_, browser):
            names.add(attributes(start(browser))[0])
    assert len(names) == 3


@pytest.mark.covers("R-52")
def test_the_cookie_stays_small_however_many_people_use_the_browser() -> None:
    with at("https://idp.example.com") as (_, browser):
        for number in range(8):
            response = sign_in(browser, f"user{number}@example.com")
            assert response.status_code == 303
            assert len(response.headers["set-cookie"]) < 4096
            assert len(attributes(response)[1].split(".")) == 1 + min(number + 1, 5)
        again = sign_in(browser, "user7@example.com")
        assert len(attributes(again)[1].split(".")) == 6


@pytest.mark.covers("R-52", "CV-30")
def test_the_cookie_names_nobody() -> None:
    with at("https://idp.example.com") as (_, browser):
        value = attributes(sign_in(browser))[1]
        assert "alice" not in value
        assert "user-1" not in value


@pytest.mark.covers("R-54")
def test_a_browser_that_is_known_gets_no_other_id() -> None:
    with at("https://idp.example.com") as (_, browser):
        first = attributes(start(browser))[1]
        assert "set-cookie" not in start(browser).headers
        assert attributes(sign_in(browser))[1].startswith(f"{first}.")


@pytest.mark.covers("R-50")
def test_errors_set_no_cookie() -> None:
    with at("https://idp.example.com") as (provider, browser):
        for path in ("/auth", "/auth/ghost", "/nothing", "/auth?client_id=app", "/", "/healthz"):
            assert "set-cookie" not in browser.get(path).headers
        assert "set-cookie" not in provider.authorize({"prompt": "none"}).headers
        assert "set-cookie" not in provider.authorize({"prompt": "select_account"}).headers
        assert "set-cookie" not in browser.post("/auth/local/login", data={"state": "x"}).headers


@pytest.mark.covers("R-52")
def test_two_browsers_never_get_one_id() -> None:
    with at("https://idp.example.com") as (provider, _):
        ids = {attributes(provider.authorize(browser=provider.new_browser()))[1] for _ in range(50)}
        assert len(ids) == 50
