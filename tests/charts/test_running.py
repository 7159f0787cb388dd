"""The rendered command runs as a process, since no kubelet is here to run the pod.

It keeps its state in memory: that the store is the API server is what `tests/e2e` is about.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.charts.cases import Render
from tests.kit.servers.helm import Rendered
from tests.kit.servers.process import Process, free_port

pytestmark = pytest.mark.servers

_MOUNTED = "/etc/kube-idp"


@dataclass(frozen=True, slots=True)
class Pod:
    """What a kubelet would have made of the rendered pod: files, command, ports."""

    rendered: Rendered
    process: Process
    log: Path

    def probe(self, name: str) -> int:
        """Return the status that a probe gets; the `Host` is the pod's address, as a kubelet's."""
        asked = self.rendered.container()[name]["httpGet"]
        url = f"http://127.0.0.1:{self.port(asked['port'])}{asked['path']}"
        return httpx.get(url, headers={"Host": "10.244.0.7:5558"}, trust_env=False).status_code

    def port(self, name: str) -> int:
        """Return the number of a named port of the container."""
        named = {port["name"]: port["containerPort"] for port in self.rendered.container()["ports"]}
        return int(named[name])


@pytest.fixture(scope="module")
def pod(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    directory = tmp_path_factory.mktemp("pod")
    http, telemetry = free_port(), free_port()
    rendered = render(
        replicaCount=1,
        config={
            "issuer": f"http://localhost:{http}",
            "storage": {"type": "memory"},
            "web": {"http": f"127.0.0.1:{http}"},
            "telemetry": {"http": f"127.0.0.1:{telemetry}"},
        },
    )
    process = Process(_command(rendered, directory), log=directory / "idp.log", cwd=directory)
    running = Pod(rendered, process, process.log)
    try:
        process.wait_until(lambda: running.probe("startupProbe") == 200, within=60)
        process.wait_until(lambda: running.probe("readinessProbe") == 200, within=60)
        yield running
    finally:
        process.kill()


def test_probes_are_answered(pod: Pod) -> None:
    assert pod.probe("livenessProbe") == 200
    assert pod.probe("readinessProbe") == 200


def test_service_leads_to_discovery(pod: Pod) -> None:
    (port,) = pod.rendered.one("Service")["spec"]["ports"]
    issuer = pod.rendered.config()["issuer"]
    where = f"http://localhost:{pod.port(port['targetPort'])}"

    found = httpx.get(f"{where}/.well-known/openid-configuration", trust_env=False).json()

    assert found["issuer"] == issuer


def test_metrics_are_on_the_telemetry_port_alone(pod: Pod) -> None:
    def status(port: str) -> int:
        url = f"http://localhost:{pod.port(port)}/metrics"
        return httpx.get(url, trust_env=False).status_code

    assert (status("telemetry"), status("http")) == (200, 404)


def test_check_accepts_what_the_chart_renders(render: Render, tmp_path: Path) -> None:
    rendered = render()
    _, config = _files(rendered, tmp_path)

    answer = subprocess.run(
        [sys.executable, "-P", "-m", "idp", "check", config], capture_output=True, text=True
    )

    assert answer.returncode == 0, answer.stderr
    assert "ok, issuer https://login.example.com" in answer.stdout


def _command(rendered: Rendered, directory: Path) -> list[str | Path]:
    """Return the container's command line, for this machine's files and program."""
    container = rendered.container()
    assert container["command"] == ["idp"]
    mounted, config = _files(rendered, directory)
    arguments = [config if argument == mounted else argument for argument in container["args"]]
    assert config in arguments
    return [sys.executable, "-P", "-m", "idp", *arguments]


def _files(rendered: Rendered, directory: Path) -> tuple[str, Path]:
    """Write what the pod's volume holds; return where it is in the pod, and where it is here."""
    mounts = {mount["name"]: mount["mountPath"] for mount in rendered.container()["volumeMounts"]}
    assert mounts["config"] == _MOUNTED
    (name,) = rendered.one("Secret")["data"]
    path = directory / name
    path.write_text(rendered.config_text())
    return f"{_MOUNTED}/{name}", path
