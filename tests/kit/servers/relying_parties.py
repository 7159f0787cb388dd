"""Other people's relying parties, each a web application in a process of its own."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.kit.install.peers import SOURCES, Peers
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.process import Process, ServerFailed, free_port

_START_SECONDS = 60


def node_program(peers: Peers, name: str, *, directory: Path) -> Sequence[str | Path]:
    """Return the command for a program of `tests/peers/node`, put beside its modules.

    Node.js looks for modules beside the file that imports them, and nowhere else.
    """
    directory.mkdir(parents=True, exist_ok=True)
    program = Path(shutil.copy(SOURCES / "node" / name, directory))
    (directory / "node_modules").symlink_to(peers.node_modules)
    return [peers.node, program]


def command_of(library: str, peers: Peers, *, directory: Path) -> Sequence[str | Path]:
    """Return the command that starts the application made with a library."""
    if library == "authlib":
        return [sys.executable, "-P", SOURCES / "authlib_party.py"]
    if library == "go-oidc":
        return [peers.go_oidc]
    return node_program(peers, "openid_client.mjs", directory=directory / "node")


@dataclass(slots=True)
class RelyingPartyProcess:
    """One application, at `url` once it is started; gone when its block is left.

    It discovers its provider at the start, so that has to run by then.
    """

    library: str
    peers: Peers
    ca: CertificateAuthority
    directory: Path
    address: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    _process: Process | None = None

    @property
    def url(self) -> str:
        """Return where people find it."""
        return f"https://{self.address}"

    def client(self, client_id: str, **more: Any) -> dict[str, Any]:
        """Return it as an entry of `staticClients`."""
        return {
            "id": client_id,
            "name": f"Made with {self.library}",
            "redirectURIs": [f"{self.url}/callback"],
            "postLogoutRedirectURIs": [f"{self.url}/signed-out"],
            "backchannelLogoutURI": f"{self.url}/backchannel",
            "backchannelLogoutSessionRequired": True,
            **more,
        }

    def start(self, config: Mapping[str, Any]) -> None:
        """Start it and return at once; `config` goes to its program beside its own address."""
        self.directory.mkdir(parents=True, exist_ok=True)
        ca = self.ca.write(self.directory / "ca.crt")
        serving = self.ca.issue(self.directory)
        path = self.directory / "config.json"
        own = {
            "url": self.url,
            "listen": self.address,
            "ca": str(ca),
            "certificate": str(serving.certificate),
            "key": str(serving.key),
        }
        path.write_text(json.dumps({**own, **config}))
        command = command_of(self.library, self.peers, directory=self.directory)
        log = self.directory / f"{self.library}.log"
        # How Node.js is told whom to trust.
        env = {"NODE_EXTRA_CA_CERTS": str(ca)}
        self._process = Process([*command, path], log=log, cwd=self.directory, env=env)

    def wait_until_served(self) -> None:
        """Wait until it answers; raises `ServerFailed` with what it said."""
        if self._process is None:
            raise ServerFailed(f"{self.library} was not started")
        self._process.wait_until(lambda: bool(self.state()), within=_START_SECONDS)

    def state(self) -> dict[str, Any]:
        """Return what the application knows."""
        return self._told("GET", "/state")

    def refresh(self) -> dict[str, Any]:
        """Have it renew its tokens; `error` is in the answer if it could not."""
        return self._told("POST", "/refresh")

    def userinfo(self) -> dict[str, Any]:
        """Have it ask userinfo; `error` is in the answer if it could not."""
        return self._told("POST", "/userinfo")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()

    def _told(self, method: str, path: str) -> dict[str, Any]:
        with httpx.Client(verify=self.ca.client_context(), trust_env=False) as http:
            answer: dict[str, Any] = http.request(method, self.url + path, timeout=30).json()
        return answer
