"""slapd's log of operations as records: who bound, what was searched, over what, with what result.

What slapd writes at its level `stats`: lines that name a connection and an operation in it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_ACCEPTED = re.compile(r" conn=(\d+) fd=\d+ ACCEPT from ")
_CONNECTION = re.compile(r" conn=(\d+) fd=\d+ (TLS established|closed)")
_OPERATION = re.compile(r" conn=(\d+) op=(\d+) ([A-Z]+)(.*)$")
_DN = re.compile(r'(?:dn|base)="(.*?)"(?: |$)')
_SEARCH = re.compile(r' scope=(\d) .*filter="(.*)"$')
_RESULT = re.compile(r" err=(\d+)")
_ENTRIES = re.compile(r" nentries=(\d+)")

_SCOPES = ("base", "one", "sub", "children")
_REQUESTS = frozenset({"BIND", "SRCH", "EXT", "MOD", "ADD", "DEL", "MODRDN", "CMP"})


@dataclass(slots=True)
class Operation:
    """One request and its result.

    `dn` is the name bound as, the base of a search, or the entry changed; for an extended operation
    its oid. `filter` is as slapd writes it: values normalised, everything but ASCII as `\\C3`.
    `result` is None while slapd works on it, and for ever if the client hung up.
    """

    connection: int
    kind: str
    dn: str
    over_tls: bool
    bound_as: str
    filter: str = ""
    scope: str = ""
    attributes: Sequence[str] = ()
    result: int | None = None
    entries: int = 0


@dataclass(slots=True)
class _Connection:
    """What is known of a connection so far; connections are counted through restarts."""

    number: int
    over_tls: bool = False
    bound_as: str = ""
    is_open: bool = True
    operations: dict[int, Operation] = field(default_factory=dict)


class OperationLog:
    """Everything in a log, in the order that it began."""

    def __init__(self, text: str) -> None:
        """Read whole lines; the last one may be half written and is left out then."""
        self.connections = 0
        self._open: dict[str, _Connection] = {}
        self._all: list[tuple[_Connection, Operation]] = []
        for line in text[: text.rfind("\n") + 1].splitlines():
            self._read(line)

    @property
    def operations(self) -> Sequence[Operation]:
        """The requests, unbind and abandon left out, whether answered or not."""
        return [operation for _, operation in self._all]

    @property
    def is_settled(self) -> bool:
        """Tell whether nothing waits for a result."""
        return all(op.result is not None or not of.is_open for of, op in self._all)

    def _read(self, line: str) -> None:
        if line.endswith(" slapd starting"):
            # It counts anew, and what was open is not.
            for connection in self._open.values():
                connection.is_open = False
            self._open.clear()
        elif accepted := _ACCEPTED.search(line):
            self._connection(accepted[1])
        elif of_connection := _CONNECTION.search(line):
            connection = self._connection(of_connection[1])
            connection.over_tls |= of_connection[2] == "TLS established"
            connection.is_open &= of_connection[2] != "closed"
        elif found := _OPERATION.search(line):
            self._read_operation(self._connection(found[1]), int(found[2]), found[3], found[4])

    def _connection(self, number: str) -> _Connection:
        """Return a connection by slapd's number, whose first line need not be that it opened."""
        if number not in self._open:
            self.connections += 1
            self._open[number] = _Connection(self.connections)
        return self._open[number]

    def _read_operation(self, of: _Connection, number: int, kind: str, rest: str) -> None:
        if kind in ("RESULT", "SEARCH"):
            self._read_result(of, number, rest)
        elif kind in _REQUESTS and number not in of.operations:
            dn = _DN.search(rest)
            operation = Operation(
                connection=of.number,
                kind=kind,
                dn=dn[1] if dn else rest.strip().removeprefix("oid="),
                over_tls=of.over_tls,
                bound_as=of.bound_as,
            )
            if searched := _SEARCH.search(rest):
                operation.scope, operation.filter = _SCOPES[int(searched[1])], searched[2]
            of.operations[number] = operation
            self._all.append((of, operation))
        elif kind == "SRCH" and rest.startswith(" attr="):
            wanted = rest.removeprefix(" attr=").split()
            of.operations[number].attributes = (*of.operations[number].attributes, *wanted)

    def _read_result(self, of: _Connection, number: int, rest: str) -> None:
        operation = of.operations.get(number)
        if operation is None:
            return
        if result := _RESULT.search(rest):
            operation.result = int(result[1])
        if entries := _ENTRIES.search(rest):
            operation.entries = int(entries[1])
        if operation.kind == "BIND":
            of.bound_as = operation.dn if operation.result == 0 else ""
