"""An event loop in a thread of its own, for servers of the tests that are written with asyncio."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_CALL_SECONDS = 20


class LoopThread:
    """A running event loop. `call` runs a coroutine in it and waits, from any other thread."""

    def __init__(self, name: str) -> None:
        """Start the thread at once."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns; raises what it raises, TimeoutError after 20 s."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_CALL_SECONDS)

    def close(self) -> None:
        """Cancel what still runs and end the thread."""
        self.call(_cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=_CALL_SECONDS)
        self.loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
