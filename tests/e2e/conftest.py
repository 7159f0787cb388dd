"""The real servers: etcd and the API server run once, each file has its own provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.install.binaries import Binaries, find_binaries
from tests.kit.relying_party import RelyingParty
from tests.kit.scene import AUDIENCE, JANE, provider_config
from tests.kit.servers.browser import Browser
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.trust import authentication_config, wait_until_trusted

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


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    """Yield a provider over https; files that need another configuration have their own."""
    directory = tmp_path_factory.mktemp("provider")
    with IdpProcess(provider_config(directory, ca=ca), cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def party(provider: IdpProcess) -> Iterator[RelyingParty]:
    """Yield the client that the API server trusts, as a command line is one."""
    with provider.client() as http:
        yield RelyingParty(
            http=http,
            issuer=provider.issuer,
            client_id=AUDIENCE,
            redirect_uri="http://localhost:8000",
        )


@pytest.fixture(scope="module")
def cluster(
    kube: KubeApiServer, provider: IdpProcess, party: RelyingParty, ca: CertificateAuthority
) -> KubeApiServer:
    """Return the API server, trusting this file's provider."""
    config = authentication_config(provider.issuer, audience=AUDIENCE, ca=ca)
    kube.restart(authentication_config=config)
    wait_until_trusted(kube, lambda: party.sign_in(JANE.email, JANE.password).id_token)
    return kube
