"""The one place where the time of day enters the program.

Everything that needs the time is handed a `Clock`; tests hand over a clock that they turn by hand.
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current instant, aware, in UTC."""


def system_clock() -> datetime:
    """Return the machine's current time in UTC."""
    return datetime.now(UTC)


def epoch_seconds(instant: datetime) -> int:
    """Return an instant as whole seconds since 1970, as JWT NumericDates are written.

    Fractions are cut, never rounded up: `iat` must not lie in the future (RFC 7519 section 2).
    """
    return int(instant.timestamp())
