"""OpenID Connect Front-Channel Logout 1.0: pages of applications within the signed-out page."""

from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.kit.provider import ISSUER, Browser, answer_of
from tests.kit.sessions import ABOUT_OTHER, World, claims_of, config_with_sessions, world_of

SPEC = "OIDC Front-Channel Logout"
FRONT = "https://app.example.com/front?tenant=7"
OTHER_FRONT = "https://other.example.com/front"
AFTERWARDS = "https://app.example.com/bye"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    config = config_with_sessions()
    app, other = config["staticClients"][:2]
    app |= {"frontchannelLogoutURI": FRONT, "postLogoutRedirectURIs": [AFTERWARDS]}
    other["frontchannelLogoutURI"] = OTHER_FRONT
    with world_of(config) as world:
        yield world


def leave(browser: Browser, tokens: dict[str, Any], **more: str) -> httpx.Response:
    return browser.get("/logout", params={"id_token_hint": tokens["id_token"], **more})


def frames(response: httpx.Response) -> list[str]:
    return [
        unescape(part.partition('"')[0])
        for part in response.text.split('<iframe class="notice" src="')[1:]
    ]


@pytest.mark.covers("R-109")
@pytest.mark.spec(SPEC, "2")
@pytest.mark.spec(SPEC, "3")
def test_every_application_of_the_session_is_loaded_with_issuer_and_session(world: World) -> None:
    browser = world.provider.new_browser()
    tokens = world.tokens(world.sign_in(browser))
    for _ in range(2):
        world.tokens_of_other(answer_of(world.visit(browser, ABOUT_OTHER))["code"])

    response = leave(browser, tokens)

    found = {urlsplit(frame)._replace(query="").geturl(): frame for frame in frames(response)}
    assert set(found) == {"https://app.example.com/front", OTHER_FRONT}
    assert len(frames(response)) == 2
    session = {"iss": ISSUER, "sid": claims_of(tokens["id_token"])["sid"]}
    asked = [dict(parse_qsl(urlsplit(frame).query)) for frame in found.values()]
    assert {"tenant": "7", **session} in asked
    assert session in asked


@pytest.mark.covers("R-109", "R-56")
def test_only_these_origins_may_be_framed(world: World) -> None:
    browser = world.provider.new_browser()
    policy = leave(browser, world.tokens(world.sign_in(browser))).headers["content-security-policy"]
    assert "frame-src https://app.example.com" in policy
    assert "other.example.com" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy


@pytest.mark.covers("R-109")
@pytest.mark.spec(SPEC, "3")
def test_the_page_goes_on_to_the_application_after_its_frames(world: World) -> None:
    browser = world.provider.new_browser()
    tokens = world.tokens(world.sign_in(browser))
    response = leave(browser, tokens, post_logout_redirect_uri=AFTERWARDS, state="s&t")
    assert response.status_code == 200
    assert len(frames(response)) == 1
    there = unescape(response.text)
    assert f'content="3;url={AFTERWARDS}?state=s%26t"' in there
    assert f'href="{AFTERWARDS}?state=s%26t"' in there


@pytest.mark.spec("OIDC Front-Channel Logout", "3")
def test_applications_of_other_sessions_are_not_loaded(world: World) -> None:
    browser = world.provider.new_browser()
    tokens = world.tokens_of_other(world.sign_in(browser, ABOUT_OTHER))
    (frame,) = frames(leave(browser, tokens))
    assert frame.startswith(OTHER_FRONT)


def test_who_was_not_signed_in_loads_nothing(world: World) -> None:
    assert frames(world.provider.new_browser().get("/logout")) == []
