"""Random requests: each answer is one of four kinds, and no redirect leaves to a stranger."""

from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.provider import (
    CALLBACK,
    CONFIDENTIAL,
    PUBLIC,
    Pkce,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.sizes import examples
from tests.kit.storage import Faults, FlakyBackend

CHALLENGE = Pkce().challenge
REGISTERED = {CONFIDENTIAL[0]: ("https", "app.example.com"), PUBLIC: ("http", "localhost")}

NAMES = (
    "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
    "prompt", "max_age", "id_token_hint", "login_hint", "connector_id", "code_challenge",
    "code_challenge_method", "request", "request_uri", "approval_prompt", "req", "back", "next",
)  # fmt: skip
VALUES = (
    *REGISTERED, CALLBACK, "http://localhost:9", "http://localhost:9/x", "https://evil.example/",
    "//evil.example", "/\\evil.example", "code", "token", "code id_token", "query", "form_post",
    "openid", "openid email", "none", "login", "consent", "select_account", "0", "-1", "local",
    "ghost", "S256", "plain", CHALLENGE, "<script>", "\r\nLocation: //evil.example", "force",
)  # fmt: skip
texts = st.text(st.characters(codec="utf-8"), max_size=12)
pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.one_of(st.sampled_from(VALUES), texts)),
                 max_size=8)  # fmt: skip
starts = st.sampled_from(
    (
        (),
        (("client_id", CONFIDENTIAL[0]), ("redirect_uri", CALLBACK)),
        (("client_id", CONFIDENTIAL[0]), ("redirect_uri", CALLBACK), ("response_type", "code")),
        (
            ("client_id", PUBLIC),
            ("redirect_uri", "http://localhost:9"),
            ("response_type", "code"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ),
    )
)
doors = st.sampled_from(
    [(method, path) for method in ("GET", "POST", "HEAD") for path in ("/auth", "/auth/local")]
    + [("POST", "/auth/local/login"), ("POST", "/approval"), ("GET", "/auth/ghost")]
)


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults()


@pytest.fixture(scope="module")
def provider(faults: Faults) -> Iterator[ProviderUnderTest]:
    with provider_under_test(
        base_config(), wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider


@pytest.mark.covers("R-62", "R-16", "CV-9", "CV-19", "CV-36")
@pytest.mark.spec("RFC 6749", "10.15")
@pytest.mark.spec("RFC 9700", "2.1")
@settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(doors, starts, pairs)
def test_no_request_breaks_the_endpoint_or_sends_the_browser_to_a_stranger(
    provider: ProviderUnderTest,
    faults: Faults,
    door: tuple[str, str],
    start: tuple[tuple[str, str], ...],
    more: list[tuple[str, str]],
) -> None:
    method, path = door
    sent = [*start, *more]
    writes = faults.writes
    if method == "POST":
        headers = {"content-type": "application/x-www-form-urlencoded"}
        response = provider.browser.post(path, content=urlencode(sent), headers=headers)
    else:
        response = provider.browser.request(method, f"{path}?{urlencode(sent)}")
    assert response.status_code in (200, 303, 400)
    assert ("location" in response.headers) == (response.status_code == 303)
    assert faults.writes == writes
    if response.status_code == 303:
        location = response.headers["location"]
        if not location.startswith(f"{path}?req="):
            client_id = next(value for name, value in sent if name == "client_id")
            parts = urlsplit(location)
            assert (parts.scheme, parts.hostname) == REGISTERED[client_id]
            assert "evil" not in parts.netloc
