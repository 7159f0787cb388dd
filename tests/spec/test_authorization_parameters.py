"""Every parameter of the authorization endpoint: missing, twice, empty, huge, wrong; GET and POST.

The table says what each mistake comes to: `page`, `login` (served as if nothing were wrong), or the
error that the client is told.
"""

from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest

from tests.kit.client_answers import read_answer
from tests.kit.provider import (
    CALLBACK,
    ISSUER,
    Browser,
    Pkce,
    ProviderUnderTest,
    answer_of,
    authorization_parameters,
    login_page,
    provider_under_test,
)

PAGE, LOGIN = "page", "login"
INVALID = "invalid_request"
CHALLENGE = Pkce("v" * 43).challenge
FORM = {"content-type": "application/x-www-form-urlencoded"}
Pairs = list[tuple[str, str]]

GOOD = list(authorization_parameters({}).items())
METHODS = pytest.mark.parametrize("method", ["GET", "POST"])
PATHS = pytest.mark.parametrize("path", ["/auth", "/auth/local"])

# What a request comes to in which the one parameter is: missing or empty; nonsense.
TABLE = {
    "client_id": (PAGE, PAGE),
    "redirect_uri": (PAGE, PAGE),
    "response_type": (INVALID, "unsupported_response_type"),
    "response_mode": (LOGIN, INVALID),
    "scope": (INVALID, "invalid_scope"),
    "state": (LOGIN, LOGIN),
    "nonce": (LOGIN, LOGIN),
    "prompt": (LOGIN, INVALID),
    "max_age": (LOGIN, INVALID),
    "id_token_hint": (LOGIN, INVALID),
    "login_hint": (LOGIN, LOGIN),
    "code_challenge": (LOGIN, INVALID),
    "code_challenge_method": (LOGIN, INVALID),
    "request": (LOGIN, "invalid_request_object"),
    "request_uri": (LOGIN, "request_uri_not_supported"),
    "registration": (LOGIN, "registration_not_supported"),
    "approval_prompt": (LOGIN, LOGIN),
    "display": (LOGIN, LOGIN),
    "ui_locales": (LOGIN, LOGIN),
    "acr_values": (LOGIN, LOGIN),
    "claims": (LOGIN, INVALID),
    "claims_locales": (LOGIN, LOGIN),
    "resource": (LOGIN, LOGIN),
    "access_token": (LOGIN, LOGIN),
    "unknown": (LOGIN, LOGIN),
    "error": (LOGIN, LOGIN),
    "iss": (LOGIN, LOGIN),
}
NONSENSE = (
    "\\\"'<x>\0\r\nSet-Cookie: a=b",
    "[object Object]\\",
    "𝕏é日本 \\",
    '{"a":[]}\\',
    "\\%zz",
)
NAMES = pytest.mark.parametrize("name", TABLE)


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    with provider_under_test() as provider:
        yield provider


def ask(browser: Browser, method: str, path: str, pairs: Pairs) -> httpx.Response:
    """Send a request and go through the redirect that a POST comes back with."""
    query = urlencode(pairs)
    if method == "GET":
        return browser.get(f"{path}?{query}")
    response = browser.post(path, content=query, headers=FORM)
    if response.headers.get("location", "").startswith(f"{path}?req="):
        assert response.status_code == 303
        return browser.get(response.headers["location"])
    return response


def outcome(response: httpx.Response) -> str:
    """Return what a request came to, after checking the form that all such answers have."""
    assert response.headers["cache-control"] == "no-store"
    if response.status_code == 200:
        login_page(response)
        return LOGIN
    if response.status_code == 400:
        assert "location" not in response.headers
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        return PAGE
    assert response.headers["location"].startswith(f"{CALLBACK}?error=")
    answer = answer_of(response)
    assert answer["iss"] == ISSUER
    assert "code" not in answer
    description = answer["error_description"]
    assert description.isascii()
    assert description.isprintable()
    assert not set(description) & set('"\\')
    assert len(response.headers.get_list("iss")) == 0
    return answer["error"]


def without(name: str) -> Pairs:
    return [pair for pair in GOOD if pair[0] != name]


@METHODS
@PATHS
@pytest.mark.covers("R-11", "R-13")
@pytest.mark.spec("RFC 6749", "3.1")
def test_a_good_request_leads_to_the_login_page(
    provider: ProviderUnderTest, method: str, path: str
) -> None:
    assert outcome(ask(provider.browser, method, path, GOOD)) == LOGIN


@METHODS
@NAMES
@pytest.mark.covers("R-1", "R-3", "R-11")
@pytest.mark.spec("RFC 6749", "3.1")
def test_a_parameter_that_is_missing_or_empty(
    provider: ProviderUnderTest, method: str, name: str
) -> None:
    expected = TABLE[name][0]
    for pairs in (without(name), [*without(name), (name, "")]):
        assert outcome(ask(provider.browser, method, "/auth", pairs)) == expected


@METHODS
@NAMES
@pytest.mark.covers("R-1", "R-4", "R-6", "R-7", "R-8", "R-9", "R-10", "R-11", "R-14", "CV-9")
@pytest.mark.spec("OIDC Core", "3.1.2.2")
@pytest.mark.spec("OIDC Core", "3.1.2.6")
@pytest.mark.spec("RFC 6749", "4.1.2.1")
def test_a_parameter_that_is_nonsense(provider: ProviderUnderTest, method: str, name: str) -> None:
    expected = TABLE[name][1]
    for value in NONSENSE:
        response = ask(provider.browser, method, "/auth/local", [*without(name), (name, value)])
        assert outcome(response) == expected, value
        assert "a=b" not in response.headers.get("set-cookie", "")


@METHODS
@NAMES
@pytest.mark.covers("R-5", "R-11")
@pytest.mark.spec("RFC 6749", "3.1")
def test_a_parameter_that_is_sent_twice(
    provider: ProviderUnderTest, method: str, name: str
) -> None:
    expected = PAGE if name in ("client_id", "redirect_uri") else INVALID
    value = dict(GOOD).get(name, "x")
    for second in (value, "", "another"):
        for pairs in ([*GOOD, (name, value), (name, second)], [(name, second), *GOOD, (name, "y")]):
            response = ask(provider.browser, method, "/auth", pairs)
            assert outcome(response) == expected
            if expected != PAGE:
                assert answer_of(response).get("state") == (
                    None if name == "state" else "the state"
                )


@METHODS
@NAMES
@pytest.mark.covers("R-82", "R-11", "CV-27")
def test_a_parameter_that_is_huge(provider: ProviderUnderTest, method: str, name: str) -> None:
    # What it says is not looked at any more: too large is too large.
    errors = {PAGE} if name in ("client_id", "redirect_uri") else {INVALID, "invalid_scope"}
    for value in ("a" * 9000, "%" * 4000, "日" * 2500):
        response = ask(provider.browser, method, "/auth", [*without(name), (name, value)])
        assert outcome(response) in errors
    for value in ("a" * 20_000, "a " * 24_000):
        response = ask(provider.browser, method, "/auth", [*without(name), (name, value)])
        assert outcome(response) in errors | {PAGE}


@METHODS
@pytest.mark.covers("R-4", "R-11", "CV-9")
@pytest.mark.spec("RFC 6749", "3.1.1")
@pytest.mark.parametrize(
    "response_type",
    ["token", "id_token", "id_token token", "code id_token", "code token", "none", "CODE", "Code",
     "code code", " code", "code ", "code\n", "code,token", "device", "null"],
)  # fmt: skip
def test_a_response_type_that_is_not_served(
    provider: ProviderUnderTest, method: str, response_type: str
) -> None:
    pairs = [*without("response_type"), ("response_type", response_type)]
    answer = read_answer(ask(provider.browser, method, "/auth", pairs))
    assert answer.members["error"] == "unsupported_response_type"
    assert answer.mode == (
        "query" if {"token", "id_token"}.isdisjoint(response_type.split(" ")) else "fragment"
    )


@METHODS
@pytest.mark.covers("R-14", "R-11", "CV-9")
@pytest.mark.parametrize("mode", ["jwt", "query.jwt", "form_post.jwt", "web_message", "Query"])
def test_a_response_mode_that_is_not_served(
    provider: ProviderUnderTest, method: str, mode: str
) -> None:
    response = ask(provider.browser, method, "/auth", [*GOOD, ("response_mode", mode)])
    assert outcome(response) == INVALID
    assert "#" not in response.headers["location"]


@METHODS
@pytest.mark.covers("R-14")
def test_the_default_response_mode_may_be_named(provider: ProviderUnderTest, method: str) -> None:
    pairs = [*GOOD, ("response_mode", "query")]
    assert outcome(ask(provider.browser, method, "/auth", pairs)) == LOGIN


@METHODS
@pytest.mark.covers("R-13", "R-63")
@pytest.mark.spec("RFC 6749", "4.1.2")
@pytest.mark.parametrize(
    "state",
    ["the state", "a&code=stolen", "x#y", "a=b;c", "%00%0d%0a", "\0", "\r\nLocation: //evil.ex",
     "\x1b[31m", '"><script>alert(1)</script>', "日本 é", "+ +", "?", "/\\evil.ex", "a" * 2000],
)  # fmt: skip
def test_state_comes_back_as_it_was_sent(
    provider: ProviderUnderTest, method: str, state: str
) -> None:
    pairs = [*without("state"), ("state", state)]
    refused = ask(provider.browser, method, "/auth", [*pairs, ("prompt", "none")])
    assert outcome(refused) == "login_required"
    assert answer_of(refused)["state"] == state
    signed_in = finish(provider, ask(provider.browser, method, "/auth", pairs))
    answer = answer_of(signed_in)
    assert (answer["state"], answer["iss"]) == (state, ISSUER)
    assert set(answer) == {"code", "state", "iss"}
    for response in (refused, signed_in):
        assert response.headers["location"].isascii()
        assert response.headers["location"].isprintable()
        assert " " not in response.headers["location"]


@METHODS
@pytest.mark.covers("R-13")
def test_no_state_is_no_state(provider: ProviderUnderTest, method: str) -> None:
    for pairs in (without("state"), [*without("state"), ("state", "")]):
        refused = ask(provider.browser, method, "/auth", [*pairs, ("prompt", "none")])
        assert "state" not in answer_of(refused)
        answer = answer_of(finish(provider, ask(provider.browser, method, "/auth", pairs)))
        assert set(answer) == {"code", "iss"}


@METHODS
@pytest.mark.covers("R-1", "CV-9")
@pytest.mark.parametrize(
    "connector", ["ghost", "LOCAL", "lo%63al%20", "local.", "%00", "..%20", "*"]
)
def test_a_connector_that_does_not_exist_is_a_page(
    provider: ProviderUnderTest, method: str, connector: str
) -> None:
    assert outcome(ask(provider.browser, method, f"/auth/{connector}", GOOD)) == PAGE


@METHODS
@pytest.mark.covers("R-1", "CV-9")
@pytest.mark.parametrize(
    ("connector", "expected"), [("local", LOGIN), ("", LOGIN), ("ghost", PAGE)]
)
def test_a_connector_may_be_asked_for_by_parameter(
    provider: ProviderUnderTest, method: str, connector: str, expected: str
) -> None:
    response = ask(provider.browser, method, "/auth", [*GOOD, ("connector_id", connector)])
    assert outcome(response) == expected


@pytest.mark.covers("R-11", "CV-9")
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "multipart/form-data; boundary=x", "text/plain", "", "form", "*/*"],
)
def test_a_post_of_another_kind_is_a_page(provider: ProviderUnderTest, content_type: str) -> None:
    body = urlencode(GOOD)
    headers = {"content-type": content_type}
    assert outcome(provider.browser.post("/auth", content=body, headers=headers)) == PAGE
    assert outcome(provider.browser.post("/auth?" + body, headers=headers)) == PAGE


@pytest.mark.covers("R-11")
def test_a_post_is_judged_by_its_body_alone(provider: ProviderUnderTest) -> None:
    for query in ("client_id=ghost", urlencode(GOOD), "req=x"):
        response = provider.browser.post(f"/auth?{query}", content=urlencode(GOOD), headers=FORM)
        assert outcome(provider.browser.get(response.headers["location"])) == LOGIN
        assert outcome(provider.browser.post(f"/auth?{query}", content="", headers=FORM)) == PAGE


@pytest.mark.covers("R-11", "R-16", "R-51")
def test_a_post_from_another_site_comes_back_as_a_get_and_sets_nothing(
    provider: ProviderUnderTest,
) -> None:
    stranger = provider.new_browser()
    headers = {**FORM, "origin": "https://app.example.com", "sec-fetch-site": "cross-site"}
    response = stranger.post("/auth", content=urlencode(GOOD), headers=headers)
    assert response.status_code == 303
    assert "set-cookie" not in response.headers
    # Sealed: what was posted does not end up readable in a history or a log.
    assert "app.example.com" not in response.headers["location"]
    assert outcome(stranger.get(response.headers["location"])) == LOGIN


@pytest.mark.covers("R-11", "CV-8", "CV-34")
def test_a_sealed_request_is_ours_or_a_page(provider: ProviderUnderTest) -> None:
    response = provider.browser.post("/auth", content=urlencode(GOOD), headers=FORM)
    path = response.headers["location"]
    sealed = path.removeprefix("/auth?req=")
    state = login_page(provider.browser.get(path)).state
    for wrong in (sealed[:-1], sealed + "A", sealed.swapcase(), "A" * len(sealed), state, "x", "é"):
        assert outcome(provider.browser.get(f"/auth?{urlencode({'req': wrong})}")) == PAGE
    assert outcome(provider.browser.get("/auth?req=")) == PAGE
    # Parameters beside a sealed request change nothing.
    assert outcome(provider.browser.get(f"{path}&prompt=none&client_id=ghost")) == LOGIN


@pytest.mark.covers("R-11", "CV-32")
def test_a_sealed_request_expires() -> None:
    with provider_under_test() as provider:
        response = provider.browser.post("/auth", content=urlencode(GOOD), headers=FORM)
        provider.clock.turn(30 * 60 - 1)
        assert outcome(provider.browser.get(response.headers["location"])) == LOGIN
        provider.clock.turn(1)
        assert outcome(provider.browser.get(response.headers["location"])) == PAGE


@METHODS
@pytest.mark.covers("CV-36", "R-82")
@pytest.mark.spec("RFC 6749", "B")
@pytest.mark.parametrize(
    "raw",
    [b"", b"&", b"=", b"&=&=&", b"%", b"client_id", b"client_id=%ff", b"a=b" * 5000, b"&" * 3000,
     b"x=1&" * 100, b"client_id=app&redirect_uri=%ed%a0%80", b"client_id=app%01", b"?" * 50],
)  # fmt: skip
def test_what_cannot_be_read_is_a_page(
    provider: ProviderUnderTest, method: str, raw: bytes
) -> None:
    if method == "GET":
        response = provider.browser.get("/auth?" + raw.decode("latin-1"))
    else:
        response = provider.browser.post("/auth", content=raw, headers=FORM)
    assert outcome(response) == PAGE


def finish(provider: ProviderUnderTest, response: httpx.Response) -> httpx.Response:
    """Sign in on a login page."""
    page = login_page(response)
    form = {"login": "alice@example.com", "password": "correct horse battery staple"}
    return provider.browser.post(page.action, data={**form, "state": page.state})
