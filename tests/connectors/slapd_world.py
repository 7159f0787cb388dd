"""A connector over a slapd that has the tree of `tests.kit.directory_tree`."""

import asyncio
from collections import Counter

from connectors.base import (
    Identity,
)
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
from idp.clock import system_clock
from tests.kit.directory_tree import (
    GROUPS_BASE,
    PEOPLE_BASE,
    SERVICE,
    DirectoryPerson,
)
from tests.kit.servers.slapd import Slapd


def config_of(slapd: Slapd, security: Security = "ldaps", *others: Slapd) -> LdapConfig:
    """Return a configuration for the tree of `tests.kit.directory_tree`."""
    return LdapConfig(
        hosts=tuple(host_of(each, security) for each in (slapd, *others)),
        security=security,
        trust=Trust(ca_file=str(slapd.ca_file)),
        bind_dn=SERVICE.dn,
        bind_password=lambda: SERVICE.password,
        user_search=UserSearch(
            base_dn=PEOPLE_BASE,
            filter="(objectClass=inetOrgPerson)",
            username_attrs=("uid", "mail"),
            id_attr="entryUUID",
            name_attr="cn",
            preferred_username_attr="uid",
        ),
        group_search=GroupSearch(
            base_dn=GROUPS_BASE,
            filter="(objectClass=groupOfNames)",
            name_attr="cn",
            matchers=(
                UserMatcher(user_attr=DN, group_attr="member", recursion_group_attr="member"),
            ),
        ),
    )


def host_of(slapd: Slapd, security: Security) -> Host:
    name, _, port = (slapd.tls_host if security == "ldaps" else slapd.host).partition(":")
    return Host(name=name, port=int(port))


def opened(
    config: LdapConfig, counted: Counter[str], patience: Patience | None = None
) -> LdapConnector:
    return open_ldap(
        config,
        name="ldap",
        now=system_clock,
        count=lambda event: counted.update([event]),
        patience=patience,
    )


def login(connector: LdapConnector, who: DirectoryPerson, password: str | None = None) -> Identity:
    given = who.password if password is None else password
    return asyncio.run(connector.login(who.uid, given))


def refresh(connector: LdapConnector, identity: Identity) -> Identity:
    return asyncio.run(connector.refresh(identity))
