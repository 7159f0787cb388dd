"""The way into an SQLite store that a server may have open at the same time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from idp.commands.console import CommandFailed
from idp.commands.targets import Store
from storage.base import Backend, Conflict
from storage.sqlite import SqliteBackend

_ATTEMPTS = 5


@asynccontextmanager
async def database_store(path: Path) -> AsyncIterator[Store]:
    """Open an existing file. Raises CommandFailed if there is none, or StorageUnavailable."""
    _require_file(path)
    backend = await SqliteBackend.open(path)

    async def request(kind: str, name: str, key: str, value: str) -> None:
        await _write(backend, kind, name, {f"request/{key}": value})

    try:
        yield Store(backend=backend, where=str(path), request=request)
    finally:
        await backend.close()


def _require_file(path: Path) -> None:
    if not path.exists():
        # Opening would make one.
        raise CommandFailed(
            f"storage.config.file: there is no {path}. A relative path starts where the server was"
            " started: run the command there"
        )


async def _write(backend: Backend, kind: str, name: str, columns: Mapping[str, str]) -> None:
    for _ in range(_ATTEMPTS):
        found = await backend.read(kind, name)
        try:
            await backend.replace(kind, replace(found, columns={**found.columns, **columns}))
        except Conflict:
            continue
        return
    raise CommandFailed(f"{kind}/{name} was changed each time before we could. Try again")
