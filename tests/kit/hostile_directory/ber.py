"""The part of BER that LDAP is made of (RFC 4511, 5.1), written and read by hand.

A library would not write what must be wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass

INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET, BOOLEAN = 0x02, 0x04, 0x0A, 0x30, 0x31, 0x01


class NotBer(Exception):
    """The bytes are no BER with definite lengths."""


@dataclass(frozen=True, slots=True)
class Element:
    """A tag (one byte, as all of LDAP's are) and what it holds."""

    tag: int
    content: bytes

    @property
    def children(self) -> list["Element"]:
        """The elements that a constructed one is made of; raises `NotBer`."""
        return list(_elements(self.content))

    @property
    def number(self) -> int:
        """The value of an INTEGER or ENUMERATED."""
        return int.from_bytes(self.content, signed=True)

    @property
    def text(self) -> str:
        """The value of a string; what is no UTF-8 is shown as `\\xff`."""
        return self.content.decode(errors="backslashreplace")


def header(tag: int, length: int) -> bytes:
    """Write a tag and a length, whether or not that much follows."""
    if length < 0x80:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets


def element(tag: int, *parts: bytes) -> bytes:
    """Write an element that holds the parts."""
    content = b"".join(parts)
    return header(tag, len(content)) + content


def integer(value: int, *, tag: int = INTEGER) -> bytes:
    """Write a number."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def octets(value: str | bytes, *, tag: int = OCTETS) -> bytes:
    """Write a string."""
    return element(tag, value.encode() if isinstance(value, str) else value)


def sequence(*parts: bytes) -> bytes:
    """Write a SEQUENCE of elements already written."""
    return element(SEQUENCE, *parts)


def first_length(data: bytes) -> int | None:
    """Return how long the first element is, or None if not even that is there yet.

    Raises `NotBer` for what can never become an element of LDAP.
    """
    if len(data) < 2:
        return None
    if data[1] < 0x80:
        return 2 + data[1]
    count = data[1] & 0x7F
    if not 1 <= count <= 4:
        raise NotBer(f"a length of {count} octets")
    if len(data) < 2 + count:
        return None
    return 2 + count + int.from_bytes(data[2 : 2 + count])


def read(data: bytes) -> Element:
    """Read one element that is all there is; raises `NotBer`."""
    elements = list(_elements(data))
    if len(elements) != 1:
        raise NotBer(f"{len(elements)} elements in the place of one")
    return elements[0]


def _elements(data: bytes) -> Iterator[Element]:
    while data:
        length = first_length(data)
        if length is None or length > len(data):
            raise NotBer("an element is longer than what it is in")
        start = 2 if data[1] < 0x80 else 2 + (data[1] & 0x7F)
        yield Element(data[0], data[start:length])
        data = data[length:]
