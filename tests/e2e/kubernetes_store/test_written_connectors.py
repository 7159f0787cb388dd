"""Directories that people write with kubectl: live on every replica, watched, let go of again."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from tests.kit.directory_tree import ALICE, BOB, SERVICE
from tests.kit.install.binaries import find_openldap
from tests.kit.relying_party import RelyingParty, SignInFailed, Tokens, submit_login
from tests.kit.scene import JANE, kubernetes_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import KubernetesStore, kubernetes_store
from tests.kit.servers.rbac import Rule
from tests.kit.servers.replicas import Replicas
from tests.kit.servers.slapd import Slapd
from tests.kit.together import together
from tests.kit.waiting import eventually
from tests.kit.written_connectors import (
    ACCOUNT_SECRET,
    SECRET_RULE,
    account_secret,
    written_connector,
)

pytestmark = pytest.mark.servers

_LIVE_SECONDS = 1.0
_STATUS_SECONDS = 30.0
_SECRET_SECONDS = 45.0
"""A Secret is read every 30 seconds."""
_PROBE_SECONDS = 75.0


@pytest.fixture(scope="module")
def slapd(ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    directory = tmp_path_factory.mktemp("directory") / "slapd"
    with Slapd(find_openldap(), directory=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def store(
    kube_with_crds: KubeApiServer,
    rules: Sequence[Rule],
    tmp_path_factory: pytest.TempPathFactory,
) -> KubernetesStore:
    return kubernetes_store(
        kube_with_crds,
        directory=tmp_path_factory.mktemp("store"),
        rules=[*rules, SECRET_RULE],
    )


@pytest.fixture(scope="module")
def replicas(
    ca: CertificateAuthority, store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    directory = tmp_path_factory.mktemp("replicas")
    config = provider_config(directory, ca=ca, store=store)
    with Replicas(config, directory=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def parties(replicas: Replicas) -> Iterator[list[RelyingParty]]:
    with ExitStack() as stack:
        yield [
            kubernetes_party(stack.enter_context(replica.client()), replicas.issuer)
            for replica in replicas.each
        ]


@pytest.fixture
def corp(store: KubernetesStore, slapd: Slapd, parties: list[RelyingParty]) -> Iterator[str]:
    """Write a connector for one test, after which no replica offers it any more."""
    store.apply(account_secret(), written_connector(slapd))
    yield "corp"
    store.kubectl("delete", "identityconnectors", "--all").check()
    # Who still offers it would be taken for one that offers the next.
    _everywhere(parties, lambda party: not _is_offered("corp", party))


def test_an_applied_directory_signs_people_in_within_a_second_on_every_replica(
    parties: list[RelyingParty], store: KubernetesStore, slapd: Slapd
) -> None:
    store.apply(account_secret())
    assert not _is_offered("corp", parties[0])

    store.apply(written_connector(slapd))

    _everywhere(parties, partial(_is_offered, "corp"))
    tokens = _sign_in(parties[0], ALICE.uid, ALICE.password)
    claims = parties[0].claims(tokens.id_token)
    assert claims["email"] == "alice@example.org"
    assert claims["groups"] == ["admins", "backend", "developers", "staff"]
    by_mail = _sign_in(parties[1], "A.Liddell@example.org", ALICE.password)
    assert parties[1].claims(by_mail.id_token)["sub"] == claims["sub"]
    assert parties[2].refresh(tokens.refresh_token).id_token
    assert _condition(store, "corp", "Ready")["status"] == "True"
    assert _condition(store, "corp", "SecretReady")["status"] == "True"
    eventually(lambda: _reachable(store) == "True", within=_STATUS_SECONDS)

    store.kubectl("delete", "identityconnector", "corp").check()

    _everywhere(parties, lambda party: not _is_offered("corp", party))
    for party in parties:
        answer = party.token(grant_type="refresh_token", refresh_token=by_mail.refresh_token)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    # With one connector left there is nothing to choose.
    assert parties[0].sign_in(JANE.email, JANE.password).id_token


def test_a_list_tells_the_state_of_each_directory(
    corp: str, parties: list[RelyingParty], store: KubernetesStore, slapd: Slapd
) -> None:
    nowhere = written_connector(slapd, "nowhere", host="127.0.0.1:1")
    store.apply(nowhere)
    eventually(lambda: _reachable(store, "nowhere") == "False", within=_STATUS_SECONDS)
    eventually(lambda: _reachable(store) == "True", within=_STATUS_SECONDS)

    table = store.kubectl("get", "idc").check().splitlines()
    message = _condition(store, "nowhere", "Reachable")["message"]

    assert table[0].split() == ["NAME", "READY", "TYPE", "HOST", "REACHABLE", "AGE"]
    assert table[1].split()[:5] == ["corp", "True", "ldap", slapd.tls_host, "True"]
    assert table[2].split()[:5] == ["nowhere", "True", "ldap", "127.0.0.1:1", "False"]
    assert "127.0.0.1:1" in message
    assert "refused" in message
    eventually(
        lambda: "Unreachable" in store.kubectl("get", "events").check(), within=_STATUS_SECONDS
    )


@pytest.mark.covers("L-1")
@pytest.mark.timeout(240)
def test_a_directory_that_goes_away_is_told_and_so_is_its_return(
    corp: str,
    parties: list[RelyingParty],
    store: KubernetesStore,
    slapd: Slapd,
    replicas: Replicas,
) -> None:
    _everywhere(parties, partial(_is_offered, "corp"))
    tokens = _sign_in(parties[0], BOB.uid, BOB.password)
    eventually(lambda: _metric(replicas) == {1.0}, within=_STATUS_SECONDS)
    slapd.stop()
    try:
        with pytest.raises(SignInFailed, match="503"):
            _sign_in(parties[0], BOB.uid, BOB.password)
        answer = parties[1].token(grant_type="refresh_token", refresh_token=tokens.refresh_token)
        assert answer.status_code == 503
        eventually(lambda: _reachable(store) == "False", within=_PROBE_SECONDS)
        eventually(lambda: _metric(replicas) == {0.0}, within=_PROBE_SECONDS)
        assert parties[2].http.get("/healthz").status_code == 200
    finally:
        slapd.start()
    assert _sign_in(parties[0], BOB.uid, BOB.password).id_token
    assert parties[1].refresh(tokens.refresh_token).id_token
    eventually(lambda: _reachable(store) == "True", within=_PROBE_SECONDS)
    eventually(lambda: _metric(replicas) == {1.0}, within=_PROBE_SECONDS)
    told = {
        line["event"]
        for line in replicas.log_lines()
        if line.get("connector") == "corp" and str(line["event"]).startswith("connector_")
    }
    assert {"connector_unreachable", "connector_reachable"} <= told


@pytest.mark.covers("L-17")
@pytest.mark.timeout(240)
def test_a_new_password_of_the_account_counts_without_a_restart(
    corp: str, parties: list[RelyingParty], store: KubernetesStore, slapd: Slapd
) -> None:
    _everywhere(parties, partial(_is_offered, "corp"))
    assert _sign_in(parties[0], ALICE.uid, ALICE.password).id_token
    slapd.set_password(SERVICE.dn, "another password")
    try:
        store.apply(account_secret("another password"))
        eventually(lambda: _can_sign_in(parties[1]), within=_SECRET_SECONDS)
        # Whether or not anybody noticed meanwhile, in the end all is well.
        eventually(lambda: _reachable(store) == "True", within=_PROBE_SECONDS)
    finally:
        slapd.set_password(SERVICE.dn, SERVICE.password)
        store.apply(account_secret())
    said = store.kubectl("get", "identityconnectors,events", "-o", "yaml").check()
    assert "another password" not in said
    assert SERVICE.password not in said


def test_what_the_server_may_not_read_is_named_with_the_rule_that_lacks(
    parties: list[RelyingParty], store: KubernetesStore, slapd: Slapd
) -> None:
    store.apply(
        account_secret(name="unlisted"),
        written_connector(slapd, "shut", bindPWRef={"name": "unlisted"}),
    )
    ready = _condition(store, "shut", "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "SecretForbidden")
    assert "rbac.secretNames" in ready["message"]
    assert not _is_offered("shut", parties[0])
    store.kubectl("delete", "identityconnector", "shut").check()


def test_a_mistake_is_refused_by_the_api_server_with_our_words(
    store: KubernetesStore, slapd: Slapd
) -> None:
    bad = written_connector(slapd, "bad", host="ldaps://ldap.example.com")
    answer = store.kubectl("apply", "-f", "-", stdin=json.dumps(bad))
    assert answer.status == 1
    assert "spec.ldap.host" in answer.stderr
    assert "is a URL; write host and port only" in answer.stderr


def test_no_password_of_the_account_is_logged(corp: str, replicas: Replicas) -> None:
    assert SERVICE.password not in json.dumps(replicas.log_lines())
    assert ACCOUNT_SECRET


def _sign_in(party: RelyingParty, login: str, password: str) -> Tokens:
    attempt = party.depart(connector_id="corp")
    location = submit_login(party.http, attempt.url, login=login, password=password)
    return party.redeem(party.code_of(location, attempt), attempt)


def _can_sign_in(party: RelyingParty) -> bool:
    try:
        return bool(_sign_in(party, ALICE.uid, ALICE.password).id_token)
    except SignInFailed:
        return False


def _is_offered(connector_id: str, party: RelyingParty) -> bool:
    return f'data-connector="{connector_id}"' in party.http.get(party.depart().url).text


def _everywhere(parties: list[RelyingParty], is_so: Callable[[RelyingParty], bool]) -> None:
    """Return once it is so at each of them; fails after a second."""
    together(
        [partial(eventually, partial(is_so, party), within=_LIVE_SECONDS) for party in parties]
    )


def _metric(replicas: Replicas) -> set[float]:
    """Return what the replicas say of the connector, each for itself."""
    found: set[float] = set()
    for address in replicas.telemetry:
        text = httpx.get(f"http://{address}/metrics", trust_env=False).text
        values = re.findall(r'^idp_connector_reachable\{connector="corp"\} (\S+)$', text, re.M)
        found.update(float(value) for value in values)
    return found


def _reachable(store: KubernetesStore, name: str = "corp") -> str:
    conditions = _conditions(store, name)
    return conditions.get("Reachable", {}).get("status", "")


def _conditions(store: KubernetesStore, name: str) -> dict[str, Mapping[str, str]]:
    document: dict[str, Any] = store.kubectl(
        "get", "identityconnector", name, "-o", "json"
    ).document()
    status = document.get("status", {})
    if status.get("observedGeneration") != document["metadata"]["generation"]:
        return {}
    return {each["type"]: each for each in status["conditions"]}


def _condition(store: KubernetesStore, name: str, type_: str) -> Mapping[str, str]:
    eventually(lambda: type_ in _conditions(store, name), within=_STATUS_SECONDS)
    return _conditions(store, name)[type_]
