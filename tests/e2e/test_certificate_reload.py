"""The certificate is replaced while the provider runs: new connections get the new one."""

import socket
import time
from pathlib import Path

import pytest
from cryptography import x509

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import JANE
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import bearer_user
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_PATIENCE_SECONDS = 30


@pytest.fixture
def serving(provider: IdpProcess) -> Path:
    """Return the directory of the certificate, which is the provider's own."""
    return provider.log.parent / "serving"


def test_new_connections_get_the_new_certificate_and_logins_go_on(
    cluster: KubeApiServer,
    provider: IdpProcess,
    party: RelyingParty,
    ca: CertificateAuthority,
    serving: Path,
    tmp_path: Path,
) -> None:
    first = _serial_number(provider, ca)
    tokens = party.sign_in(JANE.email, JANE.password)
    with provider.client() as kept_open:
        kept_open.get("/keys").raise_for_status()

        ca.issue(serving)
        _wait_for_another(provider, ca, than=first)

        # The old connection has not noticed anything.
        assert kept_open.get("/keys").status_code == 200
    with provider.client() as http:
        later = RelyingParty(
            http=http,
            issuer=party.issuer,
            client_id=party.client_id,
            redirect_uri=party.redirect_uri,
        )
        assert later.refresh(tokens.refresh_token).id_token
        token = later.sign_in(JANE.email, JANE.password).id_token
    kubeconfig = cluster.write_kubeconfig(tmp_path / "kubeconfig", user=bearer_user(token))
    assert "oidc:jane" in cluster.kubectl("auth", "whoami", kubeconfig=kubeconfig).check()


def test_no_handshake_fails_while_certificates_are_replaced_one_after_another(
    provider: IdpProcess, ca: CertificateAuthority, serving: Path
) -> None:
    _settle(provider, ca)
    seen = [_serial_number(provider, ca)]
    for _ in range(3):
        ca.issue(serving)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (number := _serial_number(provider, ca)) == seen[-1]:
            assert time.monotonic() < deadline, "the new certificate was not taken"
        seen.append(number)

    assert len(set(seen)) == 4


def test_half_written_pair_leaves_the_old_certificate_in_place(
    provider: IdpProcess, ca: CertificateAuthority, serving: Path, tmp_path: Path
) -> None:
    _settle(provider, ca)
    first = _serial_number(provider, ca)
    other = ca.issue(tmp_path)
    refused = _times_logged(provider, "tls_reload_refused")

    (serving / "tls.crt").write_bytes(other.certificate.read_bytes())
    eventually(
        lambda: _times_logged(provider, "tls_reload_refused") > refused, within=_PATIENCE_SECONDS
    )

    assert _serial_number(provider, ca) == first
    (serving / "tls.key").write_bytes(other.key.read_bytes())
    _wait_for_another(provider, ca, than=first)


def _serial_number(provider: IdpProcess, ca: CertificateAuthority) -> int:
    host, _, port = provider.issuer.removeprefix("https://").partition(":")
    context = ca.client_context()
    with (
        socket.create_connection((host, int(port)), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        certificate = tls.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate).serial_number


def _wait_for_another(provider: IdpProcess, ca: CertificateAuthority, *, than: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _serial_number(provider, ca) == than:
        assert time.monotonic() < deadline, "the new certificate was not taken"
        time.sleep(0.1)


def _times_logged(provider: IdpProcess, event: str) -> int:
    return sum(line["event"] == event for line in provider.log_lines())


def _settle(provider: IdpProcess, ca: CertificateAuthority) -> None:
    """Wait until the certificate of an earlier test is taken."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    path = provider.log.parent / "serving" / "tls.crt"
    stored = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
    while _serial_number(provider, ca) != stored:
        assert time.monotonic() < deadline, "the new certificate was not taken"
        time.sleep(0.1)
