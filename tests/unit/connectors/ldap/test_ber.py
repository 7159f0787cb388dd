"""Messages are looked at before they are decoded: size, depth, number of elements, lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ldap import ber
from connectors.ldap.errors import Malformed
from tests.kit.hostile_directory import ber as other
from tests.kit.hostile_directory import poison


@given(tag=st.sampled_from([0x04, 0x30, 0x80]), content=st.binary(max_size=70_000))
def test_elements_are_written_as_others_write_them(tag: int, content: bytes) -> None:
    assert ber.element(tag, content) == other.element(tag, content)


@given(number=st.integers(0, 2**31 - 1))
def test_numbers_are_written_as_others_write_them(number: int) -> None:
    assert ber.integer(number) == other.integer(number)


@given(content=st.binary(max_size=300), rest=st.binary(max_size=5))
def test_the_size_of_a_message_is_known_from_its_head(content: bytes, rest: bytes) -> None:
    message = ber.element(ber.SEQUENCE, content)
    assert ber.message_size(message + rest) == len(message)
    known = [ber.message_size(message[:size]) for size in range(len(message))]
    assert all(size in (None, len(message)) for size in known)


def test_four_octets_of_length_are_read_as_active_directory_writes_them() -> None:
    assert ber.message_size(b"\x30\x84\x00\x00\x00\x05") == 11


@pytest.mark.covers("L-14", "CV-26")
@pytest.mark.parametrize(
    "head",
    [
        b"\x30\x84\x7f\xff\xff\xff",
        b"\x30\x83\x10\x00\x01",
        b"\x30\x80",
        b"\x30\x85\x00\x00\x00\x00\x01",
        b"HTTP/1.1 400",
        b"\x31\x00",
    ],
)
def test_what_is_too_large_or_no_message_is_refused_by_its_head(head: bytes) -> None:
    with pytest.raises(Malformed):
        ber.message_size(head)


@pytest.mark.covers("L-14", "CV-26")
@pytest.mark.parametrize(
    "message",
    [
        poison.nested(10_000),
        poison.nested(13),
        ber.element(ber.SEQUENCE, b"\x04\x00" * 5_001),
        b"\x30\x03\x04\x05x",
        b"\x30\x02\x04\x80",
        b"\x30\x01\x04",
        b"\x30\x04\x1f\x81\x01\x00",
        b"\x30\x03\x04\x82\x01",
    ],
    ids=lambda message: message[:6].hex(),
)
def test_what_does_not_add_up_or_is_deep_or_many_is_not_decoded(message: bytes) -> None:
    with pytest.raises(Malformed):
        ber.check(message)


def test_elements_are_counted_at_all_levels() -> None:
    inner = ber.element(ber.OCTET_STRING, b"x") * 3
    assert ber.check(ber.element(ber.SEQUENCE, ber.element(ber.SEQUENCE, inner))) == 5
    assert ber.check(poison.nested(12)) == 12
