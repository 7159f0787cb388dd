"""The stores that the end-to-end tests run on, by what a test needs of them."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.kinds import GRANTS


class Store(Protocol):
    """A place for a provider's state."""

    @property
    def section(self) -> Mapping[str, object]:
        """Return the `storage` section of the configuration."""
        ...

    def grants_stored(self) -> int:
        """Return how many logins are kept."""
        ...


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """A file in a directory."""

    directory: Path

    @property
    def section(self) -> Mapping[str, object]:
        """Return the `storage` section."""
        return {"type": "sqlite3", "config": {"file": str(self._file)}}

    def grants_stored(self) -> int:
        """Return how many logins are kept; the provider has to have run."""
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT count(*) FROM documents WHERE kind = ?", [GRANTS.name])
            return int(found.fetchone()[0])

    @property
    def _file(self) -> Path:
        return self.directory / "idp.db"
