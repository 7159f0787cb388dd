"""Clicking twice, going back and reloading make one login, and never a fault (R-64)."""

from collections.abc import Iterator

import anyio
import httpx
import pytest

from tests.kit.provider import (
    ALICE,
    PASSWORD,
    PASSWORD_HASH,
    LoginPage,
    ProviderUnderTest,
    answer_of,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Fails, Faults, FlakyBackend, LosesAnswer

BOB = "bob@example.com"


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults()


@pytest.fixture(scope="module")
def provider(faults: Faults) -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["staticPasswords"].append({"email": BOB, "hash": PASSWORD_HASH, "userID": "user-2"})
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider


def form(page: LoginPage, username: str = ALICE, password: str = PASSWORD) -> dict[str, str]:
    return {"login": username, "password": password, "state": page.state}


def send(provider: ProviderUnderTest, page: LoginPage, username: str = ALICE) -> httpx.Response:
    return provider.browser.post(page.action, data=form(page, username))


@pytest.mark.covers("R-64")
def test_the_second_click_gets_the_same_code(provider: ProviderUnderTest) -> None:
    page = login_page(provider.authorize())
    answers = [answer_of(send(provider, page)) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert provider.redeem(answers[0]["code"]).status_code == 200


@pytest.mark.covers("R-64")
def test_clicks_at_the_same_moment_make_one_login(
    provider: ProviderUnderTest, faults: Faults
) -> None:
    page = login_page(provider.authorize())
    answers: list[httpx.Response] = []

    async def click() -> None:
        answers.append(await provider.browser.client.post(page.action, data=form(page)))

    async def click_often() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(click)

    grants = faults.calls["create"]
    provider.portal.call(click_often)
    assert len({answer_of(answer)["code"] for answer in answers}) == 1
    # Each click tries to create the one grant of this login; only one of them can.
    assert faults.calls["create"] - grants <= 4
    assert provider.redeem(answer_of(answers[0])["code"]).status_code == 200


@pytest.mark.covers("R-64")
def test_a_click_after_the_code_was_used_is_told_so_and_ends_nothing(
    provider: ProviderUnderTest,
) -> None:
    page = login_page(provider.authorize())
    tokens = provider.redeem(answer_of(send(provider, page))["code"]).json()
    response = send(provider, page)
    assert response.status_code == 409
    assert "location" not in response.headers
    assert "already signed in" in response.text
    assert provider.userinfo(tokens["access_token"]).status_code == 200
    assert provider.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.covers("R-64")
def test_a_click_after_the_code_ran_out_is_told_so() -> None:
    with provider_under_test() as provider:
        page = login_page(provider.authorize())
        send(provider, page)
        provider.clock.turn(60)
        assert send(provider, page).status_code == 409


@pytest.mark.covers("R-64", "CV-25", "R-53")
def test_going_back_and_signing_in_as_somebody_else_does_not_give_the_first_ones_code(
    provider: ProviderUnderTest,
) -> None:
    page = login_page(provider.authorize())
    assert send(provider, page).status_code == 303
    response = send(provider, page, BOB)
    assert response.status_code == 409
    assert "kic_" not in response.text


@pytest.mark.covers("R-64")
def test_a_wrong_password_first_is_no_obstacle(provider: ProviderUnderTest) -> None:
    page = login_page(provider.authorize())
    again = provider.browser.post(page.action, data=form(page, password="wrong"))
    assert again.status_code == 401
    assert login_page(again).state == page.state
    assert send(provider, login_page(again)).status_code == 303


@pytest.mark.covers("R-64")
def test_reloading_the_login_page_starts_a_login_of_its_own(provider: ProviderUnderTest) -> None:
    first, second = login_page(provider.authorize()), login_page(provider.authorize())
    codes = {answer_of(send(provider, page))["code"] for page in (first, second)}
    assert len(codes) == 2
    for code in codes:
        assert provider.redeem(code).status_code == 200


@pytest.mark.covers("R-64")
def test_a_failed_store_leaves_the_form_good_for_another_click(
    provider: ProviderUnderTest, faults: Faults
) -> None:
    for fault in (Fails(), LosesAnswer()):
        page = login_page(provider.authorize())
        faults.next("create", fault)
        response = send(provider, page)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        code = answer_of(send(provider, page))["code"]
        assert provider.redeem(code).status_code == 200
