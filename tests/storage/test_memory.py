"""The contract over memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from storage.base import Backend, StorageUnavailable
from storage.memory import LONGEST_QUEUE, MemoryBackend, MemoryStore
from tests.storage.contract import *  # noqa: F403
from tests.storage.harness import Harness, Opener, grant, grants

pytestmark = pytest.mark.anyio


@dataclass
class MemoryHarness:
    """A store in this process."""

    store: MemoryStore = field(default_factory=MemoryStore)
    durable: bool = True
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
