"""Another site's page can start a login, as it must, and can do nothing else."""

from collections.abc import Iterator

import httpx
import pytest

from tests.kit.provider import (
    ALICE,
    ISSUER,
    PASSWORD,
    LoginPage,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend

FOREIGN: tuple[dict[str, str], ...] = (
    {"origin": "https://evil.example"},
    {"origin": "https://idp.example.com.evil.example"},
    {"origin": "https://evil-idp.example.com"},
    {"origin": "https://sub.idp.example.com"},
    {"origin": "https://example.com"},
    {"origin": "http://idp.example.com"},
    {"origin": "https://idp.example.com:8443"},
    {"origin": "https://idp.example.com/"},
    {"origin": "https://idp.example.com, https://evil.example"},
    {"origin": "https://app.example.com"},
    {"origin": "chrome-extension://abc"},
    {"origin": "file://"},
    {"origin": "NULL"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "Same-Origin"},
    {"sec-fetch-site": "other"},
    {"sec-fetch-site": ""},
    {"origin": ISSUER, "sec-fetch-site": "cross-site"},
    {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    {"origin": "null", "sec-fetch-site": "cross-site"},
)
OWN: tuple[dict[str, str], ...] = (
    {},
    {"origin": ISSUER},
    {"origin": ISSUER, "sec-fetch-site": "same-origin"},
    {"origin": "null", "sec-fetch-site": "same-origin"},
    {"origin": "null"},
    {"sec-fetch-site": "none"},
)


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults()


@pytest.fixture(scope="module")
def provider(faults: Faults) -> Iterator[ProviderUnderTest]:
    with provider_under_test(
        wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider


def send(
    provider: ProviderUnderTest, page: LoginPage, headers: dict[str, str], password: str = PASSWORD
) -> httpx.Response:
    form = {"login": ALICE, "password": password, "state": page.state}
    return provider.browser.post(page.action, data=form, headers=headers)


@pytest.mark.covers("R-51", "CV-1")
@pytest.mark.spec("OIDC Core", "3.1.2.3")
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_login_sent_by_another_site_changes_nothing(
    provider: ProviderUnderTest, faults: Faults, headers: dict[str, str]
) -> None:
    page = login_page(provider.authorize())
    writes = faults.writes
    for password in (PASSWORD, "wrong"):
        response = send(provider, page, headers, password)
        assert response.status_code == 403
        assert "location" not in response.headers
        assert "set-cookie" not in response.headers
        assert response.headers["x-frame-options"] == "DENY"
    assert faults.writes == writes
    assert send(provider, page, {}).status_code == 303


@pytest.mark.covers("R-51")
@pytest.mark.parametrize("headers", OWN, ids=str)
def test_our_own_form_goes_through(provider: ProviderUnderTest, headers: dict[str, str]) -> None:
    assert send(provider, login_page(provider.authorize()), headers).status_code == 303


@pytest.mark.covers("R-51", "R-70")
def test_forms_of_another_site_do_not_use_up_the_tries_of_an_account(
    provider: ProviderUnderTest,
) -> None:
    page = login_page(provider.authorize())
    for _ in range(30):
        send(provider, page, {"origin": "https://evil.example"}, "wrong")
    assert send(provider, page, {}).status_code == 303


@pytest.mark.covers("R-51", "R-11")
def test_a_login_may_be_started_from_anywhere(provider: ProviderUnderTest) -> None:
    for headers in FOREIGN:
        assert provider.browser.get(
            "/auth",
            params={"client_id": "app", "redirect_uri": "https://app.example.com/callback",
                    "response_type": "code"},
            headers=headers,
        ).status_code == 200  # fmt: skip


@pytest.mark.covers("R-58")
@pytest.mark.spec("RFC 9700", "2.6")
def test_no_page_of_the_login_is_readable_from_another_site() -> None:
    config = base_config()
    config["web"]["allowedOrigins"] = ["*"]
    with provider_under_test(config) as provider:
        for origin in ("https://app.example.com", "null", ISSUER):
            headers = {"origin": origin, "access-control-request-method": "POST"}
            for path in ("/auth", "/auth/local", "/auth/local/login", "/approval", "/", "/nothing"):
                for method in ("GET", "POST", "OPTIONS", "HEAD"):
                    response = provider.browser.request(method, path, headers=headers)
                    found = [name for name in response.headers if name.startswith("access-control")]
                    assert found == [], (method, path, origin)
