r"""What is asked of a directory, as values: no text is put together that a name could break out of.

A name reaches the wire as the octets of an assertion, behind their length, so there is nothing to
escape (RFC 4511 section 4.5.1.7). Escaping is for showing: `text_of` writes a filter as text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_DEEPEST = 32
_LONGEST_WRITTEN = 8192

_ATTRIBUTE = r"(?:[A-Za-z][A-Za-z0-9_-]*|[0-9]+(?:\.[0-9]+)+)(?:;[A-Za-z0-9-]+)*"
_RULE = r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)"
_VALUE = r"(?:[^\x00()*\\]|\\[0-9A-Fa-f]{2})*"
_ITEM = re.compile(
    rf"{_ATTRIBUTE}=(?:{_VALUE}\*)+{_VALUE}"
    rf"|{_ATTRIBUTE}(?::[Dd][Nn])?(?::{_RULE})?:={_VALUE}"
    rf"|(?::[Dd][Nn])?:{_RULE}:={_VALUE}"
    rf"|{_ATTRIBUTE}(?:=|~=|>=|<=){_VALUE}"
)
_NAME = re.compile(_ATTRIBUTE)
_SPACE = re.compile(r"\s*")
_SHOWN_ESCAPED = re.compile(r"[*()\\\x00-\x1f\x7f\ud800-\udfff]")


class FilterRefused(ValueError):
    """The text is no filter; the message says where it stops being one.

    `problem` is the same without the whole of the text, for messages that name it already.
    """

    def __init__(self, problem: str, *, text: str = "", at: int = 0) -> None:
        super().__init__(f"character {at} of {text!r}: {problem}" if at else problem)
        self.problem = f"character {at}: {problem}" if at else problem


@dataclass(frozen=True, slots=True)
class Equals:
    """An attribute has a value; the value is as the directory will see it, octet by octet."""

    attribute: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """A filter that a person wrote; made by `written`, which has checked it."""

    text: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """All parts hold."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: "tuple[Filter, ...]"


Filter = Equals | Written | AllOf | AnyOf

ANYTHING = Written("(objectClass=*)")
"""Every entry."""


def is_attribute(name: str) -> bool:
    """Tell whether this can be the name of an attribute (RFC 4512 section 2.5)."""
    return _NAME.fullmatch(name) is not None


def written(text: str) -> Written:
    """Return a filter that a person wrote, as from a configuration (RFC 4515 section 3).

    White space between its parts is left out. Raises FilterRefused for anything that is not exactly
    one filter in parentheses.
    """
    if len(text) > _LONGEST_WRITTEN:
        raise FilterRefused(f"a filter has at most {_LONGEST_WRITTEN} characters")
    reader = _Reader(text.strip())
    reader.filter(0)
    if reader.at < len(reader.text):
        raise reader.refusal("the filter ends here; put several into (&...) or (|...)")
    return Written("".join(reader.kept))


def matching(names: Iterable[Equals], *, also: Written | None) -> Filter:
    """Return what finds entries that have any of these values, and fit a written filter besides."""
    equals = tuple(names)
    any_name: Filter = equals[0] if len(equals) == 1 else AnyOf(equals)
    return AllOf((also, any_name)) if also else any_name


def text_of(asked: Filter) -> str:
    """Return a filter as text, to be shown (RFC 4515 section 3)."""
    match asked:
        case Written(text):
            return text
        case Equals(attribute, value):
            return f"({attribute}={escaped(value)})"
        case AllOf(parts):
            return f"(&{''.join(map(text_of, parts))})"
        case AnyOf(parts):
            return f"(|{''.join(map(text_of, parts))})"


def escaped(value: bytes) -> str:
    r"""Return a value as it stands in the text of a filter: `a*b` is `a\2ab` (RFC 4515 section 3).

    What is no UTF-8 is escaped octet by octet.
    """
    return _SHOWN_ESCAPED.sub(_escape, value.decode("utf-8", "surrogateescape"))


def _escape(match: re.Match[str]) -> str:
    return f"\\{ord(match[0]) & 0xFF:02x}"


class _Reader:
    """Reads one filter from left to right and keeps what of it matters."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.kept: list[str] = []

    def filter(self, depth: int) -> None:
        if depth > _DEEPEST:
            raise self.refusal("the filter is nested too deeply")
        self._take("(", "a filter begins with a parenthesis")
        operator = self.text[self.at : self.at + 1]
        if operator and operator in "&|!":
            self._take(operator, "")
            self._parts(operator, depth)
        else:
            self._item()
        self._take(")", r"expected ')'; in a value ( ) * \ are written \28 \29 \2a \5c")

    def refusal(self, problem: str) -> FilterRefused:
        return FilterRefused(problem, text=self.text, at=self.at + 1)

    def _parts(self, operator: str, depth: int) -> None:
        """Read at least one filter, and exactly one behind a `!`."""
        self.filter(depth + 1)
        while operator != "!" and self.text[self.at : self.at + 1] == "(":
            self.filter(depth + 1)

    def _item(self) -> None:
        match = _ITEM.match(self.text, self.at)
        if match is None:
            raise self.refusal("expected attribute=value")
        self.kept.append(match[0])
        self.at = match.end()

    def _take(self, expected: str, problem: str) -> None:
        if not self.text.startswith(expected, self.at):
            raise self.refusal(problem)
        self.kept.append(expected)
        space = _SPACE.match(self.text, self.at + 1)
        self.at = space.end() if space else self.at + 1
