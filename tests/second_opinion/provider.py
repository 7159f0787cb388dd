"""One provider as the questions see it, and the two of them, set up alike."""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from idp.clock import Clock, system_clock
from tests.kit.clock import HandClock
from tests.kit.install.peers import Peers
from tests.kit.provider import (
    ALICE,
    CALLBACK,
    CONFIDENTIAL,
    ISSUER,
    OTHER,
    PASSWORD,
    PUBLIC,
    Pkce,
    login_page,
    provider_under_test,
)
from tests.kit.registration import INITIAL_TOKEN, registration_section
from tests.kit.servers.process import Process, free_port
from tests.kit.servers.relying_parties import node_program
from tests.kit.sessions import BOB, config_with_sessions
from tests.kit.signing_client import SigningClient, key_for

OTHER_CALLBACK = "https://other.example.com/callback"
SIGNED_OUT = "https://app.example.com/signed-out"
POSTING = ("posting", "the secret of the app that posts it, long")
SIGNING = "signing"
PEOPLE = {"alice": ALICE, "bob": BOB}
PKCE = Pkce()
ACR = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
_START_SECONDS = 60

Pairs = Sequence[tuple[str, str]]


class Visitor(Protocol):
    """A browser with cookies, or a client without: what sends requests and follows nothing."""

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request to a path of the provider."""
        ...


@dataclass
class Provider:
    """One provider, with clients and people of the same names as the other one."""

    issuer: str
    new_visitor: Callable[[], Visitor]
    sign_in_at: Callable[[Visitor, httpx.Response, str], httpx.Response]
    clock: Clock

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """Return the discovery document."""
        answer = self.new_visitor().request("GET", "/.well-known/openid-configuration")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    @property
    def host(self) -> str:
        """Return host and port of the issuer."""
        return urlsplit(self.issuer).netloc

    def path(self, endpoint: str) -> str:
        """Return the path of an endpoint, such as `token`."""
        key = "jwks_uri" if endpoint == "jwks" else f"{endpoint}_endpoint"
        return urlsplit(str(self.metadata[key])).path

    def ask(
        self, pairs: Pairs, *, method: str = "GET", visitor: Visitor | None = None
    ) -> httpx.Response:
        """Return the answer to an authorization request; a POST is followed to its GET."""
        browser, path = visitor or self.new_visitor(), self.path("authorization")
        if method != "POST":
            return browser.request(method, f"{path}?{urlencode(pairs)}", headers=HTML)
        answer = browser.request("POST", path, content=urlencode(pairs), headers=HTML | FORM)
        return self.followed(answer, browser)

    def followed(self, answer: httpx.Response, browser: Visitor) -> httpx.Response:
        """Return what comes of a redirect from one endpoint to the same endpoint."""
        location = urlsplit(answer.headers.get("location", ""))
        if location.path == answer.request.url.path and location.netloc in ("", self.host):
            return browser.request("GET", location.geturl(), headers=HTML)
        return answer

    def sign_in(
        self, pairs: Pairs, *, person: str = "alice", visitor: Visitor | None = None
    ) -> httpx.Response:
        """Return the answer that a client gets when somebody signed in."""
        browser = visitor or self.new_visitor()
        return self.sign_in_at(browser, self.ask(pairs, visitor=browser), person)

    def code(
        self, changes: Mapping[str, str | None] | None = None, *, visitor: Visitor | None = None
    ) -> str:
        """Return a fresh code for a good request, changed."""
        answer = self.sign_in(request(**(changes or {})), visitor=visitor)
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]

    def tokens(self, *, visitor: Visitor | None = None) -> dict[str, str]:
        """Return the tokens of a login of the first client, with a refresh token."""
        # OIDC Core section 11: no refresh token without a consent.
        offline = {"scope": "openid email offline_access", "prompt": "consent"}
        answer = self.token(redeem(self.code(offline, visitor=visitor)))
        found: dict[str, str] = answer.raise_for_status().json()
        return found

    def token(self, pairs: Pairs, *, auth: tuple[str, str] | None = CONFIDENTIAL) -> httpx.Response:
        """Return the answer of the token endpoint."""
        return self.post("token", pairs, auth=auth)

    def post(
        self, endpoint: str, pairs: Pairs, *, auth: tuple[str, str] | None = None, **headers: str
    ) -> httpx.Response:
        """Return the answer of an endpoint to a form."""
        options: dict[str, Any] = {"headers": {**FORM, **headers}}
        if auth is not None:
            options["auth"] = auth
        body = urlencode(pairs)
        return self.new_visitor().request("POST", self.path(endpoint), content=body, **options)


HTML = {"accept": "text/html"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
_PLAIN = {
    "client_id": CONFIDENTIAL[0],
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid",
    "state": "the state",
    "nonce": "the nonce",
}


def request(**changes: str | None) -> Pairs:
    """Return an authorization request of the first client; a change to None leaves one out."""
    return [(name, value) for name, value in {**_PLAIN, **changes}.items() if value is not None]


def redeem(code: str, /, **changes: str | None) -> Pairs:
    """Return the form that redeems a code."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, **changes}
    return [(name, value) for name, value in form.items() if value is not None]


@contextmanager
def ours() -> Iterator[Provider]:
    """Run our provider in this process."""
    config = config_with_sessions()
    config["oauth2"]["responseTypes"] = ["code", "id_token", "code id_token"]
    config["registration"] = registration_section()
    app, other, public = config["staticClients"]
    for client in (app, other):
        client["tokenEndpointAuthMethod"] = "client_secret_basic"
        del client["name"]
    public["grantTypes"] = ["authorization_code", "refresh_token"]
    public["redirectURIs"] = ["http://127.0.0.1:8000/done"]
    app["postLogoutRedirectURIs"] = [SIGNED_OUT]
    other.pop("trustedPeers")
    posting = {"id": POSTING[0], "secret": POSTING[1], "redirectURIs": [CALLBACK]}
    signing = {"id": SIGNING, "redirectURIs": [CALLBACK], "jwks": _signing_keys()}
    config["staticClients"] += [
        {**posting, "tokenEndpointAuthMethod": "client_secret_post"},
        {**signing, "tokenEndpointAuthMethod": "private_key_jwt"},
    ]
    # Both tell the same time: questions sign what has to be fresh.
    clock = HandClock(system_clock())
    with provider_under_test(config, clock=clock) as running:
        yield Provider(ISSUER, running.new_browser, _sign_in_at_ours, clock)


def _sign_in_at_ours(browser: Visitor, response: httpx.Response, person: str) -> httpx.Response:
    page = login_page(response)
    form = {"login": PEOPLE[person], "password": PASSWORD, "state": page.state}
    answer = browser.request("POST", page.action, data=form)
    if answer.status_code != 200:
        return answer
    approval = login_page(answer)
    form = {"approval": "approve", "state": approval.state}
    return browser.request("POST", approval.action, data=form, headers={"origin": ISSUER})


@contextmanager
def theirs(peers: Peers, directory: Path) -> Iterator[Provider]:
    """Run node-oidc-provider in a process of its own."""
    address = f"127.0.0.1:{free_port()}"
    issuer = f"http://{address}"
    key = key_for("RS256", "of the other provider")
    config = {
        "listen": address,
        "clients": _clients(),
        "keys": [key.as_dict(private=True)],
        "acr_values": [ACR],
        "initial_access_token": INITIAL_TOKEN,
    }
    path = directory / "oidc_provider.json"
    path.write_text(json.dumps(config))
    program = node_program(peers, "oidc_provider.mjs", directory=directory / "node")
    process = Process([*program, path], log=directory / "oidc-provider.log", cwd=directory)
    try:
        provider = Provider(issuer, lambda: _visitor(issuer), _sign_in_at_theirs, system_clock)
        process.wait_until(lambda: bool(provider.metadata), within=_START_SECONDS)
        yield provider
    finally:
        process.kill()


# Nothing speaks TLS here, and reading the machine's authorities for each visitor takes its time.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# Nobody closes a visitor, so it keeps no connection.
_NONE_KEPT = httpx.Limits(max_keepalive_connections=0)


@dataclass(frozen=True, slots=True)
class _HttpVisitor:
    """A visitor over the network."""

    client: httpx.Client

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request."""
        return self.client.request(method, url, **options)


def _visitor(issuer: str) -> Visitor:
    client = httpx.Client(
        base_url=issuer, verify=_NO_AUTHORITIES, limits=_NONE_KEPT, trust_env=False, timeout=20
    )
    return _HttpVisitor(client)


def _sign_in_at_theirs(browser: Visitor, response: httpx.Response, person: str) -> httpx.Response:
    interaction = response.headers["location"]
    resume = browser.request("GET", f"{interaction}?as={person}").headers["location"]
    return browser.request("GET", resume)


def _clients() -> list[dict[str, Any]]:
    web = {"grant_types": ["authorization_code", "refresh_token", "implicit", "client_credentials"],
           "response_types": ["code", "id_token", "code id_token"],
           "redirect_uris": [CALLBACK]}  # fmt: skip
    basic = {**web, "token_endpoint_auth_method": "client_secret_basic"}
    return [
        {**basic, "client_id": CONFIDENTIAL[0], "client_secret": CONFIDENTIAL[1],
         "post_logout_redirect_uris": [SIGNED_OUT]},
        {**basic, "client_id": OTHER[0], "client_secret": OTHER[1],
         "redirect_uris": [OTHER_CALLBACK]},
        {**web, "client_id": POSTING[0], "client_secret": POSTING[1],
         "token_endpoint_auth_method": "client_secret_post"},
        {**web, "client_id": SIGNING, "token_endpoint_auth_method": "private_key_jwt",
         "jwks": _signing_keys()},
        {"client_id": PUBLIC, "token_endpoint_auth_method": "none", "application_type": "native",
         "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
         "redirect_uris": ["http://127.0.0.1:8000/done"]},
    ]  # fmt: skip


def _signing_keys() -> dict[str, Any]:
    return SigningClient(SIGNING, ISSUER).jwks
