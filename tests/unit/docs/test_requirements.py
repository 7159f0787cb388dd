"""The page of requirements and the markers of the tests belong together."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
_ID = re.compile(r"[A-Z]+-[0-9]+")


def covered() -> set[str]:
    """Return the ids in the `covers` markers of all tests."""
    found: set[str] = set()
    for file in (ROOT / "tests").rglob("*.py"):
        for marker in re.findall(r"\bcovers\(([^)]*)\)", file.read_text("utf-8")):
            found.update(_ID.findall(marker))
    return found


def explained() -> set[str]:
    """Return the ids that the page explains."""
    page = (ROOT / "docs" / "requirements.md").read_text("utf-8")
    return set(re.findall(r"^\| ([A-Z]+-[0-9]+) \|", page, re.MULTILINE))


def test_every_id_that_a_test_covers_is_explained() -> None:
    assert covered() - explained() == set()


def test_everything_explained_is_covered_by_a_test() -> None:
    assert explained() - covered() == set()
