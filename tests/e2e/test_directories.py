"""The real directories of the tests: each holds the same people, and lets in whom it should."""

import socket
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
    PEOPLE,
    PEOPLE_BASE,
    SERVICE,
    DirectoryPerson,
    group_dn,
)
from tests.kit.install.binaries import find_openldap, find_server_389
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.directory_server import DirectoryServer
from tests.kit.servers.ldap_utils import LdapFailed, LdapUtils
from tests.kit.servers.ns_slapd import NsSlapd
from tests.kit.servers.slapd import Slapd

pytestmark = pytest.mark.servers

_NO_SUCH_OBJECT = 32
_INVALID_CREDENTIALS = 49
_UNWILLING = 53
_CANNOT_CONNECT = 255


@pytest.fixture(scope="module", params=["slapd", "ns-slapd"])
def server(
    request: pytest.FixtureRequest,
    ca: CertificateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DirectoryServer]:
    directory = tmp_path_factory.mktemp("directory") / "server"
    openldap = find_openldap()
    new: DirectoryServer = (
        Slapd(openldap, directory=directory, ca=ca)
        if request.param == "slapd"
        else NsSlapd(find_server_389(), openldap=openldap, directory=directory, ca=ca)
    )
    with new as running:
        yield running


@pytest.mark.parametrize("person", [*PEOPLE, SERVICE], ids=lambda person: person.dn)
def test_people_bind_with_their_own_password_only(
    server: DirectoryServer, person: DirectoryPerson
) -> None:
    known = server.client(dn=person.dn, password=person.password)
    guessing = server.client(dn=person.dn, password="wrong")

    assert known.whoami().casefold() == person.dn.casefold()
    assert _refusal(guessing) == _INVALID_CREDENTIALS


def test_only_the_service_account_reads(server: DirectoryServer) -> None:
    everyone = server.client().search("(objectClass=inetOrgPerson)", base=BASE)

    assert {each.dn for each in PEOPLE} < everyone.keys()
    assert not any("userPassword" in entry for entry in everyone.values())
    assert _seen_by(server.client(dn=ALICE.dn, password=ALICE.password)) == set()
    assert _seen_by(server.client(dn="", password="")) == set()


@pytest.mark.parametrize("uid", [r"o'neil \28ext\29", r"m\c3\bcller\5cx", r"a\2ab", "日本"])
def test_strange_names_are_found_and_nobody_else(server: DirectoryServer, uid: str) -> None:
    assert len(server.client().search(f"(uid={uid})", base=BASE)) == 1


def test_star_let_through_finds_somebody_else(server: DirectoryServer) -> None:
    found = server.client().search("(uid=a*b)", base=BASE)

    assert {uid for entry in found.values() for uid in entry["uid"]} == {b"a*b", b"axxb"}


def test_one_address_is_found_twice(server: DirectoryServer) -> None:
    assert len(server.client().search("(mail=twin@example.org)", base=BASE)) == 2


def test_groups_hold_their_members(server: DirectoryServer) -> None:
    found = server.client().search("(objectClass=groupOfNames)", base=BASE)
    deepest = server.client().search(f"(member={group_dn(f'depth-{DEPTH - 1}')})", base=BASE)

    assert {group.dn: sorted(group.members) for group in GROUPS} == {
        dn: sorted(member.decode() for member in entry["member"]) for dn, entry in found.items()
    }
    assert list(deepest) == [group_dn(f"depth-{DEPTH}")]


def test_posix_group_names_uids(server: DirectoryServer) -> None:
    found = server.client().search(r"(memberUid=a\2ab)", base=BASE, attributes=["cn"])

    assert [entry["cn"] for entry in found.values()] == [[b"users"]]


def test_all_is_found_in_pages(server: DirectoryServer) -> None:
    found = server.client().search("(uid=*)", base=PEOPLE_BASE, page_size=2)

    assert {each.dn for each in PEOPLE if each.base == PEOPLE_BASE} <= found.keys()


def test_lock_is_an_administrators_and_can_be_taken_away(server: DirectoryServer) -> None:
    bob = server.client(dn=BOB.dn, password=BOB.password)

    server.lock(BOB.dn)
    while_locked = _refusal(bob)
    server.unlock(BOB.dn)

    assert while_locked == (_INVALID_CREDENTIALS if isinstance(server, Slapd) else _UNWILLING)
    assert bob.whoami()


def test_entries_change_move_and_go_with_their_groups(server: DirectoryServer) -> None:
    person = _added(server, "mover")
    server.modify(group_dn("admins"), "add", {"member": [person.dn]})
    server.add("ou=away," + BASE, {"objectClass": ["organizationalUnit"], "ou": ["away"]})

    moved = server.rename(person.dn, rdn="uid=mover", parent="ou=away," + BASE)
    server.set_password(moved, "another")
    members_then = server.search("(cn=admins)")[group_dn("admins")]["member"]
    bound = server.client(dn=moved, password="another").whoami()
    server.delete(moved)

    assert bound == moved
    assert set(members_then) == {ALICE.dn.encode(), moved.encode()}
    assert server.search("(uid=mover)") == {}
    assert server.search("(cn=admins)")[group_dn("admins")]["member"] == [ALICE.dn.encode()]


def test_tls_is_verified(server: DirectoryServer, tmp_path: Path) -> None:
    foreign = CertificateAuthority.create().write(tmp_path / "foreign.crt")
    over_tls = replace(server.client(), url=server.tls_url)

    assert over_tls.whoami()
    assert replace(server.client(), start_tls="required").whoami()
    assert _refusal(replace(over_tls, ca_file=foreign)) == _CANNOT_CONNECT


def test_nobody_but_this_machine_is_listened_to(server: DirectoryServer) -> None:
    for host in (server.host, server.tls_host):
        port = int(host.rpartition(":")[2])
        # Free at another address: so it is not taken at all of them.
        with socket.create_server(("127.0.0.2", port)):
            pass


def test_restart_keeps_ports_and_data(server: DirectoryServer) -> None:
    person = _added(server, "kept")
    client = server.client(dn=person.dn, password=person.password)

    server.stop()
    while_down = _refusal(client)
    server.start()

    assert while_down == _CANNOT_CONNECT
    assert client.whoami()


def _added(server: DirectoryServer, uid: str) -> DirectoryPerson:
    person = DirectoryPerson(uid=uid, cn=uid.title(), mail=[f"{uid}@example.org"])
    server.add(person.dn, person.attributes)
    return person


def _seen_by(client: LdapUtils) -> set[str]:
    """Return what somebody finds; a directory may hide even that there is one."""
    try:
        return set(client.search("(objectClass=*)", base=BASE))
    except LdapFailed as refused:
        if refused.result != _NO_SUCH_OBJECT:
            raise
        return set()


def _refusal(client: LdapUtils) -> int:
    """Bind, which is to fail, and return the result."""
    with pytest.raises(LdapFailed) as refused:
        client.whoami()
    return refused.value.result
