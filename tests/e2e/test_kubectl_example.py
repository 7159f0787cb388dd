"""`examples/kubectl`: its four files fit together, on a real API server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import AUDIENCE
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import bearer_user
from tests.kit.servers.process import free_port
from tests.kit.servers.rbac import pods_listed_by_file
from tests.kit.servers.trust import wait_until_trusted

pytestmark = pytest.mark.servers

_EXAMPLE = Path("examples/kubectl").resolve()
_USER, _PASSWORD = "jane@example.com", "password"


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    """Yield the example's provider, on this machine and with a certificate of ours."""
    directory = tmp_path_factory.mktemp("provider")
    serving = ca.issue(directory / "run")
    assert [serving.certificate.name, serving.key.name] == ["tls.crt", "tls.key"]
    config = _read("idp.yaml")
    address = f"127.0.0.1:{free_port()}"
    config["issuer"] = f"https://{address}"
    config["web"]["https"] = address
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


def test_files_fit_together(
    kube: KubeApiServer,
    provider: IdpProcess,
    party: RelyingParty,
    ca: CertificateAuthority,
    tmp_path: Path,
) -> None:
    config = _read("authentication.yaml")
    config["jwt"][0]["issuer"] |= {"url": provider.issuer, "certificateAuthority": ca.pem}
    kube.restart(authentication_config=config)
    token = party.sign_in(_USER, _PASSWORD).id_token
    wait_until_trusted(kube, lambda: token)
    jane = kube.write_kubeconfig(tmp_path / "jane", user=bearer_user(token))

    with pods_listed_by_file(kube, _EXAMPLE / "rbac.yaml", "idp:developers"):
        whoami = kube.kubectl("auth", "whoami", kubeconfig=jane).check()
        pods = kube.kubectl("get", "pods", kubeconfig=jane)
        secrets = kube.kubectl("get", "secrets", kubeconfig=jane)

    assert "idp:jane@example.com" in whoami
    assert "[idp:developers idp:on-call system:authenticated]" in whoami
    assert "No resources found" in pods.stderr
    assert "cannot list resource" in secrets.stderr


def test_addresses_and_names_are_the_same_everywhere() -> None:
    provider, kubeconfig = _read("idp.yaml"), _read("kubeconfig.yaml")
    issuer = _read("authentication.yaml")["jwt"][0]["issuer"]
    arguments = kubeconfig["users"][0]["user"]["exec"]["args"]

    assert issuer["url"] == provider["issuer"]
    assert issuer["audiences"] == [provider["staticClients"][0]["id"]] == [AUDIENCE]
    assert f"--oidc-issuer-url={provider['issuer']}" in arguments
    assert f"--oidc-client-id={AUDIENCE}" in arguments
    assert f"--certificate-authority={provider['web']['tlsCert']}" in arguments


def _read(name: str) -> dict[str, Any]:
    document = yaml.safe_load((_EXAMPLE / name).read_text())
    assert isinstance(document, dict)
    return document
