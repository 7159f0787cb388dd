"""Where the API server is and who we are: kubeconfigs, service accounts, and what changes there."""

import asyncio
import base64
import json
import ssl
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from storage.kubernetes.access import (
    Access,
    AccessUnusable,
    Credentials,
    from_kube_config,
    in_cluster,
)
from storage.kubernetes.api import open_api_server
from storage.kubernetes.errors import Forbidden, Unavailable
from tests.kit.fake_api_server import FakeApiServer, Says
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.waiting import soon

pytestmark = pytest.mark.anyio

PATH = "/apis/state.kube-idp.dev/v1beta1/namespaces/ns/refreshgrants/a"
ENVIRON = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


def server_context(ca: CertificateAuthority, directory: Path) -> ssl.SSLContext:
    """Return what a server needs to be trusted by whoever trusts `ca`."""
    issued = ca.issue(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    return context


def kube_config(
    directory: Path,
    *,
    user: dict[str, Any] | None = None,
    cluster: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
) -> Path:
    """Write a kubeconfig with one context."""
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", **(context or {})}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1", **(cluster or {})}}],
        "users": [{"name": "u", "user": user if user is not None else {"token": "secret-1"}}],
    }
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def service_account(
    directory: Path, ca: str, *, token: str = "secret-1", namespace: str = ""
) -> Path:
    """Write the files that a pod finds."""
    directory.mkdir(exist_ok=True)
    (directory / "token").write_text(token + "\n")
    (directory / "ca.crt").write_text(ca)
    if namespace:
        (directory / "namespace").write_text(namespace + "\n")
    return directory


def jwt(claims: object) -> str:
    """Return a token with claims and no signature that holds."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


async def test_a_kubeconfig_says_server_user_and_namespace(tmp_path: Path) -> None:
    ca = CertificateAuthority.create()
    data = base64.b64encode(ca.pem.encode()).decode()
    cluster = {"server": "https://10.0.0.1:6443/k8s/", "certificate-authority-data": data}
    path = kube_config(tmp_path, cluster=cluster, context={"namespace": "idp"})
    access = await from_kube_config(path)
    assert access.namespace == "idp"
    assert access.credentials.server == "https://10.0.0.1:6443/k8s"
    assert access.credentials.authorization == "Bearer secret-1"
    assert access.credentials.tls
    assert "secret-1" not in repr(access)
    assert (await from_kube_config(path, namespace="other")).namespace == "other"
    assert (await from_kube_config(kube_config(tmp_path))).namespace == "default"


async def test_a_plugin_gives_the_token(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    plugin.write_text(f"#!/bin/sh\necho '{json.dumps({**answer, 'status': {'token': 'of-it'}})}'\n")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    user = {"exec": {"apiVersion": answer["apiVersion"], "command": str(plugin)}}
    access = await from_kube_config(kube_config(tmp_path, user=user))
    assert access.credentials.authorization == "Bearer of-it"
    plugin.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(AccessUnusable, match="plugin"):
        await from_kube_config(kube_config(tmp_path, user=user))


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    ca = CertificateAuthority.create()
    issued = ca.issue(tmp_path / "client")
    user = {"client-certificate": str(issued.certificate), "client-key": str(issued.key)}
    cluster = {
        "server": "https://127.0.0.1:1",
        "certificate-authority": str(ca.write(tmp_path / "ca.crt")),
        "tls-server-name": "kubernetes",
    }
    access = await from_kube_config(kube_config(tmp_path, user=user, cluster=cluster))
    assert access.credentials.authorization == ""
    assert access.credentials.tls_server_name == "kubernetes"
    issued.key.write_text("no key")
    with pytest.raises(AccessUnusable, match="no PEM"):
        await from_kube_config(kube_config(tmp_path, user=user, cluster=cluster))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("[]", "no kubeconfig"),
        ("secret-1", "no kubeconfig"),
        ("{", "cannot be read"),
        ("current-context: x", "contexts"),
        ("\x00", "cannot be read"),
    ],
)
async def test_what_is_no_kubeconfig_is_refused_by_name(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(AccessUnusable, match=said) as caught:
        await from_kube_config(path)
    assert f"storage.config.kubeConfigFile: {path}" in str(caught.value)
    assert "secret-1" not in str(caught.value)


async def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(AccessUnusable, match="No such file"):
        await from_kube_config(tmp_path / "none")
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority": str(tmp_path / "ca")}
    with pytest.raises(AccessUnusable, match=str(tmp_path / "ca")):
        await from_kube_config(kube_config(tmp_path, cluster=cluster))
    with pytest.raises(AccessUnusable, match="server"):
        await from_kube_config(kube_config(tmp_path, cluster={"server": "ftp://x"}))
    with pytest.raises(AccessUnusable, match="KUBERNETES_SERVICE_HOST"):
        await in_cluster({}, directory=tmp_path)
    with pytest.raises(AccessUnusable, match=f"{tmp_path / 'token'}.*automount"):
        await in_cluster(ENVIRON, directory=tmp_path)
    with pytest.raises(AccessUnusable, match=r"ca\.crt holds no certificates"):
        await in_cluster(ENVIRON, directory=service_account(tmp_path, "x"))


async def test_the_namespace_of_a_pod_is_found_in_this_order(tmp_path: Path) -> None:
    ca = CertificateAuthority.create().pem
    bound = jwt({"kubernetes.io": {"namespace": "bound"}})
    legacy = jwt({"kubernetes.io/serviceaccount/namespace": "legacy"})
    for token, expected in [
        (bound, "bound"),
        (legacy, "legacy"),
        (jwt({}), "file"),
        (jwt([]), "file"),
        (jwt({"kubernetes.io": 5}), "file"),
        ("opaque", "file"),
        ("a.%%%.c", "file"),
    ]:
        directory = service_account(tmp_path / "sa", ca, token=token, namespace="file")
        assert (await in_cluster(ENVIRON, directory=directory)).namespace == expected
    environ = {**ENVIRON, "KUBERNETES_POD_NAMESPACE": "env"}
    assert (await in_cluster(environ, directory=directory)).namespace == "env"
    (directory / "namespace").unlink()
    with pytest.raises(AccessUnusable, match="KUBERNETES_POD_NAMESPACE"):
        await in_cluster(ENVIRON, directory=directory)


async def test_an_address_of_version_six_is_bracketed(tmp_path: Path) -> None:
    directory = service_account(tmp_path, CertificateAuthority.create().pem, namespace="ns")
    environ = {**ENVIRON, "KUBERNETES_SERVICE_HOST": "fd00::1"}
    access = await in_cluster(environ, directory=directory)
    assert access.credentials.server == "https://[fd00::1]:443"
    assert access.reread_seconds == 60


async def pod(directory: Path, server: FakeApiServer, ca: CertificateAuthority) -> Access:
    """Return the access of a pod to a server that runs here."""
    environ = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }
    return await in_cluster(environ, directory=service_account(directory, ca.pem, namespace="ns"))


@pytest.mark.covers("K-16")
async def test_a_token_that_was_renewed_is_read_again_when_the_old_one_is_refused(
    tmp_path: Path,
) -> None:
    ca = CertificateAuthority.create()
    async with FakeApiServer(tls=server_context(ca, tmp_path / "tls")) as server:
        server.put(PATH, {"metadata": {"name": "a"}})
        api = open_api_server(await pod(tmp_path / "sa", server, ca))
        await api.call("GET", PATH)
        (tmp_path / "sa" / "token").write_text("secret-2")
        server.choose = lambda request: (
            None if request.headers["Authorization"] == "Bearer secret-2" else Says(401)
        )
        await asyncio.gather(*(api.call("GET", PATH) for _ in range(5)))
        assert {token for _, _, token in server.seen[-5:]} == {"Bearer secret-2"}
        await api.close()


@pytest.mark.covers("K-16")
async def test_a_token_is_read_again_in_time_without_being_refused(tmp_path: Path) -> None:
    ca = CertificateAuthority.create()
    async with FakeApiServer(tls=server_context(ca, tmp_path / "tls")) as server:
        server.put(PATH, {"metadata": {"name": "a"}})
        access = await pod(tmp_path / "sa", server, ca)
        looks: list[str] = []

        def read() -> Credentials:
            looks.append("")
            found = access.read()
            looks.append(found.authorization)
            return found

        api = open_api_server(replace(access, read=read, reread_seconds=0.05))
        await api.call("GET", PATH)
        (tmp_path / "sa" / "token").write_text("secret-2")
        await soon(lambda: "Bearer secret-2" in looks)
        (tmp_path / "sa" / "token").write_text("")  # half written: the old one stays
        looks.clear()
        await soon(lambda: looks.count("") > 2)
        await api.call("GET", PATH)
        assert [token for _, _, token in server.seen] == ["Bearer secret-1", "Bearer secret-2"]
        await api.close()


@pytest.mark.covers("K-16")
async def test_whoever_is_not_known_at_all_asks_once_a_second(tmp_path: Path) -> None:
    async with FakeApiServer() as server:
        server.choose = lambda _: Says(401)
        api = open_api_server(server.access())
        for _ in range(20):
            with pytest.raises(Forbidden, match="does not know us"):
                await api.call("GET", PATH)
        assert len(server.seen) == 2
        await api.close()


@pytest.mark.covers("K-23")
async def test_a_new_authority_is_trusted_once_its_file_is_there(tmp_path: Path) -> None:
    old, new = CertificateAuthority.create("old"), CertificateAuthority.create("new")
    async with FakeApiServer(tls=server_context(old, tmp_path / "old")) as server:
        server.put(PATH, {"metadata": {"name": "a"}})
        api = open_api_server(await pod(tmp_path / "sa", server, old))
        await api.call("GET", PATH)
        await server.stop()
        server.tls = server_context(new, tmp_path / "new")
        await server.start()
        with pytest.raises(Unavailable, match="not trusted"):
            await api.call("GET", PATH)
        new.write(tmp_path / "sa" / "ca.crt")
        await asyncio.sleep(0.6)
        await api.call("GET", PATH)
        await api.close()


@pytest.mark.covers("K-23")
async def test_a_watch_survives_a_new_authority_and_new_calls_use_it(tmp_path: Path) -> None:
    old, new = CertificateAuthority.create("old"), CertificateAuthority.create("new")
    async with FakeApiServer(tls=server_context(old, tmp_path / "old")) as server:
        server.put(PATH, {"metadata": {"name": "a"}})
        access = await pod(tmp_path / "sa", server, old)
        api = open_api_server(replace(access, reread_seconds=0.05))
        events = api.watch(PATH.rpartition("/")[0], query={"resourceVersion": "1"})
        assert (await anext(events))["type"] == "ADDED"
        (tmp_path / "sa" / "ca.crt").write_text(new.pem + old.pem)
        await asyncio.sleep(0.2)
        await api.call("GET", PATH)
        server.put(PATH, {"metadata": {"name": "a"}})
        assert (await anext(events))["type"] == "MODIFIED"
        await events.aclose()
        await api.close()
