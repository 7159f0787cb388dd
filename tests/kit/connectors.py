"""Connectors that do as they are told, cheap hashes, and a verifier that counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from argon2.low_level import Type, hash_secret

from connectors.base import (
    BadCredentials,
    ConnectorError,
    Departure,
    Identity,
    IdentityGone,
)
from connectors.passwords import verify


def cheap_hash(password: str) -> str:
    """Return an Argon2id hash that is checked in microseconds; for tests only."""
    hashed = hash_secret(
        password.encode(),
        b"not so random!!!",
        time_cost=1,
        memory_cost=8,
        parallelism=1,
        hash_len=32,
        type=Type.ID,
    )
    return hashed.decode("ascii")


@dataclass(slots=True)
class CountingVerifier:
    """Checks hashes on the spot and remembers which ones it was asked about."""

    checked: list[str] = field(default_factory=list)

    async def verify(self, password: str, password_hash: str) -> None:
        """Check like `connectors.passwords.verify`."""
        self.checked.append(password_hash)
        verify(password, password_hash)


@dataclass(slots=True)
class ScriptedPasswordConnector:
    """Knows the people that a test puts in, by name and password.

    `trouble` is raised by every call while it is set. `asked` keeps the names of all tries,
    `refreshed` the ids of all refreshes.
    """

    people: dict[str, tuple[str, Identity]] = field(default_factory=dict)
    username_prompt: str = "Username"
    trouble: ConnectorError | None = None
    asked: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)

    async def login(self, username: str, password: str) -> Identity:
        """Return who was put in under this name and password. Raises BadCredentials, trouble."""
        self.asked.append(username)
        if self.trouble is not None:
            raise self.trouble
        expected, identity = self.people.get(username, (None, None))
        if identity is None or password != expected:
            raise BadCredentials("scripted")
        return identity

    async def refresh(self, identity: Identity) -> Identity:
        """Return who has this id now. Raises IdentityGone, trouble."""
        self.refreshed.append(identity.user_id)
        if self.trouble is not None:
            raise self.trouble
        for _, person in self.people.values():
            if person.user_id == identity.user_id:
                return person
        raise IdentityGone("scripted")


@dataclass(slots=True)
class OneTimePasswordConnector:
    """A password connector that cannot be asked again: it has no `refresh`."""

    inner: ScriptedPasswordConnector

    @property
    def username_prompt(self) -> str:
        """Return the label of the inner connector."""
        return self.inner.username_prompt

    async def login(self, username: str, password: str) -> Identity:
        """Do as the inner connector does."""
        return await self.inner.login(username, password)


@dataclass(slots=True)
class ScriptedRedirectConnector:
    """Sends the browser to `url` with our callback and state, and takes whoever comes back.

    The parameter `person` of the callback picks one of `people`, `error` raises BadCredentials.
    `departures` keeps callback addresses and states, `memories` what was given back.
    """

    people: dict[str, Identity] = field(default_factory=dict)
    url: str = "https://upstream.example/authorize"
    memory: str = "what the connector must be reminded of"
    trouble: ConnectorError | None = None
    departures: list[tuple[str, str]] = field(default_factory=list)
    memories: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)

    async def depart(self, *, callback_uri: str, state: str) -> Departure:
        """Return the address upstream. Raises trouble."""
        self.departures.append((callback_uri, state))
        if self.trouble is not None:
            raise self.trouble
        query = urlencode({"redirect_uri": callback_uri, "state": state})
        return Departure(url=f"{self.url}?{query}", memory=self.memory)

    async def arrive(self, *, parameters: Mapping[str, str], memory: str) -> Identity:
        """Return the person that the callback names. Raises BadCredentials, trouble."""
        self.memories.append(memory)
        if self.trouble is not None:
            raise self.trouble
        try:
            return self.people[parameters["person"]]
        except KeyError:
            raise BadCredentials("scripted") from None

    async def refresh(self, identity: Identity) -> Identity:
        """Return who has this id now. Raises IdentityGone, trouble."""
        self.refreshed.append(identity.user_id)
        if self.trouble is not None:
            raise self.trouble
        for person in self.people.values():
            if person.user_id == identity.user_id:
                return replace(person, connector_data=identity.connector_data)
        raise IdentityGone("scripted")
