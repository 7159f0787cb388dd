"""A client that sends LDAP by the byte, and takes every answer as it comes."""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.kit.hostile_directory import ber
from tests.kit.hostile_directory.ber import Element
from tests.kit.hostile_directory.requests import PAGED_RESULTS, START_TLS
from tests.kit.hostile_directory.server import HostileDirectory

_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """A message of the server: its id, the operation in it, and the values of its controls."""

    message_id: int
    operation: Element
    controls: dict[str, bytes | None]

    @property
    def result(self) -> int:
        """The code at the end of an operation."""
        return self.operation.children[0].number

    @property
    def text(self) -> str:
        """The diagnostic message at the end of an operation."""
        return self.operation.children[2].text

    @property
    def attributes(self) -> dict[str, list[bytes]]:
        """What an entry holds."""
        return {
            name.text: [value.content for value in values.children]
            for name, values in (each.children for each in self.operation.children[1].children)
        }


class RawLdap:
    """A connection to a hostile directory. Reading more than 10 s raises TimeoutError."""

    def __init__(self, directory: HostileDirectory) -> None:
        """Connect, in clear."""
        self.socket = socket.create_connection(("127.0.0.1", directory.port), timeout=_SECONDS)
        self._buffer = b""
        self._last_id = 0

    def bind(self, dn: str, password: str) -> Answer:
        """Bind and return the answer."""
        self.send_bind(dn, password)
        return self.answer()

    def send_bind(self, dn: str, password: str) -> int:
        """Send a bind and return its message id."""
        return self._send(
            ber.element(0x60, ber.integer(3), ber.octets(dn), ber.octets(password, tag=0x80))
        )

    def search(self, base: str, wanted: bytes, *attributes: str) -> list[Answer]:
        """Search, and return all up to the end."""
        self.send_search(base, wanted, *attributes)
        return self.answers()

    def send_search(
        self, base: str, wanted: bytes, *attributes: str, page: tuple[int, bytes] | None = None
    ) -> int:
        """Send a search in the whole subtree and return its message id."""
        search = ber.element(
            0x63,
            ber.octets(base),
            ber.integer(2, tag=ber.ENUMERATED),
            ber.integer(0, tag=ber.ENUMERATED),
            ber.integer(0),
            ber.integer(0),
            ber.element(ber.BOOLEAN, b"\0"),
            wanted,
            ber.sequence(*map(ber.octets, attributes)),
        )
        if page is None:
            return self._send(search)
        size, cookie = page
        value = ber.sequence(ber.integer(size), ber.octets(cookie))
        paged = ber.sequence(ber.octets(PAGED_RESULTS), ber.octets(value))
        return self._send(search, ber.element(0xA0, paged))

    def start_tls(self) -> Answer:
        """Ask for TLS and return the answer; the handshake is another step."""
        self._send(ber.element(0x77, ber.octets(START_TLS, tag=0x80)))
        return self.answer()

    def shake_hands(self, context: ssl.SSLContext, *, name: str = "localhost") -> None:
        """Do the client's part of TLS; raises OSError."""
        self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def send(self, data: bytes) -> None:
        """Send any bytes."""
        self.socket.sendall(data)

    def answers(self) -> list[Answer]:
        """Return messages up to the one that ends a search."""
        found = [self.answer()]
        while found[-1].operation.tag in (0x64, 0x73):
            found.append(self.answer())
        return found

    def answer(self) -> Answer:
        """Return the next message; raises EOFError if the server hung up."""
        while True:
            length = ber.first_length(self._buffer)
            if length is not None and len(self._buffer) >= length:
                message = ber.read(self._buffer[:length])
                self._buffer = self._buffer[length:]
                return _answer(message.children)
            self._buffer += self.receive()

    def receive(self) -> bytes:
        """Return the next bytes; raises EOFError if the server hung up."""
        if data := self.socket.recv(1 << 16):
            return data
        raise EOFError

    @property
    def left(self) -> bytes:
        """What was received and is no message yet."""
        return self._buffer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def _send(self, *parts: bytes) -> int:
        self._last_id += 1
        self.send(ber.sequence(ber.integer(self._last_id), *parts))
        return self._last_id


def equal(name: str, value: str) -> bytes:
    """Write a filter for one value."""
    return ber.element(0xA3, ber.octets(name), ber.octets(value))


def _answer(parts: Sequence[Element]) -> Answer:
    number, operation, *controls = parts
    found = [control.children for each in controls for control in each.children]
    values = {oid.text: rest[-1].content if rest else None for oid, *rest in found}
    return Answer(number.number, operation, values)
