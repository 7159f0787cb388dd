"""Reads what an application says of itself, member by member, and collects what is wrong.

A check takes a value and returns it, or raises ValueError with a text that continues a sentence
beginning with the member's name. Values are never repeated: they are a stranger's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

Check = Callable[[Any], Any]

T = TypeVar("T")


def flag(value: Any) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def line(longest: int) -> Callable[[Any], str]:
    """Return the check of a text of one line that people may read."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string")
        if not value or len(value) > longest:
            raise ValueError(f"must have 1 to {longest} characters")
        if not value.isprintable() or value != value.strip():
            raise ValueError("must be one line of printable text, without spaces around it")
        return value

    return check


def text_by(check_text: Callable[[str], str]) -> Callable[[Any], str]:
    """Return the check of a text that another check judges."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string")
        return check_text(value)

    return check


def one_of(words: Sequence[str]) -> Callable[[Any], str]:
    """Return the check of one of some words."""

    def check(value: Any) -> str:
        if value not in words or not isinstance(value, str):
            raise ValueError(f"is not served; served are {', '.join(words)}")
        return value

    return check


def whole_number(most: int) -> Callable[[Any], int]:
    """Return the check of a number from 0 on."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise ValueError(f"must be a whole number from 0 to {most}")
        return value

    return check


def list_of(check_item: Callable[[Any], T], *, most: int = 64) -> Callable[[Any], list[T]]:
    """Return the check of a list, whose repetitions are dropped. Raises WrongEntry."""

    def check(value: Any) -> list[T]:
        if not isinstance(value, list):
            raise ValueError("must be an array")
        if len(value) > most:
            raise ValueError(f"has more than {most} entries")
        checked: dict[T, None] = {}
        for place, item in enumerate(value):
            try:
                checked[check_item(item)] = None
            except ValueError as error:
                raise WrongEntry(place, str(error)) from None
        return list(checked)

    return check


class WrongEntry(ValueError):
    """One entry of a list cannot stand; `place` counts from 0."""

    def __init__(self, place: int, problem: str) -> None:
        super().__init__(problem)
        self.place = place


class MetadataReader:
    """What was sent, with null for absent (RFC 7592 section 2.2), and the problems found so far.

    What nobody understands is left out (RFC 7591 section 2). `problems` are sentences by member.
    """

    def __init__(self, sent: Mapping[str, Any]) -> None:
        self._sent = {name: value for name, value in sent.items() if value is not None}
        self.members: dict[str, Any] = {}
        self.problems: dict[str, str] = {}

    def says(self, name: str) -> bool:
        """Return whether a member was sent."""
        return name in self._sent

    def read(self, name: str, check: Check) -> None:
        """Take a member that was sent, or note what is wrong with it."""
        if name not in self._sent:
            return
        try:
            self.members[name] = check(self._sent[name])
        except WrongEntry as error:
            self.refuse_entry(name, error.place, str(error))
        except ValueError as error:
            self.refuse(name, str(error))

    def refuse(self, name: str, problem: str) -> None:
        """Note what is wrong with a member; the first word on each counts."""
        self.problems.setdefault(name, f"{name} {problem}.")

    def refuse_entry(self, name: str, place: int, problem: str) -> None:
        """Note what is wrong with one entry of a list; `place` counts from 0."""
        self.problems.setdefault(name, f"{name} (entry {place + 1}) {problem}.")

    def get(self, name: str, default: Any = None) -> Any:
        """Return a member that was read and is right by itself."""
        return self.members.get(name, default)
