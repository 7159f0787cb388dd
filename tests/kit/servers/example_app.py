"""The example application as people run it: `python -m examples.app` in a process of its own."""

import sys
from pathlib import Path
from typing import Self

import httpx

from tests.kit.servers.process import Process

_START_SECONDS = 60
_STOP_SECONDS = 30


class ExampleApp:
    """One example application on `127.0.0.1:port`, a client of `issuer`."""

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        port: int,
        ca_file: Path,
        directory: Path,
    ) -> None:
        """Nothing starts yet; its redirect URI is `/callback` below `url`."""
        address = f"127.0.0.1:{port}"
        self._command = [
            *(sys.executable, "-m", "examples.app"),
            f"--issuer={issuer}",
            f"--client-id={client_id}",
            f"--client-secret={client_secret}",
            f"--listen={address}",
            f"--ca={ca_file}",
        ]
        self._process: Process | None = None
        self.url = f"http://{address}"
        self.log = directory / "example-app.log"

    def __enter__(self) -> Self:
        self._process = Process(self._command, log=self.log)
        self._process.wait_until(self._is_served, within=_START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop(within=_STOP_SECONDS)

    def _is_served(self) -> bool:
        return httpx.get(self.url, trust_env=False).status_code == 200
