"""The entries of a `HostileDirectory`, and the true answers to searches and binds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.kit.directory_tree import Attributes
from tests.kit.hostile_directory import answers
from tests.kit.hostile_directory.filters import matches
from tests.kit.hostile_directory.requests import Bind, Control, Search

_SUCCESS, _NO_SUCH_OBJECT, _INVALID_CREDENTIALS, _SIZE_LIMIT = 0, 32, 49, 4
_RANGE = ";range="


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a search: entries as written on the wire, and how it ends."""

    entries: Sequence[bytes]
    result: int
    controls: Sequence[Control] = ()


class Tree:
    """Entries by their distinguished names, in which upper and lower case are one.

    Attributes with more values than `values_at_most` are given in ranges, as Active Directory does.
    """

    def __init__(
        self, entries: Iterable[tuple[str, Attributes]], *, values_at_most: int | None = None
    ) -> None:
        """Take entries as `tests.kit.directory_tree` has them."""
        self._values_at_most = values_at_most
        self._entries = {dn.casefold(): (dn, _as_bytes(found)) for dn, found in entries}

    def bind(self, request: Bind) -> int:
        """Return the result of a bind; with an empty name and password it is anonymous."""
        if not request.dn:
            return _INVALID_CREDENTIALS if request.password else _SUCCESS
        _, attributes = self._entries.get(request.dn.casefold(), ("", {}))
        is_right = request.password in attributes.get("userPassword", ())
        return _SUCCESS if is_right and request.mechanism == "simple" else _INVALID_CREDENTIALS

    def search(self, request: Search) -> Found:
        """Return what a search finds, or the page of it that is asked for."""
        if request.base and request.base.casefold() not in self._entries:
            return Found([], _NO_SUCH_OBJECT)
        found = [
            answers.entry(dn, self._shown(attributes, request.attributes))
            for dn, attributes in self._entries.values()
            if _is_in(dn, request)
            and matches(request.asked, {name.lower(): each for name, each in attributes.items()})
        ]
        if request.size_limit and len(found) > request.size_limit:
            return Found(found[: request.size_limit], _SIZE_LIMIT)
        if request.page is None:
            return Found(found, _SUCCESS)
        start = int(request.page.cookie or b"0")
        end = start + request.page.size
        cookie = str(end).encode() if end < len(found) else b""
        return Found(found[start:end], _SUCCESS, [answers.paged(cookie)])

    def _shown(
        self, attributes: Mapping[str, Sequence[bytes]], wanted: Sequence[str]
    ) -> Mapping[str, Sequence[bytes]]:
        lower = {name.lower() for name in wanted}
        with_all = not wanted or "*" in wanted
        shown: dict[str, Sequence[bytes]] = {}
        for name, values in attributes.items():
            if name == "userPassword":
                continue
            ranges = [each for each in lower if each.startswith(name.lower() + _RANGE)]
            if ranges:
                start = int(ranges[0].partition(_RANGE)[2].partition("-")[0])
                shown |= self._range(name, values, start)
            elif with_all or name.lower() in lower:
                is_whole = self._values_at_most is None or len(values) <= self._values_at_most
                shown |= {name: values} if is_whole else self._range(name, values, 0)
        return shown

    def _range(
        self, name: str, values: Sequence[bytes], start: int
    ) -> Mapping[str, Sequence[bytes]]:
        end = start + (self._values_at_most or len(values))
        until = "*" if end >= len(values) else str(end - 1)
        return {f"{name}{_RANGE}{start}-{until}": values[start:end]}


def _as_bytes(attributes: Attributes) -> Mapping[str, Sequence[bytes]]:
    return {
        name: [value.encode() if isinstance(value, str) else value for value in values]
        for name, values in attributes.items()
    }


def _is_in(dn: str, request: Search) -> bool:
    name, base = dn.casefold(), request.base.casefold()
    if request.scope == "base":
        return name == base
    above = f",{base}" if base else ""
    if request.scope == "one":
        return name.endswith(above) and "," not in name.removesuffix(above)
    return (name == base and request.scope == "sub") or name.endswith(above)
