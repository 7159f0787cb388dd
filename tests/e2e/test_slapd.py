"""slapd: its password policy, its limits and its log of operations are what other tests rely on."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.directory_tree import (
    ALICE,
    BASE,
    MUELLER,
    PEOPLE,
    PEOPLE_BASE,
    SERVICE,
    DirectoryPerson,
    group_dn,
)
from tests.kit.install.binaries import OpenLdap, find_openldap
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.ldap_utils import LdapFailed, LdapUtils
from tests.kit.servers.process import ServerFailed
from tests.kit.servers.slapd import Slapd
from tests.kit.servers.slapd_policy import EXPIRED, IN_GRACE, LOCKED, MUST_CHANGE, policy_dn

pytestmark = pytest.mark.servers

_SIZE_LIMIT_EXCEEDED = 4
_NO_SUCH_OBJECT = 32
_INVALID_CREDENTIALS = 49
_SERVER_IS_GONE = 254
_CANNOT_CONNECT = 255
_START_TLS = "1.3.6.1.4.1.1466.20037"


@pytest.fixture(scope="module")
def openldap() -> OpenLdap:
    return find_openldap()


@pytest.fixture(scope="module")
def slapd(
    openldap: OpenLdap, ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Slapd]:
    directory = tmp_path_factory.mktemp("directory") / "slapd"
    with Slapd(openldap, directory=directory, ca=ca) as running:
        yield running


@pytest.mark.parametrize("person", [LOCKED, EXPIRED], ids=lambda person: person.uid)
def test_policy_keeps_people_out(slapd: Slapd, person: DirectoryPerson) -> None:
    knows = slapd.client(dn=person.dn, password=person.password)

    assert _refusal(knows) == _INVALID_CREDENTIALS


def test_member_of_names_the_groups_that_one_is_in_directly(slapd: Slapd) -> None:
    found = slapd.client().search("(uid=alice)", base=BASE, attributes=["memberOf"])

    groups = {dn.decode() for dn in found[ALICE.dn]["memberOf"]}
    assert groups == {group_dn("admins"), group_dn("backend")}


def test_policy_lets_some_in_with_a_warning(slapd: Slapd) -> None:
    in_grace = slapd.client(dn=IN_GRACE.dn, password=IN_GRACE.password)
    must_change = slapd.client(dn=MUST_CHANGE.dn, password=MUST_CHANGE.password)

    for _ in range(3):
        assert in_grace.whoami()
    assert _refusal(in_grace) == _INVALID_CREDENTIALS
    with pytest.raises(LdapFailed, match="restricted to bind/"):
        must_change.search("(uid=alice)", base=BASE)


def test_three_failures_lock(slapd: Slapd) -> None:
    person = DirectoryPerson(uid="guessed", cn="Guessed", mail=[])
    slapd.add(person.dn, person.attributes)
    slapd.modify(person.dn, "add", {"pwdPolicySubentry": [policy_dn("three-failures")]})

    for _ in range(3):
        _refusal(slapd.client(dn=person.dn, password="wrong"))

    knows = slapd.client(dn=person.dn, password=person.password)
    assert _refusal(knows) == _INVALID_CREDENTIALS
    assert "pwdAccountLockedTime" in slapd.search("(uid=guessed)")[person.dn]


def test_size_limit_ends_pages_in_their_middle(slapd: Slapd) -> None:
    def result(page_size: int | None) -> int:
        with pytest.raises(LdapFailed) as refused:
            slapd.client().search("(uid=*)", base=PEOPLE_BASE, page_size=page_size)
        return refused.value.result

    with slapd.size_limit(5):
        limited = (result(None), result(2))

    assert limited == (_SIZE_LIMIT_EXCEEDED, _SIZE_LIMIT_EXCEEDED)
    found = slapd.client().search("(uid=*)", base=PEOPLE_BASE, page_size=2)
    assert {each.dn for each in PEOPLE if each.base == PEOPLE_BASE} <= found.keys()


def test_operations_are_written_down(slapd: Slapd) -> None:
    mark = slapd.mark()
    service = slapd.client()

    service.search(r"(uid=o'neil \28ext\29)", base=PEOPLE_BASE, attributes=["uid", "mail"])
    _refusal(slapd.client(dn=MUELLER.dn, password="wrong"))
    slapd.search("(uid=alice)")
    bind, search, refused = slapd.operations(since=mark)

    assert (bind.kind, bind.dn, bind.result) == ("BIND", SERVICE.dn, 0)
    assert (search.kind, search.dn, search.scope) == ("SRCH", PEOPLE_BASE, "sub")
    assert search.filter == r"(uid=o'neil \28ext\29)"
    assert search.attributes == ("uid", "mail")
    assert (search.result, search.entries, search.bound_as) == (0, 1, SERVICE.dn)
    assert (refused.dn, refused.result) == (MUELLER.dn, _INVALID_CREDENTIALS)
    assert bind.connection == search.connection != refused.connection
    assert not any(each.over_tls for each in (bind, search, refused))


def test_tls_is_written_down_and_verified(slapd: Slapd, tmp_path: Path) -> None:
    foreign = CertificateAuthority.create().write(tmp_path / "foreign.crt")
    mark = slapd.mark()

    over_tls = replace(slapd.client(), url=slapd.tls_url)
    over_tls.whoami()
    assert _refusal(replace(over_tls, ca_file=foreign)) == _CANNOT_CONNECT
    replace(slapd.client(), start_tls="required").whoami()

    asked = slapd.operations(since=mark)
    assert [each.over_tls for each in asked if each.kind == "BIND"] == [True, True]
    assert [each.over_tls for each in asked if each.dn == _START_TLS] == [False]


def test_connections_are_counted_through_restarts(slapd: Slapd) -> None:
    mark = slapd.mark()

    slapd.client().whoami()
    slapd.restart()
    slapd.client().whoami()

    before, after = (each for each in slapd.operations(since=mark) if each.kind == "BIND")
    assert before.connection < after.connection


def test_paused_directory_accepts_and_says_nothing(slapd: Slapd) -> None:
    slapd.pause()
    with pytest.raises(subprocess.TimeoutExpired):
        replace(slapd.client(), within=0.5).whoami()
    slapd.resume()

    assert slapd.client().whoami()


def test_client_certificate_can_be_demanded(
    openldap: OpenLdap, ca: CertificateAuthority, tmp_path: Path
) -> None:
    with Slapd(
        openldap, directory=tmp_path / "slapd", ca=ca, client_certificates="demand"
    ) as strict:
        without = replace(strict.client(), url=strict.tls_url)
        known = replace(without, certificate=ca.issue(tmp_path / "client", names=["idp"]))
        stranger = CertificateAuthority.create().issue(tmp_path / "stranger", names=["idp"])

        for client in (without, replace(without, certificate=stranger)):
            # With TLS 1.3 a client may believe itself connected when it is refused.
            assert _refusal(client) in (_SERVER_IS_GONE, _CANNOT_CONNECT)
        assert strict.operations() == []
        assert known.whoami()


def test_slapd_that_cannot_start_says_why(
    slapd: Slapd, openldap: OpenLdap, ca: CertificateAuthority, tmp_path: Path
) -> None:
    second = Slapd(openldap, directory=tmp_path / "slapd", ca=ca)
    second.url = slapd.url

    with pytest.raises(ServerFailed, match="Address already in use"):
        second.start()


def _refusal(client: LdapUtils) -> int:
    """Bind, which is to fail, and return the result."""
    with pytest.raises(LdapFailed) as refused:
        client.whoami()
    return refused.value.result
