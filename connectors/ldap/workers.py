"""Threads for one directory alone, so that a slow one takes nobody else's."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from connectors.base import ConnectorUnavailable
from connectors.ldap.errors import Busy

T = TypeVar("T")

MOST_AT_ONCE = 64
_GRACE_SECONDS = 0.5
"""Threads mind the deadline themselves; this is for one that cannot, in a hanging file system."""


class Workers:
    """Runs what blocks, `most` at a time, and turns away at once what would have to wait."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        """Start no thread yet."""
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="ldap")
        self._places = threading.BoundedSemaphore(most)

    async def run(self, work: Callable[[], T], *, within: float) -> T:
        """Return what `work` returns, or raise what it raises; it should take `within` seconds.

        Raises Busy when all threads are taken, ConnectorUnavailable when it takes longer.
        """
        if not self._places.acquire(blocking=False):
            raise Busy("as many people are signing in with this directory as may at once")
        try:
            future = self._threads.submit(work)
        except RuntimeError:
            self._places.release()
            raise ConnectorUnavailable("the connector is closed") from None
        # The place is free when the thread is done, not when somebody stops waiting for it.
        future.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(within + _GRACE_SECONDS):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise ConnectorUnavailable("the directory did not answer in time") from None

    def close(self) -> None:
        """Take no more; what runs ends by itself."""
        self._threads.shutdown(wait=False)

    def _leave(self, _: Future[T]) -> None:
        self._places.release()
