"""The door: deadlines, locks, a thread that survives everything, and errors in our words."""
# ruff: noqa: ASYNC240 -- the tests' own files; nothing else runs in their loop

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from storage.base import Conflict, NotFound, StorageUnavailable
from storage.sqlite import SqliteBackend
from storage.sqlite.door import Door
from storage.sqlite.errors import primary_code, translated
from storage.sqlite.schema import DatabaseFile
from tests.kit.waiting import Stopwatch
from tests.storage.harness import generation, grant, grants, refreshed

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file will be."""
    return tmp_path / "idp.db"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock, as another process can."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.servers
@pytest.mark.covers("I-6", "CV-10")
async def test_a_stuck_lock_is_unavailable_in_time_and_nothing_lands_later(path: Path) -> None:
    backend = await SqliteBackend.open(path)
    stored = await grants(backend).create(grant())
    with locked(path), Stopwatch() as watch:
        began = time.monotonic()
        writes = asyncio.gather(
            grants(backend).create(grant("g2")),
            grants(backend).update(stored, refreshed),
            grants(backend).delete("g1"),
            *(grants(backend).create(grant(f"more{number}")) for number in range(50)),
            return_exceptions=True,
        )
        slowest = 0.0
        while time.monotonic() - began < 2.5:
            asked = watch.seconds
            assert await grants(backend).get("g1") == stored
            slowest = max(slowest, watch.seconds - asked)
        results = await writes
        took, counted = time.monotonic() - began, watch.seconds
    assert took > 2.9
    assert counted < 3.5
    assert slowest < 0.5  # reads need no lock and pass the writes that wait for it
    for result in results:
        assert isinstance(result, StorageUnavailable)
        assert str(path) in str(result)
        assert "lock" in str(result)
    await asyncio.sleep(0.3)
    assert [found async for found in grants(backend).scan()] == [stored]
    updated = await grants(backend).update(stored, refreshed)
    assert generation(updated.record) == 1
    await backend.close()


async def test_a_lock_that_is_released_in_time_is_waited_for(path: Path) -> None:
    backend = await SqliteBackend.open(path)
    with locked(path):
        waiting = asyncio.ensure_future(grants(backend).create(grant()))
        await asyncio.sleep(0.5)
        assert not waiting.done()
    assert (await waiting).record == grant()
    await backend.close()


async def test_a_stuck_thread_is_unavailable_in_time(path: Path) -> None:
    """As when the disk does not answer: the thread hangs in the kernel."""
    door = Door(DatabaseFile(path=path), deadline=1)
    hanging = threading.Event()

    def hang(db: sqlite3.Connection) -> None:
        hanging.wait(30)

    def write(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE landed (x)")

    began = time.monotonic()
    results = await asyncio.gather(door.ask(hang), door.ask(write), return_exceptions=True)
    assert 1 <= time.monotonic() - began < 5
    assert [type(result) for result in results] == [StorageUnavailable] * 2
    hanging.set()
    count = "SELECT count(*) FROM sqlite_master WHERE name = 'landed'"
    assert await door.ask(lambda db: db.execute(count).fetchone()) == (0,)
    await door.close()


async def test_work_whose_caller_has_gone_is_not_begun(path: Path) -> None:
    door = Door(DatabaseFile(path=path))
    await door.ask(lambda db: None)
    done: list[str] = []
    busy = door.ask(lambda db: time.sleep(0.1))
    abandoned = door.ask(lambda db: done.append("abandoned"))
    abandoned.cancel()
    kept = door.ask(lambda db: done.append("kept"))
    await asyncio.gather(busy, kept)
    assert done == ["kept"]
    await door.close()


async def test_a_bug_reaches_its_caller_and_the_thread_goes_on(path: Path) -> None:
    door = Door(DatabaseFile(path=path))

    def bug(db: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await door.ask(bug)
    assert await door.ask(lambda db: 1) == 1
    await door.close()


async def test_what_is_queued_when_the_door_closes_is_done(path: Path) -> None:
    def note(number: int, db: sqlite3.Connection) -> None:
        done.append(number)

    door = Door(DatabaseFile(path=path))
    done: list[int] = []
    queued = [door.ask(partial(note, number)) for number in range(10)]
    await door.close()
    await asyncio.gather(*queued)
    assert done == list(range(10))
    with pytest.raises(StorageUnavailable, match="closed"):
        await door.ask(lambda db: None)


async def test_a_door_can_close_before_it_was_used(path: Path) -> None:
    door = Door(DatabaseFile(path=path))
    await door.close()
    await door.close()
    assert list(path.parent.glob("*")) == []


def test_an_event_loop_that_ends_early_leaves_the_door_usable(path: Path) -> None:
    door = Door(DatabaseFile(path=path))

    async def leave() -> None:
        _ = door.ask(lambda db: time.sleep(0.1))

    async def stay() -> int:
        answer = await door.ask(lambda db: 5)
        await door.close()
        return answer

    asyncio.run(leave())
    assert asyncio.run(stay()) == 5


def test_ten_doors_open_a_new_file_at_once(path: Path) -> None:
    async def many() -> None:
        backends = await asyncio.gather(*(SqliteBackend.open(path) for _ in range(10)))
        await asyncio.gather(
            *(grants(backend).create(grant(f"g{n}")) for n, backend in enumerate(backends))
        )
        assert len([found async for found in grants(backends[0]).scan()]) == 10
        await asyncio.gather(*(backend.close() for backend in backends))

    asyncio.run(many())


class TinyFile(DatabaseFile):
    """A database on a disk that is soon full."""

    def open(self, patience: float) -> sqlite3.Connection:
        """Open it with room for a few pages."""
        connection = DatabaseFile.open(self, patience)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 6}")
        return connection


async def test_a_full_disk_is_named_and_loses_nothing(path: Path) -> None:
    backend = SqliteBackend(Door(TinyFile(path=path)))
    kept = []

    async def fill() -> None:
        for number in range(100):
            kept.append(await grants(backend).create(grant(f"g{number:02}")))

    with pytest.raises(StorageUnavailable, match=r"the disk is full: free some space"):
        await fill()
    assert [found async for found in grants(backend).scan()] == kept
    await backend.close()
    with_room = await SqliteBackend.open(path)
    await grants(with_room).delete("g00")
    assert [found async for found in grants(with_room).scan()] == kept[1:]
    await with_room.close()


async def test_a_damaged_file_is_named_and_a_restored_one_heals(path: Path) -> None:
    backend = await SqliteBackend.open(path)
    for number in range(50):
        await grants(backend).create(grant(f"g{number:02}"))
    await backend.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    backend = await SqliteBackend.open(path.with_name("other.db"))
    await backend.close()
    damaged = SqliteBackend(Door(DatabaseFile(path=path)))
    with pytest.raises(StorageUnavailable, match=r"damaged: .*restore it from a backup"):
        await grants(damaged).get("g01")
    path.write_bytes(whole)
    assert (await grants(damaged).get("g01")).record == grant("g01")
    await damaged.close()


async def test_outcomes_are_told_apart_from_errors(path: Path) -> None:
    backend = await SqliteBackend.open(path)
    stored = await grants(backend).create(grant())
    document = await backend.read("refresh-grants", "g1")
    await grants(backend).update(stored, refreshed)
    with pytest.raises(Conflict):
        await backend.replace("refresh-grants", document)
    await grants(backend).delete("g1")
    with pytest.raises(NotFound):
        await backend.replace("refresh-grants", document)
    await backend.close()


def all_subclasses(root: type[Exception]) -> list[type[Exception]]:
    """Return a class and all below it."""
    return [root, *(sub for child in root.__subclasses__() for sub in all_subclasses(child))]


FOREIGN = [*all_subclasses(sqlite3.Error), *all_subclasses(sqlite3.Warning)]


@pytest.mark.covers("CV-10")
@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda kind: kind.__name__)
async def test_no_error_of_sqlite_leaks(path: Path, foreign: type[Exception]) -> None:
    door = Door(DatabaseFile(path=path))

    def fail(db: sqlite3.Connection) -> None:
        raise foreign("unheard of")

    with pytest.raises(StorageUnavailable, match="unheard of") as caught:
        await door.ask(fail)
    assert str(path) in str(caught.value)
    assert await door.ask(lambda db: 1) == 1
    await door.close()


def test_every_result_code_has_a_message_with_the_file() -> None:
    codes = {
        getattr(sqlite3, name)
        for name in dir(sqlite3)
        if name.startswith("SQLITE_") and name.count("_") == 1
    }
    for code in codes:
        error = sqlite3.OperationalError("it said")
        error.sqlite_errorcode = code | (7 << 8)
        assert primary_code(error) == code & 0xFF
        ours = str(translated(Path("/x/idp.db"), error))
        assert ours.startswith("storage.config.file: /x/idp.db: ")
        assert "it said" in ours
    denied = PermissionError(13, "Permission denied")
    assert "writable" in str(translated(Path("/x"), denied))


async def test_work_that_queued_up_is_done_in_one_transaction_and_answered_one_by_one(
    path: Path,
) -> None:
    door = Door(DatabaseFile(path=path))
    await door.ask(lambda db: db.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)").rowcount)
    hold = threading.Event()
    in_transaction: list[bool] = []

    def insert(number: int, db: sqlite3.Connection) -> int:
        in_transaction.append(db.in_transaction)
        return db.execute("INSERT INTO t VALUES (?)", (number,)).rowcount

    first = door.ask(lambda _: hold.wait(5))
    waiting = [door.ask(partial(insert, number)) for number in (1, 2, 1, 3)]
    hold.set()
    await first
    results = await asyncio.gather(*waiting, return_exceptions=True)
    # The third breaks the key: the transaction is undone, and each is done by itself.
    assert [results[0], results[1], results[3]] == [1, 1, 1]
    assert isinstance(results[2], StorageUnavailable)
    assert in_transaction[:3] == [True] * 3
    rows = await door.ask(lambda db: db.execute("SELECT x FROM t ORDER BY x").fetchall())
    assert rows == [(1,), (2,), (3,)]
    await door.close()


async def test_a_shared_transaction_is_undone_when_one_of_its_callers_has_given_up(
    path: Path,
) -> None:
    door = Door(DatabaseFile(path=path))
    await door.ask(lambda db: db.execute("CREATE TABLE t (x)").rowcount)
    hold = threading.Event()
    first = door.ask(lambda _: hold.wait(5))
    gone = door.ask(lambda db: db.execute("INSERT INTO t VALUES (1)").rowcount)
    stays = door.ask(lambda db: db.execute("INSERT INTO t VALUES (2)").rowcount)
    gone.cancel()
    hold.set()
    await first
    assert await stays == 1
    assert await door.ask(lambda db: db.execute("SELECT x FROM t").fetchall()) == [(2,)]
    await door.close()
