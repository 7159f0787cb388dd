"""Registering clients in tests, in the test's own process and over the wire."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.kit.provider import ProviderUnderTest

INITIAL_TOKEN = "initial-access-token-of-the-tests"
CALLBACK = "https://registered.example.com/callback"
METADATA: dict[str, Any] = {"client_name": "A registered app", "redirect_uris": [CALLBACK]}


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"authorization": f"Bearer {token}"}


@dataclass(frozen=True, slots=True)
class Registered:
    """A client that registered itself, as the answer said."""

    answer: dict[str, Any]

    @property
    def id(self) -> str:
        """Return the client id."""
        return str(self.answer["client_id"])

    @property
    def credentials(self) -> tuple[str, str]:
        """Return id and secret."""
        return self.id, str(self.answer["client_secret"])

    @property
    def path(self) -> str:
        """Return where the registration is managed, below an issuer without a path."""
        return f"/register/{self.id}"

    @property
    def headers(self) -> dict[str, str]:
        """Return the header that proves the registration to be one's own."""
        return bearer(str(self.answer["registration_access_token"]))


def register(idp: ProviderUnderTest, **sent: Any) -> Registered:
    """Register a client with the initial token of the tests; fails on any refusal."""
    response = try_to_register(idp, {**METADATA, **sent})
    assert response.status_code == 201, response.text
    return Registered(response.json())


def register_at(http: httpx.Client, **sent: Any) -> Registered:
    """Register a client at a provider that runs elsewhere; fails on any refusal."""
    response = http.post("/register", json={**METADATA, **sent}, headers=bearer(INITIAL_TOKEN))
    assert response.status_code == 201, response.text
    return Registered(response.json())


def registration_section() -> Mapping[str, object]:
    """Return the section of a configuration that lets these tests register clients."""
    return {"mode": "token", "initialAccessTokens": [INITIAL_TOKEN]}


def try_to_register(
    idp: ProviderUnderTest, body: Any, *, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Return the answer to a request to register, from an address of its own."""
    browser = idp.new_browser("203.0.113.20")
    sent_headers = bearer(INITIAL_TOKEN) if headers is None else headers
    return browser.post("/register", json=body, headers=sent_headers)


def manage(
    idp: ProviderUnderTest, method: str, client: Registered, **options: Any
) -> httpx.Response:
    """Return the answer of the client configuration endpoint."""
    options.setdefault("headers", client.headers)
    return idp.new_browser("203.0.113.21").request(method, client.path, **options)
