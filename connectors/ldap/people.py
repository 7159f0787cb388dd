"""From an entry to a person: which attribute becomes what, and what has to be there."""

import struct
import uuid
from collections.abc import Callable, Iterator, Mapping

from connectors.base import AccessRefused, Identity
from connectors.ldap.config import DN, UserSearch
from connectors.ldap.errors import ValueUnreadable
from connectors.ldap.operations import Entry


class AttributeMissing(AccessRefused):
    """The password was right, but the entry lacks what the configuration wants of everybody."""

    def __init__(self, attributes: tuple[str, ...]) -> None:
        super().__init__(f"the entry has no {', '.join(attributes)}")
        self.attributes = attributes


def attributes_of(search: UserSearch) -> Iterator[str]:
    """Yield the names of the attributes that make a person."""
    mapped = [search.id_attr, search.name_attr, search.preferred_username_attr]
    if not search.email_suffix:
        mapped.append(search.email_attr)
    mapped += [attribute for _, attribute in search.claims]
    yield from (attribute for attribute in mapped if attribute and attribute != DN)


def identity_of(entry: Entry, search: UserSearch) -> Identity:
    """Return whom an entry stands for, without groups and `connector_data`.

    Addresses count as verified: whoever keeps the directory wrote them. Raises AttributeMissing,
    ValueUnreadable.
    """
    username = _one(entry, search.name_attr)
    email = _one(entry, search.email_attr)
    if search.email_suffix:
        email = f"{username}@{search.email_suffix}" if username else ""
    user_id = _one(entry, search.id_attr)
    preferred_username = _one(entry, search.preferred_username_attr)
    needed = {
        search.id_attr: user_id,
        search.name_attr: username,
        search.preferred_username_attr: preferred_username,
        **({} if search.email_suffix else {search.email_attr: email}),
    }
    if missing := tuple(name for name, value in needed.items() if name and not value):
        raise AttributeMissing(missing)
    return Identity(
        user_id=user_id,
        username=username,
        preferred_username=preferred_username,
        email=email,
        email_verified=True,
        claims=tuple(_claims(entry, search)),
    )


def user_id_of(entry: Entry, search: UserSearch) -> str:
    """Return the id of whom an entry stands for, "" if it has none that can be read."""
    try:
        return _one(entry, search.id_attr)
    except ValueUnreadable:
        return ""


def text_of_value(attribute: str, value: bytes) -> str:
    """Return a value as text: ids of Active Directory as people know them, all else as UTF-8.

    The name of the attribute decides, so that no two values are one text. Raises ValueUnreadable
    for what is no such value, and for NUL, which ends a text early wherever C is spoken.
    """
    form = _BINARY.get(attribute.lower(), _text)
    try:
        return form(value)
    except (ValueError, struct.error):
        raise ValueUnreadable(f"a value of {attribute} cannot be read") from None


def _one(entry: Entry, attribute: str) -> str:
    value = entry.first(attribute) if attribute else b""
    return text_of_value(attribute, value) if value else ""


def _claims(entry: Entry, search: UserSearch) -> Iterator[tuple[str, tuple[str, ...]]]:
    for claim, attribute in search.claims:
        if values := entry.values(attribute):
            yield claim, tuple(text_of_value(attribute, value) for value in values)


def _text(value: bytes) -> str:
    if b"\0" in value:
        raise ValueError("NUL")
    return value.decode("utf-8")


def _windows_uuid(value: bytes) -> str:
    return str(uuid.UUID(bytes_le=value))


def _security_id(value: bytes) -> str:
    """Return an objectSid as `S-1-5-21-...` (MS-DTYP 2.4.2)."""
    revision, count = struct.unpack_from("BB", value)
    parts = struct.unpack(f"<{count}I", value[8:])
    return "-".join(map(str, ["S", revision, int.from_bytes(value[2:8], "big"), *parts]))


_BINARY: Mapping[str, Callable[[bytes], str]] = {
    "objectguid": _windows_uuid,
    "ms-ds-consistencyguid": _windows_uuid,
    "msexchmailboxguid": _windows_uuid,
    "objectsid": _security_id,
    # eDirectory's.
    "guid": bytes.hex,
}
"""Attributes whose values are no text."""
