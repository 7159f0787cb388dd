"""Where answers go: query, fragment, a form that sends itself, or a page with the code.

OAuth 2.0 Multiple Response Type Encoding Practices, OAuth 2.0 Form Post Response Mode.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256

import httpx
import pytest

from tests.kit.client_answers import read_answer
from tests.kit.provider import (
    CALLBACK,
    ISSUER,
    Pkce,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)

MULTIPLE = "OAuth 2.0 Multiple Response Types"
FORM_POST = "OAuth 2.0 Form Post Response Mode"
MODES = pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
SCHEME = "com.example.app:/back"
HOSTILE = ['"><script>alert(1)</script>', "'&\"<>=&amp;", "a&code=x", "日本 é", "</form>", "+ +"]


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["staticClients"] += [
        {"id": "native", "name": "Native", "public": True, "redirectURIs": [SCHEME]},
        {"id": "copy", "name": "Copy", "public": True},
    ]
    with provider_under_test(config) as provider:
        yield provider


@MODES
@pytest.mark.covers("R-14", "R-13")
@pytest.mark.spec("OAuth 2.0 Form Post Response Mode", "2")
@pytest.mark.spec("RFC 9207", "2")
@pytest.mark.spec(MULTIPLE, "2.1")
def test_a_code_comes_in_the_mode_that_was_asked_for(
    provider: ProviderUnderTest, mode: str
) -> None:
    answer = read_answer(provider.sign_in({"response_mode": mode}))
    assert (answer.mode, answer.address) == (mode, CALLBACK)
    assert answer.members.keys() == {"code", "state", "iss"}
    assert answer.members["state"] == "the state"
    assert answer.members["iss"] == ISSUER
    assert provider.redeem(answer.members["code"]).status_code == 200


@MODES
@pytest.mark.covers("R-14", "R-13")
@pytest.mark.spec("OAuth 2.0 Form Post Response Mode", "2")
@pytest.mark.spec("RFC 6749", "4.1.2.1")
@pytest.mark.spec("RFC 9207", "2")
@pytest.mark.spec(MULTIPLE, "2.1")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"prompt": "none"}, "login_required"),
        ({"scope": '"'}, "invalid_scope"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"registration": "{}"}, "registration_not_supported"),
    ],
)
def test_an_error_comes_in_the_mode_that_was_asked_for(
    provider: ProviderUnderTest, mode: str, changes: dict[str, str | None], error: str
) -> None:
    answer = read_answer(provider.authorize({"response_mode": mode, **changes}))
    assert (answer.mode, answer.address) == (mode, CALLBACK)
    assert answer.members["error"] == error
    assert (answer.members["state"], answer.members["iss"]) == ("the state", ISSUER)


@MODES
@pytest.mark.covers("R-14")
def test_a_refusal_at_the_approval_page_comes_in_the_mode_too(
    provider: ProviderUnderTest, mode: str
) -> None:
    page = login_page(provider.sign_in({"response_mode": mode, "prompt": "consent"}))
    refusal = {"state": page.state, "approval": "reject"}
    answer = read_answer(provider.browser.post(page.action, data=refusal))
    assert (answer.mode, answer.members["error"]) == (mode, "access_denied")


@pytest.mark.covers("R-14")
@pytest.mark.spec("RFC 9700", "4.1.3")
@pytest.mark.spec(MULTIPLE, "5")
def test_each_response_type_has_a_mode_of_its_own(provider: ProviderUnderTest) -> None:
    assert read_answer(provider.sign_in()).mode == "query"
    for response_type in ("token", "id_token", "code id_token", "id_token token", "code token"):
        answer = read_answer(provider.authorize({"response_type": response_type}))
        assert answer.members["error"] == "unsupported_response_type"
        assert answer.mode == "fragment"


@pytest.mark.covers("R-14")
@pytest.mark.spec(MULTIPLE, "5")
@pytest.mark.parametrize("response_type", ["token", "id_token", "code id_token token"])
def test_tokens_never_go_into_a_query(provider: ProviderUnderTest, response_type: str) -> None:
    asked = {"response_type": response_type, "response_mode": "query"}
    answer = read_answer(provider.authorize(asked))
    assert answer.mode == "fragment"
    assert "error" in answer.members


@pytest.mark.covers("R-14", "CV-9")
@pytest.mark.spec("OAuth 2.0 Multiple Response Types", "2.1")
@pytest.mark.parametrize(
    "mode",
    ["jwt", "query.jwt", "fragment.jwt", "form_post.jwt", "web_message", "Query", "form-post"],
)
def test_an_unknown_mode_is_told_in_the_default_mode(
    provider: ProviderUnderTest, mode: str
) -> None:
    answer = read_answer(provider.authorize({"response_mode": mode}))
    assert (answer.mode, answer.members["error"]) == ("query", "invalid_request")
    asked = {"response_mode": mode, "response_type": "id_token"}
    assert read_answer(provider.authorize(asked)).mode == "fragment"


@pytest.mark.covers("R-14", "R-5")
def test_a_mode_that_came_twice_is_told_in_the_default_mode(provider: ProviderUnderTest) -> None:
    query = (
        f"/auth?client_id=app&redirect_uri={CALLBACK}&response_type=code"
        "&response_mode=form_post&response_mode=fragment"
    )
    answer = read_answer(provider.browser.get(query))
    assert (answer.mode, answer.members["error"]) == ("query", "invalid_request")


@pytest.mark.covers("R-14", "R-55", "R-56", "R-57")
@pytest.mark.spec("OAuth 2.0 Form Post Response Mode", "4")
@pytest.mark.spec(FORM_POST, "2")
def test_the_form_may_run_one_script_and_go_to_the_client_only(
    provider: ProviderUnderTest,
) -> None:
    response = provider.sign_in({"response_mode": "form_post"})
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    policy = dict(
        directive.split(" ", 1)
        for directive in response.headers["content-security-policy"].split("; ")
    )
    scripts = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    assert len(scripts) == 1
    digest = b64encode(sha256(scripts[0].encode()).digest()).decode()
    assert policy["script-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == "'none'"
    assert policy["form-action"] == "https:"
    assert policy["frame-ancestors"] == "'none'"
    assert re.search(r'<button [^>]*type="submit">', response.text)


@pytest.mark.covers("R-56")
def test_the_login_form_stays_here_when_a_form_brings_the_answer(
    provider: ProviderUnderTest,
) -> None:
    policy = provider.authorize({"response_mode": "form_post"}).headers["content-security-policy"]
    assert "form-action 'self';" in policy
    assert "script-src" not in policy


@pytest.mark.covers("R-56")
def test_a_form_to_a_loopback_address_goes_to_that_address_only(
    provider: ProviderUnderTest,
) -> None:
    asked = public("cli", "http://localhost:18000/") | {"response_mode": "form_post"}
    response = provider.sign_in(asked)
    assert read_answer(response).address == "http://localhost:18000/"
    assert "form-action http://localhost:18000;" in response.headers["content-security-policy"]


@pytest.mark.covers("R-14", "R-60", "CV-18")
@pytest.mark.spec("OAuth 2.0 Form Post Response Mode", "2")
@pytest.mark.parametrize("state", HOSTILE)
def test_what_the_form_carries_is_escaped(provider: ProviderUnderTest, state: str) -> None:
    response = provider.sign_in({"response_mode": "form_post", "state": state})
    assert read_answer(response).members["state"] == state
    assert response.text.count("<script>") == 1
    assert response.text.count("<form") == response.text.count("</form>") == 1


@pytest.mark.covers("R-14", "R-63", "CV-28")
@pytest.mark.parametrize("state", ["a\nb", "a\r\nb", "\0", "\x1b", "\x7f"])
def test_a_state_that_a_browser_would_change_in_a_form_is_refused(
    provider: ProviderUnderTest, state: str
) -> None:
    answer = read_answer(provider.authorize({"response_mode": "form_post", "state": state}))
    assert (answer.mode, answer.members["error"]) == ("form_post", "invalid_request")


@pytest.mark.covers("R-14")
def test_a_private_scheme_gets_no_form(provider: ProviderUnderTest) -> None:
    asked = public("native", SCHEME)
    answer = read_answer(provider.authorize(asked | {"response_mode": "form_post"}))
    assert (answer.mode, answer.members["error"]) == ("query", "invalid_request")
    answer = read_answer(provider.sign_in(asked | {"response_mode": "fragment"}))
    assert (answer.mode, answer.address) == ("fragment", SCHEME)


@pytest.mark.covers("R-14")
@pytest.mark.parametrize("mode", [None, "query", "fragment"])
def test_out_of_band_a_code_is_shown_whatever_the_mode(
    provider: ProviderUnderTest, mode: str | None
) -> None:
    asked = public("copy", "urn:ietf:wg:oauth:2.0:oob") | {"response_mode": mode}
    response = provider.sign_in(asked)
    assert response.status_code == 200
    assert "Copy this code" in unlinked(response)
    assert "<script" not in response.text


@pytest.mark.covers("R-14", "R-11")
@MODES
def test_a_posted_request_keeps_its_mode(provider: ProviderUnderTest, mode: str) -> None:
    form = {
        "client_id": "app", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid",
        "response_mode": mode,
    }  # fmt: skip
    answer = read_answer(provider.browser.post("/auth", data={**form, "prompt": "nonsense"}))
    assert (answer.mode, answer.members["error"]) == (mode, "invalid_request")
    there = provider.browser.post("/auth", data=form)
    page = login_page(provider.browser.get(there.headers["location"]))
    credentials = {"login": "alice@example.com", "password": "correct horse battery staple"}
    response = provider.browser.post(page.action, data={**credentials, "state": page.state})
    assert read_answer(response).mode == mode


def public(client_id: str, redirect_uri: str) -> dict[str, str | None]:
    """Return what a public client asks for."""
    return {
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "code_challenge": Pkce().challenge,
        "code_challenge_method": "S256",
    }


def unlinked(response: httpx.Response) -> str:
    """Return the text of a page without its tags."""
    return re.sub(r"<[^>]+>", "", response.text)
