"""The LDAP connector over a real slapd that stops, restarts, limits and demands."""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.base import (
    BadCredentials,
    ConnectorUnavailable,
)
from connectors.ldap import events
from connectors.ldap.config import (
    GroupSearch,
    Security,
    UserMatcher,
)
from connectors.ldap.connector import LdapConnector
from connectors.ldap.directory import Patience
from tests.connectors.slapd_world import config_of, login, opened, refresh
from tests.kit.directory_tree import (
    ALICE,
    BASE,
    BOB,
    SERVICE,
)
from tests.kit.install.binaries import OpenLdap
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.slapd import Slapd

pytestmark = pytest.mark.servers


@pytest.mark.covers("L-9")
def test_a_size_limit_of_the_server_is_no_short_list(
    connector: LdapConnector, slapd: Slapd
) -> None:
    identity = login(connector, ALICE)
    with slapd.size_limit(1):
        with pytest.raises(ConnectorUnavailable):
            login(connector, ALICE)
        with pytest.raises(ConnectorUnavailable):
            refresh(connector, identity)


def test_more_groups_than_a_page_has(slapd: Slapd, counted: Counter[str]) -> None:
    name = "many"
    base = f"ou={name},{BASE}"
    slapd.add(base, {"objectClass": ["organizationalUnit"], "ou": [name]})
    # Of the kind whose members are no entries: slapd would write each group on the person as well.
    slapd.add_all(
        [
            (
                f"cn=g{number},{base}",
                {
                    "objectClass": ["posixGroup"],
                    "cn": [f"g{number}"],
                    "gidNumber": [str(number)],
                    "memberUid": [BOB.uid],
                },
            )
            for number in range(1100)
        ]
    )
    config = config_of(slapd)
    by_uid = UserMatcher(user_attr="uid", group_attr="memberUid")
    groups = GroupSearch(base_dn=base, name_attr="cn", matchers=(by_uid,))
    connector = opened(replace(config, group_search=groups), counted)
    # slapd's own limit holds for all pages together.
    with pytest.raises(ConnectorUnavailable):
        login(connector, BOB)
    with slapd.size_limit(10_000):
        assert len(login(connector, BOB).groups) == 1100
    connector.close()


@pytest.mark.covers("L-3")
def test_a_restart_of_the_server_is_noticed_by_nobody(
    connector: LdapConnector, slapd: Slapd
) -> None:
    identity = login(connector, ALICE)
    slapd.restart()
    assert login(connector, ALICE) == identity
    slapd.restart()
    assert refresh(connector, identity) == identity


@pytest.mark.covers("L-1", "L-2")
def test_a_server_that_stops_or_stops_answering_is_no_wrong_password(
    slapd: Slapd, counted: Counter[str]
) -> None:
    connector = opened(config_of(slapd), counted, Patience(login=2.0))
    identity = login(connector, ALICE)
    slapd.stop()
    with pytest.raises(ConnectorUnavailable):
        login(connector, ALICE)
    slapd.start()
    assert login(connector, ALICE) == identity
    slapd.pause()
    try:
        with pytest.raises(ConnectorUnavailable):
            login(connector, ALICE, "wrong")
        with pytest.raises(ConnectorUnavailable):
            refresh(connector, identity)
    finally:
        slapd.resume()
    assert login(connector, ALICE) == identity
    connector.close()


@pytest.mark.covers("L-17")
def test_a_rotated_password_of_the_service_account(slapd: Slapd, counted: Counter[str]) -> None:
    passwords = [SERVICE.password]
    connector = opened(replace(config_of(slapd), bind_password=lambda: passwords[-1]), counted)
    slapd.set_password(SERVICE.dn, "rotated")
    try:
        with pytest.raises(ConnectorUnavailable, match="check bindDN and bindPW"):
            login(connector, ALICE)
        passwords.append("rotated")
        assert login(connector, ALICE).preferred_username == "alice"
    finally:
        slapd.set_password(SERVICE.dn, SERVICE.password)
    assert counted[events.SERVICE_BIND_FAILED] == 1
    connector.close()


@pytest.mark.parametrize("security", ["ldaps", "starttls"])
def test_a_client_certificate_where_the_server_demands_one(
    openldap: OpenLdap,
    ca: CertificateAuthority,
    tmp_path: Path,
    counted: Counter[str],
    security: Security,
) -> None:
    ours = ca.issue(tmp_path / "ours")
    with Slapd(
        openldap, directory=tmp_path / "slapd", ca=ca, client_certificates="demand"
    ) as slapd:
        config = config_of(slapd, security)
        trust = replace(
            config.trust, certificate_file=str(ours.certificate), key_file=str(ours.key)
        )
        connector = opened(replace(config, trust=trust), counted)
        assert login(connector, ALICE).preferred_username == "alice"
        connector.close()
        connector = opened(config, counted)
        with pytest.raises(ConnectorUnavailable):
            login(connector, ALICE)
        connector.close()


@pytest.mark.covers("L-20")
def test_every_right_password_is_accepted_while_one_of_two_hosts_flaps(
    openldap: OpenLdap, ca: CertificateAuthority, tmp_path: Path, slapd: Slapd
) -> None:
    """Twelve seconds at twenty a second, the first host away every other second."""
    counted: Counter[str] = Counter()
    with Slapd(openldap, directory=tmp_path / "flaps", ca=ca) as flapping:
        config = config_of(flapping, "ldaps", slapd)
        by_uid = replace(config, user_search=replace(config.user_search, id_attr="uid"))
        connector = opened(by_uid, counted, Patience(down=1.0))
        ended = threading.Event()

        def flap() -> None:
            while not ended.wait(1.0):
                flapping.restart()

        async def sign_in(number: int, outcomes: Counter[str]) -> None:
            who, wrong = (ALICE, BOB)[number % 2], number % 5 == 4
            await asyncio.sleep(number * 0.05)
            try:
                await connector.login(who.uid, "wrong" if wrong else who.password)
                outcomes["wrong accepted" if wrong else "right accepted"] += 1
            except BadCredentials:
                outcomes["wrong refused" if wrong else "right refused"] += 1
            except ConnectorUnavailable:
                outcomes["unavailable"] += 1

        async def everybody() -> Counter[str]:
            outcomes: Counter[str] = Counter()
            await asyncio.gather(*(sign_in(number, outcomes) for number in range(240)))
            return outcomes

        flapper = threading.Thread(target=flap)
        flapper.start()
        began = time.monotonic()
        try:
            outcomes = asyncio.run(everybody())
        finally:
            ended.set()
            flapper.join()
            connector.close()
    assert time.monotonic() - began > 11
    assert outcomes == {"right accepted": 192, "wrong refused": 48}
    assert counted[events.HOST_DOWN] >= 1
