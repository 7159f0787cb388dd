"""Request objects by reference: RFC 9101 section 5.2, OIDC Core section 6.2."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.kit.client_answers import read_answer
from tests.kit.provider import (
    ALICE,
    CALLBACK,
    CONFIDENTIAL,
    ISSUER,
    PASSWORD,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.static_pages import StaticPage, StaticPages
from tests.kit.signing_client import SigningClient

RFC = "RFC 9101"
CORE = "OIDC Core"
CLIENT = CONFIDENTIAL[0]
SIGNER = SigningClient(CLIENT, ISSUER)
INSIDE = {
    "client_id": CLIENT,
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid",
    "state": "state inside",
}
JWT = "application/oauth-authz-req+jwt"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the client keeps its request objects, and who vouches for it."""

    pages: StaticPages
    ca: Path

    @property
    def uri(self) -> str:
        return f"{self.pages.url}/request.jwt"

    def keeps(self, text: str, **more: Any) -> None:
        self.pages.asked.clear()
        self.pages.pages["/request.jwt"] = StaticPage(text, content_type=JWT, **more)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    authority = CertificateAuthority.create()
    certificate = authority.issue(directory / "site", names=["127.0.0.1"])
    with StaticPages(certificate=certificate) as pages:
        yield Site(pages, authority.write(directory / "ca.crt"))


@contextmanager
def provider_for(site: Site, **changes: Any) -> Iterator[ProviderUnderTest]:
    """Run a provider that may fetch from the site; changes are of `oauth2` and `outbound`."""
    config = base_config()
    config["oauth2"]["requestURIHosts"] = changes.get("hosts", ["127.0.0.1"])
    allowed = changes.get("allowed", ["127.0.0.1"])
    config["outbound"] = {"rootCA": str(site.ca), "allowedHosts": allowed}
    config["staticClients"][0] |= {
        "jwks": SIGNER.jwks,
        "requestURIs": [site.uri, f"{site.uri}#version-2", f"{site.pages.url}/moved"],
    }
    with provider_under_test(config) as provider:
        yield provider


@pytest.fixture(scope="module")
def provider(site: Site) -> Iterator[ProviderUnderTest]:
    with provider_for(site) as provider:
        yield provider


def ask(provider: ProviderUnderTest, uri: str, **more: str) -> httpx.Response:
    outside = {"client_id": CLIENT, "redirect_uri": CALLBACK, "request_uri": uri, **more}
    return provider.browser.get(f"/auth?{urlencode(outside)}")


def error(response: httpx.Response) -> str:
    return read_answer(response).members["error"]


@pytest.mark.spec(CORE, "6.2")
@pytest.mark.covers("R-49")
def test_a_request_may_be_fetched_from_a_registered_address(
    provider: ProviderUnderTest, site: Site
) -> None:
    site.keeps(SIGNER.request_object(INSIDE))
    page = login_page(ask(provider, site.uri, state="state outside", scope="openid email"))
    form = {"login": ALICE, "password": PASSWORD, "state": page.state}
    answer = read_answer(provider.browser.post(page.action, data=form))
    assert answer.members["state"] == "state inside"
    assert provider.redeem(answer.members["code"]).json()["scope"] == "openid"
    assert site.pages.asked == ["/request.jwt"]


@pytest.mark.spec(CORE, "6.2")
def test_a_fragment_tells_versions_apart_and_is_not_sent(
    provider: ProviderUnderTest, site: Site
) -> None:
    site.keeps(SIGNER.request_object(INSIDE))
    assert ask(provider, f"{site.uri}#version-2").status_code == 200
    assert site.pages.asked == ["/request.jwt"]


@pytest.mark.spec(CORE, "6.2")
@pytest.mark.covers("R-11")
def test_a_posted_reference_is_fetched_once(provider: ProviderUnderTest, site: Site) -> None:
    site.keeps(SIGNER.request_object(INSIDE))
    form = {"client_id": CLIENT, "request_uri": site.uri}
    there = provider.browser.post("/auth", data=form)
    assert provider.browser.get(there.headers["location"]).status_code == 200
    assert len(site.pages.asked) == 1


@pytest.mark.spec("OIDC Dynamic Client Registration", "2")
@pytest.mark.spec(RFC, "5.2")
@pytest.mark.spec(RFC, "10.4")
@pytest.mark.covers("R-49", "R-83", "CV-21")
def test_only_a_registered_address_is_asked(provider: ProviderUnderTest, site: Site) -> None:
    site.keeps(SIGNER.request_object(INSIDE))
    for uri in (
        f"{site.uri}?x=1",
        f"{site.uri}#",
        f"{site.uri}#other",
        site.uri.upper(),
        site.uri.replace("https:", "http:"),
        site.uri.replace("127.0.0.1", "localhost"),
        site.uri.replace("https://", "https://user@"),
        f"{site.pages.url}/other.jwt",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "urn:ietf:params:oauth:request_uri:x",
        "x",
    ):
        assert error(ask(provider, uri)) == "invalid_request_uri"
    other = {"client_id": "other", "redirect_uri": "https://other.example.com/callback"}
    assert error(ask(provider, site.uri, **other)) == "invalid_request_uri"
    assert site.pages.asked == []


@pytest.mark.covers("R-9", "R-49", "R-83", "CV-21")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"hosts": []}, "request_uri_not_supported"),
        ({"hosts": ["other.test", "127.0.0.1:1"]}, "invalid_request_uri"),
        ({"hosts": ["*"], "allowed": []}, "invalid_request_uri"),
        ({"hosts": ["*"]}, ""),
    ],
)
def test_the_operator_decides_which_hosts_are_asked(
    site: Site, changes: dict[str, Any], expected: str
) -> None:
    site.keeps(SIGNER.request_object(INSIDE))
    with provider_for(site, **changes) as provider:
        response = ask(provider, site.uri)
        if expected:
            assert error(response) == expected
            assert site.pages.asked == []
        else:
            assert response.status_code == 200
        document = provider.browser.get("/.well-known/openid-configuration").json()
        assert document["request_uri_parameter_supported"] == bool(changes["hosts"])


@pytest.mark.spec(RFC, "7")
@pytest.mark.covers("R-49", "R-83")
def test_what_cannot_be_had_is_an_invalid_request_uri(
    provider: ProviderUnderTest, site: Site
) -> None:
    good = SIGNER.request_object(INSIDE)
    for trouble in (
        {"status": 404},
        {"status": 500},
        {"status": 302, "headers": {"Location": f"{site.uri}?there"}},
        {"headers": {"Content-Encoding": "gzip"}},
    ):
        site.keeps(good, **trouble)
        assert error(ask(provider, site.uri)) == "invalid_request_uri"
        assert len(site.pages.asked) == 1
    site.keeps("a" * 70_000)
    assert error(ask(provider, site.uri)) == "invalid_request_uri"


@pytest.mark.covers("R-49", "R-65")
def test_what_was_fetched_is_judged_as_any_request_object(
    provider: ProviderUnderTest, site: Site
) -> None:
    stranger = SigningClient(CLIENT, ISSUER, name="stranger")
    for text in ("", "no JWT", "é", "{}", stranger.request_object(INSIDE), "a" * 20_000):
        site.keeps(text)
        response = ask(provider, site.uri)
        assert error(response) == "invalid_request_object"
        if text:
            assert text not in response.headers["location"]
