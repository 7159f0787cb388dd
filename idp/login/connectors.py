"""The connectors that people sign in with, as they stand at this moment.

Requests look them up and keep nothing: one that was withdrawn is not found any more, and whoever is
being signed in by it just then is signed in to the end.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from connectors.base import PasswordConnector


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedConnector:
    """A connector under the id that becomes part of `sub`; `name` is what people read.

    `type` is the word for its kind in the configuration: "ldap", "local".
    """

    id: str
    name: str
    type: str
    connector: PasswordConnector


class ConnectorGone(Exception):
    """The connector was withdrawn while somebody signed in with it."""


class LiveConnectors(Mapping[str, OfferedConnector]):
    """All connectors by id, in the order of the pages.

    First come those of the configuration file as they stand there, then those that were written as
    objects by id. The connector of local users is the last: it is for when the others are away.
    """

    def __init__(
        self, static: Iterable[OfferedConnector], *, local: OfferedConnector | None = None
    ) -> None:
        self._static = {offered.id: offered for offered in static}
        self._local = {} if local is None else {local.id: local}
        self._written: dict[str, OfferedConnector] = {}
        self._offered = {**self._static, **self._local}
        self._change = asyncio.Event()

    def __getitem__(self, connector_id: str) -> OfferedConnector:
        return self._offered[connector_id]

    def __contains__(self, connector_id: object) -> bool:
        return connector_id in self._offered

    def __iter__(self) -> Iterator[str]:
        return iter(self._offered)

    def __len__(self) -> int:
        return len(self._offered)

    def connector(self, connector_id: str) -> PasswordConnector | None:
        """Return the connector itself, None for one that is not there."""
        offered = self._offered.get(connector_id)
        return None if offered is None else offered.connector

    def replace(self, *, gone: Iterable[str], came: Iterable[OfferedConnector]) -> None:
        """Withdraw some that were written as objects, then offer others."""
        written = {key: self._written[key] for key in self._written.keys() - set(gone)}
        written.update((offered.id, offered) for offered in came)
        self._written = {key: written[key] for key in sorted(written)}
        # Made anew, so that whoever is going through the old one is not disturbed.
        self._offered = {**self._static, **self._written, **self._local}
        self._change.set()

    async def changed(self) -> None:
        """Wait for a change, or return at once if there was one since the last call."""
        await self._change.wait()
        self._change.clear()


def offered(connectors: Mapping[str, OfferedConnector], connector_id: str) -> OfferedConnector:
    """Return a connector that a login began with. Raises ConnectorGone."""
    found = connectors.get(connector_id)
    if found is None:
        raise ConnectorGone
    return found
