"""Answers that no honest directory sends, for `behaviours.Sends`.

Each takes the message id and returns the bytes in pieces, so that 100 MB are never in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tests.kit.hostile_directory import answers, ber
from tests.kit.hostile_directory.requests import PASSWORD_POLICY, Control

_PIECE = 64 << 10

Poison = Callable[[int], Iterable[bytes]]


def one_entry(dn: str | bytes, attributes: Mapping[str, Sequence[str | bytes]]) -> Poison:
    """Return an entry of any bytes and the end of the search."""
    return lambda message_id: [
        answers.message(message_id, answers.entry(dn, attributes)),
        _done(message_id),
    ]


def huge_entry(dn: str, attribute: str, *, size: int = 100 << 20) -> Poison:
    """Return an entry with one value of `size` bytes."""

    def make(message_id: int) -> Iterator[bytes]:
        yield _entry_start(message_id, dn, attribute, ber.header(ber.OCTETS, size), size=size)
        for start in range(0, size, _PIECE):
            yield b"A" * min(_PIECE, size - start)
        yield _done(message_id)

    return make


def many_values(dn: str, attribute: str, *, count: int = 1_000_000) -> Poison:
    """Return an entry with so many values of six digits."""
    head = ber.header(ber.OCTETS, 6)

    def make(message_id: int) -> Iterator[bytes]:
        yield _entry_start(message_id, dn, attribute, b"", size=count * (len(head) + 6))
        for start in range(0, count, 1000):
            end = min(start + 1000, count)
            yield b"".join(head + b"%06d" % number for number in range(start, end))
        yield _done(message_id)

    return make


def deep_entry(dn: str, *, depth: int = 10_000) -> Poison:
    """Return an entry whose list of attributes is a sequence in a sequence in a sequence..."""

    def make(message_id: int) -> Iterable[bytes]:
        entry = ber.element(answers.SEARCH_ENTRY, ber.octets(dn), nested(depth))
        return [answers.message(message_id, entry), _done(message_id)]

    return make


def deep_message(depth: int = 10_000) -> Poison:
    """Return a message that is nothing but sequences in each other."""
    return lambda message_id: [nested(depth)]


def claimed(size: int = 0x7FFF_FFFF) -> Poison:
    """Return a message that claims to be 2 GiB long, and of that a few bytes."""
    return lambda message_id: [ber.header(ber.SEQUENCE, size) + ber.integer(message_id)]


def endless_entries(dn: str, attributes: Mapping[str, Sequence[str | bytes]]) -> Poison:
    """Return entries until the client hangs up."""

    def make(message_id: int) -> Iterator[bytes]:
        number = 0
        while True:
            number += 1
            entry = answers.entry(f"cn={number},{dn}", attributes)
            yield answers.message(message_id, entry)

    return make


def raw(data: bytes) -> Poison:
    """Return bytes that have no message id, such as no LDAP at all."""
    return lambda message_id: [data]


def nested(depth: int) -> bytes:
    """Write sequences in each other, the innermost empty."""
    headers = []
    length = 0
    for _ in range(depth):
        headers.append(ber.header(ber.SEQUENCE, length))
        length += len(headers[-1])
    return b"".join(reversed(headers))


MALFORMED_POLICIES: Mapping[str, Control] = {
    name: Control(PASSWORD_POLICY, value)
    for name, value in {
        "no value": None,
        "empty": b"",
        "longer than it is": b"\x30\x84\x7f\xff\xff\xff",
        "endless length": b"\x30\x80\xa0\x80",
        "number of a thousand bytes": ber.sequence(ber.element(0x81, b"\x7f" * 1000)),
        "deep": nested(10_000),
        "unknown error": ber.sequence(ber.integer(99, tag=0x81)),
        "text": b"expired",
    }.items()
}


def _done(message_id: int) -> bytes:
    return answers.message(message_id, answers.result(answers.SEARCH_DONE, 0))


def _entry_start(message_id: int, dn: str, attribute: str, start: bytes, *, size: int) -> bytes:
    """Write an entry with one attribute up to its values, of which `size` bytes are to follow."""
    written = start
    length = len(start) + size
    # From the inside out: the length of each holds what is written in front of the values.
    for tag, before in (
        (ber.SET, b""),
        (ber.SEQUENCE, ber.octets(attribute)),
        (ber.SEQUENCE, b""),
        (answers.SEARCH_ENTRY, ber.octets(dn)),
        (ber.SEQUENCE, ber.integer(message_id)),
    ):
        length += len(before)
        head = ber.header(tag, length)
        written = head + before + written
        length += len(head)
    return written
