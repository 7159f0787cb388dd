"""A clock that is turned by hand."""

from datetime import UTC, datetime, timedelta


class HandClock:
    """Stands still until it is turned; call it to read it, as any `idp.clock.Clock`."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)) -> None:
        """Start at an instant, aware, in UTC."""
        self._now = now

    def __call__(self) -> datetime:
        """Return the instant that the hands show."""
        return self._now

    def turn(self, by: timedelta | float) -> None:
        """Move the hands, by a duration or by seconds; a negative one turns them back."""
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)
