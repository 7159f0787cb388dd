"""The load: prepared requests over a few kept-alive connections, as plain as can be.

A client that costs more than the server would measure itself; this one writes bytes and reads up to
Content-Length.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode, urlsplit

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_COOKIE = re.compile(rb"set-cookie: ([^;]+)", re.IGNORECASE)
_LOCATION = re.compile(rb"location: ([^\r]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    head: bytes
    body: bytes

    @property
    def cookie(self) -> str:
        """Return the first cookie that was set."""
        found = _COOKIE.search(self.head)
        return found[1].decode() if found else ""

    @property
    def location(self) -> str:
        """Return where it redirects."""
        found = _LOCATION.search(self.head)
        return found[1].decode() if found else ""


class Connection:
    """One kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> "Connection":
        """Connect to a provider."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def send(self, request: bytes, expected: int | None) -> Answer:
        """Send a prepared request. Raises ValueError for another status than expected.

        None expects any refusal.
        """
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        answer = Answer(int(head[9:12]), head, body)
        refused = 400 <= answer.status < 500
        if answer.status != expected and not (expected is None and refused):
            raise ValueError(f"{request[:60]!r}: {answer.status} {body[:300]!r}")
        return answer

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def get(url: str, path: str, **headers: str) -> bytes:
    """Return a GET as bytes."""
    return _head("GET", url, path, headers) + b"\r\n"


def post(url: str, path: str, form: dict[str, str], **headers: str) -> bytes:
    """Return a form POST as bytes."""
    body = urlencode(form).encode()
    headers["content-type"] = "application/x-www-form-urlencoded"
    headers["content-length"] = str(len(body))
    return _head("POST", url, path, headers) + b"\r\n" + body


def basic(client_id: str, secret: str) -> str:
    """Return an Authorization header (RFC 6749 section 2.3.1)."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def _head(method: str, url: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"host: {urlsplit(url).netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n"


Operation = Callable[[Connection, int], Awaitable[None]]
"""One operation on one connection, told which connection it is."""


async def run_load(url: str, operation: Operation, *, connections: int, each: int) -> None:
    """Run an operation `each` times on every connection, the connections side by side."""
    opened = [await Connection.open(url) for _ in range(connections)]

    async def work(number: int, connection: Connection) -> None:
        for _ in range(each):
            await operation(connection, number)

    try:
        await asyncio.gather(*(work(number, each_) for number, each_ in enumerate(opened)))
    finally:
        for connection in opened:
            connection.close()
