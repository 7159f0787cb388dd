"""Durations as Go writes them (`1h30m`, `90s`, `1.5h`, `300ms`), the way Dex's files give them."""

import re
from datetime import timedelta
from decimal import Decimal

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([a-z\u00b5\u03bc]*)")
_LONGEST = 2**63 - 1
"""Go counts nanoseconds in 64 bits: about 292 years."""


def parse_duration(text: str) -> timedelta:
    """Return the length of time that a Go duration names; "0" alone needs no unit.

    Raises ValueError, whose text continues a sentence that begins with the value.
    """
    if text == "0":
        return timedelta(0)
    if text.startswith("-"):
        raise ValueError("is negative; a duration here is zero or more")
    nanoseconds = _nanoseconds(text)
    if nanoseconds > _LONGEST:
        raise ValueError("is longer than any duration can be (292 years)")
    if nanoseconds % 1000:
        raise ValueError("is finer than a microsecond")
    return timedelta(microseconds=int(nanoseconds) // 1000)


def _nanoseconds(text: str) -> Decimal:
    if len(text) > 64:
        raise ValueError("is too long for a duration; write for example 1h30m")
    total = Decimal(0)
    end = 0
    while part := _PART.match(text, end):
        total += Decimal(part[1]) * _unit(part[1], part[2])
        end = part.end()
    if end == 0 or end != len(text):
        raise ValueError("is not a duration; write for example 90s, 1h30m or 24h")
    return total


def _unit(number: str, unit: str) -> int:
    if unit in _NANOSECONDS:
        return _NANOSECONDS[unit]
    if unit == "":
        raise ValueError(f"has no unit; write for example {number}s, {number}m or {number}h")
    if unit in {"d", "day", "days"}:
        raise ValueError("is in days, which Go's durations do not know; 30 days are 720h")
    raise ValueError("has an unknown unit; the units are ms, s, m and h")
