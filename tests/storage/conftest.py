"""Fixtures of the storage tests."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from storage.kubernetes.crds import text
from tests.kit.install.binaries import Binaries, find_binaries
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.kube_api_server import KubeApiServer

# The contract's assertions explain themselves only if pytest may rewrite them.
pytest.register_assert_rewrite("tests.storage.contract")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Return four processes of their own, started afresh and kept for the whole run."""
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """Return the programs that the servers are made of."""
    return find_binaries()


@pytest.fixture(scope="session")
def ca() -> CertificateAuthority:
    """Return the authority of this run."""
    return CertificateAuthority.create()


@pytest.fixture(scope="session")
def etcd(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """Yield a running etcd; its data are beside its log."""
    with Etcd(binaries.etcd, directory=tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture(scope="session")
def kube(
    binaries: Binaries,
    etcd: Etcd,
    ca: CertificateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[KubeApiServer]:
    """Yield a running API server for all files; each makes namespaces of its own."""
    directory = tmp_path_factory.mktemp("kube")
    with KubeApiServer(binaries, etcd=etcd, ca=ca, directory=directory) as running:
        yield running


@pytest.fixture(scope="session")
def crds(kube: KubeApiServer) -> None:
    """Let the API server serve our custom resources."""
    definitions = text()
    kube.kubectl("apply", "--server-side", "-f", "-", stdin=definitions).check()
    established = ("--for=condition=Established", "--timeout=30s")
    kube.kubectl("wait", *established, "-f", "-", stdin=definitions).check()
