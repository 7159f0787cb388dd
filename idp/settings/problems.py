"""What is wrong with a configuration file, and how it is told."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

KeyPath = tuple[str | int, ...]
"""Where a value stands: ("staticClients", 0, "redirectURIs", 1)."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_SECRET_KEY = re.compile(
    r"(secret|password|passwd|pw|hash|token|initialaccesstokens|privatekey)$", re.IGNORECASE
)
_USERINFO = re.compile(r"//[^/?#]*@")
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend. `line` counts from 1 and is 0 when the file as a whole is meant.

    `path` is written as a person would: `staticClients[0].redirectURIs[1]`, "" for the file.
    """

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        """Return `line 12: staticClients[0].id: what is wrong`."""
        places = [f"line {self.line}"] if self.line else []
        return ": ".join([*places, *([self.path] if self.path else []), self.message])


class ConfigurationInvalid(Exception):
    """The configuration cannot be used; `problems` holds every reason, sorted by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems; the text of the exception is one of them per line."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def written(path: KeyPath) -> str:
    """Return a path as a person writes it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(_shortened(step))}]"
    return text


def is_secret(path: KeyPath) -> bool:
    """Tell whether the value at this path must never be shown."""
    return any(isinstance(step, str) and _SECRET_KEY.search(step) for step in path)


def shown(value: Any) -> str:
    """Return a value for a message: short, in one line, and nothing that carries a password."""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, int):
        return f"`{value}`"
    if not isinstance(value, str) or not value or not value.isprintable():
        return "the value"
    if _USERINFO.search(value):
        return "the value"
    return f"`{_shortened(value)}`"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean `x`?" for the most similar known word, or ""."""
    if not any(letter.isalpha() for letter in word):
        return ""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(word[:_LONGEST_SHOWN].lower(), list(by_lower), n=1, cutoff=0.6)
    return f"; did you mean `{by_lower[matches[0]]}`?" if matches else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
