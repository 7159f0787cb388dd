"""The SQLite file: how it is made, what is refused, how an older one is brought up to date."""
# ruff: noqa: ASYNC240 -- the tests' own files; nothing else runs in their loop

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from storage.base import Document, NotFound, StorageUnavailable
from storage.sqlite import SqliteBackend
from storage.sqlite.backend import PAGE
from storage.sqlite.door import Door
from storage.sqlite.schema import KEPT_CHANGES, STEPS, DatabaseFile
from tests.storage.harness import grant, grants, refreshed

T = TypeVar("T")

pytestmark = pytest.mark.anyio

LATER: Sequence[Sequence[str]] = (
    *STEPS,
    ["ALTER TABLE documents ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"],
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file will be."""
    return tmp_path / "idp.db"


@pytest.fixture
def lax_umask() -> Iterator[None]:
    """Let new files be open to everyone, unless somebody takes care."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("lax_umask")
async def test_the_file_and_those_beside_it_are_private(path: Path) -> None:
    backend = await SqliteBackend.open(path)
    await grants(backend).create(grant())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    await backend.close()
    assert modes == {"idp.db": 0o600, "idp.db-wal": 0o600, "idp.db-shm": 0o600}


async def test_every_commit_reaches_the_disk(path: Path) -> None:
    door = Door(DatabaseFile(path=path))
    assert await door.ask(lambda db: db.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
    assert await door.ask(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (2,)
    await door.close()


async def refusal(path: Path) -> str:
    """Return why the file cannot be opened."""
    with pytest.raises(StorageUnavailable, match=r"storage\.config\.file") as caught:
        await SqliteBackend.open(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "such"
    assert f"there is no directory {missing}: create it" in await refusal(missing / "idp.db")
    assert not missing.exists()


async def test_a_directory_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert "this is a directory" in await refusal(tmp_path)


async def test_the_memory_of_sqlite_is_refused(tmp_path: Path) -> None:
    assert "storage.type to memory" in await refusal(Path(":memory:"))


async def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.write_text("precious\n" * 1000)
    assert "no SQLite database" in await refusal(path)
    assert path.read_text() == "precious\n" * 1000


async def test_another_programs_database_is_refused_and_kept(path: Path) -> None:
    with closing(sqlite3.connect(path)) as dex:
        dex.execute("CREATE TABLE client (id TEXT)")
        dex.commit()
    before = path.read_bytes()
    assert "another program (Dex" in await refusal(path)
    assert path.read_bytes() == before


def unwritable(path: Path) -> str:
    """Return what a user without rights on the directory is told."""
    script = """
import asyncio, os, sys
from pathlib import Path
from storage.base import StorageUnavailable
from storage.sqlite import SqliteBackend
os.setgid(65534); os.setuid(65534)
try:
    asyncio.run(SqliteBackend.open(Path(sys.argv[1])))
except StorageUnavailable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_missing_rights_are_named(tmp_path: Path) -> None:
    place = Path("/tmp") / f"storage-rights-{os.getpid()}"
    place.mkdir(mode=0o755)
    try:
        assert "make it writable for user id 65534" in unwritable(place / "idp.db")
        place.chmod(0o777)
        (place / "idp.db").touch(mode=0o600)
        said = unwritable(place / "idp.db")
        assert "make file and directory writable" in said
        assert f"storage.config.file: {place}/idp.db" in said
    finally:
        shutil.rmtree(place)


async def test_an_older_file_is_brought_up_to_date_and_keeps_everything(path: Path) -> None:
    older = await SqliteBackend.open(path)
    stored = await grants(older).create(grant())
    newer = SqliteBackend(Door(DatabaseFile(path=path, steps=LATER)))
    assert await grants(newer).get("g1") == stored
    # Both go on side by side: the older one has the file open already.
    stored = await grants(older).update(stored, refreshed)
    stored = await grants(newer).update(stored, refreshed)
    await grants(older).create(grant("g2"))
    assert [found.record.name async for found in grants(newer).scan()] == ["g1", "g2"]
    await older.close()
    await newer.close()


async def test_a_newer_file_is_refused_and_kept(path: Path) -> None:
    newer = SqliteBackend(Door(DatabaseFile(path=path, steps=LATER)))
    await grants(newer).create(grant())
    await newer.close()
    before = path.read_bytes()
    said = await refusal(path)
    assert "schema is version 2, this server knows up to 1: run the newer server" in said
    assert path.read_bytes() == before


async def test_a_step_that_fails_changes_nothing(path: Path) -> None:
    await (await SqliteBackend.open(path)).close()
    broken = SqliteBackend(Door(DatabaseFile(path=path, steps=(*LATER, ["CREATE NONSENSE"]))))
    with pytest.raises(StorageUnavailable):
        await grants(broken).get("g1")
    await broken.close()
    again = await SqliteBackend.open(path)
    await grants(again).create(grant())
    await again.close()


async def test_a_file_that_was_replaced_is_opened_anew(path: Path) -> None:
    """As when a backup is put back while the server runs: nothing goes to the old file."""
    backend = await SqliteBackend.open(path)
    await grants(backend).create(grant("old"))
    changes = grants(backend).watch()
    other = await SqliteBackend.open(path.with_name("backup.db"))
    await grants(other).create(grant("restored"))
    await other.close()
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink()
    path.with_name("backup.db").rename(path)
    time.sleep(0.3)  # noqa: ASYNC251 -- looked at every 0.25 s
    assert (await grants(backend).get("restored")).record.name == "restored"
    with pytest.raises(NotFound):
        await grants(backend).get("old")
    await grants(backend).create(grant("new"))
    await backend.close()
    again = await SqliteBackend.open(path)
    assert [stored.record.name async for stored in grants(again).scan()] == ["new", "restored"]
    await again.close()
    del changes


async def test_a_file_that_was_moved_away_takes_no_more_writes(path: Path) -> None:
    backend = await SqliteBackend.open(path)
    await grants(backend).create(grant("g1"))
    path.rename(path.with_name("away.db"))
    time.sleep(0.3)  # noqa: ASYNC251
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="has gone"):
            await grants(backend).create(grant("g2"))
    assert not path.exists()
    path.with_name("away.db").rename(path)
    await grants(backend).create(grant("g3"))
    await backend.close()


async def test_changes_are_pruned_and_whoever_missed_some_is_told(path: Path) -> None:
    backend = await SqliteBackend.open(path)
    changes = backend.watch("k")
    await backend.create("k", Document(name="first", columns={}, sealed=""))
    assert (await anext(changes)).name == "first"
    with closing(sqlite3.connect(path)) as other:
        other.executemany(
            "INSERT INTO documents VALUES ('k', ?, 'v', '{}', '', '')",
            ((f"n{number}",) for number in range(KEPT_CHANGES + 1500)),
        )
        other.commit()
        (kept,) = other.execute("SELECT count(*) FROM changes").fetchone()
    assert KEPT_CHANGES <= kept < KEPT_CHANGES + 512
    with pytest.raises(StorageUnavailable, match="missed"):
        await anext(changes)
    afresh = backend.watch("k")
    await backend.create("k", Document(name="last", columns={}, sealed=""))
    assert (await anext(afresh)).name == "last"
    await backend.close()


async def test_a_shortened_change_log_is_noticed(path: Path) -> None:
    backend = await SqliteBackend.open(path)
    await backend.create("k", Document(name="n", columns={}, sealed=""))
    changes = backend.watch("k")
    with closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM changes")
        other.commit()
    with pytest.raises(StorageUnavailable, match="missed"):
        await anext(changes)
    await backend.close()


async def test_odd_values_put_in_by_hand_harm_only_themselves(path: Path) -> None:
    backend = await SqliteBackend.open(path)
    await grants(backend).create(grant("good"))
    with closing(sqlite3.connect(path)) as other:
        for number, value in enumerate((b"\xff\xfe", 5, 1.5, "[]", "{", '{"user": 1}')):
            other.execute(
                "INSERT INTO documents VALUES ('refresh-grants', ?, ?, ?, ?, ?)",
                (f"odd{number}", value, value, value, value),
            )
        other.execute(
            "INSERT INTO documents VALUES ('refresh-grants', 'z', 'v', CAST(x'ff' AS TEXT), '', '')"
        )
        other.commit()
    assert [stored.record.name async for stored in grants(backend).scan()] == ["good"]
    assert [stored.record.name async for stored in grants(backend).scan({"user": "jane"})] == [
        "good"
    ]
    await backend.close()


async def test_documents_of_others_stay_in_the_file_when_a_column_selects(path: Path) -> None:
    door = CountingDoor(DatabaseFile(path=path))
    backend = SqliteBackend(door)
    for number in range(2 * PAGE):
        columns = {"person": f"person {number}"}
        await backend.create("grants", Document(name=f"g{number}", columns=columns, sealed="s"))
    before = door.visits
    found = [document.name async for document in backend.scan("grants", {"person": "person 300"})]
    assert found == ["g300"]
    assert door.visits == before + 1
    await backend.close()


class CountingDoor(Door):
    """A door that counts how often it is gone through."""

    visits = 0

    def ask(self, work: Callable[[sqlite3.Connection], T]) -> "asyncio.Future[T]":
        """Count."""
        self.visits += 1
        return super().ask(work)
