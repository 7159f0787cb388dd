"""Commands against an API server that lacks something, refuses, or fails half-way."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from aiohttp import web

from idp.keys.key_file import render
from idp.keys.seal import SealingKey
from tests.kit.fake_api_server import FakeApiServer, Fault, Says
from tests.unit.commands.conftest import NOTHING, Ran, configuration, idp

pytestmark = pytest.mark.anyio

_GRANTS = "/apis/state.kube-idp.dev/v1beta1/namespaces/ns/refreshgrants"
_SECRET = "/api/v1/namespaces/ns/secrets/kube-idp-sealing-keys"
_NOT_SERVED = Says(404, body=b"404 page not found\n")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


def _kubeconfig(directory: Path, port: int) -> Path:
    named = {"name": "a"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{**named, "context": {"cluster": "a", "user": "a", "namespace": "ns"}}],
        "clusters": [{**named, "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{**named, "user": {"token": "t"}}],
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


async def _check(
    directory: Path,
    server: FakeApiServer,
    more: str = "",
    environ: Mapping[str, str] = NOTHING,
) -> Ran:
    kubeconfig = _kubeconfig(directory, server.port)
    storage = f"{{type: kubernetes, config: {{kubeConfigFile: {kubeconfig}{more}}}}}"
    config = configuration(directory, storage)
    return await asyncio.to_thread(idp, "check", "--cluster", config, environ=environ)


async def _run(directory: Path, server: FakeApiServer, *arguments: str) -> Ran:
    kubeconfig = _kubeconfig(directory, server.port)
    return await asyncio.to_thread(idp, *arguments, "--kubeconfig", str(kubeconfig))


def _version(request: web.Request) -> Fault:
    return Says(200, body=b'{"gitVersion": "v1.34.4"}') if request.path == "/version" else None


def _with_secret(text: str) -> Callable[[web.Request], Fault]:
    data = {"keys": base64.b64encode(text.encode()).decode()}
    secret = {"metadata": {"name": "kube-idp-sealing-keys", "resourceVersion": "1"}, "data": data}
    answer = Says(200, body=json.dumps(secret).encode())
    return lambda request: answer if request.path == _SECRET else _version(request)


def _line(ran: Ran, name: str) -> str:
    (found,) = [line for line in ran.out.splitlines() if line[9:].startswith(f"{name}:")]
    return found


async def test_a_definition_that_is_missing_is_named_with_its_remedy(tmp_path: Path) -> None:
    def without_user_states(request: web.Request) -> Fault:
        return _NOT_SERVED if request.path.endswith("/userstates") else _version(request)

    async with FakeApiServer(choose=without_user_states) as server:
        ran = await _check(tmp_path, server)
        assert ran.status == 1
        line = _line(ran, "userstates.state.kube-idp.dev")
        assert line.startswith("problem  ")
        assert "`idp crds | kubectl apply --server-side -f -`" in line
        assert _line(ran, "refreshgrants.state.kube-idp.dev").startswith("ok       ")
        ran = await _check(tmp_path, server, ", crdHandling: ensure")
        assert ran.status == 0
        line = _line(ran, "userstates.state.kube-idp.dev")
        assert line.startswith("ok       ")
        assert "applies it at its start" in line


async def test_a_server_that_does_not_know_us_is_asked_nothing_more(tmp_path: Path) -> None:
    async with FakeApiServer(choose=lambda _: Says(401)) as server:
        ran = await _check(tmp_path, server)
    assert ran.status == 1
    _, line = ran.out.splitlines()
    assert line.startswith("problem  API server: ")
    assert "(401)" in line


async def test_a_server_that_hides_its_version_will_do(tmp_path: Path) -> None:
    def hidden(request: web.Request) -> Fault:
        return Says(403) if request.path == "/version" else None

    async with FakeApiServer(choose=hidden) as server:
        ran = await _check(tmp_path, server)
    assert ran.status == 0
    assert "answers, of a version that it does not tell" in _line(ran, "API server")


async def test_sealing_keys_are_counted_wherever_they_are(tmp_path: Path) -> None:
    text = render([SealingKey(bytes([number]) * 32) for number in (1, 2)])
    file = tmp_path / "keys"
    file.touch(mode=0o600)
    file.write_text(text)
    async with FakeApiServer(choose=_version) as server:
        ran = await _check(tmp_path, server, f", keyFile: {file}")
        assert f"2 in the file {file}" in _line(ran, "sealing keys")
        ran = await _check(tmp_path, server, ", keyEnv: IDP_KEYS", {"IDP_KEYS": text})
        assert "2 in the variable IDP_KEYS" in _line(ran, "sealing keys")
        ran = await _check(tmp_path, server)
        assert "is not there yet" in _line(ran, "sealing keys")
        server.choose = _with_secret(text)
        ran = await _check(tmp_path, server)
        assert "2 in the Secret ns/kube-idp-sealing-keys" in _line(ran, "sealing keys")
    assert ran.status == 0


@pytest.mark.covers("R-90")
async def test_sealing_keys_that_cannot_be_used_are_told_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("k1 canary-canary-canary")
    file.chmod(0o644)
    async with FakeApiServer(choose=_with_secret("k1 canary-canary-canary")) as server:
        environ = {"IDP_KEYS": "canary"}
        for more in ("", f", keyFile: {file}", ", keyEnv: IDP_KEYS", ", keyFile: /not/there"):
            ran = await _check(tmp_path, server, more, environ)
            assert ran.status == 1
            assert _line(ran, "sealing keys").startswith("problem  ")
            assert "canary" not in ran.out + ran.err


async def test_a_kubeconfig_of_the_server_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    storage = f"{{type: kubernetes, config: {{kubeConfigFile: {tmp_path}/none}}}}"
    config = configuration(tmp_path, storage)
    ran = await asyncio.to_thread(idp, "check", "--cluster", config)
    assert ran.status == 1
    assert f"problem  API server: storage.config.kubeConfigFile: {tmp_path}/none" in ran.out


async def test_outside_of_a_pod_there_is_no_service_account(tmp_path: Path) -> None:
    config = configuration(tmp_path, "{type: kubernetes, config: {inCluster: true}}")
    ran = await asyncio.to_thread(idp, "session", "list", "--config", config)
    assert ran.status == 1
    assert "storage.config.inCluster" in ran.err


async def test_without_definitions_every_command_says_how_to_apply_them(tmp_path: Path) -> None:
    async with FakeApiServer(choose=lambda _: _NOT_SERVED) as server:
        for command in (
            ("session", "list"),
            ("session", "revoke", "a"),
            ("keys", "list"),
            ("keys", "rotate"),
            ("keys", "reseal"),
            ("user", "lock", "--connector", "local", "a"),
            ("user", "unlock", "--connector", "local", "a"),
        ):
            ran = await _run(tmp_path, server, *command)
            assert ran.status == 1
            assert "`idp crds | kubectl apply --server-side -f -`" in ran.err


async def test_what_was_revoked_before_a_failure_is_told(tmp_path: Path) -> None:
    def second_fails(request: web.Request) -> Fault:
        return Says(403) if request.path.endswith("/b") else None

    async with FakeApiServer(choose=second_fails) as server:
        for name in ("a", "b", "c"):
            spec = {"user": "jane", "clientID": "c", "connector": "local"}
            server.put(f"{_GRANTS}/{name}", {"metadata": {"name": name}, "spec": spec})
        ran = await _run(tmp_path, server, "session", "revoke", "--user", "jane", "--yes")
        assert set(server.objects) == {f"{_GRANTS}/b", f"{_GRANTS}/c"}
    assert (ran.status, ran.out) == (1, "revoked a\n")
    assert "delete refreshgrants.state.kube-idp.dev" in ran.err


async def test_objects_that_somebody_wrote_by_hand_do_not_stop_the_list(tmp_path: Path) -> None:
    async with FakeApiServer() as server:
        for name, spec in (("a", {"user": 7}), ("b", None), ("c", {"user": "jane"})):
            server.put(f"{_GRANTS}/{name}", {"metadata": {"name": name}, "spec": spec})
        ran = await _run(tmp_path, server, "session", "list")
    assert ran.status == 0
    assert sorted(line.split()[0] for line in ran.out.splitlines()[1:]) == ["a", "b", "c"]


async def test_many_sessions_come_page_by_page(tmp_path: Path) -> None:
    async with FakeApiServer(page=7) as server:
        for number in range(30):
            name = f"s{number}"
            spec = {"user": "jane"}
            server.put(f"{_GRANTS}/{name}", {"metadata": {"name": name}, "spec": spec})
        ran = await _run(tmp_path, server, "session", "list")
    assert len(ran.out.splitlines()) == 31
