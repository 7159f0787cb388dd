"""Writes `docs/conformance.md`: what the specifications demand, and which test shows it.

`python -m tests.kit.conformance`. The demands are written down by hand, a file for each
specification in `tests/spec/musts`: section, demand, and the test that shows it, or why it was left
out. Tests carry the same section in their marker `spec(document, section)`; those that are in no
file are listed as well.
"""

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance.md"
_MUSTS = ROOT / "tests" / "spec" / "musts"
_HEAD = """# What the specifications demand, and which test shows it

Written by `python -m tests.kit.conformance`; do not edit. The demands on a provider are in
`tests/spec/musts`, a file for each specification; what clients and resource servers have to do is
not listed. What is done otherwise, and why, is in [divergences.md](divergences.md).
"""


@dataclass(frozen=True, slots=True)
class MarkedTest:
    """One test function and the sections that its markers name."""

    file: Path
    name: str
    sections: frozenset[tuple[str, str]]

    @property
    def id(self) -> str:
        """Return the name by which demands refer to it."""
        return f"{self.file.stem}::{self.name}"


@dataclass(frozen=True, slots=True)
class Must:
    """One demand; `test` is the id of the test that shows it, "" for what was left out."""

    section: str
    says: str
    test: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Specification:
    """One document and its demands."""

    document: str
    title: str
    musts: Sequence[Must]
    left_out: Sequence[Must]


def specifications() -> list[Specification]:
    """Return what is written down, in the order of the file names."""
    return [_read(file) for file in sorted(_MUSTS.glob("*.toml"))]


def all_tests() -> list[MarkedTest]:
    """Return every test function below `tests`."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [test for file in files for test in _tests_in(file)]


def page(tests: Iterable[MarkedTest]) -> str:
    """Return the page as it has to be with these tests."""
    known = {test.id: test for test in tests}
    marked = _by_section(known.values())
    parts = [_HEAD]
    for specification in specifications():
        listed = {must.test for must in specification.musts}
        parts.append(f"## {specification.document}: {specification.title}\n")
        parts.append(_table(specification))
        parts.append(_further(marked.pop(specification.document, {}), listed))
    for document in sorted(marked):
        parts.append(f"## {document}\n")
        parts.append(_further(marked[document], set()))
    return "\n".join(part for part in parts if part)


def _read(file: Path) -> Specification:
    content = tomllib.loads(file.read_text("utf-8"))
    return Specification(
        document=content["document"],
        title=content["title"],
        musts=[Must(section, says, test=test) for section, says, test in content["must"]],
        left_out=[Must(section, says, why_not=why) for section, says, why in content["left_out"]],
    )


def _tests_in(file: Path) -> Iterator[MarkedTest]:
    tree = ast.parse(file.read_text("utf-8"))
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_"):
            sections = frozenset(_sections(node.decorator_list, constants))
            yield MarkedTest(file, node.name, sections)


def _sections(
    decorators: Sequence[ast.expr], constants: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    for decorator in decorators:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.spec":
            document, section = (_value(argument, constants) for argument in decorator.args)
            yield document, section


def _value(argument: ast.expr, constants: Mapping[str, object]) -> str:
    if isinstance(argument, ast.Name):
        return str(constants[argument.id])
    return str(ast.literal_eval(argument))


def _by_section(known: Iterable[MarkedTest]) -> dict[str, dict[str, list[MarkedTest]]]:
    found: dict[str, dict[str, list[MarkedTest]]] = defaultdict(lambda: defaultdict(list))
    for test in known:
        for document, section in test.sections:
            found[document][section].append(test)
    return found


def _table(specification: Specification) -> str:
    lines = ["| section | demand | shown by |", "| --- | --- | --- |"]
    lines += [f"| {m.section} | {m.says} | {_shown(m.test)} |" for m in specification.musts]
    text = "\n".join(lines) + "\n"
    if specification.left_out:
        rows = [f"| {m.section} | {m.says} | {m.why_not} |" for m in specification.left_out]
        text += "\n".join(["", "| section | left out | why |", "| --- | --- | --- |", *rows, ""])
    return text


def _further(sections: Mapping[str, Sequence[MarkedTest]], listed: set[str]) -> str:
    rows = [
        (section, [test.id for test in sections[section] if test.id not in listed])
        for section in sorted(sections, key=_order)
    ]
    lines = [f"| {section} | {', '.join(map(_shown, ids))} |" for section, ids in rows if ids]
    if not lines:
        return ""
    return "\n".join(["| section | tests |", "| --- | --- |", *lines]) + "\n"


def _order(section: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else 0, part) for part in section.split(".")]


def _shown(test: str) -> str:
    module, _, name = test.partition("::")
    return f"`{module.removeprefix('test_')}`: {name.removeprefix('test_').replace('_', ' ')}"


if __name__ == "__main__":
    PAGE.write_text(page(all_tests()), "utf-8")
