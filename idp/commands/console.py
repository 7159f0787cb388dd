"""What a command may touch beside a store, and how it says what it found.

Whatever is written here may hold text that strangers chose, such as a user's name: nothing in it
can move a terminal's cursor or pretend to be another line.
"""

import unicodedata
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from idp.clock import Clock

OK = 0
FAILED = 1
UNUSABLE = 2
"""For a configuration or surroundings that cannot be used, as Dex has it, and for wrong usage."""

_GAP = "   "


class CommandFailed(Exception):
    """The command could not do its work; the text says why, and how to mend it."""

    status = FAILED


class CommandUnusable(CommandFailed):
    """The command cannot even begin as it was called; the text says how to call it."""

    status = UNUSABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """The streams, the environment and the time of day."""

    out: TextIO
    err: TextIO
    stdin: TextIO
    environ: MutableMapping[str, str]
    clock: Clock

    def say(self, text: str) -> None:
        """Write an answer, what was asked for."""
        self.out.write(_harmless(text) + "\n")

    def complain(self, text: str) -> None:
        """Write a message about the work itself; answers stay free of it."""
        self.out.flush()
        self.err.write(_harmless(text) + "\n")
        self.err.flush()

    def show(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table in aligned columns."""
        lines = [list(headings), *([cell(text) for text in row] for row in rows)]
        widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = (
                text + " " * (width - _width(text))
                for text, width in zip(line, widths, strict=True)
            )
            self.say(_GAP.join(padded).rstrip())


def cell(text: str) -> str:
    """Return text as one line, whatever it holds."""
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _harmless(text: str) -> str:
    return "\n".join(cell(line) for line in text.split("\n"))


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _width(text: str) -> int:
    """Return how many places a terminal needs: wide letters two, combining marks none."""
    return sum(
        2 if unicodedata.east_asian_width(letter) in "WF" else not unicodedata.combining(letter)
        for letter in text
    )
