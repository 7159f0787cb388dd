"""What tests of sessions share: a provider that has them, and what a browser holds of one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from connectors.base import Identity, IdentityGone
from idp.keys import base64url
from storage.base import Backend
from tests.kit.provider import (
    OTHER,
    PASSWORD_HASH,
    Browser,
    ProviderUnderTest,
    answer_of,
    base_config,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend

BOB = "bob@example.com"
ABOUT_OTHER = {"client_id": OTHER[0], "redirect_uri": "https://other.example.com/callback"}
"""What changes a request of the first client into one of the other."""

Changes = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class World:
    """A provider with sessions, and a hand on its store."""

    provider: ProviderUnderTest
    faults: Faults
    stores: list[Backend] = field(default_factory=list)

    def sign_in(self, browser: Browser, changes: Changes | None = None, **options: Any) -> str:
        """Sign in by password and return the code."""
        return self.provider.code(changes, browser=browser, **options)

    def visit(self, browser: Browser, changes: Changes | None = None) -> httpx.Response:
        """Return the answer to an authorization request."""
        return self.provider.authorize(changes, browser=browser)

    def is_known(self, browser: Browser, changes: Changes | None = None) -> bool:
        """Return whether a request is answered with a code, without a form."""
        response = self.visit(browser, changes)
        return response.status_code == 303 and "code" in answer_of(response)

    def tokens(self, code: str) -> dict[str, Any]:
        """Redeem a code of the first client."""
        answer: dict[str, Any] = self.provider.redeem(code).raise_for_status().json()
        return answer

    def tokens_of_other(self, code: str) -> dict[str, Any]:
        """Redeem a code of the other client."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": ABOUT_OTHER["redirect_uri"],
        }
        answer: dict[str, Any] = self.provider.token(form, auth=OTHER).raise_for_status().json()
        return answer

    def session_of(self, browser: Browser) -> str:
        """Return the name of the session that a browser holds a reference to."""
        return session_cookie(browser)[1].partition(".")[0]

    def remove(self, name: str) -> None:
        """Delete a record, as somebody with kubectl can."""
        self.provider.portal.call(self.stores[0].remove, "refresh-grants", name)


def config_with_sessions(**sessions: object) -> dict[str, Any]:
    """Return a configuration with sessions that all clients share, and two people."""
    config = base_config()
    config["sessions"] = {"ssoSharedWithDefault": "all", **sessions}
    bob = {"email": BOB, "hash": PASSWORD_HASH, "username": "bob", "userID": "user-2"}
    config["staticPasswords"].append(bob)
    return config


@contextmanager
def world_of(config: Mapping[str, Any] | None = None, **options: Any) -> Iterator[World]:
    """Start a provider for a configuration, by default one with sessions."""
    faults, stores = Faults(), list[Backend]()

    def wrap(backend: Backend) -> Backend:
        stores.append(backend)
        return FlakyBackend(backend, faults)

    chosen = config_with_sessions() if config is None else config
    with provider_under_test(chosen, wrap_backend=wrap, **options) as provider:
        yield World(provider, faults, stores)


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token, unverified."""
    found: dict[str, Any] = json.loads(base64url.decode(token.split(".")[1]))
    return found


def session_cookie(browser: Browser) -> tuple[str, str]:
    """Return name and value of a browser's session cookie. Raises LookupError without one."""
    for cookie in browser.client.cookies.jar:
        if "session" in cookie.name and cookie.value:
            return cookie.name, cookie.value
    raise LookupError("the browser holds no session")


def set_session_cookie(browser: Browser, name: str, value: str) -> None:
    """Put a session cookie into a browser, in place of its own."""
    browser.client.cookies.delete(name)
    browser.client.cookies.set(name, value, domain="idp.example.com", path="/")


@dataclass(slots=True)
class ForgetfulConnector:
    """A connector that no longer knows anybody once a test says so."""

    inner: Any
    has_forgotten: bool = False

    @property
    def username_prompt(self) -> str:
        """Return the inner connector's."""
        return str(self.inner.username_prompt)

    async def login(self, username: str, password: str) -> Identity:
        """Do as the inner connector does."""
        identity: Identity = await self.inner.login(username, password)
        return identity

    async def refresh(self, identity: Identity) -> Identity:
        """Do as the inner connector does, or raise IdentityGone."""
        if self.has_forgotten:
            raise IdentityGone("forgotten by the test")
        refreshed: Identity = await self.inner.refresh(identity)
        return refreshed
