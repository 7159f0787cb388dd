"""The approval page: asked before anything is written, answered once, by the same browser."""

from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from tests.kit.provider import (
    CALLBACK,
    ISSUER,
    OTHER,
    Browser,
    LoginPage,
    ProviderUnderTest,
    answer_of,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults()


@pytest.fixture(scope="module")
def provider(faults: Faults) -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["oauth2"]["skipApprovalScreen"] = False
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider


def approval_page(response: httpx.Response) -> LoginPage:
    assert response.status_code == 200
    page = login_page(response)
    assert page.action == "/approval"
    return page


def answer(
    browser: Browser, page: LoginPage, approval: str | None = "approve", **headers: str
) -> httpx.Response:
    form = {"state": page.state, **({} if approval is None else {"approval": approval})}
    return browser.post("/approval", data=form, headers=headers)


def test_approving_gives_a_code(provider: ProviderUnderTest) -> None:
    response = answer(provider.browser, approval_page(provider.sign_in()))
    found = answer_of(response)
    assert response.headers["location"].startswith(CALLBACK + "?")
    assert (found["state"], found["iss"]) == ("the state", ISSUER)
    assert provider.redeem(found["code"]).status_code == 200


def test_the_page_names_the_client_the_person_and_every_wish(provider: ProviderUnderTest) -> None:
    scope = f"openid email offline_access unknown audience:server:client_id:{OTHER[0]}"
    text = unescape(provider.sign_in({"scope": scope}).text)
    for words in (
        "The App",
        "alice",
        "See your email address",
        "while you are away",
        "Another App",
    ):
        assert words in text
    assert "unknown" not in text
    assert "See the groups" not in text


@pytest.mark.covers("R-13", "R-16")
@pytest.mark.spec("RFC 6749", "4.1.2.1")
@pytest.mark.parametrize("approval", ["reject", None, "", "Approve", "approve ", "yes", "1", "é"])
def test_anything_but_approve_is_access_denied(
    provider: ProviderUnderTest, faults: Faults, approval: str | None
) -> None:
    page = approval_page(provider.sign_in())
    writes = faults.writes
    response = answer(provider.browser, page, approval)
    assert response.status_code == 303
    found = answer_of(response)
    assert found["error"] == "access_denied"
    assert (found["state"], found["iss"]) == ("the state", ISSUER)
    assert "code" not in found
    assert faults.writes == writes


@pytest.mark.spec("OIDC Core", "3.1.2.4")
def test_nothing_is_written_before_the_person_approved(
    provider: ProviderUnderTest, faults: Faults
) -> None:
    writes = faults.writes
    page = approval_page(provider.sign_in())
    assert faults.writes == writes
    answer(provider.browser, page)
    assert faults.writes == writes + 1


@pytest.mark.covers("R-50", "CV-1")
def test_another_browser_cannot_approve(provider: ProviderUnderTest, faults: Faults) -> None:
    page = approval_page(provider.sign_in())
    visited = provider.new_browser()
    visited.get("/auth/local", params={})
    provider.authorize(browser=visited)
    writes = faults.writes
    for browser in (provider.new_browser(), visited):
        for approval in ("approve", "reject"):
            response = answer(browser, page, approval)
            assert response.status_code == 400
            assert "location" not in response.headers
            assert "set-cookie" not in response.headers
    assert faults.writes == writes


@pytest.mark.covers("R-51")
@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"},
     {"sec-fetch-site": "same-site"}, {"origin": "null", "sec-fetch-site": "cross-site"}],
)  # fmt: skip
def test_another_site_cannot_approve(
    provider: ProviderUnderTest, faults: Faults, headers: dict[str, str]
) -> None:
    page = approval_page(provider.sign_in())
    writes = faults.writes
    response = answer(provider.browser, page, **headers)
    assert response.status_code == 403
    assert "location" not in response.headers
    assert faults.writes == writes


@pytest.mark.covers("CV-8", "R-45", "CV-34")
def test_a_login_state_is_no_approval(provider: ProviderUnderTest, faults: Faults) -> None:
    login = login_page(provider.authorize())
    writes = faults.writes
    for state in (login.state, "", "x", approval_page(provider.sign_in()).state[:-1]):
        response = answer(provider.browser, LoginPage("/approval", state))
        assert response.status_code == 400
        assert "location" not in response.headers
    assert faults.writes == writes


@pytest.mark.covers("CV-8", "R-45")
def test_an_approval_is_no_login(provider: ProviderUnderTest) -> None:
    state = approval_page(provider.sign_in()).state
    form = {"login": "alice@example.com", "password": "x", "state": state}
    assert provider.browser.post("/auth/local/login", data=form).status_code == 400


@pytest.mark.covers("R-64")
def test_a_second_click_gets_the_same_code(provider: ProviderUnderTest, faults: Faults) -> None:
    page = approval_page(provider.sign_in())
    codes = {answer_of(answer(provider.browser, page))["code"] for _ in range(3)}
    assert len(codes) == 1
    assert provider.redeem(codes.pop()).status_code == 200
    late = answer(provider.browser, page)
    assert late.status_code == 409
    assert "already signed in" in late.text


@pytest.mark.covers("R-54", "CV-32")
def test_an_approval_waits_half_an_hour_and_no_longer() -> None:
    config = base_config()
    config["oauth2"]["skipApprovalScreen"] = False
    with provider_under_test(config) as provider:
        page = approval_page(provider.sign_in())
        provider.clock.turn(30 * 60 - 1)
        assert answer(provider.browser, page, "reject").status_code == 303
        provider.clock.turn(1)
        for approval in ("approve", "reject"):
            response = answer(provider.browser, page, approval)
            assert response.status_code == 400
            assert "expired" in response.text


@pytest.mark.covers("R-65", "CV-36")
@pytest.mark.parametrize("count", [700, 900, 1500, 5000])
def test_a_person_with_any_number_of_groups_gets_a_code_or_the_reason(count: int) -> None:
    config = base_config()
    config["oauth2"]["skipApprovalScreen"] = False
    config["staticPasswords"][0]["groups"] = [f"group-{n:05d}-{'x' * 30}" for n in range(count)]
    with provider_under_test(config) as provider:
        response = provider.sign_in({"scope": "openid"})
        # The token has no room for the groups only where it is asked for them.
        assert "code" in answer_of(answer(provider.browser, approval_page(response)))
        response = provider.sign_in({"scope": "openid groups"})
        if response.status_code == 200:
            response = answer(provider.browser, approval_page(response))
        assert response.status_code == 403
        assert "too many groups" in response.text


@pytest.mark.parametrize(
    ("changes", "asked"),
    [({"prompt": "consent"}, True), ({"prompt": "login consent"}, True),
     ({"approval_prompt": "force"}, True), ({"approval_prompt": "auto"}, False),
     ({"prompt": "login"}, False), ({}, False)],
)  # fmt: skip
def test_a_client_may_have_the_page_shown_where_it_is_skipped(
    *,
    skipping: ProviderUnderTest,
    changes: dict[str, str],
    asked: bool,
) -> None:
    response = skipping.sign_in(changes)
    if asked:
        response = answer(skipping.browser, approval_page(response))
    assert "code" in answer_of(response)


@pytest.fixture(scope="module")
def skipping() -> Iterator[ProviderUnderTest]:
    with provider_under_test() as provider:
        yield provider
