"""Instants in words, for readers whose clock and time zone nobody knows: "3 hours ago"."""

from datetime import datetime, timedelta

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_UNITS = ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"))
_FAR = 30 * _DAY
_SECONDS_AGO = timedelta(seconds=30)
"""What begins to run now still lasts for all of its day when its page is read."""


def ago(then: datetime, now: datetime) -> str:
    """Return how long ago something was; far away the day of it, in UTC."""
    passed = now - then
    if passed < _MINUTE:
        return "just now"
    return f"on {_day(then)}" if passed >= _FAR else f"{_counted(passed)} ago"


def ahead(then: datetime, now: datetime) -> str:
    """Return how soon something will be; far away the day of it, in UTC."""
    left = then - now
    if left < _MINUTE:
        return "within a minute"
    return f"on {_day(then)}" if left >= _FAR else f"in {_counted(left + _SECONDS_AGO)}"


def _counted(span: timedelta) -> str:
    unit, word = next(each for each in _UNITS if span >= each[0])
    count = span // unit
    return f"{count} {word}{'' if count == 1 else 's'}"


def _day(instant: datetime) -> str:
    return f"{instant.day} {instant:%B %Y}"
