"""Which sealing key seals: a pure rule over the keys and the time.

All keys open. The one with the latest instant that has come seals; keys without an instant seal
from the beginning, and among them the first one does. So a key is replaced by adding a line whose
instant lies ahead, further than every replica needs to read it (`OPENS_FIRST`).
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from idp.keys.seal import SealingKey

OPENS_FIRST = timedelta(minutes=2)
"""For so long a new key only opens, so that every replica knows it before anything is sealed."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def in_order(
    keys: Sequence[SealingKey], now: datetime, *, waiting: Collection[str] = ()
) -> tuple[SealingKey, ...]:
    """Return the keys with the one that seals at `now` in front, the others as they stood.

    Keys whose id is `waiting` seal only if no other key may. When no key's instant has come, as
    after a clock was set back, the earliest seals. `keys` must not be empty.
    """
    come = [key for key in keys if _instant(key) <= now]
    ready = [key for key in come if key.id not in waiting]
    seals = max(ready or come, key=_instant) if come else min(keys, key=_instant)
    return (seals, *(key for key in keys if key is not seals))


def next_sealing_key(keys: Sequence[SealingKey]) -> SealingKey:
    """Return the key that will seal once every instant has come. `keys` must not be empty."""
    return max(keys, key=_instant)


def next_instant(keys: Sequence[SealingKey], now: datetime) -> datetime | None:
    """Return the first instant that has yet to come, if there is one."""
    return min((at for key in keys if (at := _instant(key)) > now), default=None)


def _instant(key: SealingKey) -> datetime:
    return _BEGINNING if key.seals_from is None else key.seals_from
