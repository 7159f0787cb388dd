"""A whole provider in the test's own process, driven as a browser and as a client would.

Everything is real but the network, the clock and the pause after a wrong password. Requests go
through the same ASGI application that the server serves; only the transport is left out.
"""

import json
import re
import secrets
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache, partial
from hashlib import sha256
from html import unescape
from pathlib import Path
from types import CodeType
from typing import Any, ClassVar, cast
from urllib.parse import parse_qsl, urlsplit

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from prometheus_client import CollectorRegistry

from idp.app import Connectors, Provider, Surroundings
from idp.keys.jwks import new_signing_key
from idp.oauth.standing import Standings
from idp.settings import Settings, parse
from idp.transport.documents import DocumentsApp
from storage.base import Backend
from storage.records import SigningKey
from tests.kit.clock import HandClock
from tests.kit.directories import FakeDirectories
from tests.kit.objects import FakeObjects

ISSUER = "https://idp.example.com"
CALLBACK = "https://app.example.com/callback"
CONFIDENTIAL = ("app", "the secret of the app, long enough")
OTHER = ("other", "the secret of the other app, long too")
PUBLIC = "cli"
PASSWORD = "correct horse battery staple"
# argon2id of PASSWORD, cheap on purpose: made with 8 KiB and one pass.
PASSWORD_HASH = (
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$E/9XOcEJe3mPXG7g015mjI/Ptw7gpcl7bw+7BNqI9bQ"
)
ALICE = "alice@example.com"


def base_config() -> dict[str, Any]:
    """Return a configuration with everything that most tests need; each call a fresh one."""
    return {
        "issuer": ISSUER,
        "storage": {"type": "memory"},
        "web": {"http": "127.0.0.1:0"},
        "oauth2": {
            "grantTypes": ["authorization_code", "refresh_token", "client_credentials"],
            "skipApprovalScreen": True,
        },
        "staticClients": [
            {
                "id": CONFIDENTIAL[0],
                "name": "The App",
                "secret": CONFIDENTIAL[1],
                "redirectURIs": [CALLBACK],
            },
            {
                "id": OTHER[0],
                "name": "Another App",
                "secret": OTHER[1],
                "redirectURIs": ["https://other.example.com/callback"],
                "trustedPeers": [CONFIDENTIAL[0]],
            },
            {"id": PUBLIC, "name": "Command line", "public": True,
             "redirectURIs": ["http://localhost:8000", "http://127.0.0.1:8000/done"]},
        ],
        "enablePasswordDB": True,
        "staticPasswords": [
            {
                "email": ALICE,
                "hash": PASSWORD_HASH,
                "username": "alice",
                "name": "Alice Liddell",
                "preferredUsername": "alice",
                "userID": "user-1",
                "groups": ["developers", "admins"],
            }
        ],
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pkce:
    """A verifier and its challenge (RFC 7636 section 4)."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """Return the S256 challenge."""
        digest = sha256(self.verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Browser:
    """An HTTP client with cookies whose requests run in the loop of the provider."""

    client: httpx.AsyncClient
    portal: BlockingPortal

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request; no redirect is followed."""
        call: Callable[[], Awaitable[httpx.Response]] = partial(
            self.client.request, method, url, **options
        )
        return self.portal.call(call)

    def get(self, url: str, **options: Any) -> httpx.Response:
        """Send a GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        """Send a POST."""
        return self.request("POST", url, **options)


@dataclass(frozen=True, slots=True)
class LoginPage:
    """The form of a login page."""

    action: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUnderTest:
    """A provider, the hands of its clock, and one browser; `new_browser` opens others."""

    provider: Provider
    portal: BlockingPortal
    clock: HandClock
    browser: Browser

    def new_browser(self, address: str = "192.0.2.1") -> Browser:
        """Return a browser without cookies at another address."""
        return _browser(self.provider, self.portal, address)

    def authorize(
        self, changes: Mapping[str, str | None] | None = None, *, browser: Browser | None = None
    ) -> httpx.Response:
        """Return the answer to an authorization request of the confidential client."""
        parameters = authorization_parameters(changes or {})
        return (browser or self.browser).get("/auth", params=parameters)

    def sign_in(
        self,
        changes: Mapping[str, str | None] | None = None,
        *,
        username: str = ALICE,
        password: str = PASSWORD,
        browser: Browser | None = None,
    ) -> httpx.Response:
        """Return the answer to the login form that an authorization request leads to."""
        page = login_page(self.authorize(changes, browser=browser))
        return (browser or self.browser).post(
            page.action, data={"login": username, "password": password, "state": page.state}
        )

    def code(self, changes: Mapping[str, str | None] | None = None, **options: Any) -> str:
        """Return a fresh code."""
        return answer_of(self.sign_in(changes, **options))["code"]

    def token(
        self,
        form: Mapping[str, str],
        *,
        auth: tuple[str, str] | None = CONFIDENTIAL,
    ) -> httpx.Response:
        """Return the answer of the token endpoint, asked from an address of its own."""
        return self.new_browser("198.51.100.7").post("/token", data=dict(form), auth=auth)

    def redeem(self, code: str, changes: Mapping[str, str] | None = None) -> httpx.Response:
        """Return the answer to a code, redeemed by the confidential client."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return self.token({**form, **(changes or {})})

    def tokens(self, scope: str = "openid email profile groups offline_access") -> dict[str, Any]:
        """Return the tokens of a whole login."""
        answer: dict[str, Any] = self.redeem(self.code({"scope": scope})).raise_for_status().json()
        return answer

    def refresh(self, refresh_token: str, **more: str) -> httpx.Response:
        """Return the answer to a refresh token of the confidential client."""
        return self.token({"grant_type": "refresh_token", "refresh_token": refresh_token, **more})

    def userinfo(self, access_token: str) -> httpx.Response:
        """Return the answer of userinfo."""
        return self.browser.get("/userinfo", headers={"authorization": f"Bearer {access_token}"})


def authorization_parameters(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return parameters of the confidential client; a change to None leaves one out."""
    parameters: dict[str, str | None] = {
        "client_id": CONFIDENTIAL[0],
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid email profile groups offline_access",
        "state": "the state",
        "nonce": "the nonce",
        **changes,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def login_page(response: httpx.Response) -> LoginPage:
    """Return the form of a login page; fails on any other answer."""
    action = re.search(r'<form[^>]*action="([^"]+)"', response.text)
    state = re.search(r'name="state" value="([^"]+)"', response.text)
    assert action is not None, f"{response.status_code} {response.text}"
    assert state is not None, f"{response.status_code} {response.text}"
    return LoginPage(unescape(action[1]), unescape(state[1]))


def answer_of(response: httpx.Response) -> dict[str, str]:
    """Return what a redirect to the client says."""
    assert response.status_code == 303, f"{response.status_code} {response.text}"
    return dict(parse_qsl(urlsplit(response.headers["location"]).query, strict_parsing=True))


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token as they are written; nothing is verified."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


class KeyShelf:
    """Gives each provider its first keys from a shelf: making an RSA key takes 0.1 s."""

    _made: ClassVar[dict[tuple[str, int], SigningKey]] = {}

    def __init__(self) -> None:
        self._given = 0

    def __call__(self, alg: str, now: datetime) -> SigningKey:
        """Return the next key, as if it was made just now."""
        place = (alg, self._given)
        self._given += 1
        if place not in self._made:
            self._made[place] = new_signing_key(alg, now)
        return replace(self._made[place], created_at=now)


@contextmanager
def provider_under_test(
    config: Mapping[str, Any] | None = None,
    *,
    clock: HandClock | None = None,
    wrap_backend: Callable[[Backend], Backend] | None = None,
    wrap_connectors: Callable[[Connectors], Connectors] | None = None,
    wrap_standings: Callable[[Standings], Standings] | None = None,
    new_key: Callable[[str, datetime], SigningKey] | None = None,
    objects: FakeObjects | None = None,
    directories: FakeDirectories | None = None,
) -> Iterator[ProviderUnderTest]:
    """Build and start a provider for a configuration; closed at the end.

    Providers share their first keys unless `new_key` makes others. `objects` are what people write,
    `directories` what LDAP connectors lead to.
    """
    settings = _settings_of(json.dumps(config or base_config()), Path.cwd())
    hand_clock = clock or HandClock()
    registry = CollectorRegistry()
    outside = Surroundings(
        clock=hand_clock,
        random=secrets.token_bytes,
        monotonic=lambda: hand_clock().timestamp(),
        registry=registry,
        exposed=registry,
        pause=_no_pause,
        new_key=new_key or KeyShelf(),
        wrap_backend=wrap_backend or (lambda backend: backend),
        wrap_connectors=wrap_connectors or (lambda connectors: connectors),
        wrap_standings=wrap_standings or (lambda standings: standings),
        wrap_written=lambda _: objects,
        open_ldap=(directories or FakeDirectories()).open,
        system_trust=_nobody_trusted,
        compiled_pages=PageShelf(),
    )
    with start_blocking_portal("asyncio") as portal:
        provider = Provider(settings, outside)
        try:
            portal.call(provider.open)
            browser = _browser(provider, portal, "192.0.2.1")
            yield ProviderUnderTest(
                provider=provider, portal=portal, clock=hand_clock, browser=browser
            )
        finally:
            portal.call(provider.close)


@lru_cache(maxsize=64)
def _settings_of(text: str, directory: Path) -> Settings:
    """Read each configuration once: that takes 5 ms, and nothing can change what comes of it."""
    return parse(text, environ={}, directory=directory)


def _browser(provider: Provider, portal: BlockingPortal, address: str) -> Browser:
    # The transport answers documents before the application; here that layer stands in for it.
    app = DocumentsApp(provider.documents, provider.web)
    transport = httpx.ASGITransport(app=cast(Any, app), client=(address, 50000))
    client = httpx.AsyncClient(transport=transport, base_url=ISSUER)
    return Browser(client, portal)


class PageShelf(BytecodeCache):
    """Gives each provider the pages that the first one compiled, which took 0.2 s."""

    _compiled: ClassVar[dict[str, CodeType]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Hand out what is there; a template that changed has another key."""
        bucket.code = self._compiled.get(bucket.key + bucket.checksum)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        assert bucket.code is not None
        self._compiled[bucket.key + bucket.checksum] = bucket.code


def _nobody_trusted() -> ssl.SSLContext:
    """Reading the system's authorities takes 0.1 s, and no test goes to a host that they know."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def _no_pause(_: float) -> None:
    return None
