"""The preset for 389 Directory Server in docs/ldap.md, over a real one."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.base import BadCredentials, IdentityGone
from connectors.ldap.connector import LdapConnector
from idp.settings import parse
from idp.settings.ldap import LdapFile
from idp.settings.ldap_config import config_of_file
from tests.connectors.slapd_world import login, opened, refresh
from tests.kit.directory_tree import (
    ALICE,
    BOB,
    CAROL,
    GROUPS_BASE,
    PEOPLE_BASE,
    SERVICE,
    STRANGELY_NAMED,
    DirectoryPerson,
    group_dn,
)
from tests.kit.install.binaries import OpenLdap, find_server_389
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.ns_slapd import DISABLED, NsSlapd

pytestmark = pytest.mark.servers

_DOCS = Path(__file__).parents[2] / "docs" / "ldap.md"
_PRESET = re.compile(r"^## 389 Directory Server\n\n```yaml\n(.*?)```", re.S | re.M)


@pytest.fixture(scope="module")
def ns_slapd(
    openldap: OpenLdap, ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NsSlapd]:
    directory = tmp_path_factory.mktemp("389")
    with NsSlapd(find_server_389(), openldap=openldap, directory=directory, ca=ca) as running:
        yield running


@pytest.fixture
def connector(ns_slapd: NsSlapd, counted: Counter[str]) -> Iterator[LdapConnector]:
    preset = _PRESET.search(_DOCS.read_text())
    assert preset is not None
    (section,) = yaml.safe_load(preset[1])["connectors"]
    del section["config"]["bindPWFile"]
    section["config"] |= {
        "host": ns_slapd.tls_host,
        "rootCA": str(ns_slapd.ca_file),
        "bindDN": SERVICE.dn,
        "bindPW": SERVICE.password,
    }
    section["config"]["userSearch"]["baseDN"] = PEOPLE_BASE
    section["config"]["groupSearch"]["baseDN"] = GROUPS_BASE
    settings: dict[str, Any] = {
        "issuer": "https://login.example.com",
        "storage": {"type": "memory"},
        "web": {"http": ":5556"},
        "connectors": [section],
    }
    (connector,) = parse(yaml.safe_dump(settings), environ={}, directory=Path()).connectors
    assert isinstance(connector.config, LdapFile)
    over_tls = opened(config_of_file(connector.config), counted)
    yield over_tls
    over_tls.close()


@pytest.mark.parametrize("who", [ALICE, *STRANGELY_NAMED], ids=lambda who: who.uid)
def test_people_sign_in_with_their_groups(connector: LdapConnector, who: DirectoryPerson) -> None:
    identity = login(connector, who)

    assert (identity.preferred_username, identity.username) == (who.uid, who.cn)
    assert "staff" in identity.groups
    assert refresh(connector, identity) == identity


def test_wrong_password_and_unknown_name_are_told_alike(connector: LdapConnector) -> None:
    for who, password in ((ALICE, "wrong"), (DirectoryPerson(uid="x", cn="x", mail=[]), "wrong")):
        with pytest.raises(BadCredentials):
            login(connector, who, password)


def test_disabled_account_is_out_whatever_password_is_given(connector: LdapConnector) -> None:
    """This server answers "unwilling to perform" here, which elsewhere means that it is away."""
    for password in (DISABLED.password, "wrong"):
        with pytest.raises(BadCredentials):
            login(connector, DISABLED, password)


def test_what_changes_in_the_directory_counts_at_the_next_refresh(
    connector: LdapConnector, ns_slapd: NsSlapd
) -> None:
    bob, carol = login(connector, BOB), login(connector, CAROL)
    assert bob.groups == ("developers", "staff")

    ns_slapd.modify(group_dn("developers"), "delete", {"member": [BOB.dn]})
    ns_slapd.lock(CAROL.dn)

    assert refresh(connector, bob).groups == ()
    with pytest.raises(IdentityGone):
        refresh(connector, carol)
