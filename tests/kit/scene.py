"""The people, the clients and the provider of the end-to-end tests."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from connectors.passwords import new_hash
from storage.kinds import GRANTS
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.process import free_port

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


JANE = Account("jane@example.com", "Jane Doe", "correct horse", ("developers", "on-call"))
OMAR = Account("omar@example.com", "عمر خليل", "päß wörd", ("guests",))
MALLORY = Account("mallory@example.com", MARKUP, "battery staple", (MARKUP,))

EXAMPLE_SECRET = "the-secret-of-the-example-application"
HOSTILE_REDIRECT = "https://hostile.test/callback"


def provider_config(
    directory: Path,
    *,
    ca: CertificateAuthority | None,
    overrides: Mapping[str, object] | None = None,
    clients: Sequence[Mapping[str, object]] = (),
    redirect_uri_of_the_example: str = "http://127.0.0.1:5555/callback",
) -> dict[str, object]:
    """Return a configuration on a free port: https with an authority, http without one.

    State, certificate and key lie in `directory`. `overrides` replaces whole top-level keys;
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
        "storage": {"type": "sqlite3", "config": {"file": str(directory / "idp.db")}},
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


def grants_stored(directory: Path) -> int:
    """Return how many logins a provider of `provider_config` keeps in its store."""
    uri = f"file:{directory / 'idp.db'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as database:
        found = database.execute("SELECT count(*) FROM documents WHERE kind = ?", [GRANTS.name])
        return int(found.fetchone()[0])


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
        "hash": new_hash(account.password),
    }
