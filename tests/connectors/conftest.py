"""One slapd for each file of tests that asks for it."""

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest

from connectors.ldap.connector import LdapConnector
from tests.connectors.slapd_world import config_of, opened
from tests.kit.directory_tree import (
    DirectoryPerson,
    group_dn,
)
from tests.kit.install.binaries import OpenLdap, find_openldap
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.slapd import Slapd

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def openldap() -> OpenLdap:
    return find_openldap()


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority.create()


@pytest.fixture(scope="module")
def slapd(
    openldap: OpenLdap, ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Slapd]:
    directory = tmp_path_factory.mktemp("ldap") / "slapd"
    with Slapd(openldap, directory=directory, ca=ca) as running:
        yield running


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture(params=["ldaps", "starttls"])
def connector(
    request: pytest.FixtureRequest, slapd: Slapd, counted: Counter[str]
) -> Iterator[LdapConnector]:
    with_tls = opened(config_of(slapd, request.param), counted)
    yield with_tls
    with_tls.close()


@pytest.fixture
def person(slapd: Slapd) -> Iterator[DirectoryPerson]:
    """Yield somebody whom a test may change."""
    uid = f"somebody-{next(_numbers)}"
    somebody = DirectoryPerson(uid=uid, cn=uid, mail=[f"{uid}@example.org"])
    slapd.add(somebody.dn, somebody.attributes)
    slapd.modify(group_dn("admins"), "add", {"member": [somebody.dn]})
    yield somebody
    found = slapd.search(f"(uid={uid})")
    for dn in found:
        slapd.delete(dn)
