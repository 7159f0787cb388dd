"""A client that is not ours takes the hostile directory for a real one, as long as it is honest."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from tests.kit.directory_tree import ALICE, BASE, PEOPLE_BASE, SERVICE, entries
from tests.kit.hostile_directory.behaviours import Answers
from tests.kit.hostile_directory.requests import Bind, Search
from tests.kit.hostile_directory.server import HostileDirectory
from tests.kit.install.binaries import find_openldap
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.ldap_utils import Entry, LdapFailed, LdapUtils
from tests.kit.servers.slapd import Slapd

pytestmark = pytest.mark.servers

_FILTERS = [
    "(uid=alice)",
    "(&(objectClass=inetOrgPerson)(|(uid=bob)(mail=*)))",
    "(!(uid=*))",
    "(uid=a*b)",
    "(cn=*e*r*)",
    "(cn=A*dell)",
    r"(uid=o'neil \28ext\29)",
    r"(uid=m\c3\bcller\5cx)",
    "(uid=日本)",
    "(member=uid=bob,ou=people,dc=example,dc=org)",
    "(memberUid=alice)",
]


@pytest.fixture(scope="module")
def slapd(ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    directory = tmp_path_factory.mktemp("directory") / "slapd"
    with Slapd(find_openldap(), directory=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def hostile(
    ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HostileDirectory]:
    certificate = ca.issue(tmp_path_factory.mktemp("hostile"))
    with HostileDirectory(entries(), certificate=certificate) as running:
        yield running


@pytest.fixture
def client(slapd: Slapd, hostile: HostileDirectory) -> Iterator[LdapUtils]:
    yield replace(slapd.client(), url=hostile.url)
    hostile.behave()


@pytest.mark.parametrize("page_size", [None, 3])
@pytest.mark.parametrize("filter", _FILTERS)
def test_it_finds_what_slapd_finds(
    slapd: Slapd, client: LdapUtils, filter: str, page_size: int | None
) -> None:
    found = client.search(filter, base=PEOPLE_BASE, page_size=page_size)

    assert _sorted(found) == _sorted(slapd.client().search(filter, base=PEOPLE_BASE))
    everywhere = client.search(filter, base=BASE, attributes=["cn", "mail"])
    real = slapd.client().search(filter, base=BASE, attributes=["cn", "mail"])
    assert _sorted(everywhere) == {
        dn: entry
        for dn, entry in _sorted(real).items()
        if "kept out" not in dn and "ou=policies" not in dn
    }


def test_filters_are_written_down_as_they_were_asked(
    client: LdapUtils, hostile: HostileDirectory
) -> None:
    for filter in _FILTERS:
        client.search(filter, base=PEOPLE_BASE)

    asked = [search.filter for search in hostile.seen().of(Search)][-len(_FILTERS) :]
    assert [each.lower() for each in asked] == [
        each.lower().replace(r"\c3\bc", "ü") for each in _FILTERS
    ]


def test_binds_and_start_tls_are_those_of_a_real_one(
    client: LdapUtils, hostile: HostileDirectory
) -> None:
    replace(client, start_tls="required").search("(uid=alice)", base=BASE)
    with pytest.raises(LdapFailed) as refused:
        replace(client, password="wrong").search("(uid=alice)", base=BASE)

    good, bad = hostile.seen().of(Bind)[-2:]
    assert refused.value.result == 49
    assert (good.dn, good.password, good.over_tls) == (SERVICE.dn, SERVICE.password.encode(), True)
    assert (bad.password, bad.over_tls) == (b"wrong", False)


def test_results_reach_a_real_client_with_their_text(
    client: LdapUtils, hostile: HostileDirectory
) -> None:
    hostile.tell("bind", Answers(result=49, text="data 533, v2580"))

    with pytest.raises(LdapFailed, match="data 533, v2580") as refused:
        replace(client, dn=ALICE.dn, password=ALICE.password).whoami()
    assert refused.value.result == 49


def _sorted(found: Mapping[str, Entry]) -> Mapping[str, Mapping[str, list[bytes]]]:
    return {
        dn: {name: sorted(values) for name, values in entry.items()} for dn, entry in found.items()
    }
