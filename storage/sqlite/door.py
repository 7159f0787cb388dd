"""The only door to the database file: one thread, one connection, one deadline for every call.

SQLite blocks, so it gets a thread. One is enough: a read takes microseconds, and SQLite lets only
one write at a time. What has queued up while the disk was busy is done in one transaction, so that
many writes wait for one flush. Errors of sqlite3 stop here.
"""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from storage.base import StorageError, StorageUnavailable
from storage.sqlite.errors import HARMLESS, primary_code, refusal, translated
from storage.sqlite.schema import DatabaseFile

T = TypeVar("T")

DEADLINE_SECONDS = 3.0
LAST_CALL_SECONDS = 0.2
"""How much longer the caller waits than the thread, whose own error says more."""

LOCK_POLL_SECONDS = 0.003
"""How often a write that met another process's lock is tried again."""

LOOK_SECONDS = 0.25

MOST_TOGETHER = 32
"""How much work shares a transaction."""


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    give_up_at: float

    def in_time(self) -> "_Job":
        """Return the job. Raises TimeoutError when nobody waits for it any more."""
        if self.future.done() or self.give_up_at <= time.monotonic():
            raise TimeoutError
        return self

    def answer(self, result: Any, error: Exception | None) -> None:
        with suppress(RuntimeError):  # the caller's loop is closed
            self.loop.call_soon_threadsafe(_settle, self.future, result, error)


class Door:
    """Runs work on the database in its own thread.

    `work` gets the connection and must be atomic: one statement, or reads only. It can be called
    from several event loops.
    """

    def __init__(self, file: DatabaseFile, *, deadline: float = DEADLINE_SECONDS) -> None:
        """Start the thread; the file is opened by the first work. `deadline` is in seconds."""
        self._file = file
        self._deadline = deadline
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._look_again_at = 0.0
        self._parked: deque[_Job] = deque()  # they wait for another process's lock
        self._try_again_at = 0.0
        self._closing = False
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="sqlite", daemon=True).start()

    @property
    def path(self) -> Path:
        """Return where the database is."""
        return self._file.path

    def ask(self, work: Callable[[sqlite3.Connection], T]) -> "asyncio.Future[T]":
        """Queue work, in order of calls, and return its result to come.

        It raises StorageUnavailable 0.2 s after the deadline at the latest. Work whose caller has
        given up is not begun; work that was begun is done wholly or not at all.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._closing:
            future.set_exception(self._is_closed())
            return future
        alarm = loop.call_later(self._deadline + LAST_CALL_SECONDS, self._expire, future)
        future.add_done_callback(lambda _: alarm.cancel())
        self._jobs.put(_Job(work, future, loop, time.monotonic() + self._deadline))
        return future

    async def close(self) -> None:
        """Finish what is queued and let go of the file; wait for that until the deadline."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        await asyncio.to_thread(self._closed.wait, self._deadline)

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                jobs = self._with_those_waiting(job)
                if len(jobs) == 1 or not self._perform_together(jobs):
                    for each in jobs:
                        self._perform(each)
                del job, jobs  # or the last answer would live until the next question
        finally:
            self._disconnect()
            for parked in self._parked:
                parked.answer(None, self._is_closed())
            self._closed.set()

    def _next(self) -> _Job | None:
        """Return what to do next; None at the end. Reads pass the writes that wait for a lock."""
        if not self._parked:
            return self._jobs.get()
        remaining = self._try_again_at - time.monotonic()
        if remaining > 0:
            with suppress(Empty):
                return self._jobs.get(timeout=remaining)
        return self._parked.popleft()

    def _with_those_waiting(self, job: _Job) -> list[_Job]:
        """Return the job and what has queued up behind it, in order."""
        jobs = [job]
        while len(jobs) < MOST_TOGETHER and not self._parked:
            try:
                following = self._jobs.get_nowait()
            except Empty:
                break
            if following is None:
                self._jobs.put(None)  # the end stays the end
                break
            jobs.append(following)
        return jobs

    def _perform_together(self, jobs: Sequence[_Job]) -> bool:
        """Do jobs in one transaction; return False where each must be done by itself instead.

        Then nothing was done: the transaction is rolled back. A commit that fails is answered
        here, for it may have been done.
        """
        try:
            connection = self._ready(jobs[0].give_up_at - time.monotonic())
            connection.execute("BEGIN")
            results = [job.in_time().work(connection) for job in jobs]
            for job in jobs:
                job.in_time()
        except Exception:  # whose it is shows when each is done by itself
            self._roll_back()
            return False
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._disconnect()
            for job in jobs:
                job.answer(None, translated(self._file.path, error))
            return True
        _answer_all(jobs, results)
        return True

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is not None and connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error:
                self._disconnect()

    def _perform(self, job: _Job) -> None:
        remaining = job.give_up_at - time.monotonic()
        if job.future.done():
            return
        if remaining <= 0:
            job.answer(None, self._too_slow())
            return
        try:
            job.answer(job.work(self._ready(remaining)), None)
        except StorageError as error:
            job.answer(None, error)
        except (sqlite3.Error, sqlite3.Warning, OSError) as error:
            if primary_code(error) not in HARMLESS:
                self._disconnect()  # the next work opens the file afresh
            if primary_code(error) == sqlite3.SQLITE_BUSY and time.monotonic() < job.give_up_at:
                self._parked.append(job)
                self._try_again_at = time.monotonic() + LOCK_POLL_SECONDS
            else:
                job.answer(None, translated(self._file.path, error))
        except Exception as error:  # a bug of ours belongs to the caller, the thread goes on
            job.answer(None, error)

    def _ready(self, remaining: float) -> sqlite3.Connection:
        """Return a connection to the file as it is now."""
        now = time.monotonic()
        if now >= self._look_again_at:
            self._look_at_file()
            self._look_again_at = now + LOOK_SECONDS
        if self._connection is None:
            self._connection = self._file.open(remaining)
            self._connection.execute("PRAGMA busy_timeout = 0")  # waiting is up to us
            self._identity = self._file.identity()
        return self._connection

    def _look_at_file(self) -> None:
        """Notice that the file was moved away or replaced: writes to the old one would be lost."""
        identity = self._file.identity()
        if identity == self._identity:
            return
        self._disconnect()
        if identity is None and self._identity is not None:
            raise refusal(self._file.path, "the file has gone: put it back, or restart")

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _expire(self, future: "asyncio.Future[Any]") -> None:
        _settle(future, None, self._too_slow())

    def _is_closed(self) -> StorageUnavailable:
        return refusal(self._file.path, "the store is closed")

    def _too_slow(self) -> StorageUnavailable:
        return refusal(
            self._file.path,
            f"no answer within {self._deadline:g} s: the disk is slow, or another process holds"
            " the file's lock",
        )


def _answer_all(jobs: Sequence[_Job], results: Sequence[Any]) -> None:
    """Wake each event loop once, however many of its callers are answered."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for job, result in zip(jobs, results, strict=True):
        by_loop.setdefault(job.loop, []).append((job.future, result))
    for loop, answers in by_loop.items():
        with suppress(RuntimeError):  # the callers' loop is closed
            loop.call_soon_threadsafe(_settle_all, answers)


def _settle_all(answers: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, result in answers:
        _settle(future, result, None)


def _settle(future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    """Answer, unless the caller has gone or was answered before."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
