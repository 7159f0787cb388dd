"""Waiting for a store at the start.

A store that cannot be reached may come back: to end would only make a crash loop. What an operator
has to mend, such as a missing right, is waited for as well, since it is often mended while the
server starts; but not for ever, so that it is seen.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from idp.log import log_event
from storage.base import StorageError, StorageUnavailable

T = TypeVar("T")

_log = logging.getLogger("idp.app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Tries a step again and again. Times are in seconds.

    `to_mend` are errors that somebody has to mend: they are waited for `mending_takes`. Other
    StorageUnavailable are waited for without end, everything else passes through at once.
    """

    to_mend: tuple[type[StorageError], ...]
    mending_takes: float = 60.0
    try_again_after: float = 1.0
    tell_every: float = 10.0
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def __call__(self, step: Callable[[], Awaitable[T]]) -> T:
        """Return what the step returns in the end. Raises what is not worth waiting for."""
        began = self.monotonic()
        tell_again_at = began
        while True:
            try:
                return await step()
            except StorageError as error:
                if isinstance(error, self.to_mend):
                    if self.monotonic() - began >= self.mending_takes:
                        raise
                elif not isinstance(error, StorageUnavailable):
                    raise
                if self.monotonic() >= tell_again_at:
                    tell_again_at = self.monotonic() + self.tell_every
                    log_event(_log, logging.WARNING, "waiting_for_store", problem=str(error))
            await self.sleep(self.try_again_after)


async def without_patience(step: Callable[[], Awaitable[T]]) -> T:
    """Try once: a file or memory that cannot be used now cannot be used later."""
    return await step()
