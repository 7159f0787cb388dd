"""A request as names and values, so that one of them can be left out, doubled or put elsewhere."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlencode

import httpx

from tests.kit.provider import Browser

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
Pairs = tuple[tuple[str, str], ...]
Mistake = Literal["missing", "twice", "huge", "wrong", "misplaced"]

HUGE = ("a" * 20_000, "a " * 10_000)
WRONG = (
    "\"'><script>alert(1)</script>\\",
    "\0\r\nSet-Cookie: a=b",
    '{"a":[1]}\\',
    "日本 é \\",
    "-1\\",
)
"""Values of no type that anything has; the backslash keeps them from being a scope by chance."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request; a POST sends `form` in its body, and no body where that is None.

    `members` is a JSON body instead.
    """

    method: str
    path: str
    query: Pairs = ()
    form: Pairs | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, object] | None = None

    def send(self, browser: Browser) -> httpx.Response:
        """Return the answer; no redirect is followed."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        headers = dict(self.headers)
        body = None
        if self.form is not None:
            headers.setdefault("content-type", FORM)
            body = urlencode(self.form)
        elif self.members is not None:
            headers["content-type"] = JSON
            body = json.dumps(self.members)
        return browser.request(self.method, self.path + query, content=body, headers=headers)

    def with_mistake(self, name: str, mistake: Mistake) -> Iterator["Sent"]:
        """Yield requests in which one parameter is wrong in one way."""
        good = dict(self._pairs).get(name, "x")
        rest = tuple(pair for pair in self._pairs if pair[0] != name)
        if mistake == "missing":
            yield self._having(rest)
            yield self._having((*rest, (name, "")))
        elif mistake == "twice":
            for second in (good, "another"):
                yield self._having((*rest, (name, good), (name, second)))
            yield self._having(((name, ""), *rest, (name, good)))
        elif mistake == "misplaced":
            yield self._elsewhere(rest, (name, good))
        else:
            for value in HUGE if mistake == "huge" else WRONG:
                yield self._having((*rest, (name, value)))

    @property
    def _pairs(self) -> Pairs:
        return self.query if self.form is None else self.form

    def _having(self, pairs: Pairs) -> "Sent":
        return replace(self, query=pairs) if self.form is None else replace(self, form=pairs)

    def _elsewhere(self, rest: Pairs, moved: tuple[str, str]) -> "Sent":
        """Return the request with a parameter in its query instead of its body, or in its body."""
        if self.form is None:
            return replace(self, query=rest, form=(moved,))
        return replace(self, form=rest, query=(*self.query, moved))
