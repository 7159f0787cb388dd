"""The registered clients that requests look into, kept true by following the store.

Memory grows with their number, which is capped; each is at most as large as a request to register.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from idp.log import log_event
from idp.oauth.client import Client, Clients
from idp.oauth.served_clients import ServedClients
from idp.registration.clients import client_of
from storage.base import NotFound, SealUnknown, Unreadable
from storage.collection import Collection, log_unreadable
from storage.records import RegisteredClient

_log = logging.getLogger("idp.registration")


class RegisteredClients(ServedClients):
    """The clients that registered themselves, by id, and their records. `on_count` hears how many.

    A record that makes no client is named in the log and served to nobody.
    """

    def __init__(self, *, on_count: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self._on_count = on_count
        self._records: dict[str, RegisteredClient] = {}

    def record(self, client_id: str) -> RegisteredClient | None:
        """Return the record of a client as it was last seen."""
        return self._records.get(client_id)

    @property
    def names(self) -> frozenset[str]:
        """Return the names of all records, also of those that make no client."""
        return frozenset(self._records)

    def put(self, record: RegisteredClient) -> None:
        """Serve a client as it is now."""
        self._records[record.name] = record
        try:
            self.serve(client_of(record))
        except (KeyError, TypeError, AttributeError) as error:
            self.withdraw(record.name)
            log_event(
                _log,
                logging.ERROR,
                "record_unreadable",
                problem=f"registered-clients/{record.name}: {type(error).__name__} in metadata",
            )
        self._on_count(len(self._records))

    def drop(self, client_id: str) -> None:
        """Serve a client no more."""
        self._records.pop(client_id, None)
        self.withdraw(client_id)
        self._on_count(len(self._records))


class EveryClient(Mapping[str, Client]):
    """The clients that an operator wrote, and those that registered themselves; the former win."""

    def __init__(self, written: Clients, registered: Clients) -> None:
        self._written = written
        self._registered = registered

    def __getitem__(self, client_id: str) -> Client:
        found = self.get(client_id)
        if found is None:
            raise KeyError(client_id)
        client: Client = found
        return client

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._written or client_id in self._registered

    def __iter__(self) -> Iterator[str]:
        yield from self._written
        yield from (each for each in self._registered if each not in self._written)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def get(self, client_id: str, default: Any = None) -> Any:
        """Return a client, or the default."""
        found = self._written.get(client_id)
        return self._registered.get(client_id, default) if found is None else found


class RegistrationFollower:
    """Keeps the live set as the store is; `first_list` waits until it was read once.

    `on_gone` hears the id of each client that was removed, by itself or by anybody else.
    """

    def __init__(
        self,
        collection: Collection[RegisteredClient],
        live: RegisteredClients,
        *,
        on_gone: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._collection = collection
        self._live = live
        self._on_gone = on_gone
        self._listed = asyncio.Event()

    async def first_list(self) -> None:
        """Return once all clients are known; `run` must be running."""
        await self._listed.wait()

    async def run(self) -> None:
        """Follow until cancelled. What is known stays until a new list is complete.

        The watch is opened before the list is read, so that nothing changes in between unseen.
        Raises StorageUnavailable when the watch breaks; whoever runs this starts it again.
        """
        changes = self._collection.watch()
        before = self._live.names
        listed = [stored.record async for stored in self._collection.scan()]
        for name in before - {record.name for record in listed}:
            self._live.drop(name)
        for record in listed:
            self._live.put(record)
        self._listed.set()
        async for change in changes:
            if change.gone:
                self._live.drop(change.name)
                self._on_gone(change.name)
            else:
                await self._look_at(change.name)

    async def _look_at(self, name: str) -> None:
        try:
            self._live.put((await self._collection.get(name)).record)
        except NotFound:
            self._live.drop(name)
        except SealUnknown as error:
            # Its key is on its way here, or is gone by mistake: what is known of it goes on.
            log_unreadable(error)
        except Unreadable as error:
            log_unreadable(error)
            self._live.drop(name)
        except ValueError:
            # Put there by hand, with a name that we never give.
            pass
