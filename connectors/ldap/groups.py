"""The groups of a person, and the groups of those groups, level by level."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from connectors.ldap.config import DN, GroupSearch, UserMatcher
from connectors.ldap.errors import SearchRefused
from connectors.ldap.filters import Equals
from connectors.ldap.operations import Entry
from connectors.ldap.people import text_of_value

DEEPEST = 10
"""Levels, the person's own groups being the first."""

MOST_GROUPS = 2_000
"""A token of 8 KB holds fewer names than this."""

MOST_AT_ONCE = 50
LARGEST_AT_ONCE = 16 * 1024
"""Assertions and bytes of values in one filter."""

Find = Callable[[Iterable[Equals]], Iterable[Entry]]
"""Returns all groups that have any of these values. Raises ConnectorUnavailable for a part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Names of groups in order, and why there may be more: "depth", "count", or "" for neither."""

    names: tuple[str, ...]
    cut_short_by: str = ""


def groups_of(person: Entry, search: GroupSearch, find: Find) -> Membership:
    """Return the groups of a person. One search finds a level of up to 50 of them.

    Raises SearchRefused for a group without a name, whatever `find` raises.
    """
    groups: dict[str, Entry] = {}
    cut_short_by = ""
    for recursion_attr, matchers in _by_recursion(search.matchers):
        walk = _Walk(recursion_attr, find)
        walk.go(list(_own(person, matchers)))
        groups.update(walk.groups)
        cut_short_by = cut_short_by or walk.cut_short_by
    names = {_name(group, search.name_attr) for group in groups.values()}
    return Membership(names=tuple(sorted(names)), cut_short_by=cut_short_by)


def attributes_of(search: GroupSearch) -> tuple[str, ...]:
    """Return which attributes of a group are needed."""
    return () if search.name_attr == DN else (search.name_attr,)


def _by_recursion(matchers: Sequence[UserMatcher]) -> list[tuple[str, list[UserMatcher]]]:
    """Put together what can be asked together: matchers that go on in the same way."""
    together: dict[str, list[UserMatcher]] = {}
    for matcher in matchers:
        together.setdefault(matcher.recursion_group_attr, []).append(matcher)
    return list(together.items())


def _own(person: Entry, matchers: Iterable[UserMatcher]) -> Iterator[Equals]:
    for matcher in matchers:
        for value in person.values(matcher.user_attr):
            yield Equals(matcher.group_attr, value)


class _Walk:
    """Goes from groups to the groups that have them, and comes to each once, circles or not."""

    def __init__(self, recursion_attr: str, find: Find) -> None:
        self.groups: dict[str, Entry] = {}
        self.cut_short_by = ""
        self._recursion_attr = recursion_attr
        self._find = find

    def go(self, level: list[Equals]) -> None:
        for depth in range(1, DEEPEST + 2):
            new = self._new(level)
            if new and depth > DEEPEST:
                self.cut_short_by = "depth"
                return
            self.groups.update(new)
            if not new or not self._recursion_attr or self.cut_short_by:
                return
            level = [Equals(self._recursion_attr, group.dn.encode()) for group in new.values()]

    def _new(self, level: list[Equals]) -> dict[str, Entry]:
        """Return the groups of one level that were not met before, with few searches."""
        new: dict[str, Entry] = {}
        for batch in _batches(level):
            for group in self._find(batch):
                key = group.dn.lower()
                if key in self.groups or key in new:
                    continue
                if len(self.groups) + len(new) == MOST_GROUPS:
                    self.cut_short_by = "count"
                    return new
                new[key] = group
        return new


def _batches(level: list[Equals]) -> Iterator[list[Equals]]:
    batch: list[Equals] = []
    size = 0
    for equals in level:
        if batch and (len(batch) == MOST_AT_ONCE or size + len(equals.value) > LARGEST_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(equals)
        size += len(equals.value)
    if batch:
        yield batch


def _name(group: Entry, attribute: str) -> str:
    value = group.first(attribute)
    if not value:
        raise SearchRefused(
            f"the group {group.dn!r} has no {attribute} that the service account may read; "
            "give it one, or name another attribute in groupSearch.nameAttr"
        )
    return text_of_value(attribute, value)
