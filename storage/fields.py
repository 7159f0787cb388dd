"""Reading the fields of a record's body, one by one and by type.

What was read is taken out, so that the rest is exactly what this version does not know.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")


class Fields:
    """The fields of one JSON object.

    Every method raises KeyError for a field that is missing and has no default, TypeError or
    ValueError for one of another shape; the text names the field, never its value.
    """

    __slots__ = ("_body",)

    def __init__(self, body: Mapping[str, Any]) -> None:
        """Read from a copy of `body`."""
        self._body = dict(body)

    def _take(self, key: str, kind: type[T], default: T | None) -> T:
        value = self._body.pop(key, default)
        if value is None and default is None:
            raise KeyError(key)
        if type(value) is not kind:  # exactly: True is no number here
            raise TypeError(f"{key} is not of type {kind.__name__}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Take a string."""
        return self._take(key, str, default)

    def flag(self, key: str, default: bool | None = None) -> bool:  # noqa: FBT001
        """Take a boolean."""
        return self._take(key, bool, default)

    def number(self, key: str, default: int | None = None) -> int:
        """Take a whole number."""
        return self._take(key, int, default)

    def texts(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        """Take a list of strings."""
        values = self._take(key, list, default)
        if not _are_texts(values):
            raise TypeError(f"{key} is not a list of strings")
        return tuple(values)

    def named_texts(self, key: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Take a list of pairs of a name and a list of strings; none when it is missing."""
        values = self._take(key, list, [])
        for pair in values:
            is_pair = type(pair) is list and [type(part) for part in pair] == [str, list]
            if not is_pair or not _are_texts(pair[1]):
                raise TypeError(f"{key} is not a list of names with lists of strings")
        return tuple((name, tuple(texts)) for name, texts in values)

    def pairs(self, key: str) -> tuple[tuple[int, int], ...]:
        """Take a list of pairs of whole numbers; none when it is missing."""
        values = self._take(key, list, [])
        for pair in values:
            if type(pair) is not list or [type(part) for part in pair] != [int, int]:
                raise TypeError(f"{key} is not a list of pairs of numbers")
        return tuple((first, second) for first, second in values)

    def octets(self, key: str) -> bytes:
        """Take bytes, written in base64."""
        try:
            return b64decode(self.text(key), validate=True)
        except ValueError:
            raise ValueError(f"{key} is not base64") from None

    def instant(self, key: str) -> datetime:
        """Take an instant."""
        return _read_instant(key, self.text(key))

    def instant_if_any(self, key: str) -> datetime | None:
        """Take an instant; None when it is missing or null."""
        value = self._body.pop(key, None)
        if value is None:
            return None
        if type(value) is not str:
            raise TypeError(f"{key} is not a time")
        return _read_instant(key, value)

    def object_if_any(self, key: str) -> "Fields | None":
        """Take the fields of a nested object; None when it is missing or null."""
        value = self._body.pop(key, None)
        if value is None:
            return None
        if type(value) is not dict:
            raise TypeError(f"{key} is not an object")
        return Fields(value)

    def objects(self, key: str, default: list[Any] | None = None) -> list["Fields"]:
        """Take a list of nested objects."""
        values = self._take(key, list, default)
        if not all(type(value) is dict for value in values):
            raise TypeError(f"{key} is not a list of objects")
        return [Fields(value) for value in values]

    def rest(self) -> dict[str, Any]:
        """Return the fields that nobody took."""
        return self._body


def _are_texts(values: list[Any]) -> bool:
    return all(type(value) is str for value in values)


def write_instant(at: datetime) -> str:
    """Return an instant as ISO 8601 in UTC with microseconds. Raises ValueError without a zone."""
    return _in_utc(at).isoformat()


def write_instant_if_any(at: datetime | None) -> str | None:
    """Return an instant as `write_instant` does, None for None."""
    return None if at is None else write_instant(at)


def _read_instant(key: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:  # its own text would quote the value
        raise ValueError(f"{key} is not a time") from None
    if at.tzinfo is None:
        raise ValueError(f"{key} is a time without a zone")
    return at


def write_octets(octets: bytes) -> str:
    """Return bytes in base64."""
    return b64encode(octets).decode("ascii")


def column_time(at: datetime) -> str:
    """Return an instant as a column shows it: RFC 3339, UTC, whole seconds, in order when sorted.

    Fractions are cut from both sides of a comparison, so that nothing ever expires too early.
    """
    return _in_utc(at).isoformat(timespec="seconds").replace("+00:00", "Z")


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored; use an aware datetime")
    return at.astimezone(UTC)
