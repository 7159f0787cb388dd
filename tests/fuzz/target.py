"""What the requests of the grammar are sent to, and the values that make some of them good."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

import httpx

from tests.fuzz.grammar import Request
from tests.kit.client_answers import read_answer
from tests.kit.provider import ALICE, PASSWORD, Pkce, base_config, login_page
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.process import free_port

REDIRECTS = ("https://app.example.com/callback", "https://other.example.com/callback",
             "http://localhost:", "http://127.0.0.1:")  # fmt: skip
"""Where the browser may be sent, besides addresses of the provider itself."""

_CLIENTS = 200
_SECRET = "a secret that all of these clients share"


@dataclass(slots=True)
class Target:
    """A running provider, and what a browser and a client have got from it."""

    idp: IdpProcess
    _values: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        parts = urlsplit(self.idp.issuer)
        return str(parts.hostname), int(parts.port or 0)

    def resident_bytes(self) -> int:
        """Return the memory that the process holds."""
        status = Path(f"/proc/{self.idp.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def values_for(self, request: Request) -> dict[str, str]:
        """Return what is filled into a request. Each of many clients sends few wrong secrets."""
        return {**self._values, "client": f"client-{request.number % _CLIENTS}"}

    def sign_in(self) -> None:
        """Sign in anew and keep what comes of it; nothing of it has to be good for long."""
        with self.idp.client() as http:
            self._values = _values(http, self.idp.issuer)


@contextmanager
def running_target(directory: Path) -> Iterator[Target]:
    """Run a provider that serves all it can on a port of its own."""
    config = base_config()
    address = f"127.0.0.1:{free_port()}"
    config["issuer"] = f"http://{address}"
    config["web"] = {"http": address}
    config["oauth2"]["responseTypes"] = ["code", "id_token", "token"]
    config["staticClients"] += [
        {"id": f"client-{number}", "secret": _SECRET, "redirectURIs": [REDIRECTS[0]]}
        for number in range(_CLIENTS)
    ]
    # Somebody whose password is guessed again and again, beside one who signs in.
    mallory = {"email": "mallory@example.com", "userID": "user-2", "username": "mallory"}
    config["staticPasswords"].append({**config["staticPasswords"][0], **mallory})
    with IdpProcess(config, cwd=directory) as idp:
        yield Target(idp)


def _values(http: httpx.Client, issuer: str) -> dict[str, str]:
    pkce = Pkce()
    asked = {
        "client_id": "cli",
        "redirect_uri": "http://localhost:8000",
        "response_type": "code",
        "scope": "openid email offline_access",
        "nonce": secrets.token_hex(8),
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    spent, kept = (_code(http, asked) for _ in range(2))
    form = {
        "grant_type": "authorization_code",
        "code": spent,
        "redirect_uri": asked["redirect_uri"],
        "client_id": asked["client_id"],
        "code_verifier": pkce.verifier,
    }
    tokens = http.post("/token", data=form).raise_for_status().json()
    consent = login_page(_signed_in(http, {**asked, "prompt": "consent"}))
    values = {
        "secret": _SECRET,
        "password": PASSWORD,
        "verifier": pkce.verifier,
        "challenge": pkce.challenge,
        "code": kept,
        "state": login_page(http.get("/auth", params=asked)).state,
        "approval": consent.state,
        "refresh_token": tokens["refresh_token"],
        "access_token": tokens["access_token"],
        "id_token": tokens["id_token"],
    }
    cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    encoded = {name: quote_plus(value) for name, value in values.items()}
    return {**encoded, "cookie": cookie, "origin": issuer}


def _code(http: httpx.Client, asked: Mapping[str, str]) -> str:
    return read_answer(_signed_in(http, asked)).members["code"]


def _signed_in(http: httpx.Client, asked: Mapping[str, str]) -> httpx.Response:
    page = login_page(http.get("/auth", params=asked))
    form = {"login": ALICE, "password": PASSWORD, "state": page.state}
    return http.post(page.action, data=form)
