"""Waiting for something that happens by itself, and no longer than it may take."""

import time
from collections.abc import Callable

_PACE_SECONDS = 0.02


def eventually(is_so: Callable[[], bool], *, within: float) -> float:
    """Return after how many seconds it is so; raises TimeoutError after `within`."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > within:
            raise TimeoutError(f"not so after {within} s")
        time.sleep(_PACE_SECONDS)
    return time.monotonic() - began
