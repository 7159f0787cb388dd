"""Answers that no honest directory sends are as big, deep and wrong as they are called."""

from collections.abc import Iterator

import pytest

from tests.kit.hostile_directory import ber, poison
from tests.kit.hostile_directory.behaviours import Sends
from tests.kit.hostile_directory.poison import Poison
from tests.kit.hostile_directory.server import HostileDirectory
from tests.unit.kit.raw_ldap import RawLdap, equal

_DN = "uid=alice,dc=example,dc=org"
_ENTRY = 0x64


@pytest.fixture
def directory() -> Iterator[HostileDirectory]:
    with HostileDirectory() as running:
        yield running


@pytest.fixture
def client(directory: HostileDirectory) -> Iterator[RawLdap]:
    with RawLdap(directory) as connected:
        yield connected


def test_huge_entry_is_as_long_as_it_says(directory: HostileDirectory, client: RawLdap) -> None:
    size = 100 << 20
    directory.tell("search", Sends(poison.huge_entry(_DN, "mail", size=size)))
    client.send_search("", equal("uid", "alice"))

    start = client.receive()
    length = ber.first_length(start)
    assert length is not None
    assert size < length < size + 200
    assert _DN.encode() in start[:200]
    # The end of the search comes behind it.
    left = length + len(_done(1)) - len(start)
    tail = b""
    while left > 0:
        data = client.receive()
        left -= len(data)
        tail = (tail + data)[-len(_done(1)) :]
    assert (left, tail) == (0, _done(1))


def test_huge_entry_in_small_is_a_good_one(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("search", Sends(poison.huge_entry(_DN, "mail", size=200_000)))

    entry, done = client.search("", equal("uid", "alice"))

    assert entry.attributes == {"mail": [b"A" * 200_000]}
    assert done.result == 0


def test_many_values_are_a_good_entry(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("search", Sends(poison.many_values(_DN, "memberOf", count=2500)))

    entry, done = client.search("", equal("uid", "alice"))

    assert entry.attributes["memberOf"] == [f"{number:06}".encode() for number in range(2500)]
    assert done.result == 0


def test_a_million_values_by_default() -> None:
    start, *pieces = poison.many_values(_DN, "memberOf")(1)

    assert sum(piece.count(b"\x04\x06") for piece in pieces) == 1_000_000
    assert ber.first_length(start) == len(start) + sum(map(len, pieces[:-1]))


@pytest.mark.parametrize(
    ("make", "levels_above"), [(poison.deep_entry(_DN), 2), (poison.deep_message(), 0)]
)
def test_depth_is_ten_thousand(
    directory: HostileDirectory, client: RawLdap, make: Poison, levels_above: int
) -> None:
    directory.tell("search", Sends(make))
    client.send_search("", equal("uid", "alice"))

    data = client.receive()
    while (length := ber.first_length(data)) is None or len(data) < length:
        data += client.receive()
    depth = 0
    inside = ber.read(data[:length])
    while inside.content:
        inside = inside.children[-1]
        depth += 1
    assert depth == 9_999 + levels_above


def test_claim_is_two_gigabytes_and_nothing_follows(
    directory: HostileDirectory, client: RawLdap
) -> None:
    directory.tell("search", Sends(poison.claimed()))
    client.send_search("", equal("uid", "alice"))

    assert ber.first_length(client.receive()) == 6 + 0x7FFF_FFFF
    client.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.receive()


def test_entries_have_no_end(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("search", Sends(poison.endless_entries(_DN, {"cn": ["x"]})))
    client.send_search("", equal("uid", "alice"))

    names = {client.answer().operation.children[0].text for _ in range(3000)}

    assert len(names) == 3000
    client.socket.close()
    assert not directory.seen().connections[0].is_open


def test_bytes_of_an_entry_are_sent_as_given(directory: HostileDirectory, client: RawLdap) -> None:
    strange: dict[str, list[str | bytes]] = {"uid": [b"ali\0ce"], "mail": [b"\xff\xfe@example.org"]}
    directory.tell("search", Sends(poison.one_entry(b"uid=\xff,dc=x", strange)))

    entry, _ = client.search("", equal("uid", "alice"))

    assert entry.operation.tag == _ENTRY
    assert entry.operation.children[0].content == b"uid=\xff,dc=x"
    assert entry.attributes == strange


def test_anything_can_be_sent(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("connect", Sends(poison.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")))

    with RawLdap(directory) as another:
        assert another.receive() == b"HTTP/1.1 400 Bad Request\r\n\r\n"


def _done(message_id: int) -> bytes:
    return bytes.fromhex(f"300c0201{message_id:02x}65070a010004000400")
