"""The authorization endpoint sends the browser to a client's own address and nowhere else."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlencode

import httpx
import pytest

from tests.kit.provider import (
    ISSUER,
    Pkce,
    ProviderUnderTest,
    answer_of,
    base_config,
    provider_under_test,
)
from tests.vectors.redirects import EXACT, GOOD_ANYWHERE, GOOD_LOOPBACK, LOOPBACK, OUT_OF_BAND, Case
from tests.vectors.redirects.hostile import (
    hostile_to_exact,
    hostile_to_loopback,
    hostile_to_registered_loopback,
)

WITH_QUERY = "https://q.example.com/cb?tenant=1"
PRIVATE_SCHEME = "com.example.app:/done"


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["staticClients"] = [
        {"id": "app", "name": "App", "secret": "s" * 32, "redirectURIs": [EXACT]},
        {"id": "query", "name": "Query", "secret": "q" * 32, "redirectURIs": [WITH_QUERY]},
        {"id": "cli", "name": "CLI", "public": True, "redirectURIs": [*LOOPBACK, PRIVATE_SCHEME]},
        {"id": "any", "name": "Any", "public": True},
    ]
    with provider_under_test(config) as provider:
        yield provider


def ask(
    provider: ProviderUnderTest, client_id: str, redirect_uri: str | None, **more: str
) -> httpx.Response:
    challenge = {"code_challenge": Pkce("v" * 43).challenge, "code_challenge_method": "S256"}
    target = {} if redirect_uri is None else {"redirect_uri": redirect_uri}
    fields = {"client_id": client_id, "response_type": "code", "state": "s", **target, **challenge}
    return provider.browser.get(f"/auth?{urlencode({**fields, **more})}")


def is_page(response: httpx.Response) -> bool:
    """Tell whether this is an error page that sends nobody anywhere."""
    return (
        response.status_code == 400
        and "location" not in response.headers
        and "refresh" not in response.headers
        and response.headers["content-type"] == "text/html; charset=utf-8"
        and "<form" not in response.text
    )


def accepted(
    provider: ProviderUnderTest, client_id: str, cases: Iterable[Case], **more: str
) -> list[Case]:
    return [case for case in cases if not is_page(ask(provider, client_id, case[1], **more))]


@pytest.mark.covers("R-2", "CV-7")
@pytest.mark.spec("RFC 6749", "3.1.2.3")
@pytest.mark.spec("RFC 9700", "2.1")
def test_a_confidential_client_gets_none_of_the_hostile_addresses(
    provider: ProviderUnderTest,
) -> None:
    assert accepted(provider, "app", hostile_to_exact()) == []


@pytest.mark.covers("R-2", "CV-7")
@pytest.mark.spec("RFC 8252", "8.4")
def test_a_public_client_gets_none_of_the_hostile_addresses(provider: ProviderUnderTest) -> None:
    assert accepted(provider, "cli", list(hostile_to_registered_loopback())[::2]) == []


@pytest.mark.covers("R-2", "CV-7")
def test_a_public_client_without_addresses_gets_loopback_only(provider: ProviderUnderTest) -> None:
    assert accepted(provider, "any", list(hostile_to_loopback())[::2]) == []


@pytest.mark.covers("R-1", "R-2", "CV-7")
@pytest.mark.spec("RFC 9700", "4.11")
@pytest.mark.parametrize(
    "more", [{"prompt": "none"}, {"response_type": "token"}, {"scope": '"'}, {"max_age": "x"}]
)
def test_another_error_does_not_open_the_door(
    provider: ProviderUnderTest, more: dict[str, str]
) -> None:
    cases = list(hostile_to_exact())[::9]
    assert accepted(provider, "app", cases, **more) == []


@pytest.mark.covers("R-2")
@pytest.mark.spec("RFC 8252", "7.1")
@pytest.mark.parametrize(
    ("client_id", "redirect_uri"),
    [
        ("app", EXACT),
        ("query", WITH_QUERY),
        ("cli", PRIVATE_SCHEME),
        *(("cli", uri) for uri in GOOD_LOOPBACK),
        *(("any", uri) for uri in GOOD_ANYWHERE),
    ],
)
def test_the_good_addresses_lead_to_the_login_page(
    provider: ProviderUnderTest, client_id: str, redirect_uri: str
) -> None:
    assert ask(provider, client_id, redirect_uri).status_code == 200


@pytest.mark.covers("R-2", "R-13")
@pytest.mark.spec("RFC 6749", "3.1.2")
@pytest.mark.parametrize(
    ("client_id", "redirect_uri", "start"),
    [
        ("app", EXACT, f"{EXACT}?"),
        ("query", WITH_QUERY, f"{WITH_QUERY}&"),
        ("cli", PRIVATE_SCHEME, f"{PRIVATE_SCHEME}?"),
        ("cli", "http://[::1]:4711/done", "http://[::1]:4711/done?"),
        ("cli", "http://localhost:4711", "http://localhost:4711?"),
        ("any", "http://localhost:4711/x?y=1", "http://localhost:4711/x?y=1&"),
    ],
)
def test_the_answer_goes_to_the_address_as_it_was_sent(
    provider: ProviderUnderTest, client_id: str, redirect_uri: str, start: str
) -> None:
    response = ask(provider, client_id, redirect_uri, prompt="none")
    assert response.headers["location"].startswith(start + "error=login_required&")
    answer = answer_of(response)
    assert (answer["state"], answer["iss"]) == ("s", ISSUER)


@pytest.mark.covers("R-1", "R-62")
def test_an_error_of_an_out_of_band_client_is_a_page(provider: ProviderUnderTest) -> None:
    response = ask(provider, "any", OUT_OF_BAND, prompt="none")
    assert is_page(response)


@pytest.mark.covers("R-1")
@pytest.mark.spec("RFC 6749", "3.1.2.4")
@pytest.mark.parametrize(
    ("client_id", "redirect_uri"),
    [
        ("ghost", EXACT), ("", EXACT), ("APP", EXACT), ("app ", EXACT), ("app\0", EXACT),
        ("app", None), ("app", ""), ("app", LOOPBACK[0]), ("cli", EXACT), ("query", EXACT),
        ("*", EXACT), ("app,cli", EXACT), ("\u0430pp", EXACT), ("a" * 5000, EXACT),
    ],
)  # fmt: skip
@pytest.mark.parametrize("prompt", ["login", "none"])
def test_without_a_known_client_and_its_own_address_there_is_only_a_page(
    provider: ProviderUnderTest, client_id: str, redirect_uri: str | None, prompt: str
) -> None:
    response = ask(provider, client_id, redirect_uri, prompt=prompt)
    assert is_page(response)
    if len(client_id.strip("*\0 ")) > 3:
        assert client_id not in response.text


@pytest.mark.covers("R-1", "R-5", "CV-7")
@pytest.mark.spec("RFC 6749", "4.1.2.1")
@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_polluted_target_is_a_page(provider: ProviderUnderTest, name: str) -> None:
    good = [("client_id", "app"), ("redirect_uri", EXACT), ("response_type", "code")]
    for value in (dict(good)[name], "https://evil.example/", "", "cli"):
        for pairs in ([*good, (name, value)], [(name, value), *good]):
            assert is_page(provider.browser.get(f"/auth?{urlencode(pairs)}"))
