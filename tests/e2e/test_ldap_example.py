"""`examples/ldap`: from an applied connector to what a person of the directory may do."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests.kit.directory_tree import ALICE, BOB, SERVICE
from tests.kit.install.binaries import find_openldap
from tests.kit.relying_party import RelyingParty, SignInFailed
from tests.kit.scene import AUDIENCE, kubernetes_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import bearer_user
from tests.kit.servers.kubernetes_store import KubernetesStore, kubernetes_store
from tests.kit.servers.rbac import Rule, pods_listed_by_file
from tests.kit.servers.slapd import Slapd
from tests.kit.servers.trust import wait_until_trusted
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

_EXAMPLE = Path("examples/ldap").resolve()
_PATIENCE_SECONDS = 40


@pytest.fixture(scope="module")
def slapd(ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    directory = tmp_path_factory.mktemp("slapd")
    with Slapd(find_openldap(), directory=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def store(
    kube_with_crds: KubeApiServer,
    rules: Sequence[Rule],
    tmp_path_factory: pytest.TempPathFactory,
) -> KubernetesStore:
    names = _read("values.yaml")["rbac"]["secretNames"]
    # What the chart renders for `rbac.secretNames`; tests/charts show that it does.
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]}
    directory = tmp_path_factory.mktemp("store")
    return kubernetes_store(kube_with_crds, directory=directory, rules=[*rules, rule])


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    """Yield a provider that nobody can sign in to yet: there is no connector."""
    directory = tmp_path_factory.mktemp("provider")
    values = _read("values.yaml")["config"]
    overrides = {name: values[name] for name in ("oauth2", "staticClients", "enablePasswordDB")} | {
        "staticPasswords": []
    }
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def party(
    provider: IdpProcess, store: KubernetesStore, slapd: Slapd, ca: CertificateAuthority
) -> Iterator[RelyingParty]:
    """Yield a client, once the administrator has done what the README says."""
    literal = f"--from-literal=bindPW={SERVICE.password}"
    store.kubectl("create", "secret", "generic", "ldap-reader", literal).check()
    authority = f"--from-file=ca.crt={slapd.ca_file}"
    store.kubectl("create", "secret", "generic", "ldap-ca", authority).check()
    connector = _read("connector.yaml")
    connector["spec"]["ldap"]["host"] = urlsplit(slapd.tls_url).netloc
    store.apply(connector)
    ready = ("--for=condition=Ready", f"--timeout={_PATIENCE_SECONDS}s")
    store.kubectl("wait", *ready, "identityconnector/corporate").check()
    with provider.client() as http:
        yield kubernetes_party(http, provider.issuer)


@pytest.fixture(scope="module")
def cluster(
    kube: KubeApiServer, party: RelyingParty, ca: CertificateAuthority
) -> Iterator[KubeApiServer]:
    config = _read("authentication.yaml")
    config["jwt"][0]["issuer"] |= {"url": party.issuer, "certificateAuthority": ca.pem}
    kube.restart(authentication_config=config)
    wait_until_trusted(kube, lambda: party.sign_in(ALICE.uid, ALICE.password).id_token)
    with pods_listed_by_file(kube, _EXAMPLE / "rbac.yaml", "ldap:backend"):
        yield kube


def test_people_of_the_directory_are_who_the_readme_says_and_may_what_it_says(
    cluster: KubeApiServer, party: RelyingParty, tmp_path: Path
) -> None:
    configs = {}
    for person in (ALICE, BOB):
        token = party.sign_in(person.uid, person.password).id_token
        path = tmp_path / person.uid
        configs[person.uid] = cluster.write_kubeconfig(path, user=bearer_user(token))

    whoami = cluster.kubectl("auth", "whoami", kubeconfig=configs["alice"]).check()
    allowed = cluster.kubectl("get", "pods", kubeconfig=configs["alice"])
    refused = cluster.kubectl("get", "pods", kubeconfig=configs["bob"])

    assert "ldap:alice" in whoami
    assert "ldap:backend" in whoami
    assert "No resources found" in allowed.stderr
    assert 'User "ldap:bob" cannot list resource "pods"' in refused.stderr


def test_list_and_status_say_whether_the_directory_answers(
    store: KubernetesStore, party: RelyingParty, slapd: Slapd
) -> None:
    assert "REACHABLE" in store.kubectl("get", "idc").check()
    _wait_for_reachable(store, "True")

    slapd.stop()
    try:
        message = _wait_for_reachable(store, "False")
    finally:
        slapd.start()

    assert slapd.tls_host in message
    _wait_for_reachable(store, "True")


def test_new_password_of_the_reader_counts_without_a_restart(
    store: KubernetesStore, party: RelyingParty, slapd: Slapd
) -> None:
    slapd.set_password(SERVICE.dn, "another password")
    # Who is bound stays so; the next connection has to prove itself anew.
    slapd.restart()
    try:
        with pytest.raises(SignInFailed, match="503"):
            party.sign_in(ALICE.uid, ALICE.password)
        _secret(store, "another password")
        _signs_in_soon(party)
    finally:
        slapd.set_password(SERVICE.dn, SERVICE.password)
        _secret(store, SERVICE.password)
        slapd.restart()
    _signs_in_soon(party)


def test_deleted_connector_signs_nobody_in_within_a_second(
    store: KubernetesStore, party: RelyingParty
) -> None:
    found = store.kubectl("get", "identityconnector", "corporate", "-o", "json").document()
    assert isinstance(found["spec"], dict)
    party.sign_in(ALICE.uid, ALICE.password)

    store.kubectl("delete", "identityconnector", "corporate").check()

    eventually(lambda: not _can_sign_in(party), within=1)


def test_names_are_the_same_everywhere() -> None:
    values, connector = _read("values.yaml"), _read("connector.yaml")["spec"]["ldap"]
    issuer = _read("authentication.yaml")["jwt"][0]["issuer"]

    assert issuer["url"] == values["config"]["issuer"]
    assert issuer["audiences"] == [values["config"]["staticClients"][0]["id"]] == [AUDIENCE]
    named = {connector["bindPWRef"]["name"], connector["rootCARef"]["name"]}
    assert set(values["rbac"]["secretNames"]) == named


def _wait_for_reachable(store: KubernetesStore, status: str) -> str:
    """Return the message of the condition once it has this status."""
    deadline = time.monotonic() + 2 * _PATIENCE_SECONDS
    while True:
        found: Any = store.kubectl("get", "identityconnector", "corporate", "-o", "json").document()
        conditions = found.get("status", {}).get("conditions", [])
        for condition in conditions:
            if condition["type"] == "Reachable" and condition["status"] == status:
                return str(condition["message"])
        assert time.monotonic() < deadline, conditions
        time.sleep(0.2)


def _secret(store: KubernetesStore, password: str) -> None:
    patch = json.dumps({"stringData": {"bindPW": password}})
    store.kubectl("patch", "secret", "ldap-reader", "--type=merge", f"--patch={patch}").check()


def _can_sign_in(party: RelyingParty) -> bool:
    try:
        return bool(party.sign_in(ALICE.uid, ALICE.password).id_token)
    except (SignInFailed, httpx.HTTPStatusError):
        return False


def _signs_in_soon(party: RelyingParty) -> None:
    deadline = time.monotonic() + 3 * _PATIENCE_SECONDS
    while not _can_sign_in(party):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def _read(name: str) -> dict[str, Any]:
    document = yaml.safe_load((_EXAMPLE / name).read_text())
    assert isinstance(document, dict)
    return document
