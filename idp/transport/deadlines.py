"""The deadlines of one connection: which wait runs, and until when."""

import math
from collections.abc import Callable
from enum import IntEnum

from idp.transport.limits import Limits

_QUIET = 1.0
"""Seconds without a request after which a connection may be closed in a drain."""


class Wait(IntEnum):
    """What a connection waits for."""

    OPENING = 0  # the first byte
    HEAD = 1  # the rest of a head
    BODY = 2  # the rest of a body
    ANSWER = 3  # our application; no deadline, it has its own
    FLUSHING = 4  # the client, to take the last answer
    IDLE = 5  # the next request
    LEAVING = 6  # a refused client, to read the refusal


class Deadlines:
    """At most two deadlines at a time: of the wait that runs, and of a client that does not read.

    `due` and `write_due` are times of the event loop's clock.
    """

    __slots__ = ("_durations", "_idle_rest", "_now", "due", "waits_for", "write_due")

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        flushing = min(limits.write, limits.idle)
        self.due = math.inf
        self.write_due = math.inf
        self.waits_for: Wait | None = None
        self._now = now
        self._idle_rest = limits.idle - flushing
        self._durations = (
            limits.head,
            limits.head,
            limits.body,
            math.inf,
            flushing,
            self._idle_rest,
            limits.discard,
        )

    def wait(self, wait: Wait) -> None:
        """Start waiting for this, unless that wait runs already: more bytes buy no more time."""
        if wait is not self.waits_for:
            self.waits_for = wait
            self.due = self._now() + self._durations[wait]

    def forget(self) -> None:
        """Let the next wait start anew even if it is of the same kind: a new request has begun."""
        self.waits_for = None

    def is_quiet(self, now: float) -> bool:
        """Tell whether nothing is asked and nothing has come for a second.

        Closed any earlier, a request on its way to us would be lost; who just had an answer often
        sends again at once.
        """
        waits_for = self.waits_for
        if waits_for is Wait.OPENING or waits_for is Wait.FLUSHING:
            return now - (self.due - self._durations[waits_for]) > _QUIET
        return waits_for is Wait.IDLE
