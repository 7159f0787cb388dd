"""The commands on a real cluster: sessions, keys, users, and what is said where something lacks.

They run as a support person would run them, whose Role has what docs/operations.md names.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import yaml

from tests.kit.command_line import Person, person_with
from tests.kit.relying_party import RelyingParty, SignInFailed
from tests.kit.scene import JANE, OMAR, Account, kubernetes_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import KubernetesStore, kubernetes_store
from tests.kit.servers.rbac import Rule
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_STATE = "state.kube-idp.dev"
_SUPPORT: Sequence[Rule] = [
    {"apiGroups": [_STATE], "resources": ["refreshgrants"], "verbs": ["list", "delete"]},
    {"apiGroups": [_STATE], "resources": ["signingkeyrings"], "verbs": ["get", "patch"]},
    {"apiGroups": [_STATE], "resources": ["userstates"], "verbs": ["list", "create", "patch"]},
]


@pytest.fixture(scope="module")
def store(
    kube_with_crds: KubeApiServer,
    rules: Sequence[Rule],
    tmp_path_factory: pytest.TempPathFactory,
) -> KubernetesStore:
    directory = tmp_path_factory.mktemp("store")
    return kubernetes_store(kube_with_crds, directory=directory, rules=rules)


@pytest.fixture(scope="module")
def idp(store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory) -> Person:
    return person_with(store, "support", _SUPPORT, tmp_path_factory.mktemp("support"))


@pytest.fixture(scope="module")
def config(
    store: KubernetesStore, ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    return provider_config(tmp_path_factory.mktemp("provider"), ca=ca, store=store)


@pytest.fixture(scope="module")
def provider(
    config: dict[str, object],
    ca: CertificateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[IdpProcess]:
    directory = tmp_path_factory.mktemp("running")
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def party(provider: IdpProcess) -> Iterator[RelyingParty]:
    with provider.client() as http:
        yield kubernetes_party(http, provider.issuer)


def _sessions(idp: Person, *arguments: str) -> list[dict[str, str]]:
    found = json.loads(idp("session", "list", "-o", "json", *arguments).check())
    return [dict(one) for one in found]


def _soon(is_so: Callable[[], bool]) -> None:
    """Return once it is so; how soon that is, other files tell."""
    eventually(is_so, within=60)


def _can_sign_in(party: RelyingParty, account: Account) -> bool:
    try:
        party.sign_in(account.email, account.password)
    except (SignInFailed, httpx.HTTPStatusError):
        return False
    return True


def _published(party: RelyingParty) -> set[str]:
    keys = party.http.get(f"{party.issuer}/keys").raise_for_status().json()["keys"]
    return {key["kid"] for key in keys}


def test_before_the_first_start_there_are_no_keys_and_no_sessions(idp: Person) -> None:
    answer = idp("keys", "list")
    assert answer.status == 1
    assert "There are no signing keys in namespace idp-" in answer.stderr
    assert "--namespace" in answer.stderr
    answer = idp("session", "list")
    assert (answer.status, answer.stdout) == (0, "")


def test_the_servers_own_access_is_checked_before_the_first_start(
    idp: Person, config: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    answer = idp("check", "--cluster", str(path))
    assert answer.status == 0, answer
    first, server, *rest = answer.stdout.splitlines()
    assert first.endswith(f"ok, issuer {config['issuer']}")
    assert server.startswith("ok       API server: answers, v1.")
    assert [line.split(":")[0] for line in rest] == [
        "ok       identityconnectors.kube-idp.dev",
        "ok       localusers.kube-idp.dev",
        "ok       oidcclients.kube-idp.dev",
        "ok       refreshgrants.state.kube-idp.dev",
        "ok       registeredclients.state.kube-idp.dev",
        "ok       signingkeyrings.state.kube-idp.dev",
        "ok       usedassertions.state.kube-idp.dev",
        "ok       userstates.state.kube-idp.dev",
        "ok       sealing keys",
    ]
    assert "the server makes it at its first start" in rest[-1]


@pytest.mark.covers("R-95")
def test_a_right_that_lacks_is_named(
    store: KubernetesStore, config: dict[str, object], tmp_path: Path
) -> None:
    nobody = person_with(store, "nobody", [], tmp_path)
    answer = nobody("session", "list")
    assert (answer.status, answer.stdout) == (1, "")
    assert f"list refreshgrants.{_STATE}" in answer.stderr
    storage = {"type": "kubernetes", "config": {"kubeConfigFile": str(nobody.kubeconfig)}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**config, "storage": storage}))
    answer = nobody("check", "--cluster", str(path))
    assert answer.status == 1
    problems = [line for line in answer.stdout.splitlines() if line.startswith("problem")]
    assert len(problems) == 9
    assert "list identityconnectors.kube-idp.dev" in problems[0]
    assert "resourceNames: [kube-idp-sealing-keys]" in problems[-1]


def test_a_cluster_that_does_not_answer_is_named(idp: Person, tmp_path: Path) -> None:
    away = json.loads(idp.kubeconfig.read_text())
    away["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(away))
    answer = idp("session", "list", "--kubeconfig", str(path))
    assert answer.status == 1
    assert "Traceback" not in answer.stderr
    assert "The API server https://127.0.0.1:1 does not answer" in answer.stderr


@pytest.mark.parametrize("text", ["", "}{", "apiVersion: v1\nkind: Config\n"])
def test_a_kubeconfig_that_is_none_is_named(idp: Person, tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    answer = idp("session", "list", "--kubeconfig", str(path))
    assert answer.status == 2
    assert str(path) in answer.stderr
    assert "storage.config" not in answer.stderr
    assert "Traceback" not in answer.stderr


def test_sessions_are_listed_and_revoked_by_name(idp: Person, party: RelyingParty) -> None:
    jane = party.sign_in(JANE.email, JANE.password)
    omar = party.sign_in(OMAR.email, OMAR.password)
    (session,) = _sessions(idp, "--user", "jane")
    assert (session["client"], session["connector"]) == ("kubernetes", "local")
    table = idp("session", "list").check()
    assert {line.split()[1] for line in table.splitlines()[1:]} == {"jane", "omar"}
    assert idp("session", "revoke", session["name"]).check() == f"revoked {session['name']}\n"
    with pytest.raises(httpx.HTTPStatusError):
        party.refresh(jane.refresh_token)
    party.refresh(omar.refresh_token)
    again = idp("session", "revoke", session["name"])
    assert again.status == 1
    assert "There is no session" in again.stderr


def test_an_access_token_dies_with_its_session(idp: Person, party: RelyingParty) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    assert party.userinfo(tokens.access_token).status_code == 200
    idp("session", "revoke", "--user", "jane", "--yes").check()
    _soon(lambda: party.userinfo(tokens.access_token).status_code == 401)
    assert _sessions(idp, "--user", "jane") == []


def test_keys_are_listed_as_they_are_published(idp: Person, party: RelyingParty) -> None:
    rows = [line.split() for line in idp("keys", "list").check().splitlines()]
    assert rows[0] == ["KID", "ALG", "STATE", "SINCE", "UNTIL"]
    keys = {row[0]: row[2] for row in rows[1:] if row[1] == "RS256"}
    assert set(keys) == _published(party)
    assert sorted(keys.values()) == ["next", "signing"]


@pytest.mark.covers("R-91")
def test_a_routine_rotation_is_answered_with_when_it_happens(idp: Person) -> None:
    answer = idp("keys", "rotate")
    assert answer.status == 0, answer
    assert "signs from 2" in answer.stdout
    assert "answered: routine " in answer.stdout


@pytest.mark.covers("R-93")
def test_an_emergency_replaces_every_key(idp: Person, party: RelyingParty) -> None:
    before = _published(party)
    answer = idp("keys", "rotate", "--emergency")
    assert answer.status == 0, answer
    assert "answered: emergency " in answer.stdout
    _soon(lambda: not before & _published(party))
    _soon(lambda: _can_sign_in(party, JANE))


def test_sealing_anew_is_asked_for(idp: Person, store: KubernetesStore, provider: object) -> None:
    idp("keys", "reseal").check()
    path = "jsonpath={.metadata.annotations.kube-idp\\.dev/reseal}"
    assert store.kubectl("get", "signingkeyrings", "signing-keys", "-o", path).check()


def test_a_locked_user_is_out_at_once_and_in_again(idp: Person, party: RelyingParty) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    user = ("--connector", "local", f"id-of-{JANE.email}")
    idp("user", "lock", *user).check()
    _soon(lambda: not _can_sign_in(party, JANE))
    with pytest.raises(httpx.HTTPStatusError):
        party.refresh(tokens.refresh_token)
    assert _can_sign_in(party, OMAR)
    idp("user", "unlock", *user).check()
    _soon(lambda: _can_sign_in(party, JANE))


@pytest.mark.covers("I-3")
def test_a_user_who_is_signed_out_keeps_nothing_and_may_come_back(
    idp: Person, party: RelyingParty, store: KubernetesStore
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    user_id = f"id-of-{JANE.email}"
    idp("user", "logout", "--connector", "local", "--name", "jane", user_id).check()
    _soon(lambda: party.userinfo(tokens.access_token).status_code == 401)
    with pytest.raises(httpx.HTTPStatusError):
        party.refresh(tokens.refresh_token)
    assert _can_sign_in(party, OMAR)
    _soon(lambda: _can_sign_in(party, JANE))
    found = json.loads(store.kubectl("get", "userstates", "-o", "json").check())["items"]
    (spec,) = [item["spec"] for item in found if item["spec"]["userID"] == user_id]
    assert spec["notBefore"].endswith("Z")


def test_locking_writes_one_object_whatever_the_id(idp: Person, store: KubernetesStore) -> None:
    user = ("--connector", "ldap", "uid=zoë,ou=Über/../x\u202e,dc=example")
    for command in ("unlock", "lock", "lock", "unlock"):
        idp("user", command, *user).check()
    found = json.loads(store.kubectl("get", "userstates", "-o", "json").check())["items"]
    specs = [item["spec"] for item in found if item["spec"]["connector"] == "ldap"]
    assert specs == [{"connector": "ldap", "userID": user[2], "locked": False}]


def test_an_object_made_by_hand_is_the_one_that_is_changed(
    idp: Person, store: KubernetesStore
) -> None:
    spec = {"connector": "ldap", "userID": "by-hand", "locked": True}
    store.apply(
        {
            "apiVersion": f"{_STATE}/v1beta1",
            "kind": "UserState",
            "metadata": {"name": "somebody"},
            "spec": spec,
        }
    )
    idp("user", "unlock", "--connector", "ldap", "by-hand").check()
    path = "jsonpath={.spec.locked}"
    assert store.kubectl("get", "userstates", "somebody", "-o", path).check() == "false"


def test_rotation_without_a_server_keeps_the_request(
    idp: Person, store: KubernetesStore, provider: IdpProcess
) -> None:
    provider.stop()
    try:
        answer = idp("keys", "rotate", "--no-wait")
        assert answer.status == 0
        assert "Asked for: routine " in answer.stdout
    finally:
        provider.start()
    request = answer.stdout.partition("Asked for: ")[2].partition(". ")[0]
    _soon(lambda: request in idp("keys", "list").check())
