"""The example application against a provider that fits into a page, honest or not."""

import base64
import hashlib
import html
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import anyio
import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from examples.app.provider import Provider
from examples.app.sessions import Sessions
from examples.app.web import create_app

ISSUER = "https://op.test/dex"
NOW = 1_800_000_000


class FakeProvider:
    """An OpenID Connect provider of one user. Tests bend `claims`, `metadata` and `answers`."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", parameters={"kid": "k1", "use": "sig"})
        self.signs_with = self.key
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {"authorization_response_iss_parameter_supported": True}
        self.answers: dict[str, httpx2.Response] = {}
        self.asked: dict[str, str] = {}
        self.generation = 0
        self.reachable = True

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if not self.reachable:
            raise httpx2.ConnectError("connection refused")
        path = request.url.path.removeprefix("/dex")
        if path in self.answers:
            return self.answers[path]
        return {
            "/.well-known/openid-configuration": self._discovery,
            "/keys": self._keys,
            "/token": self._token,
            "/userinfo": self._userinfo,
        }[path](request)

    def authorize(self, url: str) -> dict[str, str]:
        """Take the browser's request and return the parameters to come back with."""
        self.asked = dict(parse_qsl(urlsplit(url).query))
        return {"code": "the code", "state": self.asked["state"], "iss": ISSUER}

    def _discovery(self, request: httpx2.Request) -> httpx2.Response:
        endpoints = {
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
            "jwks_uri": f"{ISSUER}/keys",
        }
        return httpx2.Response(200, json={"issuer": ISSUER, **endpoints, **self.metadata})

    def _keys(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=KeySet([self.key]).as_dict(private=False))

    def _token(self, request: httpx2.Request) -> httpx2.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        basic = base64.b64encode(b"example:secret").decode()
        assert request.headers["authorization"] == f"Basic {basic}"
        if form["grant_type"] == "authorization_code":
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            assert challenge == self.asked["code_challenge"]
            assert form["code"] == "the code"
            assert form["redirect_uri"] == "http://example.test/callback"
        else:
            assert form["refresh_token"] == f"refresh-{self.generation}"
            self.generation += 1
        return httpx2.Response(200, json=self._issued())

    def _issued(self) -> dict[str, Any]:
        claims = {
            "iss": ISSUER,
            "aud": "example",
            "sub": "u1",
            "iat": NOW,
            "exp": NOW + 3600,
            "nonce": self.asked["nonce"],
            "name": "Jane",
            "groups": ["日本", "<script>alert(1)</script>"],
            "generation": self.generation,
        }
        claims = {name: value for name, value in {**claims, **self.claims}.items() if value}
        header = {"alg": "ES256", "kid": "k1"}
        return {
            "access_token": "opaque-access",
            "token_type": "bearer",
            "expires_in": 3600,
            "refresh_token": f"refresh-{self.generation}",
            "id_token": jwt.encode(header, claims, self.signs_with, algorithms=["ES256"]),
        }

    def _userinfo(self, request: httpx2.Request) -> httpx2.Response:
        assert request.headers["authorization"] == "Bearer opaque-access"
        return httpx2.Response(200, json={"sub": "u1", "email": "jane@example.com"})


class Person:
    """A browser with the example application open."""

    def __init__(self, fake: FakeProvider, *, https: bool = False) -> None:
        self.fake = fake
        provider = Provider(
            issuer=ISSUER,
            client_id="example",
            client_secret="secret",
            redirect_uri="http://example.test/callback",
            verify=ssl.create_default_context(),
            clock=lambda: NOW + 60,
            transport=httpx2.MockTransport(fake),
        )
        app = create_app(provider, clock=lambda: NOW + 60, https=https)
        self.browser = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app),
            base_url="https://example.test" if https else "http://example.test",
        )

    async def page(self) -> str:
        return (await self.browser.get("/")).text

    async def press(self, action: str, **fields: Any) -> httpx2.Response:
        csrf = re.search(r'name="csrf" value="([^"]+)"', await self.page())
        assert csrf is not None
        return await self.browser.post(action, data={"csrf": csrf[1], **fields})

    async def leave(self, **fields: Any) -> dict[str, str]:
        response = await self.press("/login", **fields)
        assert response.status_code == 303
        return self.fake.authorize(response.headers["location"])

    async def come_back(self, **answer: str) -> httpx2.Response:
        return await self.browser.get("/callback", params=answer)

    async def sign_in(self) -> httpx2.Response:
        return await self.come_back(**await self.leave())


Story = Callable[[Person], Awaitable[None]]


def tell(story: Story, *, https: bool = False) -> None:
    anyio.run(story, Person(FakeProvider(), https=https))


def test_sign_in_shows_every_token_decoded_and_when_it_expires() -> None:
    async def story(person: Person) -> None:
        assert "Sign in" in await person.page()
        assert (await person.sign_in()).headers["location"] == "/"
        page = html.unescape(await person.page())
        assert "as <b><bdi>Jane" in page
        for text in ['"alg": "ES256"', '"sub": "u1"', "opaque-access", "refresh-0", "日本"]:
            assert text in page
        assert "Expires in 59 min 0 s" in page

    tell(story)


def test_sign_in_asks_with_pkce_state_nonce_and_the_chosen_scopes() -> None:
    async def story(person: Person) -> None:
        await person.leave(scope=["groups", "offline_access", "made-up"], audience="argo  kubectl")
        asked = person.fake.asked
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
        assert asked["scope"].split() == [
            "openid",
            "groups",
            "offline_access",
            "audience:server:client_id:argo",
            "audience:server:client_id:kubectl",
        ]

    tell(story)


@pytest.mark.covers("R-60")
def test_claims_are_text_and_the_page_forbids_script() -> None:
    async def story(person: Person) -> None:
        await person.sign_in()
        response = await person.browser.get("/")
        assert "<script" not in response.text
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"

    tell(story)


def test_refresh_and_userinfo_and_sign_out() -> None:
    async def story(person: Person) -> None:
        await person.sign_in()
        person.fake.claims = {"nonce": None}
        assert (await person.press("/refresh")).status_code == 303
        assert "refresh-1" in await person.page()
        assert (await person.press("/userinfo")).status_code == 303
        assert "jane@example.com" in await person.page()
        await person.press("/logout")
        assert "opaque-access" not in await person.page()

    tell(story)


@pytest.mark.parametrize(
    ("claims", "complaint"),
    [
        ({"iss": "https://evil.test"}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"aud": ["example", "other"], "azp": "other"}, "azp"),
        ({"exp": NOW - 3600}, "expired"),
        ({"exp": None}, "exp"),
        ({"sub": None}, "sub"),
        ({"nonce": "planted"}, "nonce"),
        ({"nonce": None}, "nonce"),
    ],
)
def test_id_token_that_is_not_for_us_signs_nobody_in(
    claims: dict[str, Any], complaint: str
) -> None:
    async def story(person: Person) -> None:
        person.fake.claims = claims
        response = await person.sign_in()
        assert response.status_code == 502
        assert complaint in response.text
        assert "opaque-access" not in await person.page()

    tell(story)


def test_id_token_of_a_foreign_key_signs_nobody_in() -> None:
    async def story(person: Person) -> None:
        person.fake.signs_with = ECKey.generate_key("P-256", parameters={"kid": "k1"})
        response = await person.sign_in()
        assert response.status_code == 502
        assert "not valid" in response.text

    tell(story)


@pytest.mark.parametrize("change", [{"iss": "https://evil.test"}, {"iss": ""}])
def test_answer_of_another_provider_is_refused(change: dict[str, str]) -> None:
    async def story(person: Person) -> None:
        answer = {**await person.leave(), **change}
        response = await person.come_back(**answer)
        assert response.status_code == 502
        assert "(iss)" in response.text

    tell(story)


def test_answer_is_taken_once_and_only_by_the_browser_that_left() -> None:
    async def story(person: Person) -> None:
        answer = await person.leave()
        stranger = await Person(person.fake).come_back(**answer)
        assert stranger.status_code == 400
        assert (await person.come_back(**{**answer, "state": "guessed"})).status_code == 400
        assert (await person.come_back(**answer)).status_code == 303
        assert (await person.come_back(**answer)).status_code == 400

    tell(story)


def test_sign_in_changes_the_session_id() -> None:
    async def story(person: Person) -> None:
        answer = await person.leave()
        before = person.browser.cookies["example"]
        await person.come_back(**answer)
        assert person.browser.cookies["example"] != before

    tell(story)


def test_cookie_is_kept_from_scripts_and_other_sites() -> None:
    async def story(person: Person) -> None:
        cookie = (await person.browser.get("/")).headers["set-cookie"].lower()
        assert cookie.startswith("__host-example=")
        for attribute in ["httponly", "samesite=lax", "secure", "path=/"]:
            assert attribute in cookie

    tell(story, https=True)


@pytest.mark.parametrize("action", ["/login", "/refresh", "/userinfo", "/logout"])
def test_form_without_its_token_changes_nothing(action: str) -> None:
    async def story(person: Person) -> None:
        await person.sign_in()
        for csrf in ["", "wrong", "é"]:
            response = await person.browser.post(action, data={"csrf": csrf})
            assert response.status_code == 403
        assert (await person.browser.post(action, content=b"x" * 20_000)).status_code == 413
        assert (await person.browser.get(action)).status_code == 405
        assert "opaque-access" in await person.page()

    tell(story)


def test_provider_s_own_words_are_shown() -> None:
    async def story(person: Person) -> None:
        answer = await person.leave()
        response = await person.come_back(
            state=answer["state"], iss=ISSUER, error="access_denied", error_description="<b>No</b>"
        )
        assert response.status_code == 502
        assert "access_denied" in response.text
        assert "&lt;b&gt;No&lt;/b&gt;" in response.text

    tell(story)


def test_refused_refresh_says_why_and_keeps_the_page() -> None:
    async def story(person: Person) -> None:
        await person.sign_in()
        body = {"error": "invalid_grant", "error_description": "Refresh token was revoked."}
        person.fake.answers["/token"] = httpx2.Response(400, json=body)
        response = await person.press("/refresh")
        assert "invalid_grant" in response.text
        assert "Refresh token was revoked." in response.text
        assert "opaque-access" in await person.page()

    tell(story)


def test_somebody_else_in_userinfo_or_refresh_is_refused() -> None:
    async def story(person: Person) -> None:
        await person.sign_in()
        person.fake.answers["/userinfo"] = httpx2.Response(200, json={"sub": "u2"})
        assert "another person" in (await person.press("/userinfo")).text
        person.fake.claims = {"sub": "u2"}
        assert "another person" in (await person.press("/refresh")).text

    tell(story)


def test_unreachable_provider_is_a_sentence() -> None:
    async def story(person: Person) -> None:
        person.fake.reachable = False
        response = await person.press("/login")
        assert response.status_code == 502
        assert f"The provider at {ISSUER} cannot be reached" in response.text

    tell(story)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={}),
        httpx2.Response(200, json={"keys": 1, "id_token": 1, "access_token": []}),
        httpx2.Response(404),
        httpx2.Response(503, text="later"),
        httpx2.Response(302, headers={"location": "https://evil.test"}),
    ],
    ids=["html", "list", "empty", "odd", "404", "503", "302"],
)
def test_odd_answers_are_an_error_page_and_never_a_crash(
    path: str, answer: httpx2.Response
) -> None:
    async def story(person: Person) -> None:
        person.fake.answers[path] = answer
        response = await person.press("/login")
        if response.status_code == 303:
            back = person.fake.authorize(response.headers["location"])
            response = await person.come_back(**back)
        assert response.status_code == 502
        assert "That did not work" in response.text

    tell(story)


def test_provider_of_another_name_is_refused() -> None:
    async def story(person: Person) -> None:
        person.fake.metadata = {"issuer": "https://evil.test"}
        assert "calls itself https://evil.test" in (await person.press("/login")).text

    tell(story)


def test_unknown_address_is_a_page() -> None:
    async def story(person: Person) -> None:
        response = await person.browser.get("/nothing")
        assert response.status_code == 404
        assert "Back to the start" in response.text

    tell(story)


def test_number_of_sessions_and_attempts_is_bounded() -> None:
    sessions = Sessions(limit=3)
    first, *others = [sessions.open() for _ in range(3)]
    sessions.find(first.id)
    sessions.open()
    assert sessions.find(first.id) is first
    assert sessions.find(others[0].id) is None
