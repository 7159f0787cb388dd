"""The contract over custom resources, on a real kube-apiserver and etcd."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from storage.base import Backend
from storage.kubernetes.access import Access, from_kube_config, in_cluster
from storage.kubernetes.api import open_api_server
from storage.kubernetes.backend import KubernetesBackend
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.storage.contract import *  # noqa: F403
from tests.storage.harness import Harness, Opener

pytestmark = [pytest.mark.anyio, pytest.mark.servers]

NUMBERS = count(1)


@asynccontextmanager
async def opened(access: Access) -> AsyncIterator[Backend]:
    """Open a handle on a namespace."""
    api = open_api_server(access)
    backend = KubernetesBackend(api)
    yield backend
    await backend.close()
    await api.close()


@asynccontextmanager
async def opened_here(kubeconfig: Path, namespace: str) -> AsyncIterator[Backend]:
    """Open a handle as somebody with a kubeconfig."""
    access = await from_kube_config(kubeconfig, namespace=namespace)
    async with opened(access) as backend:
        yield backend


@asynccontextmanager
async def opened_in_a_pod(
    environ: Mapping[str, str], directory: Path, namespace: str
) -> AsyncIterator[Backend]:
    """Open a handle as a pod does, which starts sooner."""
    access = await in_cluster(environ, directory=directory, namespace=namespace)
    async with opened(access) as backend:
        yield backend


@dataclass
class KubernetesHarness:
    """A store in a namespace of its own."""

    kube: KubeApiServer
    service_account: Path
    namespace: str
    etcd_directory: Path
    durable: bool = True

    @property
    def elsewhere(self) -> Opener:
        """Return how any process opens the store."""
        url = urlsplit(self.kube.url)
        environ = {
            "KUBERNETES_SERVICE_HOST": str(url.hostname),
            "KUBERNETES_SERVICE_PORT": str(url.port),
        }
        return partial(opened_in_a_pod, environ, self.service_account, self.namespace)

    def open(self) -> AbstractAsyncContextManager[Backend]:
        """Open a handle."""
        return opened_here(self.kube.admin_kubeconfig, self.namespace)

    async def dump(self) -> bytes:
        """Return all files of etcd: what is, and what was and is deleted or overwritten."""
        files = sorted(path for path in self.etcd_directory.rglob("*") if path.is_file())
        return b"".join(file.read_bytes() for file in files)


@pytest.fixture(scope="module")
def service_account(kube: KubeApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the files that a pod finds, for a user who may do everything."""
    directory = tmp_path_factory.mktemp("service-account")
    (directory / "token").write_text(kube.admin_token)
    (directory / "ca.crt").write_bytes(kube.ca_file.read_bytes())
    return directory


@pytest.fixture
def harness(kube: KubeApiServer, etcd: Etcd, crds: None, service_account: Path) -> Harness:
    """Return an empty store."""
    namespace = f"store-{next(NUMBERS)}"
    kube.kubectl("create", "namespace", namespace).check()
    return KubernetesHarness(kube, service_account, namespace, etcd.log.parent)
