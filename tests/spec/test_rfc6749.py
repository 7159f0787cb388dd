"""RFC 6749: demands that no other file shows. All of them are listed in `musts/rfc6749.toml`."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.kit.provider import (
    CALLBACK,
    ProviderUnderTest,
    authorization_parameters,
    login_page,
    provider_under_test,
)

RFC = "RFC 6749"


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    with provider_under_test() as provider:
        yield provider


@pytest.mark.spec(RFC, "3.1")
@pytest.mark.covers("R-11")
def test_get_and_post_are_served_at_the_authorization_endpoint(provider: ProviderUnderTest) -> None:
    parameters = authorization_parameters({})
    login_page(provider.browser.get(f"/auth?{urlencode(parameters)}"))
    there = provider.browser.post("/auth", data=parameters)
    login_page(provider.browser.get(there.headers["location"]))


@pytest.mark.spec(RFC, "3.2")
def test_unknown_parameters_of_a_token_request_are_ignored_and_empty_ones_omitted(
    provider: ProviderUnderTest,
) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    answer = provider.token({**form, "code": provider.code(), "audience": "x", "resource": "y"})
    assert answer.status_code == 200
    # An empty verifier is none, and none is right where there was no challenge.
    answer = provider.token({**form, "code": provider.code(), "code_verifier": ""})
    assert answer.status_code == 200
    answer = provider.token({**form, "code": ""})
    assert answer.json()["error"] == "invalid_request"
