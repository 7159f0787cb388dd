"""Events (core/v1) about what people wrote: `kubectl describe` shows them under the object.

They are a story for people and cost a write each, so there are few: one of the same change only
once, whichever replica tells it, and of one object and reason no more than a handful in a while.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.objects import ObjectEvent, WrittenObject

_COMPONENT = "kube-idp"
_LONGEST_NOTE = 1024
_LONGEST_NAME = 253


def event_body(
    written: WrittenObject,
    event: ObjectEvent,
    *,
    owner: Mapping[str, str],
    namespace: str,
    instance: str,
    at: datetime,
) -> dict[str, Any]:
    """Return the Event about an object; `owner` are its apiVersion, kind, name and uid.

    Its name is computed: a second Event about the same change cannot be made.
    """
    second = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": _name(written, event), "namespace": namespace},
        "involvedObject": {
            **owner,
            "namespace": namespace,
            "resourceVersion": written.version,
        },
        "type": event.type,
        "reason": event.reason,
        "message": _line(event.note),
        "count": 1,
        "firstTimestamp": second,
        "lastTimestamp": second,
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "reportingInstance": instance,
    }


def _name(written: WrittenObject, event: ObjectEvent) -> str:
    told = "\0".join([written.uid, written.version, event.type, event.reason, event.note])
    digest = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]
    return f"{written.name[: _LONGEST_NAME - 17].rstrip('.-')}.{digest}"


def _line(note: str) -> str:
    """Return a note as one line that an Event can hold; nothing in it moves a terminal's cursor."""
    shown = "".join(letter if letter.isprintable() else " " for letter in note)
    return shown if len(shown) <= _LONGEST_NOTE else shown[: _LONGEST_NOTE - 3] + "..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How many events of one object and reason are told: `burst` at once, then one per `every`.

    `every` is in seconds. At most `remembered` objects and reasons are kept, the latest told.
    """

    burst: int = 5
    every: float = 300
    remembered: int = 4096


class EventRate:
    """Says which events are too many, in memory."""

    def __init__(self, monotonic: Callable[[], float], allowance: Allowance | None = None) -> None:
        """`monotonic` returns seconds."""
        self._monotonic = monotonic
        self._allowance = allowance or Allowance()
        self._debts: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many objects and reasons are remembered."""
        return len(self._debts)

    def allows(self, written: WrittenObject, event: ObjectEvent) -> bool:
        """Return whether this one may be told, and count it if so."""
        key = (written.uid, event.reason)
        now = self._monotonic()
        debt, counted_at = self._debts.get(key, (0.0, now))
        debt = max(0.0, debt - (now - counted_at) / self._allowance.every)
        if debt > self._allowance.burst - 1:
            return False
        self._debts[key] = (debt + 1, now)
        self._debts.move_to_end(key)
        if len(self._debts) > self._allowance.remembered:
            self._debts.popitem(last=False)
        return True
