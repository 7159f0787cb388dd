"""Sends requests byte by byte as they are, over many connections at once, and reads what comes."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tests.fuzz.grammar import Request

PATIENCE = 60.0
"""Seconds after which a connection without answer or end counts as hanging: every deadline of the
provider is shorter."""

_CONNECTIONS = 24
_ASKED_BY_ONE = 30
_WHOLE_HEAD = b"\r\n\r\n"


class NoAnswer(Exception):
    """Nothing came, and the connection did not end: something hangs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `status` is 0 where the connection ended without any."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """Return the value of a header, None if it is not there."""
        return next((value for key, value in self.headers if key == name), None)


Judge = Callable[[Request, Answer], None]
Fill = Callable[[Request], Mapping[str, str]]


async def send_all(
    requests: Iterable[Request], *, host: str, port: int, fill: Fill, judge: Judge
) -> None:
    """Send every request and hand its answer to `judge`. Raises NoAnswer, and what `judge` does.

    `fill` says what stands for the `{names}` in a request just now.
    """
    waiting = iter(requests)
    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(_send_some(waiting, (host, port), fill, judge))


async def _send_some(
    waiting: Iterable[Request], address: tuple[str, int], fill: Fill, judge: Judge
) -> None:
    """Send what this connection takes of the requests, one after the other."""
    line: _Line | None = None
    for request in waiting:
        try:
            async with asyncio.timeout(PATIENCE):
                if not request.sound:
                    async with _fresh(address) as other:
                        judge(request, await other.ask(request, fill(request)))
                    continue
                if line is not None and line.asked >= _ASKED_BY_ONE:
                    await line.close()
                if line is None or line.is_over:
                    line = await _Line.open(address)
                answer = await line.ask(request, fill(request))
        except TimeoutError:
            raise NoAnswer(f"request {request.number}: {request.start[:200]!r}") from None
        judge(request, answer)
    if line is not None:
        await line.close()


@contextlib.asynccontextmanager
async def _fresh(address: tuple[str, int]) -> AsyncIterator["_Line"]:
    line = await _Line.open(address)
    try:
        yield line
    finally:
        await line.close()


@dataclass(slots=True)
class _Line:
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_over: bool = False
    asked: int = 0

    @classmethod
    async def open(cls, address: tuple[str, int]) -> "_Line":
        # From an address of its own each time, so that the throttle holds up nobody else.
        here = "127." + ".".join(str(1 + secrets.randbelow(250)) for _ in range(3))
        reader, writer = await asyncio.open_connection(*address, local_addr=(here, 0))
        return cls(reader, writer)

    async def close(self) -> None:
        self.is_over = True
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def ask(self, request: Request, values: Mapping[str, str]) -> Answer:
        """Return the answer to a request; the connection may be over after it."""
        self.asked += 1
        try:
            self.writer.write(filled(request, values))
            await self.writer.drain()
            if request.broken:
                self.writer.write_eof()
            answer = await self._read(is_head=request.is_head)
        except (ConnectionError, asyncio.IncompleteReadError):
            # Whoever closes early may reset what was still being sent.
            answer = Answer(0)
        if answer.status == 0 or answer.header("connection") == "close":
            await self.close()
        return answer

    async def _read(self, *, is_head: bool) -> Answer:
        status = 100
        while status < 200:
            head = await self.reader.readuntil(_WHOLE_HEAD)
            first, *lines = head[:-4].decode("latin-1").split("\r\n")
            version, number = first.split(" ")[:2]
            assert version == "HTTP/1.1", head
            status = int(number)
        pairs = [line.partition(":")[::2] for line in lines]
        headers = tuple((name.lower(), value.strip()) for name, value in pairs)
        length = next((int(value) for name, value in headers if name == "content-length"), 0)
        bodiless = is_head or status in (204, 304)
        return Answer(status, headers, b"" if bodiless else await self.reader.readexactly(length))


def filled(request: Request, values: Mapping[str, str]) -> bytes:
    """Return the bytes of a request with everything filled in."""
    start, body = request.start, request.body
    for name, value in values.items():
        start = start.replace(b"{%s}" % name.encode(), value.encode())
        body = body.replace(b"{%s}" % name.encode(), value.encode())
    return start.replace(b"{length}", str(len(body)).encode()) + body
