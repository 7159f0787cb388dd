"""The watch of the storage port: changes of one kind from a moment on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

from storage.base import Change, StorageError, StorageUnavailable
from storage.kubernetes.errors import Unavailable
from storage.kubernetes.resources import Resource
from storage.kubernetes.watch import Follower, pages

LONGEST_QUEUE = 10_000
START_SECONDS = 1.0


class _Feed:
    """What a watch has seen and nobody has read yet."""

    def __init__(self) -> None:
        self.waiting: deque[Change] = deque()
        self.failure: StorageUnavailable | None = None
        self.news = asyncio.Event()

    def fail(self, error: StorageUnavailable) -> None:
        self.failure = self.failure or error
        self.news.set()


class Changes(AsyncIterator[Change]):
    """Changes since it was made. `begun` is done when no later change can be missed.

    While the API server is away nothing comes; what happened meanwhile comes afterwards.
    """

    def __init__(self, follower: Follower, resource: Resource) -> None:
        """Begin at once, in a task that ends with this object."""
        self._feed = _Feed()
        self._loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = self._loop.create_future()
        self._task = self._loop.create_task(_fill(self._feed, follower, resource, self.begun))

    async def __anext__(self) -> Change:
        """Return the next change. Raises StorageUnavailable once changes may have been missed."""
        feed = self._feed
        while not feed.waiting:
            if feed.failure is not None:
                raise Unavailable(str(feed.failure))
            feed.news.clear()
            await feed.news.wait()
        return feed.waiting.popleft()

    async def end(self, reason: str) -> None:
        """End it, also from another thread: whoever waits gets StorageUnavailable."""
        if asyncio.get_running_loop() is self._loop:
            self._end(reason)
            await asyncio.wait({self._task})
            return
        with suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._end, reason)

    def _end(self, reason: str) -> None:
        self._feed.fail(Unavailable(reason))
        self._task.cancel()

    def __del__(self) -> None:
        """Stop watching when nobody can read the changes any more."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._task.cancel)


async def _fill(
    feed: _Feed, follower: Follower, resource: Resource, begun: "asyncio.Future[None]"
) -> None:
    try:
        version = await _version_now(follower)
        begun.set_result(None)
        async with aclosing(follower.lasting(version)) as events:
            async for event in events:
                document = resource.document(event.object)
                metadata = event.object.get("metadata")
                name = metadata.get("name") if isinstance(metadata, dict) else None
                if not isinstance(name, str):
                    continue
                if len(feed.waiting) >= LONGEST_QUEUE:
                    feed.waiting.clear()
                    raise Unavailable("the watch fell too far behind; watch and read again")
                gone = event.gone or document is None
                columns = resource.columns(event.object)
                sealed = resource.sealed(event.object) if gone else ""
                feed.waiting.append(Change(name=name, columns=columns, gone=gone, sealed=sealed))
                feed.news.set()
    except StorageUnavailable as error:
        feed.fail(error)
    except StorageError as error:
        feed.fail(Unavailable(str(error)))
    finally:
        if not begun.done():
            begun.set_result(None)  # nobody need wait for a watch that fails
        feed.fail(Unavailable("the watch has ended"))


async def _version_now(follower: Follower) -> str:
    async with aclosing(
        pages(follower.api, follower.path, {}, limit=1, deadline=START_SECONDS)
    ) as listed:
        async for page in listed:
            return page.version
    raise Unavailable(f"GET {follower.path}: the API server gave no list")
