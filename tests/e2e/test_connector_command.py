"""`idp connector test` on a real directory: of a file, and of an object with one's own rights."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.command_line import Person, person_with
from tests.kit.directory_tree import ALICE, NO_MAIL, PEOPLE_BASE, SERVICE
from tests.kit.install.binaries import find_openldap
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.kubectl import Answer
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.slapd import Slapd
from tests.kit.written_connectors import (
    SECRET_RULE,
    account_secret,
    file_connector,
    written_connector,
)

pytestmark = pytest.mark.servers

_ISSUER = "https://login.example.com"
_READ_CONNECTORS = {
    "apiGroups": ["kube-idp.dev"],
    "resources": ["identityconnectors"],
    "verbs": ["get", "list"],
}


@pytest.fixture(scope="module")
def slapd(ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    directory = tmp_path_factory.mktemp("directory") / "slapd"
    with Slapd(find_openldap(), directory=directory, ca=ca) as running:
        yield running


@pytest.fixture
def of_file(slapd: Slapd, tmp_path: Path) -> Callable[..., Answer]:
    """Return what runs the command on a file whose connector is changed by `config`."""

    def run(*arguments: str, **config: Any) -> Answer:
        path = tmp_path / "config.yaml"
        document = {
            "issuer": _ISSUER,
            "storage": {"type": "memory"},
            "web": {"http": "127.0.0.1:0"},
            "connectors": [file_connector(slapd, **config)],
        }
        path.write_text(yaml.safe_dump(document))
        nobody = Person(tmp_path, tmp_path / "no-kubeconfig")
        return nobody("connector", "test", "corp", "--config", str(path), *arguments)

    return run


def test_everything_that_a_login_does_is_a_line(of_file: Callable[..., Answer]) -> None:
    answer = of_file("--user", "alice")
    assert answer.status == 0, answer
    assert answer.stderr == ""
    steps = [line for line in answer.stdout.splitlines() if line.startswith("ok ")]
    for number, word in enumerate(
        ["look up", "connect", "TLS", "service bind", "search", "find the person"]
    ):
        assert steps[number].removeprefix("ok       ").startswith(word)
    assert "admins, backend, developers, staff" in answer.stdout
    claims, kubernetes = answer.stdout.split("what kube-apiserver makes of them:")
    assert "alice@example.org" in claims
    assert "Alice Liddell" in claims
    assert "alice@example.org" in kubernetes
    assert f"{_ISSUER}#" in kubernetes
    assert SERVICE.password not in answer.stdout


def test_without_a_person_the_directory_alone_is_tried(of_file: Callable[..., Answer]) -> None:
    answer = of_file()
    assert answer.status == 0
    assert answer.stdout.splitlines()[-1].startswith("ok       search")


@pytest.mark.parametrize(
    ("config", "arguments", "problem"),
    [
        ({"bindPW": "wrong"}, [], "invalidCredentials); check bindDN and bindPW"),
        ({"rootCAData": None}, [], "its certificate is not trusted"),
        ({"host": "127.0.0.1:1"}, [], "check host, port and what is between"),
        (
            {"userSearch": {"baseDN": f"ou=nowhere,{PEOPLE_BASE}", "username": "uid"}},
            [],
            "the base DN is not there, or the service account may not read it",
        ),
        ({}, ["--user", "nobody"], "no entry has this name; searched for (&(objectClass=inetOrg"),
        ({}, ["--user", "*"], r"(uid=\2a)"),
        ({}, ["--user", NO_MAIL.uid], "the entry has no mail"),
    ],
)
def test_what_goes_wrong_is_told_with_the_step_and_the_remedy(
    of_file: Callable[..., Answer], config: dict[str, object], arguments: list[str], problem: str
) -> None:
    answer = of_file(*arguments, **config)
    assert answer.status == 1
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("problem")]
    assert problem in line
    assert "Traceback" not in answer.stderr
    assert SERVICE.password not in answer.stdout + answer.stderr


def test_an_object_is_read_with_the_rights_of_whoever_asks(
    new_store: Callable[[], KubernetesStore], slapd: Slapd, tmp_path: Path
) -> None:
    store = new_store()
    store.apply(account_secret(), written_connector(slapd))
    named = written_connector(slapd, "by-another-name")
    named["spec"]["id"] = "company"
    store.apply(named)
    administrator = person_with(store, "administrator", [_READ_CONNECTORS, SECRET_RULE], tmp_path)
    support = person_with(store, "support", [_READ_CONNECTORS], tmp_path)
    nobody = person_with(store, "nobody", [], tmp_path)

    answer = administrator("connector", "test", "corp", "--user", ALICE.uid)
    assert answer.status == 0, answer
    assert "admins, backend, developers, staff" in answer.stdout
    assert "ISSUER#" in answer.stdout
    by_id = administrator("connector", "test", "company")
    assert (by_id.status, by_id.stdout.splitlines()[0].split(":")[0]) == (0, "connector company")

    without_secret = support("connector", "test", "corp")
    assert (without_secret.status, without_secret.stdout) == (1, "")
    assert "You may not read the Secret `corp-directory`" in without_secret.stderr
    assert "spec.ldap.bindPWRef" in without_secret.stderr

    without_rights = nobody("connector", "test", "corp")
    assert without_rights.status == 1
    assert "identityconnectors.kube-idp.dev" in without_rights.stderr

    missing = administrator("connector", "test", "ghost")
    assert missing.status == 1
    assert "There is no IdentityConnector `ghost`" in missing.stderr
    assert "`by-another-name`, `corp`" in missing.stderr


def test_an_object_that_is_not_served_is_told_with_all_that_is_wrong(
    new_store: Callable[[], KubernetesStore], slapd: Slapd, tmp_path: Path
) -> None:
    store = new_store()
    store.apply(
        written_connector(slapd, "no-secret"),
        written_connector(slapd, "no-filter", userSearch={
            "baseDN": PEOPLE_BASE, "username": ["uid"], "filter": "(a=(b))",
        }),
    )  # fmt: skip
    administrator = person_with(store, "administrator", [_READ_CONNECTORS, SECRET_RULE], tmp_path)
    no_secret = administrator("connector", "test", "no-secret")
    assert no_secret.status == 1
    assert "There is no Secret `corp-directory` in this namespace" in no_secret.stderr
    no_filter = administrator("connector", "test", "no-filter")
    assert no_filter.status == 1
    assert "spec.ldap.userSearch.filter" in no_filter.stderr
    assert "Traceback" not in no_filter.stderr
