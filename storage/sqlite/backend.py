"""The storage port over one SQLite file.

A write is one statement, and so atomic and durable when it returns; the condition on the version is
part of it. Versions are drawn at random, so that one is never used twice for a name, not even after
a deletion or a restored backup.
"""

import asyncio
import json
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from storage.base import (
    AlreadyExists,
    Change,
    Conflict,
    Document,
    NotFound,
)
from storage.sqlite.door import Door
from storage.sqlite.errors import refusal
from storage.sqlite.schema import DatabaseFile

POLL_SECONDS = 0.3
PAGE = 200

_READ = "SELECT name, columns, sealed, version FROM documents WHERE kind = ? AND name = ?"
_CREATE = """
    INSERT INTO documents (kind, name, version, columns, expires, sealed)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, name) DO NOTHING
"""
_REPLACE = """
    UPDATE documents SET version = ?, columns = ?, expires = ?, sealed = ?
    WHERE kind = ? AND name = ? AND version = ?
"""
_REMOVE = "DELETE FROM documents WHERE kind = ? AND name = ?"
_EXISTS = "SELECT 1 FROM documents WHERE kind = ? AND name = ?"
# Columns that are no JSON were put in by hand and show nothing.
_COLUMN = "CASE WHEN json_valid(columns) THEN json_extract(columns, ?) END"
_EXPIRED = """
    SELECT name FROM documents
    WHERE kind = ? AND expires <> '' AND expires < ? ORDER BY expires LIMIT ?
"""
_NEWEST_CHANGE = "SELECT coalesce(max(number), 0) FROM changes"
_CHANGES = """
    SELECT number, kind, name, columns, gone FROM changes
    WHERE number > ? ORDER BY number LIMIT ?
"""


class SqliteBackend:
    """Documents in one SQLite file. Usable from several threads and processes at once."""

    def __init__(
        self,
        door: Door,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Use a door; `open` is the usual way in."""
        self._door = door
        self._random_bytes = random_bytes
        self._sleep = sleep

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> "SqliteBackend":
        """Open the file, or create it with mode 0600. Raises StorageUnavailable with the reason."""
        door = Door(DatabaseFile(path=path))
        try:
            await door.ask(_newest_change)
        except BaseException:
            await door.close()
            raise
        return cls(door, random_bytes=random_bytes, sleep=sleep)

    @property
    def place(self) -> str:
        """Return what is authenticated with every sealed body; a file may be moved."""
        return "sqlite3"

    async def read(self, kind: str, name: str) -> Document:
        """Return the newest version. Raises NotFound."""
        row = await self._door.ask(lambda db: db.execute(_READ, (kind, name)).fetchone())
        if row is None:
            raise NotFound(f"{kind}/{name} does not exist")
        return _document(row)

    async def create(self, kind: str, document: Document) -> Document:
        """Store a new document. Raises AlreadyExists."""
        stored = self._renewed(document)
        values = (kind, stored.name, stored.version, *_shown(stored.columns), stored.sealed)
        if await self._door.ask(lambda db: db.execute(_CREATE, values).rowcount) != 1:
            raise AlreadyExists(f"{kind}/{document.name} exists already")
        return stored

    async def replace(self, kind: str, document: Document) -> Document:
        """Store over exactly `document.version`. Raises Conflict or NotFound."""
        name = document.name
        stored = self._renewed(document)
        values = (
            *(stored.version, *_shown(stored.columns), stored.sealed),
            *(kind, name, document.version),
        )
        if await self._door.ask(lambda db: db.execute(_REPLACE, values).rowcount) == 1:
            return stored
        if await self._door.ask(lambda db: db.execute(_EXISTS, (kind, name)).fetchone()):
            raise Conflict(f"{kind}/{name} was changed since it was read")
        raise NotFound(f"{kind}/{name} does not exist")

    async def remove(self, kind: str, name: str) -> None:
        """Delete. Raises NotFound."""
        if await self._door.ask(lambda db: db.execute(_REMOVE, (kind, name)).rowcount) != 1:
            raise NotFound(f"{kind}/{name} does not exist")

    async def scan(self, kind: str, where: Mapping[str, str]) -> AsyncIterator[Document]:
        """Yield the documents whose columns equal `where`, a page per visit to the thread."""
        query = _scan(where)
        values = [text for column in where for text in (f'$."{column}"', where[column])]
        after = ""
        while True:
            page = partial(_all_rows, query, (kind, *values, after, PAGE))
            rows = await self._door.ask(page)
            for document in map(_document, rows):
                yield document
            if len(rows) < PAGE:
                return
            after = rows[-1][0]

    async def expired(self, kind: str, before: str, limit: int) -> list[str]:
        """Return at most `limit` names whose `expires` column sorts before `before`."""
        rows = await self._door.ask(partial(_all_rows, _EXPIRED, (kind, before, limit)))
        return [name for (name,) in rows]

    def watch(self, kind: str) -> AsyncIterator[Change]:
        """Yield changes from this call on. Raises StorageUnavailable when it lags too far."""
        start = self._door.ask(_newest_change)
        # If nobody ever takes a step, nobody wants to hear that the start failed either.
        start.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._changes(kind, start)

    async def close(self) -> None:
        """Let go of the file."""
        await self._door.close()

    async def _changes(self, kind: str, start: "asyncio.Future[int]") -> AsyncIterator[Change]:
        seen = await start
        while True:
            rows = await self._door.ask(partial(_changes_since, seen))
            if rows and rows[0][0] != seen + 1:
                raise refusal(self._door.path, "changes were missed: watch and read again")
            for number, changed_kind, name, columns, gone in rows:
                seen = number
                if changed_kind == kind:
                    yield Change(name=name, columns=_columns(columns), gone=bool(gone))
            if len(rows) < PAGE:
                await self._sleep(POLL_SECONDS)

    def _renewed(self, document: Document) -> Document:
        return Document(
            name=document.name,
            columns=dict(document.columns),
            sealed=document.sealed,
            version=self._random_bytes(8).hex(),
        )


def _scan(where: Mapping[str, str]) -> str:
    selected = f" AND {_COLUMN} = ?" * len(where)
    return (
        "SELECT name, columns, sealed, version FROM documents"
        f" WHERE kind = ?{selected} AND name > ? ORDER BY name LIMIT ?"
    )


def _newest_change(db: sqlite3.Connection) -> int:
    return int(db.execute(_NEWEST_CHANGE).fetchone()[0])


def _changes_since(seen: int, db: sqlite3.Connection) -> list[Any]:
    """Return the next changes; [(-1, ...)] is never a number, so a shrunken log shows as a gap."""
    newest = _newest_change(db)
    if newest == seen:
        return []
    if newest < seen:
        return [(-1, "", "", "{}", 0)]
    return _all_rows(_CHANGES, (seen, PAGE), db)


def _all_rows(query: str, values: tuple[Any, ...], db: sqlite3.Connection) -> list[Any]:
    return db.execute(query, values).fetchall()


def _shown(columns: Mapping[str, str]) -> tuple[str, str]:
    return json.dumps(dict(columns), separators=(",", ":")), columns.get("expires", "")


def _columns(text: str) -> dict[str, str]:
    """Return the columns; what is no JSON object was put in by hand and shows nothing."""
    try:
        columns = json.loads(text)
    except ValueError:
        return {}
    return columns if isinstance(columns, dict) else {}


def _document(row: Any) -> Document:
    name, columns, sealed, version = row
    # str(): a number or bytes put in by hand is then a seal that does not open.
    return Document(
        name=str(name), columns=_columns(str(columns)), sealed=str(sealed), version=str(version)
    )
