"""Calls that begin at the same moment."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_GATHER_SECONDS = 30


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return what the calls return, each made in a thread of its own once all are there."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        start.wait(timeout=_GATHER_SECONDS)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))
