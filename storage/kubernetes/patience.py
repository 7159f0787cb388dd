"""How long to go on trying: pauses between attempts, servers that are away, rights we lack."""

import logging
from collections.abc import Callable

from storage.kubernetes.errors import Forbidden, Unavailable

MOST_ATTEMPTS = 8
"""Of requests that fail in 3 of 10 attempts, 99.99 % succeed in eight."""

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.16
_AWAY_AFTER_FAILURES = 3
_AWAY_AFTER_SECONDS = 0.5
_AWAY_FOR_SECONDS = 0.5
_RUN_ENDS_AFTER_SECONDS = 10.0
_DENIED_FOR_SECONDS = 1.0
_BETWEEN_LOG_LINES = 60.0
_MOST_EXTRA = 10.0
_EXTRA_PER_CALL = 0.1

_log = logging.getLogger("storage")


def pause(attempt: int, random_bytes: Callable[[int], bytes]) -> float:
    """Return the seconds to wait after a failed attempt (from 0): doubling, half of it chance."""
    longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 16))
    return longest * (1 + int.from_bytes(random_bytes(2), "big") / 2**16) / 2


class Reachability:
    """Remembers that the server cannot be reached, so that an outage costs requests little.

    It counts as away when attempts have failed to reach it for half a second on end. Then callers
    fail at once, but for those who come half a second after the last failure: they try, once.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures = 0
        self._first_at = 0.0
        self._last_at = 0.0
        self._try_again_at = 0.0
        self._away = False
        self._problem = ""

    def check(self, what: str) -> None:
        """Let the caller try. Raises Unavailable at once when the server is away."""
        if self._away and self._monotonic() < self._try_again_at:
            raise Unavailable(f"{what}: the API server is away: {self._problem}")

    def answered(self) -> None:
        """Note that the server answered, whatever it said."""
        self._failures = 0
        self._away = False

    def failed(self, problem: str) -> None:
        """Note that an attempt did not reach the server, or lost it."""
        now = self._monotonic()
        if self._failures == 0 or now - self._last_at > _RUN_ENDS_AFTER_SECONDS:
            self._failures, self._first_at = 0, now
        self._failures += 1
        self._last_at = now
        self._problem = problem
        if self._failures >= _AWAY_AFTER_FAILURES and now - self._first_at >= _AWAY_AFTER_SECONDS:
            self._away = True
            self._try_again_at = now + _AWAY_FOR_SECONDS


class Denials:
    """Remembers what we may not do: asked at most once a second, logged once a minute.

    The key "" stands for everything, for a server that does not know us at all.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._denied: dict[str, tuple[float, str, int | None]] = {}
        self._log_again_at: dict[str, float] = {}

    def check(self, key: str) -> None:
        """Let the caller ask. Raises the last refusal again if that was less than 1 s ago."""
        for held in ("", key) if self._denied else ():
            until, problem, status = self._denied.get(held, (0.0, "", None))
            if self._monotonic() < until:
                raise Forbidden(problem, status=status)
            self._denied.pop(held, None)

    def note(self, key: str, subject: str, error: Forbidden) -> None:
        """Remember a refusal under `key`; log it by `subject`, which is verb and resource."""
        now, problem = self._monotonic(), str(error)
        self._denied[key] = (now + _DENIED_FOR_SECONDS, problem, error.status)
        if now >= self._log_again_at.get(subject, 0.0):
            self._log_again_at[subject] = now + _BETWEEN_LOG_LINES
            _log.error("store_access_denied", extra={"subject": subject, "problem": problem})


class ExtraRequests:
    """Allows requests beyond the first for one call in ten, for a server that is overloaded."""

    def __init__(self) -> None:
        self._left = _MOST_EXTRA

    def earn(self) -> None:
        """Count a call."""
        self._left = min(_MOST_EXTRA, self._left + _EXTRA_PER_CALL)

    def take(self) -> bool:
        """Return whether one more request may be made, and count it."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
