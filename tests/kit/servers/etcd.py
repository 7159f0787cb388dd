"""etcd, for kube-apiserver to keep its objects in."""

from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.kit.servers.process import Process, free_port


class Etcd:
    """A single etcd over plain http. Entering starts it; its data outlive `stop` and `start`."""

    def __init__(self, executable: Path, *, directory: Path) -> None:
        """Choose ports; `directory` is made if absent and holds data and log."""
        self._executable = executable
        self._directory = directory
        self._peer_url = f"http://127.0.0.1:{free_port()}"
        self._process: Process | None = None
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = directory / "etcd.log"

    def start(self) -> None:
        """Start and wait until it is healthy; raises `ServerFailed` after 20 s."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._process = Process(
            [
                self._executable,
                f"--data-dir={self._directory / 'data'}",
                f"--listen-client-urls={self.url}",
                f"--advertise-client-urls={self.url}",
                f"--listen-peer-urls={self._peer_url}",
                f"--initial-advertise-peer-urls={self._peer_url}",
                f"--initial-cluster=default={self._peer_url}",
                # The data die with the test; waiting for the disk would only cost time.
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
            log=self.log,
        )
        self._process.wait_until(self._is_healthy, within=20)

    def stop(self) -> None:
        """Stop it, within 10 s; harmless when it does not run."""
        if self._process is not None:
            self._process.stop(within=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _is_healthy(self) -> bool:
        return httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200
