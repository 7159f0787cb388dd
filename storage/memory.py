"""A store in the memory of one process, for trials and tests. Nothing outlives the process."""

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count

from storage.base import (
    AlreadyExists,
    Change,
    Conflict,
    Document,
    NotFound,
    StorageUnavailable,
)

LONGEST_QUEUE = 10_000


class MemoryStore:
    """What the handles on one store share: documents, and who watches them."""

    def __init__(self) -> None:
        """Start empty."""
        self.lock = threading.Lock()
        self.documents: dict[tuple[str, str], Document] = {}
        self.versions = count(1)
        self.watchers: weakref.WeakSet[_Watcher] = weakref.WeakSet()


class MemoryBackend:
    """A handle on documents in a dict, usable from several threads and event loops."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        """Use a store of its own, or share one."""
        self._store = store or MemoryStore()
        self._watchers: weakref.WeakSet[_Watcher] = weakref.WeakSet()
        self._closed = False

    @property
    def place(self) -> str:
        """Return what is authenticated with every sealed body."""
        return "memory"

    async def read(self, kind: str, name: str) -> Document:
        """Return the newest version. Raises NotFound."""
        with self._store.lock:
            return self._found(kind, name)

    async def create(self, kind: str, document: Document) -> Document:
        """Store a new document. Raises AlreadyExists."""
        with self._store.lock:
            self._check_open()
            if (kind, document.name) in self._store.documents:
                raise AlreadyExists(f"{kind}/{document.name} exists already")
            return self._put(kind, document)

    async def replace(self, kind: str, document: Document) -> Document:
        """Store over exactly `document.version`. Raises Conflict or NotFound."""
        with self._store.lock:
            if self._found(kind, document.name).version != document.version:
                raise Conflict(f"{kind}/{document.name} was changed since it was read")
            return self._put(kind, document)

    async def remove(self, kind: str, name: str) -> None:
        """Delete. Raises NotFound."""
        with self._store.lock:
            document = self._found(kind, name)
            del self._store.documents[kind, name]
            self._publish(kind, _deletion(document))

    async def scan(self, kind: str, where: Mapping[str, str]) -> AsyncIterator[Document]:
        """Yield the documents whose columns equal `where`, in order of name."""
        with self._store.lock:
            self._check_open()
            names = sorted(name for held, name in self._store.documents if held == kind)
        for name in names:
            with self._store.lock:
                self._check_open()
                document = self._store.documents.get((kind, name))
            if document and all(document.columns.get(key) == where[key] for key in where):
                yield document

    async def expired(self, kind: str, before: str, limit: int) -> list[str]:
        """Return at most `limit` names whose `expires` column sorts before `before`."""
        with self._store.lock:
            self._check_open()
            found = sorted(
                (expires, name)
                for (held, name), document in self._store.documents.items()
                if held == kind
                and (expires := document.columns.get("expires", ""))
                # A document without the column never expires.
                and expires < before
            )
        return [name for _, name in found[:limit]]

    def watch(self, kind: str) -> AsyncIterator[Change]:
        """Yield changes from this call on. Raises StorageUnavailable when it lags too far."""
        watcher = _Watcher(kind)
        with self._store.lock:
            self._check_open()
            self._store.watchers.add(watcher)
            self._watchers.add(watcher)
        return watcher.changes()

    async def close(self) -> None:
        """End this handle's watches and refuse its calls."""
        with self._store.lock:
            self._closed = True
            for watcher in list(self._watchers):
                watcher.fail(_closed())

    def _check_open(self) -> None:
        if self._closed:
            raise _closed()

    def _found(self, kind: str, name: str) -> Document:
        self._check_open()
        try:
            return self._store.documents[kind, name]
        except KeyError:
            raise NotFound(f"{kind}/{name} does not exist") from None

    def _put(self, kind: str, document: Document) -> Document:
        stored = replace(
            document, columns=dict(document.columns), version=str(next(self._store.versions))
        )
        self._store.documents[kind, document.name] = stored
        self._publish(kind, Change(name=stored.name, columns=stored.columns, gone=False))
        return stored

    def _publish(self, kind: str, change: Change) -> None:
        for watcher in list(self._store.watchers):
            if watcher.kind == kind:
                watcher.add(change)


def _deletion(document: Document) -> Change:
    return Change(name=document.name, columns=document.columns, gone=True, sealed=document.sealed)


class _Watcher:
    """The queue between whoever writes, in any thread, and one event loop that watches."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Change] = deque()
        self._failure: StorageUnavailable | None = None
        self._news = asyncio.Event()

    def add(self, change: Change) -> None:
        if self._failure is not None:
            return
        if len(self._waiting) >= LONGEST_QUEUE:
            self._waiting.clear()
            self.fail(StorageUnavailable("the watch fell too far behind; watch and read again"))
            return
        self._waiting.append(change)
        self._wake()

    def fail(self, error: StorageUnavailable) -> None:
        self._failure = error
        self._wake()

    async def changes(self) -> AsyncIterator[Change]:
        while True:
            # Clear first: a change that comes while the queue is emptied rings again.
            self._news.clear()
            while self._waiting:
                yield self._waiting.popleft()
            if self._failure is not None:
                raise self._failure
            await self._news.wait()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._loop.call_soon_threadsafe(self._news.set)


def _closed() -> StorageUnavailable:
    return StorageUnavailable("the store in memory is closed")
