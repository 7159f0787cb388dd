"""What the throttle remembers, as plain state: buckets of accounts and sources, kept in ledgers.

Times are seconds of the caller's clock. A clock that is set back must not make anyone wait longer
than the longest delay, so what lies in the future is pulled back to now.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

B = TypeVar("B")

_TICK = 0.001
"""Seconds; less than this is no wait, so that whoever waits exactly as long as told is let in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast tries on one account may follow each other; delays in seconds.

    Each try is charged as `weight` tries, and as many are forgiven in each `longest_delay` that
    passes beyond the delay: whoever waits gains no more than whoever goes on at the slowest pace.
    """

    free_tries: int
    weight: int
    first_delay: float
    longest_delay: float

    def delay_after(self, charged: float) -> float:
        """Return how long after the last try the next one may be checked; the first one always."""
        whole = math.ceil(charged)
        if whole == 0 or whole + self.weight <= self.free_tries:
            return 0.0
        doublings = min(whole + self.weight - self.free_tries - 1, 60)
        return min(self.first_delay * 2.0**doublings, self.longest_delay)

    def charge_one_more(self, charged: float) -> float:
        """Return the charge after another try; it stops where the longest delay is reached."""
        doublings = math.ceil(math.log2(self.longest_delay / self.first_delay))
        most = max(self.weight, self.free_tries + 1 - self.weight + doublings)
        return min(charged + self.weight, most)

    def forgive(self, charged: float, quiet: float) -> float:
        """Return what remains of a charge when nothing was tried for so long beyond the delay."""
        return max(0.0, charged - max(0.0, quiet) * self.weight / self.longest_delay)


@dataclass(slots=True)
class AccountBucket:
    """The tries on one account that were not right, as far as they were not forgiven by `at`."""

    charged: float = 0.0
    at: float = 0.0

    def wait(self, pace: Pace, now: float) -> float:
        """Return how many seconds remain until a try may be checked; 0 when it may now."""
        self.at = min(self.at, now)
        remaining = self.at + pace.delay_after(self.charged) - now
        return remaining if remaining > _TICK else 0.0

    def charge(self, pace: Pace, now: float) -> None:
        """Count one try."""
        quiet = now - self.at - pace.delay_after(self.charged)
        self.charged = pace.charge_one_more(pace.forgive(self.charged, quiet))
        self.at = now

    def refund(self, pace: Pace) -> None:
        """Take one try back."""
        self.charged = max(0.0, self.charged - pace.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many failures a source may have within a window, and tries open; times in seconds."""

    failures: int
    window: float
    at_once: int
    longest_wait: float


@dataclass(slots=True)
class SourceBucket:
    """The latest failures of one source, and how many of its tries are being checked.

    Failures beyond the quota, which tries checked at the same time can bring, are booked later than
    they happened, so that no window ever holds more than the quota.
    """

    booked: list[float] = field(default_factory=list)
    open: int = 0

    def wait(self, quota: Quota, now: float) -> float:
        """Return how many seconds remain until a try may be checked; 0 when it may now."""
        remaining = self._free_at(quota) - now
        if remaining > quota.longest_wait:
            self.booked.clear()
        elif remaining > _TICK:
            return remaining
        return 1.0 if self.open >= quota.at_once else 0.0

    def fail(self, quota: Quota, now: float) -> None:
        """Book one failure."""
        booked_at = min(max(now, self._free_at(quota)), now + quota.longest_wait - quota.window)
        self.booked.append(booked_at)
        while len(self.booked) > quota.failures:
            del self.booked[0]

    def _free_at(self, quota: Quota) -> float:
        if len(self.booked) < quota.failures:
            return -math.inf
        return self.booked[0] + quota.window


class Ledger(Generic[B]):
    """Buckets by key in bounded memory; when there is no room, the longest unused one gives way.

    Light and heavy buckets have room of their own: a flood of names with one wrong try each does
    not push out the account that has been guessed at for an hour.
    """

    def __init__(self, *, room: int, is_heavy: Callable[[B], bool]) -> None:
        """Keep at most `room` light buckets and as many heavy ones."""
        self._room = room
        self._is_heavy = is_heavy
        self._light: OrderedDict[bytes, B] = OrderedDict()
        self._heavy: OrderedDict[bytes, B] = OrderedDict()

    def __len__(self) -> int:
        """Return how many buckets are kept."""
        return len(self._light) + len(self._heavy)

    def find(self, key: bytes) -> B | None:
        """Return a bucket; whoever uses it hands it to `keep` afterwards."""
        return self._heavy.get(key) or self._light.get(key)

    def keep(self, key: bytes, bucket: B) -> None:
        """Keep a bucket as the one that was used last."""
        self.drop(key)
        rank = self._heavy if self._is_heavy(bucket) else self._light
        rank[key] = bucket
        if len(rank) > self._room:
            rank.popitem(last=False)

    def drop(self, key: bytes) -> None:
        """Forget a bucket."""
        self._light.pop(key, None)
        self._heavy.pop(key, None)
