"""A configuration on its way from text to settings, with all that was found wrong so far."""

from dataclasses import dataclass, field
from typing import Any

from idp.settings.problems import KeyPath, Problem, is_secret, shown, written


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to tell about one path."""

    path: KeyPath
    message: str


@dataclass(slots=True)
class Draft:
    """The values of a file as plain dicts, tuples, strings, whole numbers and booleans.

    `lines` says where every path stood. `hidden` are paths whose values came from a variable or a
    file. `settled` are paths whose value could not be had: that was told once, and nothing else
    is told about them. `origins` maps a path to the key that really stood in the file.
    """

    value: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    hidden: set[KeyPath] = field(default_factory=set)
    settled: set[KeyPath] = field(default_factory=set)
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    refusals: list[Finding] = field(default_factory=list)
    cautions: list[Finding] = field(default_factory=list)

    def refuse(self, path: KeyPath, message: str) -> None:
        """Note a problem, unless the value at this path is already known to be missing."""
        if path not in self.settled:
            self.refusals.append(Finding(path, message))

    def settle(self, path: KeyPath, message: str) -> None:
        """Note a problem and that nothing more can be said of this path."""
        self.refuse(path, message)
        self.settled.add(path)

    def warn(self, path: KeyPath, message: str) -> None:
        """Note something that works but is probably not meant."""
        if path not in self.settled:
            self.cautions.append(Finding(path, message))

    def subject(self, path: KeyPath, value: Any) -> str:
        """Return how a message names a value: itself in backticks, or "the value"."""
        if path in self.hidden or is_secret(path):
            return "the value"
        return shown(value)

    def problems(self) -> tuple[Problem, ...]:
        """Return the problems by line."""
        return self._told(self.refusals)

    def warnings(self) -> tuple[Problem, ...]:
        """Return the warnings by line."""
        return self._told(self.cautions)

    def _told(self, findings: list[Finding]) -> tuple[Problem, ...]:
        told = {self._problem(finding) for finding in findings}
        return tuple(sorted(told, key=lambda one: (one.line, one.path, one.message)))

    def _problem(self, finding: Finding) -> Problem:
        path = self.origins.get(finding.path, finding.path)
        return Problem(path=written(path), line=self._line(path), message=finding.message)

    def _line(self, path: KeyPath) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def mapping_at(value: Any, *path: str | int) -> dict[str, Any]:
    """Return the mapping at a path of a draft's value; empty when there is none."""
    found = value_at(value, *path)
    return found if isinstance(found, dict) else {}


def sequence_at(value: Any, *path: str | int) -> tuple[Any, ...]:
    """Return the list at a path of a draft's value; empty when there is none."""
    found = value_at(value, *path)
    return found if isinstance(found, tuple) else ()


def value_at(value: Any, *path: str | int) -> Any:
    """Return what stands at a path of a draft's value, or None."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, tuple) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def is_true(value: Any) -> bool:
    """Tell whether a value means true: "true" does too, for `${env:…}` always gives text."""
    return value is True or value == "true"
