"""389 Directory Server: where it differs from slapd, and other tests rely on that."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.directory_tree import ALICE, BASE, CAROL, group_dn
from tests.kit.install.binaries import find_openldap, find_server_389
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.ldap_utils import LdapFailed
from tests.kit.servers.ns_slapd import DISABLED, NsSlapd
from tests.kit.servers.process import ServerFailed

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def ns_slapd(
    ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NsSlapd]:
    directory = tmp_path_factory.mktemp("directory") / "ns-slapd"
    with NsSlapd(
        find_server_389(), openldap=find_openldap(), directory=directory, ca=ca
    ) as running:
        yield running


def test_disabled_account_is_told_so(ns_slapd: NsSlapd) -> None:
    disabled = ns_slapd.client(dn=DISABLED.dn, password=DISABLED.password)

    with pytest.raises(LdapFailed, match="Account inactivated") as refused:
        disabled.whoami()
    assert refused.value.result == 53


def test_disabled_account_with_a_wrong_password_is_told_the_same(ns_slapd: NsSlapd) -> None:
    """Who knows no password learns here that the account is there."""
    guessing = ns_slapd.client(dn=DISABLED.dn, password="wrong")

    with pytest.raises(LdapFailed) as refused:
        guessing.whoami()
    assert refused.value.result == 53


def test_member_of_names_the_groups_of_groups_too(ns_slapd: NsSlapd) -> None:
    def groups(uid: str) -> set[str]:
        (entry,) = (
            ns_slapd.client().search(f"(uid={uid})", base=BASE, attributes=["memberOf"]).values()
        )
        return {dn.decode() for dn in entry["memberOf"]}

    assert groups(ALICE.uid) == set(map(group_dn, ("admins", "backend", "developers", "staff")))
    assert groups(CAROL.uid) == {group_dn("cycle-a"), group_dn("cycle-b")}


def test_server_that_cannot_start_fails_at_once(ca: CertificateAuthority, tmp_path: Path) -> None:
    server = NsSlapd(find_server_389(), openldap=find_openldap(), directory=tmp_path / "ds", ca=ca)

    with (
        socket.create_server(("127.0.0.1", int(server.host.rpartition(":")[2]))),
        pytest.raises(ServerFailed, match="ended at start: 1"),
    ):
        server.start()
