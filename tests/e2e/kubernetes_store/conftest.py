"""Providers whose state is in a real API server: one, three behind an address, one cut off."""

from collections.abc import Callable, Iterator

import pytest

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import example_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.fault_proxy import FaultProxy
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.sso_replicas import Person, Scene, sso_scene


@pytest.fixture(scope="module")
def store(new_store: Callable[[], KubernetesStore]) -> KubernetesStore:
    """Return a namespace of this file's own; everything here runs on Kubernetes alone."""
    return new_store()


@pytest.fixture(scope="module")
def replicas(
    ca: CertificateAuthority, store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    """Yield three replicas behind one address."""
    directory = tmp_path_factory.mktemp("replicas")
    config = provider_config(directory, ca=ca, store=store)
    with Replicas(config, directory=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(
    kube_with_crds: KubeApiServer,
    ca: CertificateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FaultProxy]:
    """Yield the way to the API server that can be cut."""
    directory = tmp_path_factory.mktemp("proxy")
    with FaultProxy(kube_with_crds.url, upstream_ca=ca, directory=directory) as running:
        yield running


@pytest.fixture(scope="module")
def application(provider: IdpProcess) -> Iterator[RelyingParty]:
    """Yield a client with a secret."""
    with provider.client() as http:
        yield example_party(http, provider.issuer)


@pytest.fixture(scope="module")
def scene(
    ca: CertificateAuthority, store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """Yield three replicas with sessions."""
    with sso_scene(tmp_path_factory.mktemp("replicas"), ca=ca, store=store) as running:
        yield running


@pytest.fixture
def person(scene: Scene) -> Iterator[Person]:
    """Yield somebody who is signed in nowhere yet."""
    with scene.person() as person:
        yield person
