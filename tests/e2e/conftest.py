"""The real servers: etcd and the API server run once, each file has its own provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.install.binaries import Binaries, find_binaries
from tests.kit.servers.browser import Browser
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.kube_api_server import KubeApiServer

_SCREENSHOTS = Path("run/screenshots")


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    return find_binaries()


@pytest.fixture(scope="session")
def ca() -> CertificateAuthority:
    return CertificateAuthority.create()


@pytest.fixture(scope="session")
def kube(
    binaries: Binaries, ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubeApiServer]:
    """Yield the API server. It does not run before a test file says whom it shall trust."""
    directory = tmp_path_factory.mktemp("kube")
    with Etcd(binaries.etcd, directory=directory / "etcd") as etcd:
        server = KubeApiServer(binaries, etcd=etcd, ca=ca, directory=directory / "kube-apiserver")
        try:
            yield server
        finally:
            server.stop()


# Not once per session: while it is open no `asyncio.run` works in this thread.
@pytest.fixture(scope="module")
def browser(binaries: Binaries, ca: CertificateAuthority) -> Iterator[Browser]:
    with Browser(binaries.chromium, ca=ca, screenshots=_SCREENSHOTS) as running:
        yield running
