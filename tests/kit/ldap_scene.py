"""A provider whose people are in a directory, and the people as end-to-end tests sign them in."""

from collections.abc import Mapping
from typing import Any

from tests.kit.directory_tree import GROUPS_BASE, PEOPLE_BASE, SERVICE, DirectoryPerson
from tests.kit.scene import Account
from tests.kit.servers.slapd import Slapd

CONNECTOR = "directory"
"""The id of the connector."""


def ldap_connector(slapd: Slapd, **changes: Any) -> Mapping[str, Any]:
    """Return the connector as a configuration file has it; `changes` replace keys of `config`.

    People sign in with `uid`, over TLS; their id is `entryUUID`, which outlives a move.
    """
    return {
        "type": "ldap",
        "id": CONNECTOR,
        "name": "Directory",
        "config": {
            "host": slapd.tls_host,
            "rootCA": str(slapd.ca_file),
            "bindDN": SERVICE.dn,
            "bindPW": SERVICE.password,
            "userSearch": user_search(),
            "groupSearch": group_search(),
            **changes,
        },
    }


def user_search() -> Mapping[str, Any]:
    """Return how people are found: by `uid`, told apart by `entryUUID`."""
    return {
        "baseDN": PEOPLE_BASE,
        "filter": "(objectClass=inetOrgPerson)",
        "username": "uid",
        "idAttr": "entryUUID",
        "emailAttr": "mail",
        "nameAttr": "cn",
        "preferredUsernameAttr": "uid",
    }


def group_search() -> Mapping[str, Any]:
    """Return how groups are found: those that name a person, and those that hold these groups."""
    return {
        "baseDN": GROUPS_BASE,
        "filter": "(objectClass=groupOfNames)",
        "nameAttr": "cn",
        "userMatchers": [{"userAttr": "DN", "groupAttr": "member", "recursionGroupAttr": "member"}],
    }


def account_of(person: DirectoryPerson, *groups: str) -> Account:
    """Return somebody as tests of the pages know people: what they type stands in `email`."""
    return Account(person.uid, person.cn, person.password, groups)
