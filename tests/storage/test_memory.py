"""The contract over memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from storage.base import Backend, Document, StorageUnavailable
from storage.memory import LONGEST_QUEUE, MemoryBackend, MemoryStore
from tests.storage.contract import *  # noqa: F403
from tests.storage.harness import Harness, Opener

pytestmark = pytest.mark.anyio


@dataclass
class MemoryHarness:
    """A store in this process."""

    store: MemoryStore = field(default_factory=MemoryStore)
    durable: bool = False
    elsewhere: Opener | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Backend]:
        """Open a handle."""
        backend = MemoryBackend(self.store)
        yield backend
        await backend.close()

    async def dump(self) -> bytes:
        """Return all documents."""
        async with self.open() as backend:
            return "".join(
                [
                    f"{document.columns} {document.sealed}"
                    for kind in ("refresh-grants", "signing-keys")
                    async for document in backend.scan(kind, {})
                ]
            ).encode()


@pytest.fixture
def harness() -> Harness:
    """Return an empty store."""
    return MemoryHarness()


async def test_a_watch_that_falls_too_far_behind_says_so() -> None:
    backend = MemoryBackend()
    changes = backend.watch("k")
    stored = await backend.create("k", Document(name="n", columns={}, sealed=""))
    for _ in range(LONGEST_QUEUE):
        stored = await backend.replace("k", stored)
    with pytest.raises(StorageUnavailable, match="behind"):
        await anext(changes)


async def test_a_store_of_its_own_is_empty() -> None:
    one, other = MemoryBackend(), MemoryBackend()
    await one.create("k", Document(name="n", columns={}, sealed=""))
    assert [document async for document in other.scan("k", {})] == []
