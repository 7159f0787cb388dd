"""The signing keys as people read them, from the columns beside the ring.

Columns are not authenticated: this is for showing, and nothing is decided by it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TIME = r"[0-9TZ:.+-]{1,40}"
_LINE = re.compile(
    r"(?P<kid>[A-Za-z0-9_-]{1,128}) (?P<alg>[A-Za-z0-9]{1,16}) (?P<state>[a-z]{1,16})"
    rf" since (?P<since>{_TIME})(?: until (?P<until>{_TIME}))?"
)


class KeyColumnBroken(ValueError):
    """Somebody has edited the column by hand; names the number of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """One key. `state` is next, signing or retired; times are RFC 3339, `until` "" if open."""

    kid: str
    alg: str
    state: str
    since: str
    until: str = ""


def key_lines(columns: Mapping[str, str]) -> list[KeyLine]:
    """Return the keys, oldest first; none if an older server wrote the ring.

    Only what fits the form is returned, so that nothing in it can steer a terminal. Raises
    KeyColumnBroken.
    """
    lines = []
    for number, line in enumerate(columns.get("keys", "").splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise KeyColumnBroken(
                f"line {number} of the keys that are shown is not as the server writes it; the"
                " next rotation writes it anew"
            )
        lines.append(KeyLine(**match.groupdict(default="")))
    return lines
