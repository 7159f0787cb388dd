"""A terminal of which nothing gets out, and a store in a file with sessions and keys in it."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from idp.cli import parser, run
from idp.commands.console import Console
from storage.base import Document
from storage.sqlite import SqliteBackend
from tests.kit.clock import HandClock

T = TypeVar("T")

NOTHING: Mapping[str, str] = {}


class Keyboard(io.StringIO):
    """Somebody at a terminal, who types this."""

    def isatty(self) -> bool:
        """Say that this is one."""
        return True


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command ended with."""

    status: int
    out: str
    err: str


def console(
    *, stdin: io.StringIO | None = None, environ: Mapping[str, str] = NOTHING
) -> tuple[Console, io.StringIO, io.StringIO]:
    """Return a console and what will stand on its two streams."""
    out, err = io.StringIO(), io.StringIO()
    made = Console(
        out=out,
        err=err,
        stdin=stdin or io.StringIO(),
        environ=dict(environ),
        clock=HandClock(),
    )
    return made, out, err


def idp(
    *arguments: str, stdin: io.StringIO | None = None, environ: Mapping[str, str] = NOTHING
) -> Ran:
    """Run `idp` with these arguments, in this process."""
    made, out, err = console(stdin=stdin, environ=environ)
    status = run(parser().parse_args(arguments), made)
    return Ran(status, out.getvalue(), err.getvalue())


def configuration(directory: Path, storage: str) -> str:
    """Write a configuration with this `storage` section and return its path."""
    path = directory / "config.yaml"
    path.write_text(
        "issuer: https://id.example.com\nweb: {http: ':5556'}\n"
        "oauth2: {grantTypes: [authorization_code, client_credentials]}\n"
        f"storage: {storage}\n"
    )
    return str(path)


@dataclass(frozen=True, slots=True)
class Database:
    """A store that a server has written to."""

    file: Path
    config: str

    def put(self, kind: str, name: str, **columns: str) -> None:
        """Store a document."""
        document = Document(name=name, columns=columns, sealed=f"sealed {name}")
        self._with(lambda backend: backend.create(kind, document))

    def session(self, name: str, **columns: str) -> None:
        """Store a session; what is not given is as usual."""
        usual = {
            "user": "jane",
            "client": "kubernetes",
            "connector": "local",
            "last_used": "2026-01-01T12:00:00Z",
            "expires": "2026-02-01T12:00:00Z",
            "ended": "",
        }
        self.put("refresh-grants", name, **{**usual, **columns})

    def read(self, kind: str, name: str) -> Document:
        """Return a document."""
        return self._with(lambda backend: backend.read(kind, name))

    def names(self, kind: str) -> list[str]:
        """Return the names of all documents of a kind."""

        async def scan(backend: SqliteBackend) -> list[str]:
            return [document.name async for document in backend.scan(kind, {})]

        return self._with(scan)

    def _with(self, work: Callable[[SqliteBackend], Awaitable[T]]) -> T:
        async def main() -> T:
            backend = await SqliteBackend.open(self.file)
            try:
                return await work(backend)
            finally:
                await backend.close()

        return asyncio.run(main())


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Return an empty store that a configuration names."""
    file = tmp_path / "idp.db"
    made = Database(file, configuration(tmp_path, f"{{type: sqlite3, config: {{file: {file}}}}}"))
    made.names("refresh-grants")
    return made
