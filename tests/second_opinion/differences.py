"""The questions, the differences that have a reason, and the page that tells of them.

`python -m tests.second_opinion.differences` writes `docs/second-opinion.md`.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.second_opinion import authorization, registration, resources, token
from tests.second_opinion.authorization import Question

PAGE = Path(__file__).parents[2] / "docs" / "second-opinion.md"
_TABLE = Path(__file__).with_name("differences.toml")

AREAS: Mapping[str, Callable[[], Iterator[tuple[str, Question]]]] = {
    "authorization": authorization.questions,
    "token": token.questions,
    "userinfo": resources.userinfo,
    "introspection": resources.introspection,
    "revocation": resources.revocation,
    "logout": resources.end_session,
    "registration": registration.questions,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Questions of one area that the two answer differently, both known, and why ours stands."""

    area: str
    questions: Sequence[str]
    ours: str
    theirs: str
    why: str


def differences() -> Sequence[Difference]:
    """Return what is written down."""
    return [Difference(**each) for each in tomllib.loads(_TABLE.read_text())["difference"]]


def explained(area: str) -> Mapping[str, tuple[str, str]]:
    """Return both outcomes of the questions of an area that have a reason to differ."""
    return {
        question: (each.ours, each.theirs)
        for each in differences()
        if each.area == area
        for question in each.questions
    }


_HEAD = """# A second opinion

Written by `python -m tests.second_opinion.differences`; do not edit.

Where a specification leaves doubt, another provider is asked: node-oidc-provider, which is
certified and serves more of the family of specifications than any other. A test sets it up like
ours, sends both the same {count} requests, and compares what comes of each: the status, the error
code, and whether it goes to the person, to the client's address or into its fragment. {alike} come
to the same. Where it was the stricter one and the specification bears it, we became as strict;
where we differ the tables say why. A difference without a reason fails the test, and so does a
reason without a difference.

`login` is a person who is asked to sign in; `query`, `fragment` and `form` are answers to the
client by that way, with the error; `page` is a page for the person, with its status; a number is
the status of the answer to a client's own request.
"""


def page() -> str:
    """Return the page as it has to be."""
    count = sum(1 for ask in AREAS.values() for _ in ask())
    known = differences()
    alike = count - sum(len(each.questions) for each in known)
    parts = [_HEAD.format(count=count, alike=alike)]
    for area in AREAS:
        rows = [_row(each) for each in known if each.area == area]
        title = area.capitalize()
        head = ["| asked | ours | theirs | why |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([f"## {title}\n", *head, *rows, ""]))
    return "\n".join(parts)


def _row(each: Difference) -> str:
    asked = "; ".join(each.questions)
    return f"| {asked} | {each.ours} | {each.theirs} | {each.why} |"


if __name__ == "__main__":
    PAGE.write_text(page())
