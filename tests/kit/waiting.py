"""Waiting for something that happens by itself, and no longer than it may take."""

import asyncio
import time
from collections.abc import Callable

_PACE_SECONDS = 0.02
_SHORT_SECONDS = 0.002


def eventually(is_so: Callable[[], bool], *, within: float) -> float:
    """Return after how many seconds it is so; raises TimeoutError after `within`."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > within:
            raise TimeoutError(f"not so after {within} s")
        time.sleep(_PACE_SECONDS)
    return time.monotonic() - began


async def soon(is_so: Callable[[], object], *, within: float = 5.0) -> None:
    """Return once it is so, while other tasks run; raises TimeoutError after `within`."""
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110 - there is nothing else to wait for
            await asyncio.sleep(_SHORT_SECONDS)
