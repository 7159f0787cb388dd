"""The product as people run it: `python -m idp serve CONFIG` in a process of its own."""

import json
import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import yaml

from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.process import Process, ServerFailed, log_tail

_DISCOVERY = "/.well-known/openid-configuration"
_START_SECONDS = 60
_STOP_SECONDS = 30
ANSWER_SECONDS = 30
"""How soon it answers is for tests to measure that promise it: this only ends what hangs."""


class IdpProcess:
    """One provider. Entering starts it and waits until its issuer's own health says so.

    `config` is the document of `idp serve`; its `issuer` must lead to this process. `ca` signed the
    certificate of an https issuer. `cwd` is where it runs and where configuration and log are.
    Of several replicas each has a `port` of its own, to which `client` goes, whatever the issuer's.
    """

    def __init__(
        self,
        config: Mapping[str, object],
        *,
        cwd: Path,
        ca: CertificateAuthority | None = None,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self._config = config
        self._cwd = cwd
        self._ca = ca
        self._env = env
        self._process: Process | None = None
        self._port = port
        self.issuer = str(config["issuer"])
        self.log = cwd / "idp.log"

    @property
    def pid(self) -> int:
        """The process id of the running provider."""
        return self._running().pid

    def start(self) -> None:
        """Start and wait until it is ready; raises `ServerFailed` with what it said."""
        self.launch()
        self.wait_until_served()

    def launch(self) -> None:
        """Start it and return at once."""
        self._cwd.mkdir(parents=True, exist_ok=True)
        path = self._cwd / "config.yaml"
        path.write_text(yaml.safe_dump(dict(self._config), sort_keys=False))
        self._process = Process(
            [sys.executable, "-P", "-m", "idp", "serve", path],
            log=self.log,
            cwd=self._cwd,
            env=self._env,
        )

    def wait_until_served(self, *, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until it is ready, or it is so that it will never be.

        Raises `ServerFailed` with what it said, also after a minute.
        """

        def is_served() -> bool:
            if unless():
                raise ServerFailed(f"idp does not come up\n{log_tail(self.log)}")
            return self._is_served(client)

        with self.client() as client:
            self._running().wait_until(is_served, within=_START_SECONDS)

    def stop(self) -> None:
        """Stop it with SIGTERM; raises `ServerFailed` unless it ends in good order."""
        status = self._running().stop(within=_STOP_SECONDS)
        self._process = None
        if status:
            raise ServerFailed(f"idp ended with status {status}\n{log_tail(self.log)}")

    def restart(self, config: Mapping[str, object] | None = None) -> None:
        """Stop and start, with another configuration if one is given."""
        self.stop()
        if config is not None:
            self._config = config
            self.issuer = str(config["issuer"])
        self.start()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._running().kill()
        self._process = None

    def kill_if_running(self) -> None:
        """End it as a power cut would; harmless when it does not run."""
        if self._process is not None:
            self.kill()

    def client(self) -> httpx.Client:
        """Return an HTTP client that trusts the provider's certificate and follows nothing."""
        verify = True if self._ca is None else self._ca.client_context()
        transport = None if self._port is None else _Straight(self._port, verify=verify)
        return httpx.Client(
            base_url=self.issuer,
            verify=verify,
            trust_env=False,
            transport=transport,
            timeout=ANSWER_SECONDS,
        )

    def log_lines(self) -> list[Mapping[str, object]]:
        """Return the log so far, over all starts; raises `ServerFailed` at a line not JSON."""
        whole, _, _ = self.log.read_text().rpartition("\n")
        return [_parse(line) for line in whole.splitlines()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        if error is None:
            self.stop()
        else:
            self.kill()

    def _running(self) -> Process:
        if self._process is None:
            raise ServerFailed("idp does not run: it was stopped, or never started")
        return self._process

    def _is_served(self, client: httpx.Client) -> bool:
        base = self.issuer.rstrip("/")
        answer = client.get(f"{base}{_DISCOVERY}")
        # The key set and discovery are there before everything else is.
        if answer.status_code != 200 or client.get(f"{base}/healthz").status_code != 200:
            return False
        stated = answer.json()["issuer"]
        if stated != self.issuer:
            raise ServerFailed(f"{self.issuer} is served by {stated}: is its port in use?")
        return True


class _Straight(httpx.BaseTransport):
    """Connects to one port whatever the URL says; the `Host` stays the URL's."""

    def __init__(self, port: int, *, verify: ssl.SSLContext | bool) -> None:
        self._port = port
        self._inner = httpx.HTTPTransport(verify=verify)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=self._port)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def _parse(line: str) -> Mapping[str, object]:
    try:
        parsed = json.loads(line)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ServerFailed(f"a line of the log is no JSON object: {line}")
    return parsed
