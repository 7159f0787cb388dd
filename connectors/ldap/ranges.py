"""Attributes that a server hands out in ranges, made whole (MS-ADTS 3.1.1.3.1.3.3).

Active Directory answers `memberOf;range=0-1499` in place of `memberOf` when there are more values.
"""

import re

from connectors.ldap.connection import Connection
from connectors.ldap.deadline import Deadline
from connectors.ldap.errors import SearchRefused
from connectors.ldap.operations import Entry, Search

MOST_VALUES = 5_000

_RANGE = re.compile(r"(?P<attribute>[^;]+);range=(?P<first>\d+)-(?P<last>\d+|\*)")


def whole(entry: Entry, connection: Connection, deadline: Deadline) -> Entry:
    """Return an entry with all values of its attributes. Raises HostFailed, SearchRefused."""
    begun = [match for name in entry.attributes if (match := _RANGE.fullmatch(name))]
    if not begun:
        return entry
    attributes = dict(entry.attributes)
    for match in begun:
        values = list(attributes.pop(match[0]))
        attributes[match["attribute"]] = _all(entry.dn, match, values, connection, deadline)
    return Entry(dn=entry.dn, attributes=attributes)


def _all(
    dn: str,
    match: re.Match[str],
    values: list[bytes],
    connection: Connection,
    deadline: Deadline,
) -> tuple[bytes, ...]:
    attribute = match["attribute"]
    while match["last"] != "*":
        wanted = f"{attribute};range={len(values)}-*"
        search = Search(base_dn=dn, scope="base", attributes=(wanted,), most=1)
        found = connection.search(search, deadline)
        ranges = [
            (again, more)
            for entry in found.entries
            for name, more in entry.attributes.items()
            if (again := _RANGE.fullmatch(name)) and again["attribute"] == attribute
        ]
        if len(ranges) != 1 or int(ranges[0][0]["first"]) != len(values) or not ranges[0][1]:
            raise SearchRefused(f"{attribute} has more values, and the rest was not told")
        match, more = ranges[0]
        values += more
        if len(values) > MOST_VALUES:
            raise SearchRefused(f"{attribute} has more than {MOST_VALUES} values")
    return tuple(values)
