"""A connector over hostile directories, and what it did."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from connectors.base import Identity
from connectors.ldap.config import (
    DN,
    GroupSearch,
    Host,
    LdapConfig,
    Security,
    Trust,
    UserMatcher,
    UserSearch,
)
from connectors.ldap.connector import LdapConnector, open_ldap
from connectors.ldap.directory import Patience
from connectors.ldap.opening import Resolve
from idp.clock import system_clock
from tests.kit.directory_tree import (
    ALICE,
    BASE,
    GROUPS_BASE,
    PEOPLE_BASE,
    SERVICE,
    DirectoryPerson,
    entries,
)
from tests.kit.hostile_directory.requests import Bind, Request, Search
from tests.kit.hostile_directory.server import HostileDirectory

QUICK = Patience(connect=1.0, login=2.0, host=1.0, suspected=0.3, trusted_idle=0.0, down=30.0)
"""As patient as tests can wait for."""

USERS = UserSearch(
    base_dn=PEOPLE_BASE,
    filter="(objectClass=inetOrgPerson)",
    username_attrs=("uid",),
    id_attr="uid",
    name_attr="cn",
    preferred_username_attr="uid",
)
GROUPS = GroupSearch(
    base_dn=GROUPS_BASE,
    name_attr="cn",
    matchers=(UserMatcher(user_attr=DN, group_attr="member"),),
)


def host_of(directory: HostileDirectory, name: str = "localhost") -> Host:
    """Return a directory as the configuration names it."""
    return Host(name=name, port=directory.port)


def config_of(
    *hosts: Host, security: Security = "plain", trust: Trust | None = None, **changes: Any
) -> LdapConfig:
    """Return a configuration for the tree of `tests.kit.directory_tree`."""
    config = LdapConfig(
        hosts=hosts,
        security=security,
        trust=trust or Trust(),
        bind_dn=SERVICE.dn,
        bind_password=lambda: SERVICE.password,
        user_search=USERS,
        group_search=GROUPS,
    )
    return replace(config, **changes)


@dataclass(frozen=True, slots=True)
class World:
    """One connector and the events that it counted."""

    connector: LdapConnector
    events: Counter[str]

    def login(self, who: DirectoryPerson = ALICE, password: str | None = None) -> Identity:
        """Sign somebody in, with the right password unless another one is given."""
        given = who.password if password is None else password
        return asyncio.run(self.connector.login(who.uid, given))

    def login_as(self, username: str, password: str) -> Identity:
        """Sign in with any name and password."""
        return asyncio.run(self.connector.login(username, password))

    def refresh(self, identity: Identity) -> Identity:
        """Ask for somebody again."""
        return asyncio.run(self.connector.refresh(identity))


@contextmanager
def world(
    config: LdapConfig,
    *,
    patience: Patience | None = None,
    resolve: Resolve | None = None,
    monotonic: Callable[[], float] | None = None,
) -> Iterator[World]:
    """Open a connector for the time of a test."""
    events: Counter[str] = Counter()
    connector = open_ldap(
        config,
        name="ldap",
        now=system_clock,
        count=lambda event: events.update([event]),
        resolve=resolve,
        patience=patience,
        **({"monotonic": monotonic} if monotonic else {}),
    )
    try:
        yield World(connector, events)
    finally:
        connector.close()


@contextmanager
def honest(**how: Any) -> Iterator[HostileDirectory]:
    """Run a directory that knows everybody and does nothing wrong yet."""
    with HostileDirectory(list(entries()), **how) as directory:
        yield directory


def binds_of_people(requests: Sequence[Request]) -> list[Bind]:
    """Return the binds that the service account did not make."""
    return [each for each in requests if isinstance(each, Bind) and each.dn != SERVICE.dn]


def searches(requests: Sequence[Request]) -> list[Search]:
    """Return the searches."""
    return [each for each in requests if isinstance(each, Search)]


__all__ = ["BASE", "GROUPS", "QUICK", "USERS", "World", "config_of", "honest", "host_of", "world"]
