"""LDAP connectors that ask nobody, for tests of what stands around them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from connectors.base import BadCredentials, ConnectorUnavailable, Identity, IdentityGone
from connectors.ldap.config import LdapConfig


@dataclass(slots=True)
class FakeDirectory:
    """A connector over the people of `directories`; `closed` once it was let go of."""

    config: LdapConfig
    name: str
    directories: "FakeDirectories"
    closed: bool = False
    probes: int = 0

    @property
    def username_prompt(self) -> str:
        """Return what the configuration says."""
        return self.config.username_prompt

    async def login(self, username: str, password: str) -> Identity:
        """Return who has this name and password, once `directories.gate` is open."""
        self._reach()
        self.directories.asked.append(username)
        await self.directories.gate.wait()
        expected, identity = self.directories.people.get(username, ("", None))
        if identity is None:
            raise BadCredentials("not in the fake directory")
        if password != expected:
            raise BadCredentials("wrong password", user_id=identity.user_id)
        return identity

    async def refresh(self, identity: Identity) -> Identity:
        """Return who has this id now."""
        self._reach()
        for _, person in self.directories.people.values():
            if person.user_id == identity.user_id:
                return person
        raise IdentityGone("not in the fake directory any more")

    async def probe(self) -> None:
        """Return if the host is up and the bind password is the right one."""
        self.probes += 1
        self._reach()
        wanted = self.directories.bind_password
        if self.config.bind_dn and self.config.bind_password() != wanted:
            raise ConnectorUnavailable("the service account's password is wrong; mend bindPW")

    def close(self) -> None:
        """Take no more."""
        self.closed = True

    def _reach(self) -> None:
        if self.closed:
            raise AssertionError("asked after it was closed")
        host = self.config.hosts[0].name
        if host in self.directories.down:
            raise ConnectorUnavailable(f"{host} refuses connections; is it up?")


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


@dataclass(slots=True)
class FakeDirectories:
    """Opens such connectors, and keeps them in `opened`.

    `down` are hosts that do not answer. `asked` keeps the names of all who wanted to sign in; they
    wait at the `gate`.
    """

    people: dict[str, tuple[str, Identity]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    bind_password: str = ""
    opened: list[FakeDirectory] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=_open_gate)
    asked: list[str] = field(default_factory=list)

    def open(
        self,
        config: LdapConfig,
        *,
        name: str,
        now: Callable[[], datetime],
        count: Callable[[str], None],
    ) -> FakeDirectory:
        """Return a connector to the same people, whatever the configuration says."""
        directory = FakeDirectory(config, name, self)
        self.opened.append(directory)
        return directory
