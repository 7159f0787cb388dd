"""The people, the clients and the provider of the end-to-end tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from connectors.passwords import new_hash
from tests.kit.relying_party import RelyingParty
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.process import free_port
from tests.kit.stores import Store

MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
"""What a page must show and never run."""

AUDIENCE = "kubernetes"
"""The client id that the API server accepts tokens for."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in."""

    email: str
    name: str
    password: str = field(repr=False)
    groups: tuple[str, ...]
    departments: tuple[str, ...] = ()
    """What an operator's own claim `department` says."""


JANE = Account(
    "jane@example.com",
    "Jane Doe",
    "correct horse",
    ("developers", "on-call"),
    departments=("platform", "security"),
)
OMAR = Account("omar@example.com", "عمر خليل", "päß wörd", ("guests",), departments=("sales",))
MALLORY = Account("mallory@example.com", MARKUP, "battery staple", (MARKUP,))

EXAMPLE_SECRET = "the-secret-of-the-example-application"
_REDIRECT_URI_OF_THE_EXAMPLE = "http://127.0.0.1:5555/callback"
HOSTILE_REDIRECT = "https://hostile.test/callback"


def provider_config(
    directory: Path,
    *,
    ca: CertificateAuthority | None,
    store: Store,
    overrides: Mapping[str, object] | None = None,
    clients: Sequence[Mapping[str, object]] = (),
    redirect_uri_of_the_example: str = _REDIRECT_URI_OF_THE_EXAMPLE,
) -> dict[str, object]:
    """Return a configuration on a free port: https with an authority, http without one.

    Certificate and key lie in `directory`. `overrides` replaces whole top-level keys;
    `clients` come before those that are always there.
    """
    address = f"127.0.0.1:{free_port()}"
    web: dict[str, object] = {"http": address}
    if ca is not None:
        serving = ca.issue(directory / "serving")
        web = {
            "https": address,
            "tlsCert": str(serving.certificate),
            "tlsKey": str(serving.key),
        }
    return {
        "issuer": f"{'http' if ca is None else 'https'}://{address}",
        "storage": dict(store.section),
        "web": web,
        "oauth2": {
            "grantTypes": ["authorization_code", "refresh_token", "client_credentials"],
            "skipApprovalScreen": True,
        },
        "staticClients": [*clients, *_clients(redirect_uri_of_the_example)],
        "enablePasswordDB": True,
        "staticPasswords": [_user(account) for account in (JANE, OMAR, MALLORY)],
        **(overrides or {}),
    }


def kubernetes_party(http: httpx.Client, issuer: str) -> RelyingParty:
    """Return the client that the API server trusts, as a command line is one."""
    return RelyingParty(
        http=http, issuer=issuer, client_id=AUDIENCE, redirect_uri="http://localhost:8000"
    )


def example_party(http: httpx.Client, issuer: str) -> RelyingParty:
    """Return a client with a secret."""
    return RelyingParty(
        http=http,
        issuer=issuer,
        client_id="example-app",
        client_secret=EXAMPLE_SECRET,
        redirect_uri=_REDIRECT_URI_OF_THE_EXAMPLE,
    )


def _clients(redirect_uri_of_the_example: str) -> list[Mapping[str, object]]:
    return [
        {
            "id": AUDIENCE,
            "name": "Kubernetes",
            "public": True,
            "redirectURIs": ["http://localhost:8000"],
            "trustedPeers": ["example-app"],
        },
        {
            "id": "example-app",
            "name": "Example application",
            "secret": EXAMPLE_SECRET,
            "redirectURIs": [redirect_uri_of_the_example],
        },
        {"id": "command-line", "name": "Command line", "public": True},
        {
            "id": "desktop",
            "name": "Desktop application",
            "public": True,
            "redirectURIs": ["com.example.desktop:/callback"],
        },
        {
            "id": "hostile",
            "name": MARKUP,
            "public": True,
            "redirectURIs": [HOSTILE_REDIRECT],
        },
    ]


def _user(account: Account) -> Mapping[str, object]:
    return {
        "email": account.email,
        "username": account.name,
        "name": account.name,
        "preferredUsername": account.email.partition("@")[0],
        "userID": f"id-of-{account.email}",
        "groups": list(account.groups),
        "claims": {"department": list(account.departments)},
        "hash": new_hash(account.password),
    }
