"""As much of BER (X.690) as is needed to write requests, and to look at answers before decoding.

The decoder behind us believes what it is given. Here is decided what it is given: whole messages of
bounded size, depth and number of elements, whose lengths add up (RFC 4511 section 5.1).
"""

from connectors.ldap.errors import Malformed

LARGEST_MESSAGE = 1024 * 1024
"""Bytes."""

MOST_ELEMENTS = 5_000
"""In one message. A page of 500 groups is 500 messages; an entry with 1,500 values has 1,510."""

DEEPEST = 12
"""An entry's value is the sixth level, that of a control's value the seventh."""

SEQUENCE = 0x30
OCTET_STRING = 0x04

_CONSTRUCTED = 0x20
_LONG_TAG = 0x1F
_LONGEST_HEAD = 6
"""A tag, and a length of at most four octets behind the one that counts them."""


def element(tag: int, content: bytes) -> bytes:
    """Return one element: tag, length, content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def integer(number: int, tag: int = 0x02) -> bytes:
    """Return a number that is not negative as an element."""
    return element(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def message_size(head: bytes | bytearray) -> int | None:
    """Return the bytes of the message that begins so, None while too little of it is there.

    Raises Malformed for what begins no message, and for one that is too large.
    """
    if head[:1] not in (b"", b"\x30"):
        raise Malformed("it sent something that is no LDAP message")
    if len(head) < 2:
        return None
    long = head[1] & 0x7F if head[1] & 0x80 else 0
    if long and len(head) < min(2 + long, _LONGEST_HEAD):
        return None
    length, start = _length(head, 1)
    if start + length > LARGEST_MESSAGE:
        raise Malformed(f"it sent a message of more than {LARGEST_MESSAGE} bytes")
    return start + length


def check(message: bytes) -> int:
    """Return how many elements a whole message has. Raises Malformed when it may not be decoded."""
    ends = [len(message)]
    at = count = 0
    while ends:
        if at == ends[-1]:
            ends.pop()
            continue
        tag = message[at]
        if tag & _LONG_TAG == _LONG_TAG or at + 2 > ends[-1]:
            raise Malformed("it sent a message that does not add up")
        length, start = (
            (message[at + 1], at + 2) if message[at + 1] < 0x80 else _length(message, at + 1)
        )
        if start + length > ends[-1]:
            raise Malformed("it sent a message that does not add up")
        count += 1
        if tag & _CONSTRUCTED:
            ends.append(start + length)
            at = start
        else:
            at = start + length
        if count > MOST_ELEMENTS or len(ends) > DEEPEST + 1:
            raise Malformed(
                f"it sent a message with more than {MOST_ELEMENTS} elements or {DEEPEST} levels"
            )
    return count


def children(content: bytes) -> list[tuple[int, bytes]]:
    """Return the elements that stand side by side in some content, as tag and content.

    Raises Malformed.
    """
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(content):
        length, start = _length(content, at + 1)
        if start + length > len(content):
            raise Malformed("it sent a control that does not add up")
        found.append((content[at], content[start : start + length]))
        at = start + length
    return found


def _length(octets: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the length that is written here, and where the content begins."""
    if at >= len(octets):
        raise Malformed("it sent a message that does not add up")
    first = octets[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    start = at + 1 + count
    if not 1 <= count <= 4 or start > len(octets):
        # Zero octets is the indefinite form, which LDAP excludes.
        raise Malformed("it sent a message whose length cannot be read")
    return int.from_bytes(octets[at + 1 : start], "big"), start
