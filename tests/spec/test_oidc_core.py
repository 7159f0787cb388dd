"""OpenID Connect Core 1.0: demands that no other file shows; all are in `musts/oidc-core.toml`."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.kit.client_answers import read_answer
from tests.kit.provider import (
    ProviderUnderTest,
    authorization_parameters,
    login_page,
    provider_under_test,
)

CORE = "OIDC Core"


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    with provider_under_test() as provider:
        yield provider


@pytest.mark.covers("R-11")
@pytest.mark.spec(CORE, "3.1.2.1")
@pytest.mark.parametrize(
    "changes", [{"prompt": "none"}, {"prompt": "x"}, {"scope": '"'}, {"response_mode": "x"}]
)
def test_get_and_post_are_answered_alike(
    provider: ProviderUnderTest, changes: dict[str, str]
) -> None:
    parameters = authorization_parameters(changes)
    by_get = provider.browser.get(f"/auth?{urlencode(parameters)}")
    by_post = provider.browser.post("/auth", data=parameters)
    if by_post.headers["location"].startswith("/"):
        by_post = provider.browser.get(by_post.headers["location"])
    assert read_answer(by_get) == read_answer(by_post)


@pytest.mark.spec(CORE, "3.1.2.1")
@pytest.mark.spec(CORE, "15.1")
@pytest.mark.parametrize(
    "wish",
    [
        {"display": "page"},
        {"display": "popup"},
        {"display": "touch"},
        {"display": "wap"},
        {"ui_locales": "fr-CA fr en"},
        {"ui_locales": "tlh"},
        {"claims_locales": "de"},
        {"acr_values": "urn:mace:incommon:iap:silver 1 2"},
        {"max_age": "10000"},
        {"login_hint": "alice@example.com"},
        {"prompt": "login"},
        {"prompt": "login consent"},
    ],
)
def test_what_a_client_would_like_is_no_error(
    provider: ProviderUnderTest, wish: dict[str, str]
) -> None:
    login_page(provider.authorize(wish))
    answer = provider.sign_in({**wish, "prompt": None})
    assert read_answer(answer).members["code"]
