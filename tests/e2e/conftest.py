"""The real servers: etcd and the API server run once, each file has its own provider.

Each file runs twice, on SQLite and on Kubernetes, where it has a namespace of its own. The API
server that keeps the provider's state is also the one that trusts the provider.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.kit.install.binaries import Binaries, find_binaries
from tests.kit.relying_party import RelyingParty
from tests.kit.scene import AUDIENCE, JANE, kubernetes_party, provider_config
from tests.kit.servers.browser import Browser
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.chart_role import chart_rules
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import (
    KubernetesStore,
    install_crds,
    kubernetes_store,
)
from tests.kit.servers.rbac import Rule
from tests.kit.servers.trust import authentication_config, wait_until_trusted
from tests.kit.stores import SqliteStore, Store

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
        server = KubeApiServer(
            binaries,
            etcd=etcd,
            ca=ca,
            directory=directory / "kube-apiserver",
            audit_level="Metadata",
        )
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def kube_with_crds(kube: KubeApiServer) -> KubeApiServer:
    """Return the API server, running and with our custom resources."""
    kube.start_unless_running()
    install_crds(kube)
    return kube


@pytest.fixture(scope="session")
def rules(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Rule]:
    """Return what the chart lets the provider do; nothing here may do more."""
    return chart_rules(binaries, directory=tmp_path_factory.mktemp("chart"))


@pytest.fixture(scope="session")
def new_store(
    kube_with_crds: KubeApiServer,
    rules: Sequence[Rule],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], KubernetesStore]:
    """Return what makes a fresh namespace; one namespace belongs to one issuer."""

    def make() -> KubernetesStore:
        directory = tmp_path_factory.mktemp("store")
        return kubernetes_store(kube_with_crds, directory=directory, rules=rules)

    return make


@pytest.fixture(scope="module", params=["sqlite3", "kubernetes"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return where this file's provider keeps its state."""
    if request.param == "sqlite3":
        return SqliteStore(tmp_path_factory.mktemp("store"))
    # Not an argument: whoever runs the tests on SQLite alone needs no API server for it.
    new_store: Callable[[], KubernetesStore] = request.getfixturevalue("new_store")
    return new_store()


# Not once per session: while it is open no `asyncio.run` works in this thread.
@pytest.fixture(scope="module")
def browser(binaries: Binaries, ca: CertificateAuthority) -> Iterator[Browser]:
    with Browser(binaries.chromium, ca=ca, screenshots=_SCREENSHOTS) as running:
        yield running


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    """Yield a provider over https; files that need another configuration have their own."""
    directory = tmp_path_factory.mktemp("provider")
    config = provider_config(directory, ca=ca, store=store)
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def party(provider: IdpProcess) -> Iterator[RelyingParty]:
    """Yield the client that the API server trusts, as a command line is one."""
    with provider.client() as http:
        yield kubernetes_party(http, provider.issuer)


@pytest.fixture(scope="module")
def cluster(
    kube: KubeApiServer, provider: IdpProcess, party: RelyingParty, ca: CertificateAuthority
) -> KubeApiServer:
    """Return the API server, trusting this file's provider."""
    config = authentication_config(provider.issuer, audience=AUDIENCE, ca=ca)
    kube.restart(authentication_config=config)
    wait_until_trusted(kube, lambda: party.sign_in(JANE.email, JANE.password).id_token)
    return kube
