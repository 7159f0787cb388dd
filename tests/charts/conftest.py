"""Helm, and an API server of its own for what is installed into it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charts.cases import Render
from tests.kit.install.binaries import Binaries, find_binaries
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.chart_role import MINIMAL
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.helm import Helm, Rendered
from tests.kit.servers.kube_api_server import KubeApiServer


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    return find_binaries()


@pytest.fixture(scope="session")
def helm(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return a Helm that knows no cluster."""
    return Helm(binaries.helm, home=tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    """Return what renders the chart; whole top-level values replace those of `MINIMAL`."""

    def rendered(*arguments: str, **values: object) -> Rendered:
        return helm.render({**MINIMAL, **values}, arguments=arguments)

    return rendered


@pytest.fixture(scope="session")
def kube(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApiServer]:
    directory: Path = tmp_path_factory.mktemp("kube")
    with (
        Etcd(binaries.etcd, directory=directory / "etcd") as etcd,
        KubeApiServer(
            binaries,
            etcd=etcd,
            ca=CertificateAuthority.create(),
            directory=directory / "kube-apiserver",
        ) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def cluster_helm(
    binaries: Binaries, kube: KubeApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Helm:
    """Return the Helm of an administrator of the cluster."""
    home = tmp_path_factory.mktemp("cluster-helm")
    return Helm(binaries.helm, home=home, kubeconfig=kube.admin_kubeconfig)
