"""Takes fields out of a `spec` and notes what is wrong, one sentence for each problem.

Nothing is taken for granted: the schema in the cluster may be older, or somebody switched its rules
off. Fields that are not asked for are ignored; null is the same as absent.
"""

from collections.abc import Callable, Mapping
from typing import Any

from idp.settings.fields import trimmed
from idp.settings.problems import KeyPath, is_secret, shown, written

MOST_ITEMS = 10_000
"""Of one list; no real one comes near, and each is looked at."""


class SpecReader:
    """Reads one mapping; what `section` returns notes its problems in the same list."""

    def __init__(
        self, fields: object, *, place: KeyPath = ("spec",), problems: list[str] | None = None
    ) -> None:
        self.problems: list[str] = [] if problems is None else problems
        self._place = place
        self._fields: Mapping[str, Any] = {}
        if isinstance(fields, Mapping):
            self._fields = fields
        else:
            self.problems.append(f"{written(place)} must be an object with fields.")

    @property
    def fields(self) -> Mapping[str, Any]:
        """Return all fields as they were written."""
        return self._fields

    def has(self, key: str) -> bool:
        """Tell whether a field was given."""
        return self._fields.get(key) is not None

    def lacks(self, key: str) -> bool:
        """Tell whether a field says nothing: it is absent, null or an empty text."""
        return self._fields.get(key) in (None, "")

    def names(self) -> tuple[str, ...]:
        """Return the names of the fields that were given, where people choose names themselves."""
        if len(self._fields) > MOST_ITEMS:
            self.problems.append(f"{written(self._place)} has more than {MOST_ITEMS} fields.")
            return ()
        return tuple(key for key in self._fields if self.has(key))

    def refuse(self, key: str, message: str) -> None:
        """Note a problem; `message` continues a sentence that begins with the field's path."""
        self.problems.append(f"{self._path(key)} {message}.")

    def needed(self, key: str, check: Callable[[str], str], otherwise: str) -> str:
        """Return a checked text, "" after noting that it is missing (`otherwise` says what for)."""
        if self.lacks(key):
            self.refuse(key, f"is required: {otherwise}")
            return ""
        return self.text(key, check)

    def text(self, key: str, check: Callable[[str], str] = str, default: str = "") -> str:
        """Return a text without spaces around it that passes the check; "" is as good as none."""
        if self.lacks(key):
            return default
        return self._checked((key,), self._fields[key], check) or ""

    def texts(self, key: str, check: Callable[[str], str] = str) -> tuple[str, ...]:
        """Return the texts of a list that pass the check."""
        if not self.has(key):
            return ()
        found = self._fields[key]
        if not isinstance(found, list | tuple):
            self.refuse(key, "must be a list")
            return ()
        if len(found) > MOST_ITEMS:
            self.refuse(key, f"has more than {MOST_ITEMS} items")
            return ()
        items = (self._checked((key, i), item, check) for i, item in enumerate(found))
        return tuple(item for item in items if item is not None)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        if not self.has(key):
            return default
        found = self._fields[key]
        if not isinstance(found, bool):
            self.refuse(key, "must be true or false, without quotes")
            return default
        return found

    def section(self, key: str) -> "SpecReader":
        """Return a reader of the fields below; of none where the field was not given."""
        below = self._fields[key] if self.has(key) else {}
        return SpecReader(below, place=(*self._place, key), problems=self.problems)

    def _checked(self, path: KeyPath, value: Any, check: Callable[[str], str]) -> str | None:
        place = (*self._place, *path)
        if not isinstance(value, str):
            self.problems.append(f"{written(place)} must be text; put it in quotes.")
            return None
        try:
            value.encode()
        except UnicodeEncodeError:
            text = "holds a character that UTF-8 has no form for; remove it"
            self.problems.append(f"{written(place)} {text}.")
            return None
        try:
            return check(trimmed(value))
        except ValueError as error:
            subject = "the value" if is_secret(place) else shown(value)
            subject = "" if subject == "the value" else f" {subject}"
            self.problems.append(f"{written(place)}{subject} {error}.")
            return None

    def _path(self, key: str) -> str:
        return written((*self._place, key))
