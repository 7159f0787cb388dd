"""Several providers of one issuer behind one address, as a Deployment and its Service are."""

from collections.abc import Mapping
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tests.kit.servers.balancer import Balancer
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import ANSWER_SECONDS, IdpProcess
from tests.kit.servers.process import free_port


class Replicas:
    """`count` providers on one store. Entering starts them all at the same moment; leaving kills.

    `config` is the configuration of one of them, on https; its issuer's port is replaced by the
    balancer's. Each runs in a directory of its own below `directory`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        directory: Path,
        ca: CertificateAuthority,
        count: int = 3,
    ) -> None:
        ports = [free_port() for _ in range(count)]
        self._ca = ca
        self._balancer = Balancer(ports)
        self._stack = ExitStack()
        host = urlsplit(str(config["issuer"])).hostname
        self.issuer = f"https://{host}:{self._balancer.port}"
        self.telemetry = [f"127.0.0.1:{free_port()}" for _ in range(count)]
        self.each = [
            IdpProcess(
                _of_replica(config, self.issuer, port=port, telemetry=telemetry),
                cwd=directory / f"replica-{number}",
                ca=ca,
                port=port,
            )
            for number, (port, telemetry) in enumerate(zip(ports, self.telemetry, strict=True))
        ]

    def client(self, *, connections_kept: int = 20) -> httpx.Client:
        """Return an HTTP client that goes through the balancer, one replica per connection.

        With no connections kept each request goes to another replica than the one before.
        """
        return httpx.Client(
            base_url=self.issuer,
            verify=self._ca.client_context(),
            trust_env=False,
            timeout=ANSWER_SECONDS,
            limits=httpx.Limits(max_keepalive_connections=connections_kept),
        )

    def is_ready(self, number: int) -> bool:
        """Tell whether a replica says of itself that it can take traffic."""
        url = f"http://{self.telemetry[number]}/healthz/ready"
        try:
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def log_lines(self) -> list[Mapping[str, object]]:
        """Return what all of them logged, one after the other."""
        return [line for replica in self.each for line in replica.log_lines()]

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.enter_context(self._balancer)
            for replica in self.each:
                replica.launch()
                # Each would drain for seconds; how that is done is another test's concern.
                self._stack.callback(replica.kill_if_running)
            for replica in self.each:
                replica.wait_until_served()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)


def _of_replica(
    config: Mapping[str, Any], issuer: str, *, port: int, telemetry: str
) -> Mapping[str, object]:
    own = deepcopy(dict(config))
    own["issuer"] = issuer
    own["web"]["https"] = f"127.0.0.1:{port}"
    own["telemetry"] = {**own.get("telemetry", {}), "http": telemetry}
    return own
