"""A provider of its own for the benchmark, in processes of its own."""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

CLIENT = ("bench", "bench-client-secret-long-enough")
CALLBACK = "http://127.0.0.1:9/callback"
PASSWORD = "password"
# argon2id of the smallest cost: the figures leave the password hash out.
PASSWORD_HASH = (
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$lMPgVYwd4ZAQkOipZGNRk1H0ZPrbAaRuGKXEIUYK9t8"
)
USERS = 64


def user(number: int) -> str:
    """Return the address of one of the users."""
    return f"user-{number % USERS}@example.com"


_CONFIG = """
issuer: http://127.0.0.1:{port}
storage: {storage}
web: {{http: "127.0.0.1:{port}", workers: {workers}}}
oauth2:
  grantTypes: [authorization_code, refresh_token, client_credentials]
  skipApprovalScreen: true
logger: {{level: info}}
staticClients:
- {{id: {client}, name: Bench, secret: {secret}, redirectURIs: ["{callback}"]}}
enablePasswordDB: true
staticPasswords:
{users}
connectors: {connectors}
"""


_USER = """- email: {email}
  username: jane
  preferredUsername: jane
  userID: {email}
  groups: [developers, on-call, team-a, team-b]
  hash: {hash}"""


@dataclass(frozen=True, slots=True)
class Running:
    """A running provider."""

    url: str
    pid: int
    seconds_to_ready: float


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_provider(
    storage: Mapping[str, object],
    *,
    port: int,
    workers: int,
    connectors: Sequence[Mapping[str, object]] = (),
) -> Iterator[Running]:
    """Start a provider on a store, wait until it answers, stop it at the end.

    A store serves one issuer: whoever comes back to it takes the same port. `connectors` stand
    beside the local users, as in a configuration file.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        config = directory / "idp.yaml"
        config.write_text(
            _CONFIG.format(
                port=port,
                workers=workers,
                storage=json.dumps(storage),
                connectors=json.dumps(connectors),
                client=CLIENT[0],
                secret=CLIENT[1],
                callback=CALLBACK,
                users="\n".join(
                    _USER.format(email=user(number), hash=PASSWORD_HASH) for number in range(USERS)
                ),
            )
        )
        log = (directory / "log").open("wb")
        started = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "idp", "serve", str(config)], stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for(url, process)
            yield Running(url, process.pid, time.monotonic() - started)
        finally:
            process.terminate()
            process.wait(20)
            log.close()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise SystemExit(f"the provider does not answer at {url}")
