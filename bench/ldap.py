"""Signing in through a directory, and what one that hangs does to everybody else."""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from bench.client import Connection, Operation
from bench.operations import Account, Load, SignedIn
from tests.kit.directory_tree import PEOPLE_BASE, DirectoryPerson, group_dn
from tests.kit.install.binaries import find_openldap
from tests.kit.ldap_scene import CONNECTOR, ldap_connector
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.slapd import Slapd

PEOPLE = 64
LOGIN_LIMIT = 16
REFRESH_LIMIT = 12

_GROUPS = ("developers", "staff")
HANGING = 64
"""As many logins as may be in flight."""

CONNECTIONS = 4
_EACH = 250


@dataclass(frozen=True, slots=True)
class Latency:
    """The 99th percentile of an operation, in milliseconds: before, and beside logins that hang."""

    name: str
    before: float
    hanging: float


def account(number: int) -> Account:
    """Return one of the people of the directory."""
    person = _person(number % PEOPLE)
    return Account(person.uid, person.password, CONNECTOR)


@contextmanager
def directory() -> Iterator[Slapd]:
    """Run a slapd with people who are in two groups each."""
    with tempfile.TemporaryDirectory() as name:
        ca = CertificateAuthority.create()
        with Slapd(find_openldap(), directory=Path(name) / "slapd", ca=ca) as slapd:
            people = [_person(number) for number in range(PEOPLE)]
            slapd.add_all([(person.dn, person.attributes) for person in people])
            for group in _GROUPS:
                slapd.modify(group_dn(group), "add", {"member": [each.dn for each in people]})
            yield slapd


def connectors(slapd: Slapd) -> Sequence[dict[str, object]]:
    """Return the section of the configuration: groups are flat here, one search each login."""
    groups = {
        "baseDN": "ou=groups,dc=example,dc=org",
        "nameAttr": "cn",
        "userMatchers": [{"userAttr": "DN", "groupAttr": "member"}],
    }
    return [dict(ldap_connector(slapd, groupSearch=groups))]


def latencies(url: str, slapd: Slapd, tokens: list[dict[str, str]]) -> list[Latency]:
    """Return how long others wait, before and while as many logins hang as are let in.

    `tokens` are those of local users, one for each of the connections.
    """
    load = Load(url)
    operations: list[tuple[str, Operation]] = [
        ("discovery", load.discovery),
        ("key set", load.keys),
        ("refresh of a local user", SignedIn(load, tokens).refresh),
    ]
    before = [asyncio.run(_percentile(url, operation)) for _, operation in operations]
    slapd.pause()
    try:
        hanging = [asyncio.run(_while_logins_hang(url, operation)) for _, operation in operations]
    finally:
        slapd.resume()
    names = [name for name, _ in operations]
    return [Latency(*each) for each in zip(names, before, hanging, strict=True)]


async def _while_logins_hang(url: str, operation: Operation) -> float:
    load = Load(url, account)
    logins = [asyncio.ensure_future(_hang(load, number)) for number in range(HANGING)]
    # Until all of them hang: their pages and forms are work as well.
    await asyncio.sleep(2.5)
    try:
        return await _percentile(url, operation)
    finally:
        for login in logins:
            login.cancel()
        await asyncio.gather(*logins, return_exceptions=True)


async def _hang(load: Load, number: int) -> None:
    """Try to sign in again and again; each try ends in a 503 after eight seconds."""
    connection = await Connection.open(load.url)
    while True:
        await connection.send(await load.filled_in(connection, load.account(number)), 503)


async def _percentile(url: str, operation: Operation) -> float:
    opened = [await Connection.open(url) for _ in range(CONNECTIONS)]
    spent: list[float] = []

    async def work(number: int, connection: Connection) -> None:
        for _ in range(_EACH):
            began = time.perf_counter()
            await operation(connection, number)
            spent.append(time.perf_counter() - began)

    await asyncio.gather(*(work(number, each) for number, each in enumerate(opened)))
    for connection in opened:
        connection.close()
    return quantiles(spent, n=100)[98] * 1e3


def _person(number: int) -> DirectoryPerson:
    name = f"person-{number}"
    return DirectoryPerson(
        uid=name, cn=f"Person {number}", mail=[f"{name}@example.org"], base=PEOPLE_BASE
    )
