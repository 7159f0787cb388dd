"""etcd, for kube-apiserver to keep its objects in."""

import base64
from collections.abc import Iterator
from pathlib import Path
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
        """Start and wait until it is healthy; raises `ServerFailed` after a minute."""
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
        self._process.wait_until(self._is_healthy, within=60)

    def stop(self) -> None:
        """Stop it, within 30 s; harmless when it does not run."""
        if self._process is not None:
            self._process.stop(within=30)

    def dump(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key and value, as somebody has them who got hold of a backup."""
        start = b"\0"
        while True:
            # "\0" as the end of a range means: all keys from the start on.
            wanted = {"key": _base64(start), "range_end": _base64(b"\0"), "limit": "500"}
            answer = httpx.post(f"{self.url}/v3/kv/range", json=wanted, trust_env=False)
            page = answer.raise_for_status().json()
            for entry in page.get("kvs", []):
                start = base64.b64decode(entry["key"]) + b"\0"
                yield start[:-1], base64.b64decode(entry.get("value", ""))
            if not page.get("more"):
                return

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _is_healthy(self) -> bool:
        return httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
