"""The LDAP connector over a real slapd keeps the contract of all password connectors."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.ldap.config import (
    DN,
    GroupSearch,
    UserMatcher,
    UserSearch,
)
from connectors.ldap.connector import LdapConnector, open_ldap
from idp.clock import system_clock
from tests.connectors.contract import Directory, PasswordConnectorContract, Person
from tests.connectors.slapd_world import config_of
from tests.kit.directory_tree import (
    BASE,
)
from tests.kit.servers.slapd import Slapd

pytestmark = pytest.mark.servers

_numbers = itertools.count(1)


class People:
    """A branch of its own in a slapd, with the people of a contract test."""

    def __init__(self, slapd: Slapd) -> None:
        number = next(_numbers)
        self._slapd = slapd
        self._people_base = f"ou=people-{number},{BASE}"
        self._groups_base = f"ou=groups-{number},{BASE}"
        for base in (self._people_base, self._groups_base):
            name = base.split(",")[0].removeprefix("ou=")
            slapd.add(base, {"objectClass": ["organizationalUnit"], "ou": [name]})
        self._people: dict[str, Person] = {}
        self._groups: set[str] = set()
        config = config_of(slapd)
        self.connector: LdapConnector = open_ldap(
            replace(
                config,
                user_search=UserSearch(
                    base_dn=self._people_base,
                    username_attrs=("mail",),
                    id_attr="employeeNumber",
                    name_attr="cn",
                    preferred_username_attr="uid",
                ),
                group_search=GroupSearch(
                    base_dn=self._groups_base,
                    name_attr="cn",
                    matchers=(UserMatcher(user_attr=DN, group_attr="member"),),
                ),
            ),
            name="contract",
            now=system_clock,
        )

    def put(self, person: Person) -> None:
        """Add a person, or change the one who has this id."""
        user_id = person.identity.user_id
        attributes = {
            "cn": [person.identity.username],
            "sn": [person.identity.username],
            "uid": [person.identity.preferred_username],
            "mail": [person.identity.email],
            "userPassword": [person.password],
        }
        if user_id in self._people:
            self._slapd.modify(self._dn(user_id), "replace", attributes)
        else:
            entry = {"objectClass": ["inetOrgPerson"], "employeeNumber": [user_id], **attributes}
            self._slapd.add(self._dn(user_id), entry)
        self._people[user_id] = person
        self._put_groups()

    def remove(self, user_id: str) -> None:
        """Remove a person."""
        del self._people[user_id]
        self._put_groups()
        self._slapd.delete(self._dn(user_id))

    def close(self) -> None:
        """Let go of connections and threads."""
        self.connector.close()

    def _dn(self, user_id: str) -> str:
        return f"employeeNumber={user_id},{self._people_base}"

    def _put_groups(self) -> None:
        for name in self._groups:
            self._slapd.delete(f"cn={name},{self._groups_base}")
        self._groups = {name for each in self._people.values() for name in each.identity.groups}
        for name in self._groups:
            members = [
                self._dn(user_id)
                for user_id, each in self._people.items()
                if name in each.identity.groups
            ]
            entry = {"objectClass": ["groupOfNames"], "cn": [name], "member": members}
            self._slapd.add(f"cn={name},{self._groups_base}", entry)


class TestLdap(PasswordConnectorContract):
    """Everything that the contract asks."""

    @pytest.fixture(autouse=True)
    def a_slapd(self, slapd: Slapd) -> Iterator[None]:
        """Have a slapd at hand, and close what a test has opened."""
        self.slapd = slapd
        self.opened: list[People] = []
        yield
        for people in self.opened:
            people.close()

    def directory(self) -> Directory:
        """Return an empty branch."""
        people = People(self.slapd)
        self.opened.append(people)
        return people
