"""The contract over SQLite."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from storage.base import Backend
from storage.sqlite import SqliteBackend
from tests.storage.contract import *  # noqa: F403
from tests.storage.harness import Harness, Opener

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Backend]:
    """Open a handle on a file."""
    backend = await SqliteBackend.open(path)
    yield backend
    await backend.close()


@dataclass
class SqliteHarness:
    """A store in a file."""

    path: Path
    durable: bool = True

    @property
    def elsewhere(self) -> Opener:
        """Return how any process opens the file."""
        return partial(opened, self.path)

    def open(self) -> AbstractAsyncContextManager[Backend]:
        """Open a handle."""
        return opened(self.path)

    async def dump(self) -> bytes:
        """Return the bytes of the file and of all beside it."""
        files = sorted(self.path.parent.glob(self.path.name + "*"))
        return b"".join(file.read_bytes() for file in files)


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """Return an empty store."""
    return SqliteHarness(tmp_path / "idp.db")
