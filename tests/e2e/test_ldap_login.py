"""A person of an LDAP directory runs kubectl, signs in, and acts with their LDAP groups.

Nothing but Kubernetes is behind the provider here. ID tokens live ten seconds, so that each call of
kubectl with its own `oidc` provider refreshes, and each refresh asks the directory.
"""

import base64
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.kit import kubelogin
from tests.kit.directory_tree import (
    ALICE,
    BOB,
    CAROL,
    MUELLER,
    NIHON,
    O_NEIL,
    PARTNERS_BASE,
    PEOPLE_BASE,
    STAR,
    DirectoryPerson,
    group_dn,
)
from tests.kit.install.binaries import find_openldap
from tests.kit.ldap_scene import ldap_connector
from tests.kit.relying_party import RelyingParty, SignInFailed, Tokens
from tests.kit.scene import AUDIENCE, kubernetes_party, provider_config
from tests.kit.servers.browser import Browser
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import Answer, exec_user, kept_tokens, oidc_user
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.rbac import pods_listed_by
from tests.kit.servers.slapd import Slapd
from tests.kit.servers.trust import authentication_config, wait_until_trusted
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_WHOAMI = ("auth", "whoami", "-o", "json")
_BACK_WITHIN_SECONDS = 5


@pytest.fixture(scope="module")
def slapd(ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    directory = tmp_path_factory.mktemp("slapd")
    with Slapd(find_openldap(), directory=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def store(new_store: Callable[[], KubernetesStore]) -> KubernetesStore:
    """Return a namespace: what the directory does to tokens does not depend on the store."""
    return new_store()


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority,
    store: KubernetesStore,
    slapd: Slapd,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[IdpProcess]:
    directory = tmp_path_factory.mktemp("provider")
    overrides = {
        "connectors": [ldap_connector(slapd)],
        "enablePasswordDB": False,
        "staticPasswords": [],
        "expiry": {"idTokens": "10s"},
    }
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def party(provider: IdpProcess) -> Iterator[RelyingParty]:
    with provider.client() as http:
        yield kubernetes_party(http, provider.issuer)


@pytest.fixture(scope="module")
def cluster(
    kube: KubeApiServer, provider: IdpProcess, party: RelyingParty, ca: CertificateAuthority
) -> Iterator[KubeApiServer]:
    """Yield the API server, which lets developers list pods and trusts the provider."""
    config = authentication_config(provider.issuer, audience=AUDIENCE, ca=ca)
    kube.restart(authentication_config=config)
    wait_until_trusted(kube, lambda: party.sign_in(ALICE.uid, ALICE.password).id_token)
    with pods_listed_by(kube, "oidc:backend"):
        yield kube


class Device:
    """A machine with kubectl on which somebody has signed in."""

    def __init__(self, cluster: KubeApiServer, kubeconfig: Path) -> None:
        self._cluster = cluster
        self._kubeconfig = kubeconfig

    def kubectl(self, *arguments: str) -> Answer:
        """Call kubectl; before each call it refreshes."""
        return self._cluster.kubectl(*arguments, kubeconfig=self._kubeconfig)

    def user(self) -> tuple[str, list[str]]:
        """Return the name and the groups that the API server sees."""
        status = self.kubectl(*_WHOAMI).document()["status"]
        assert isinstance(status, dict)
        info = status["userInfo"]
        return info["username"], [each for each in info["groups"] if each.startswith("oidc:")]

    def tokens(self) -> Mapping[str, str]:
        """Return what kubectl keeps."""
        return kept_tokens(self._kubeconfig)


@pytest.fixture
def device(
    cluster: KubeApiServer, party: RelyingParty, ca: CertificateAuthority, tmp_path: Path
) -> Callable[[DirectoryPerson], Device]:
    """Return what signs people in on devices of their own."""
    names = iter(range(100))

    def sign_in(person: DirectoryPerson) -> Device:
        tokens = _patiently(lambda: party.sign_in(person.uid, person.password))
        user = oidc_user(
            {
                "idp-issuer-url": party.issuer,
                "idp-certificate-authority-data": base64.b64encode(ca.pem.encode()).decode(),
                "client-id": AUDIENCE,
                "id-token": tokens.id_token,
                "refresh-token": tokens.refresh_token,
            }
        )
        path = tmp_path / f"kubeconfig-{next(names)}"
        return Device(cluster, cluster.write_kubeconfig(path, user=user))

    return sign_in


def test_person_of_the_directory_signs_in_and_kubectl_knows_name_and_groups(
    cluster: KubeApiServer, provider: IdpProcess, browser: Browser, tmp_path: Path
) -> None:
    plugin = exec_user(
        sys.executable,
        kubelogin.__file__,
        f"--issuer={provider.issuer}",
        f"--client-id={AUDIENCE}",
        f"--ca={cluster.ca_file}",
        f"--cache={tmp_path / 'cache'}",
        f"--browser={tmp_path / 'address'}",
    )
    kubeconfig = cluster.write_kubeconfig(tmp_path / "kubeconfig", user=plugin)
    page = browser.person().page

    with ThreadPoolExecutor(1) as terminal:
        whoami = terminal.submit(cluster.kubectl, *_WHOAMI, kubeconfig=kubeconfig)
        page.goto(_address(tmp_path / "address"))
        _send(page, ALICE, password="wrong")
        expect(page.get_by_role("alert")).to_be_visible()
        assert not whoami.done()
        _send(page, ALICE)
        expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()
        status = whoami.result(timeout=60).document()["status"]

    assert isinstance(status, dict)
    info = status["userInfo"]
    assert info["username"] == "oidc:alice@example.org"
    assert info["groups"] == [
        "oidc:admins",
        "oidc:backend",
        "oidc:developers",
        "oidc:staff",
        "system:authenticated",
    ]


def test_group_of_the_directory_decides_what_a_person_may_do(
    device: Callable[[DirectoryPerson], Device],
) -> None:
    alice, bob = device(ALICE), device(BOB)

    assert "No resources found" in alice.kubectl("get", "pods").stderr
    secrets, pods = alice.kubectl("get", "secrets"), bob.kubectl("get", "pods")

    assert (secrets.status, pods.status) == (1, 1)
    assert 'User "oidc:alice@example.org" cannot list resource "secrets"' in secrets.stderr
    assert 'User "oidc:bob@example.org" cannot list resource "pods"' in pods.stderr


def test_refresh_by_kubectl_keeps_the_subject_and_makes_new_tokens(
    device: Callable[[DirectoryPerson], Device], party: RelyingParty
) -> None:
    alice = device(ALICE)
    first = alice.tokens()

    assert alice.user()[0] == "oidc:alice@example.org"

    second = alice.tokens()
    assert second["refresh-token"] != first["refresh-token"]
    assert party.claims(second["id-token"])["sub"] == party.claims(first["id-token"])["sub"]


def test_login_costs_two_writes_and_three_requests_and_a_refresh_one_and_two(
    cluster: KubeApiServer, party: RelyingParty, store: KubernetesStore
) -> None:
    with store.api_requests.recorded() as login:
        tokens = party.sign_in(ALICE.uid, ALICE.password)
    with store.api_requests.recorded() as refresh:
        party.refresh(tokens.refresh_token)

    assert len(login.writes) <= 2, str(login)
    assert len(login.of_operations) <= 3, str(login)
    assert len(refresh.writes) == 1, str(refresh)
    assert len(refresh.of_operations) <= 2, str(refresh)


@pytest.mark.covers("R-31")
def test_second_device_goes_on_when_the_first_is_signed_out(
    device: Callable[[DirectoryPerson], Device], store: KubernetesStore, party: RelyingParty
) -> None:
    first, second = device(ALICE), device(ALICE)

    assert party.revoke(first.tokens()["refresh-token"]).status_code == 200

    assert first.kubectl(*_WHOAMI).status == 1
    assert second.user()[0] == "oidc:alice@example.org"


def test_group_that_was_taken_away_is_gone_at_the_next_refresh(
    device: Callable[[DirectoryPerson], Device], slapd: Slapd
) -> None:
    bob = device(BOB)
    assert bob.user()[1] == ["oidc:developers", "oidc:staff"]

    slapd.modify(group_dn("developers"), "delete", {"member": [BOB.dn]})
    try:
        assert bob.user()[1] == []
    finally:
        slapd.modify(group_dn("developers"), "add", {"member": [BOB.dn]})

    assert bob.user()[1] == ["oidc:developers", "oidc:staff"]


def test_person_who_moves_in_the_tree_stays_signed_in(
    device: Callable[[DirectoryPerson], Device], slapd: Slapd
) -> None:
    carol = device(CAROL)
    rdn = f"uid={CAROL.uid}"
    team = f"ou=team,{PEOPLE_BASE}"
    slapd.add(team, {"objectClass": ["organizationalUnit"], "ou": ["team"]})

    moved = slapd.rename(CAROL.dn, rdn=rdn, parent=team)
    try:
        assert carol.user() == ("oidc:carol@example.org", ["oidc:cycle-a", "oidc:cycle-b"])
    finally:
        slapd.rename(moved, rdn=rdn, parent=PEOPLE_BASE)
        slapd.delete(team)


def test_deleted_person_is_out_and_so_is_who_left_the_part_of_the_tree_that_counts(
    device: Callable[[DirectoryPerson], Device], slapd: Slapd
) -> None:
    leaver = DirectoryPerson(uid="leaver", cn="Lee Leaver", mail=["lee@example.org"])
    partner = DirectoryPerson(uid="changer", cn="Cha Changer", mail=["cha@example.org"])
    for person in (leaver, partner):
        slapd.add(person.dn, person.attributes)
    first, second = device(leaver), device(partner)
    assert first.user()[0] == "oidc:lee@example.org"

    slapd.delete(leaver.dn)
    moved = slapd.rename(partner.dn, rdn=f"uid={partner.uid}", parent=PARTNERS_BASE)

    assert first.kubectl(*_WHOAMI).status == 1
    assert second.kubectl(*_WHOAMI).status == 1
    slapd.delete(moved)


def test_locked_account_is_out_at_refresh_and_at_login(
    device: Callable[[DirectoryPerson], Device], slapd: Slapd, party: RelyingParty
) -> None:
    person = DirectoryPerson(uid="lockme", cn="Loki Lockme", mail=["loki@example.org"])
    slapd.add(person.dn, person.attributes)
    loki = device(person)
    assert loki.user()[0] == "oidc:loki@example.org"

    slapd.lock(person.dn)

    assert loki.kubectl(*_WHOAMI).status == 1
    with pytest.raises(SignInFailed):
        party.sign_in(person.uid, person.password)


@pytest.mark.covers("L-1")
def test_directory_that_is_away_costs_nobody_a_login(
    device: Callable[[DirectoryPerson], Device],
    slapd: Slapd,
    party: RelyingParty,
    browser: Browser,
) -> None:
    alice = device(ALICE)
    kept = alice.tokens()
    page = browser.person().page
    page.goto(party.depart().url)

    slapd.stop()
    try:
        assert alice.kubectl(*_WHOAMI).status == 1
        refused = party.token(grant_type="refresh_token", refresh_token=kept["refresh-token"])
        _send(page, ALICE)
        expect(page.get_by_role("heading")).to_have_text(re.compile("not possible right now"))
        with pytest.raises(SignInFailed, match="503"):
            party.sign_in(ALICE.uid, "a wrong password is not called wrong either")
    finally:
        slapd.start()

    assert refused.status_code == 503
    assert refused.json()["error"] == "temporarily_unavailable"
    assert int(refused.headers["retry-after"]) > 0
    assert alice.tokens() == kept
    eventually(lambda: _can_sign_in(party, ALICE), within=_BACK_WITHIN_SECONDS)
    assert alice.user()[0] == "oidc:alice@example.org"


@pytest.mark.covers("L-13")
@pytest.mark.parametrize("person", [O_NEIL, MUELLER, STAR, NIHON], ids=lambda each: each.uid)
def test_people_with_unusual_names_sign_in_by_hand(
    party: RelyingParty, browser: Browser, person: DirectoryPerson
) -> None:
    page = browser.person().page
    attempt = party.depart()
    page.goto(attempt.url)

    # Nobody listens there: what the browser sets out with is what kubectl would be given.
    with page.expect_request("http://localhost:8000/**") as back:
        _send(page, person)

    tokens = party.redeem(party.code_of(back.value.url, attempt), attempt)
    claims = party.claims(tokens.id_token)
    assert claims["preferred_username"] == person.uid
    assert claims["name"] == person.cn
    assert claims["email"] == person.mail[0]


def _send(page: Page, person: DirectoryPerson, *, password: str | None = None) -> None:
    page.get_by_label("Username").fill(person.uid)
    page.get_by_label("Password").fill(person.password if password is None else password)
    page.get_by_role("button", name="Sign in").click()


def _can_sign_in(party: RelyingParty, person: DirectoryPerson) -> bool:
    try:
        return bool(party.sign_in(person.uid, person.password).id_token)
    except (SignInFailed, httpx.HTTPStatusError):
        return False


def _patiently(act: Callable[[], Tokens]) -> Tokens:
    """Try until the directory, or the API server after its restart, is there again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return act()
        except (SignInFailed, httpx.HTTPStatusError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _address(path: Path) -> str:
    """Wait for the address that the plugin would open in the person's browser."""
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, "the plugin did not ask to open a browser"
        time.sleep(0.05)
    return path.read_text()
