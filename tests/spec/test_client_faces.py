"""What people see of an application before they type a password for it.

OIDC Dynamic Client Registration section 2: `logo_uri`, `policy_uri` and `tos_uri`.
"""

from collections.abc import Iterator

import httpx
import pytest

from tests.kit.provider import (
    ALICE,
    OTHER,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)

REGISTRATION = "OIDC Dynamic Client Registration"
FACE = {
    "logoURL": "https://cdn.example.com/logo.png?a=1&b=2",
    "policyURI": "https://app.example.com/privacy",
    "tosURI": "https://app.example.com/terms",
}
ABOUT_OTHER = {"client_id": OTHER[0], "redirect_uri": "https://other.example.com/callback"}


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["staticClients"][0] |= FACE
    with provider_under_test(config) as provider:
        yield provider


def shows_the_face(response: httpx.Response) -> bool:
    return all(
        part in response.text
        for part in (
            'src="https://cdn.example.com/logo.png?a=1&amp;b=2"',
            f'<a href="{FACE["policyURI"]}" rel="noreferrer noopener">',
            f'<a href="{FACE["tosURI"]}" rel="noreferrer noopener">',
        )
    )


@pytest.mark.spec(REGISTRATION, "2")
def test_the_login_page_shows_logo_and_links_of_the_client(idp: ProviderUnderTest) -> None:
    response = idp.authorize()
    assert shows_the_face(response)
    policy = response.headers["content-security-policy"]
    assert "img-src 'self' https://cdn.example.com;" in policy
    assert 'referrerpolicy="no-referrer"' in response.text


def test_it_shows_them_again_after_a_wrong_password(idp: ProviderUnderTest) -> None:
    page = login_page(idp.authorize())
    form = {"login": ALICE, "password": "wrong", "state": page.state}
    response = idp.browser.post(page.action, data=form)
    assert response.status_code == 401
    assert shows_the_face(response)
    assert "https://cdn.example.com" in response.headers["content-security-policy"]


def test_a_client_without_them_shows_none(idp: ProviderUnderTest) -> None:
    response = idp.authorize(ABOUT_OTHER)
    assert "client-logo" not in response.text
    assert "says of itself" not in response.text
    assert "cdn.example.com" not in response.headers["content-security-policy"]
