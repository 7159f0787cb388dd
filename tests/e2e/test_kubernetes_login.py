"""A person signs in in Chromium, and kubectl may do what their groups allow."""

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.kit import kubelogin
from tests.kit.relying_party import RelyingParty
from tests.kit.scene import AUDIENCE, JANE, MALLORY, OMAR, Account
from tests.kit.servers.browser import Browser
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import bearer_user, exec_user
from tests.kit.servers.rbac import pods_listed_by
from tests.kit.servers.trust import (
    DEPARTMENT,
    authentication_config,
    oidc_flags,
    wait_until_trusted,
)
from tests.kit.signing_in import send_login

pytestmark = pytest.mark.servers

_FLAGS, _FILE = "--oidc-* flags", "AuthenticationConfiguration"


@pytest.fixture(scope="module", params=[_FLAGS, _FILE])
def cluster(
    request: pytest.FixtureRequest,
    kube: KubeApiServer,
    provider: IdpProcess,
    party: RelyingParty,
    ca: CertificateAuthority,
) -> Iterator[KubeApiServer]:
    flags: Sequence[str] = ()
    config: Mapping[str, object] | None = None
    if request.param == _FLAGS:
        flags = oidc_flags(provider.issuer, audience=AUDIENCE, ca_file=kube.ca_file)
    else:
        config = authentication_config(provider.issuer, audience=AUDIENCE, ca=ca)
    kube.restart(extra_flags=flags, authentication_config=config)
    wait_until_trusted(kube, lambda: party.sign_in(JANE.email, JANE.password).id_token)
    with pods_listed_by(kube, "oidc:developers"):
        yield kube


def test_person_signs_in_and_kubectl_knows_name_and_groups(
    cluster: KubeApiServer,
    provider: IdpProcess,
    browser: Browser,
    tmp_path: Path,
) -> None:
    plugin = _plugin(provider, cluster, tmp_path)
    kubeconfig = cluster.write_kubeconfig(tmp_path / "kubeconfig", user=plugin)
    person = browser.person()

    with ThreadPoolExecutor(1) as terminal:
        whoami = terminal.submit(
            cluster.kubectl, "auth", "whoami", "-o", "json", kubeconfig=kubeconfig
        )
        person.page.goto(_address(tmp_path))
        send_login(person.page, JANE, password="wrong")
        expect(person.page.get_by_role("alert")).to_be_visible()
        assert not whoami.done()
        send_login(person.page, JANE)
        expect(person.page.get_by_role("heading", name="You are signed in")).to_be_visible()
        user = whoami.result(timeout=60).document()["status"]

    assert isinstance(user, dict)
    assert user["userInfo"]["username"] == "oidc:jane@example.com"
    groups = ["oidc:developers", "oidc:on-call", "system:authenticated"]
    assert user["userInfo"]["groups"] == groups
    wrong_password = [each for each in person.complaints if each.kind == "status"]
    assert [each.text[:3] for each in wrong_password] == ["401"]
    assert person.complaints == wrong_password
    assert re.fullmatch(r"http://localhost:\d+/\?.*", person.page.url)


def test_second_call_needs_no_browser(
    cluster: KubeApiServer,
    provider: IdpProcess,
    browser: Browser,
    tmp_path: Path,
) -> None:
    plugin = _plugin(provider, cluster, tmp_path)
    kubeconfig = cluster.write_kubeconfig(tmp_path / "kubeconfig", user=plugin)
    page = browser.person().page
    with ThreadPoolExecutor(1) as terminal:
        first = terminal.submit(cluster.kubectl, "get", "pods", kubeconfig=kubeconfig)
        page.goto(_address(tmp_path))
        send_login(page, JANE)
        first.result(timeout=60).check()
    (tmp_path / "address").unlink()

    again = cluster.kubectl("get", "pods", kubeconfig=kubeconfig)

    assert "No resources found" in again.stderr
    assert not (tmp_path / "address").exists()


def test_bound_group_may_list_pods_and_nothing_else(
    cluster: KubeApiServer, party: RelyingParty, tmp_path: Path
) -> None:
    jane = _kubeconfig(cluster, party, JANE, tmp_path / "jane")
    omar = _kubeconfig(cluster, party, OMAR, tmp_path / "omar")

    assert "No resources found" in cluster.kubectl("get", "pods", kubeconfig=jane).stderr
    secrets = cluster.kubectl("get", "secrets", kubeconfig=jane)
    pods = cluster.kubectl("get", "pods", kubeconfig=omar)

    assert (secrets.status, pods.status) == (1, 1)
    assert 'User "oidc:jane@example.com" cannot list resource "secrets"' in secrets.stderr
    assert 'User "oidc:omar@example.com" cannot list resource "pods"' in pods.stderr


def test_token_id_reaches_the_audit_extra(cluster: KubeApiServer, party: RelyingParty) -> None:
    token = party.sign_in(JANE.email, JANE.password).id_token

    user = cluster.whoami(token)

    assert user is not None
    extra = user["extra"]
    assert isinstance(extra, dict)
    jti = party.claims(token)["jti"]
    assert extra["authentication.kubernetes.io/credential-id"] == [f"JTI={jti}"]


def test_a_claim_of_the_operators_own_reaches_the_extra(
    cluster: KubeApiServer, party: RelyingParty, request: pytest.FixtureRequest
) -> None:
    """Several values, one, and none; flags know no extra."""
    by_file = request.node.callspec.params["cluster"] == _FILE
    for account in (JANE, OMAR, MALLORY):
        user = cluster.whoami(party.sign_in(account.email, account.password).id_token)
        assert user is not None
        extra = user["extra"]
        assert isinstance(extra, dict)
        told = list(account.departments) if by_file else []
        assert extra.get(DEPARTMENT, []) == told


def _kubeconfig(cluster: KubeApiServer, party: RelyingParty, account: Account, path: Path) -> Path:
    token = party.sign_in(account.email, account.password).id_token
    return cluster.write_kubeconfig(path, user=bearer_user(token))


def _plugin(provider: IdpProcess, cluster: KubeApiServer, directory: Path) -> Mapping[str, object]:
    return exec_user(
        sys.executable,
        kubelogin.__file__,
        f"--issuer={provider.issuer}",
        f"--client-id={AUDIENCE}",
        f"--ca={cluster.ca_file}",
        f"--cache={directory / 'cache'}",
        f"--browser={directory / 'address'}",
    )


def _address(directory: Path) -> str:
    """Wait for the address that the plugin would open in the person's browser."""
    path = directory / "address"
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, "the plugin did not ask to open a browser"
        time.sleep(0.05)
    return path.read_text()
