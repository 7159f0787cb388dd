"""Opening the store that the settings name: where state is, what seals it, what people write."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

from idp.app.core import Surroundings
from idp.app.patience import without_patience
from idp.keys.key_file import load_or_create, parse, render
from idp.keys.key_source import FileSource, FixedSource, KeySource
from idp.keys.seal import SECRET_LENGTH, SealingKey, SealingKeys
from idp.keys.sealing_order import in_order
from idp.settings import SqliteStorage
from storage.base import Backend
from storage.memory import MemoryBackend
from storage.objects import Leadership, WrittenObjects
from storage.sqlite import SqliteBackend

T = TypeVar("T")


class Waiting(Protocol):
    """Tries a step until it succeeds or is not worth waiting for."""

    async def __call__(self, step: Callable[[], Awaitable[T]]) -> T:
        """Return what the step returns."""
        ...


class AlwaysLeads:
    """Leadership where no other replica can be."""

    def leads(self) -> bool:
        """Return True."""
        return True

    async def run(self) -> None:
        """Do nothing, until cancelled."""
        await asyncio.Event().wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An open store. `written` is None where nobody but the server can write.

    `wait` is how long to try what needs the store at the start.
    """

    backend: Backend
    sealing: SealingKeys
    key_source: KeySource
    written: WrittenObjects | None
    leadership: Leadership
    wait: Waiting


async def open_sqlite(
    config: SqliteStorage, outside: Surroundings, opened: AsyncExitStack
) -> Store:
    """Open the database file; its key file is made if it is not there.

    Raises StorageError and KeyFileError. What has to be closed is put on `opened`.
    """
    source = FileSource(config.sealing_key_file, outside.random)
    load_or_create(config.sealing_key_file, outside.random)
    sealing = await sealing_keys(source, outside)
    backend = await SqliteBackend.open(config.file)
    opened.push_async_callback(backend.close)
    return Store(
        backend=backend,
        sealing=sealing,
        key_source=source,
        written=None,
        leadership=AlwaysLeads(),
        wait=without_patience,
    )


async def open_memory(outside: Surroundings, opened: AsyncExitStack) -> Store:
    """Open a store in memory. Its key may die with it, as everything that it seals does."""
    text = render([SealingKey(outside.random(SECRET_LENGTH))])
    source = FixedSource(text, where="the sealing key in memory")
    backend = MemoryBackend()
    opened.push_async_callback(backend.close)
    return Store(
        backend=backend,
        sealing=await sealing_keys(source, outside),
        key_source=source,
        written=None,
        leadership=AlwaysLeads(),
        wait=without_patience,
    )


async def sealing_keys(source: KeySource, outside: Surroundings) -> SealingKeys:
    """Return the keys of a source as they stand now. Raises KeyFileError and StorageError."""
    found = await source.read()
    keys = parse(found.text, where=source.where)
    return SealingKeys(in_order(keys, outside.clock()), random=outside.random)
