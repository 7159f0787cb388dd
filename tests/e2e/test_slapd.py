"""The directory of the tests: slapd holds, refuses and writes down what other tests rely on."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.directory_tree import (
    ALICE,
    BASE,
    BOB,
    DEPTH,
    GROUPS,
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


@pytest.mark.parametrize("person", [*PEOPLE, SERVICE], ids=lambda person: person.dn)
def test_people_bind_with_their_own_password_only(slapd: Slapd, person: DirectoryPerson) -> None:
    known = slapd.client(dn=person.dn, password=person.password)
    guessing = slapd.client(dn=person.dn, password="wrong")

    assert known.whoami().startswith("dn:uid=")
    assert _refusal(guessing) == _INVALID_CREDENTIALS


def test_only_the_service_account_reads(slapd: Slapd) -> None:
    everyone = slapd.client().search("(objectClass=inetOrgPerson)", base=BASE)
    alice = slapd.client(dn=ALICE.dn, password=ALICE.password)
    anonymous = slapd.client(dn="", password="")

    assert len(everyone) > len(PEOPLE)
    assert not any("userPassword" in entry for entry in everyone.values())
    for other in (alice, anonymous):
        with pytest.raises(LdapFailed) as refused:
            other.search("(uid=alice)", base=BASE)
        assert refused.value.result == _NO_SUCH_OBJECT


@pytest.mark.parametrize("uid", [r"o'neil \28ext\29", r"m\c3\bcller\5cx", r"a\2ab", "日本"])
def test_strange_names_are_found_and_nobody_else(slapd: Slapd, uid: str) -> None:
    assert len(slapd.client().search(f"(uid={uid})", base=BASE)) == 1


def test_star_let_through_finds_somebody_else(slapd: Slapd) -> None:
    found = slapd.client().search("(uid=a*b)", base=BASE)

    assert [entry["uid"] for entry in found.values()] == [[b"a*b"], [b"axxb"]]


def test_one_address_is_found_twice(slapd: Slapd) -> None:
    assert len(slapd.client().search("(mail=twin@example.org)", base=BASE)) == 2


def test_groups_hold_their_members_and_entries_their_groups(slapd: Slapd) -> None:
    found = slapd.client().search("(objectClass=groupOfNames)", base=BASE, attributes=["cn"])
    of_alice = slapd.client().search("(uid=alice)", base=BASE, attributes=["memberOf"])

    assert len(found) == len(GROUPS)
    assert found.keys() >= {group_dn(f"depth-{DEPTH}"), group_dn("cycle-a")}
    groups = {dn.decode() for dn in of_alice[ALICE.dn]["memberOf"]}
    assert groups == {group_dn("admins"), group_dn("backend")}


def test_posix_group_names_uids(slapd: Slapd) -> None:
    found = slapd.client().search(r"(memberUid=a\2ab)", base=BASE, attributes=["cn"])

    assert [entry["cn"] for entry in found.values()] == [[b"users"]]


@pytest.mark.parametrize(("person", "result"), [(LOCKED, 49), (EXPIRED, 49)])
def test_policy_keeps_people_out(slapd: Slapd, person: DirectoryPerson, result: int) -> None:
    assert _refusal(slapd.client(dn=person.dn, password=person.password)) == result


def test_policy_lets_some_in_with_a_warning(slapd: Slapd) -> None:
    in_grace = slapd.client(dn=IN_GRACE.dn, password=IN_GRACE.password)
    must_change = slapd.client(dn=MUST_CHANGE.dn, password=MUST_CHANGE.password)

    for _ in range(3):
        assert in_grace.whoami()
    assert _refusal(in_grace) == _INVALID_CREDENTIALS
    with pytest.raises(LdapFailed, match="restricted to bind/"):
        must_change.search("(uid=alice)", base=BASE)


def test_lock_is_an_administrators_and_can_be_taken_away(slapd: Slapd) -> None:
    bob = slapd.client(dn=BOB.dn, password=BOB.password)

    slapd.lock(BOB.dn)
    while_locked = _refusal(bob)
    slapd.unlock(BOB.dn)

    assert while_locked == _INVALID_CREDENTIALS
    assert bob.whoami() == f"dn:{BOB.dn}"


def test_three_failures_lock(slapd: Slapd) -> None:
    person = _added(slapd, "guessed")
    slapd.modify(person.dn, "add", {"pwdPolicySubentry": [policy_dn("three-failures")]})

    for _ in range(3):
        _refusal(slapd.client(dn=person.dn, password="wrong"))

    knows = slapd.client(dn=person.dn, password=person.password)
    assert _refusal(knows) == _INVALID_CREDENTIALS
    assert "pwdAccountLockedTime" in slapd.search("(uid=guessed)")[person.dn]


def test_entries_change_move_and_go_with_their_groups(slapd: Slapd) -> None:
    person = _added(slapd, "mover")
    slapd.modify(group_dn("admins"), "add", {"member": [person.dn]})
    slapd.add("ou=away," + BASE, {"objectClass": ["organizationalUnit"], "ou": ["away"]})

    moved = slapd.rename(person.dn, rdn="uid=mover", parent="ou=away," + BASE)
    slapd.set_password(moved, "another")
    members_then = slapd.search("(cn=admins)")[group_dn("admins")]["member"]
    bound = slapd.client(dn=moved, password="another").whoami()
    slapd.delete(moved)

    assert bound == f"dn:{moved}"
    assert members_then == [ALICE.dn.encode(), moved.encode()]
    assert slapd.search("(uid=mover)") == {}
    assert slapd.search("(cn=admins)")[group_dn("admins")]["member"] == [ALICE.dn.encode()]


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


def test_restart_keeps_ports_and_data(slapd: Slapd) -> None:
    person = _added(slapd, "kept")
    client = slapd.client(dn=person.dn, password=person.password)
    mark = slapd.mark()

    client.whoami()
    slapd.stop()
    while_down = _refusal(client)
    slapd.start()
    client.whoami()

    before, after = (each for each in slapd.operations(since=mark) if each.kind == "BIND")
    assert while_down == _CANNOT_CONNECT
    assert before.connection != after.connection


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


def _added(slapd: Slapd, uid: str) -> DirectoryPerson:
    person = DirectoryPerson(uid=uid, cn=uid.title(), mail=[f"{uid}@example.org"])
    slapd.add(person.dn, person.attributes)
    return person


def _refusal(client: LdapUtils) -> int:
    """Bind, which is to fail, and return the result."""
    with pytest.raises(LdapFailed) as refused:
        client.whoami()
    return refused.value.result
