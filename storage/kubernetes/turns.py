"""Many callers of one document at the same moment, as few requests as that takes.

Writers go one after another: of those who hold the same version one can win, and the others lose
here instead of at the API server. Readers who come while a read is under way share the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from storage.base import Conflict, Document
from storage.kubernetes.errors import Unavailable

_Key = tuple[asyncio.AbstractEventLoop, str]


@dataclass(slots=True, eq=False)
class _Queue:
    """Who writes one document now. `outdated` are versions that were written over meanwhile."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    outdated: set[str] = field(default_factory=set)
    writers: int = 0


class Turns:
    """The queues of all documents that are being written; each lives while anybody is in it."""

    def __init__(self) -> None:
        self._queues: dict[_Key, _Queue] = {}

    @asynccontextmanager
    async def turn(self, path: str, version: str, *, within: float) -> AsyncIterator[None]:
        """Let the caller write over a version of the document at a path.

        Raises Conflict when somebody wrote over that version while we waited, and Unavailable when
        the wait takes longer than `within` seconds.
        """
        key = asyncio.get_running_loop(), path
        queue = self._queues.setdefault(key, _Queue())
        queue.writers += 1
        try:
            if queue.lock.locked():
                await _wait(queue.lock, path, within)
            else:
                await queue.lock.acquire()
            try:
                if version in queue.outdated:
                    raise Conflict(f"PUT {path}: was changed since it was read")
                try:
                    yield
                except Conflict:
                    queue.outdated.add(version)  # by another process
                    raise
                queue.outdated.add(version)
            finally:
                queue.lock.release()
        finally:
            queue.writers -= 1
            if queue.writers == 0:
                del self._queues[key]


async def _wait(lock: asyncio.Lock, path: str, within: float) -> None:
    try:
        async with asyncio.timeout(within):
            await lock.acquire()
    except TimeoutError:
        raise Unavailable(f"PUT {path}: an earlier write has not been answered yet") from None


class SharedReads:
    """Reads of one document that are asked for while it is being read become one.

    It begins after all who share it have asked, so everybody sees what was written before.
    """

    def __init__(self) -> None:
        self._running: dict[_Key, asyncio.Future[None]] = {}
        self._next: dict[_Key, asyncio.Task[Document]] = {}

    async def read(self, path: str, ask: Callable[[], Awaitable[Document]]) -> Document:
        """Return what `ask` returns, called by us or by another who waits for the same."""
        key = asyncio.get_running_loop(), path
        if key not in self._running:
            return await self._run(key, ask)
        following = self._next.get(key)
        if following is None:
            following = self._next[key] = key[0].create_task(self._follow(key, ask))
            following.add_done_callback(_note_outcome)
        return await asyncio.shield(following)

    async def _follow(self, key: _Key, ask: Callable[[], Awaitable[Document]]) -> Document:
        while (running := self._running.get(key)) is not None:
            await asyncio.wait({running})
        del self._next[key]  # who asks from now on comes too late for this one
        return await self._run(key, ask)

    async def _run(self, key: _Key, ask: Callable[[], Awaitable[Document]]) -> Document:
        done = self._running[key] = key[0].create_future()
        try:
            return await ask()
        finally:
            del self._running[key]
            done.set_result(None)


def _note_outcome(read: "asyncio.Task[Document]") -> None:
    """Take a failure for known: whoever asked may have gone."""
    if not read.cancelled():
        read.exception()
