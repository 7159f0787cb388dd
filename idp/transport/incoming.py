"""One request while it arrives: its head is judged when complete, its body is collected."""

from httptools import HttpRequestParser
from uvicorn._types import HTTPScope

from idp.transport.documents import PreparedDocument
from idp.transport.framing import NOTED, check_head
from idp.transport.limits import Limits
from idp.transport.refusals import METHODS, Refused
from idp.transport.targets import decode_path, split_target

SLICE = 8192
"""Bytes parsed at a time: between two slices a client that does not read its answers is held up."""

_Head = list[tuple[bytes, bytes]]


class Incoming:
    """The parts of a request as the parser delivers them."""

    __slots__ = (
        "body",
        "document",
        "has_body",
        "head",
        "headers",
        "method",
        "noted",
        "path",
        "query",
        "raw_path",
        "received",
        "upgrades",
        "url",
        "version",
    )

    def __init__(self) -> None:
        self.url = b""
        self.headers: _Head = []
        self.noted: dict[bytes, bytes] = {}
        self.received = 0  # bytes of whole slices of this part (head or body) of the request
        self.method = b""
        self.has_body = False
        self.body: bytes | bytearray = b""
        self.document: PreparedDocument | None = None
        self.upgrades = False

    def add_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, and note it if the transport reads it; a repeated one becomes a list."""
        name = name.lower()
        value = value.rstrip(b" \t")
        self.headers.append((name, value))
        if name in NOTED:
            noted = self.noted
            noted[name] = noted[name] + b", " + value if name in noted else value

    def complete_head(self, parser: HttpRequestParser, limits: Limits) -> None:
        """Decide everything that the head alone decides. Raises Refused."""
        self.method = parser.get_method()
        self.version = parser.get_http_version()
        self.head, self.headers = self.headers, []  # what still comes is trailers, and unwanted
        self._check_size(limits)
        if self.method not in METHODS:
            raise Refused(405)
        noted = self.noted
        self.has_body = check_head(version=self.version, noted=noted, body_limit=limits.body_bytes)
        self.raw_path, self.query = split_target(self.url, noted.get(b"host"))
        self.path = decode_path(self.raw_path)
        self.upgrades = b"upgrade" in noted and parser.should_upgrade()
        self.received = 0

    def _check_size(self, limits: Limits) -> None:
        if len(self.url) > limits.target_bytes:
            raise Refused(414)
        if len(self.head) > limits.headers:
            raise Refused(431)
        if self.received + 2 * SLICE > limits.head_bytes:  # the first slice and the last
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.head)
            if size > limits.head_bytes:
                raise Refused(431)

    def weigh_head(self, size: int, limits: Limits) -> None:
        """Count bytes of a head that is not complete. Raises Refused."""
        self.received += size
        if self.received > limits.head_bytes:
            raise Refused(414 if len(self.url) > limits.target_bytes else 431)

    def weigh_body(self, size: int, limits: Limits) -> None:
        """Count bytes of a body with its chunk sizes, extensions and trailers. Raises Refused.

        A client that sends byte by byte, each in a chunk, needs six times the body's own size.
        """
        self.received += size
        if self.received > 8 * limits.body_bytes + 8 * SLICE:
            raise Refused(413)

    def head_without_upgrade(self) -> bytes:
        """Return the head again without its wish to upgrade (RFC 9110 section 7.8: may be ignored).

        llhttp takes what follows such a head for another protocol, so the body would be lost.
        """
        lines = [self.method, b" ", self.url, b" HTTP/", self.version.encode(), b"\r\n"]
        for name, value in self.head:
            if name != b"upgrade":
                lines += [name, b": ", value, b"\r\n"]
        return b"".join((*lines, b"\r\n"))

    def scope(self) -> HTTPScope:
        """Return the request as an ASGI scope; the connection adds its addresses and scheme."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self.version,
            "server": None,
            "client": None,
            "scheme": "http",
            "method": self.method.decode("ascii"),
            "root_path": "",
            "path": self.path,
            "raw_path": self.raw_path,
            "query_string": self.query,
            "headers": self.head,
            "state": {},
            "extensions": {},
        }
