"""`python -m tests.kit.chart_readme`: write the table of values in the chart's README.

As helm-docs does it: a comment that begins with `# --` tells what the key below it is for.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "idp"
BEGIN = "<!-- values: made by `python -m tests.kit.chart_readme` -->"
END = "<!-- end of values -->"

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]\w*):(?: |$)")
_COMMENT = re.compile(r"^ *# ?(?P<text>.*)$")
_TYPES = {bool: "bool", int: "int", str: "string", list: "list", dict: "object"}


@dataclass(frozen=True, slots=True)
class Row:
    """One documented value."""

    path: tuple[str, ...]
    default: object
    description: str

    def __str__(self) -> str:
        kind = _TYPES.get(type(self.default), "int")  # only numbers are null by default
        default = json.dumps(self.default, ensure_ascii=False)
        shown = default if len(default) < 60 else "see values.yaml"
        description = self.description.replace("|", "\\|")
        return f"| `{'.'.join(self.path)}` | {kind} | `{shown}` | {description} |"


def documented(text: str) -> Iterator[Row]:
    """Yield a row for each value that has a comment, in the order of the file."""
    values = yaml.safe_load(text)
    path: list[str] = []
    comment: list[str] | None = None
    for line in text.splitlines():
        if found := _COMMENT.match(line):
            if found["text"].startswith("-- "):
                comment = [found["text"].removeprefix("-- ")]
            elif comment is not None:
                comment.append(found["text"])
        elif found := _KEY.match(line):
            path = [*path[: len(found["indent"]) // 2], found["key"]]
            if comment is not None:
                yield Row(tuple(path), _at(values, path), " ".join(comment))
            comment = None
        else:
            comment = None


def leaves(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every value that is no mapping, or an empty one."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


def with_table(readme: str, values: str) -> str:
    """Return the README with its table made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = "\n".join(str(row) for row in documented(values))
    head = "| key | type | default | what it is for |\n| --- | --- | --- | --- |"
    return f"{before}{BEGIN}\n{head}\n{rows}\n{END}{after}"


def _at(values: Any, path: list[str]) -> object:
    for key in path:
        values = values[key]
    return values


def main() -> int:
    """Rewrite the README in place."""
    readme = CHART / "README.md"
    readme.write_text(with_table(readme.read_text(), (CHART / "values.yaml").read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
