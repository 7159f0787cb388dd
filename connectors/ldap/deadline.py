"""Until when something may take, whatever happens on the way."""

import time
from collections.abc import Callable
from dataclasses import dataclass


class DeadlinePassed(TimeoutError):
    """There is no time left."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock, in seconds."""

    at: float
    monotonic: Callable[[], float] = time.monotonic

    @classmethod
    def after(
        cls, seconds: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> "Deadline":
        """Return the moment that many seconds from now."""
        return cls(monotonic() + seconds, monotonic)

    def remaining(self) -> float:
        """Return the seconds left. Raises DeadlinePassed when there are none."""
        left = self.at - self.monotonic()
        if left <= 0:
            raise DeadlinePassed("no answer in time")
        return left

    def has_passed(self) -> bool:
        """Tell whether there is no time left."""
        return self.monotonic() >= self.at

    def within(self, seconds: float) -> "Deadline":
        """Return this moment or the one so many seconds from now, whichever is earlier."""
        return Deadline(min(self.at, self.monotonic() + seconds), self.monotonic)
