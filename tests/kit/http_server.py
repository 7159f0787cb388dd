"""A server of `idp.transport` in a thread, and raw sockets to talk to it."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import uvloop

from idp.clock import system_clock
from idp.transport.addresses import Address, bind
from idp.transport.asgi import ASGIApp, Receive, Scope, Send
from idp.transport.documents import Documents
from idp.transport.limits import Limits
from idp.transport.listeners import Drain, Listener, serve

BRISK = Limits(head=0.3, body=0.4, write=0.5, idle=0.9, handshake=0.5, discard=0.5, sweep=0.05)
"""Short deadlines, each another, so that a test sees which one has struck."""


@dataclass(slots=True)
class EchoApp:
    """Answers what it was asked, as JSON, and remembers it. `/slow` waits until `go` is set."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    working: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole request, then answer; `/big` answers 8 MiB."""
        self.asked.append((scope["method"], scope["path"]))
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == "/slow":
            self.working.release()
            while not self.go.is_set():  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.01)
        answer = self._answer(scope, body)
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, scope: Scope, body: bytes) -> bytes:
        if scope["path"] == "/big":
            return b"x" * (8 << 20)
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        query = scope["query_string"].decode()
        told = {"method": scope["method"], "path": scope["path"], "query": query}
        return json.dumps(told | {"body": body.decode("latin-1"), "headers": headers}).encode()


@dataclass(slots=True)
class RunningServer:
    """A server that accepts connections; `events` tells what its callbacks heard, in order."""

    port: int
    refusals: list[int]
    events: list[str]
    loop: asyncio.AbstractEventLoop
    stopping: asyncio.Event
    thread: threading.Thread

    def stop(self) -> None:
        """Begin to drain; returns at once."""
        self.loop.call_soon_threadsafe(self.stopping.set)

    def connect(self, *, timeout: float = 5) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def ask(self, data: bytes) -> "Answer":
        """Send bytes on a new connection and return the first answer."""
        with self.connect() as sock:
            sock.sendall(data)
            return read_answer(sock)

    def ask_until_closed(self, data: bytes) -> bytes:
        """Send bytes and return all that comes until the server closes, or resets."""
        with self.connect() as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
            return read_to_end(sock)


@contextlib.contextmanager
def serving(
    app: ASGIApp,
    *,
    limits: Limits = BRISK,
    documents: Documents | None = None,
    tls: ssl.SSLContext | None = None,
    drain: Drain = Drain(linger=0, grace=5),  # noqa: B008 - frozen
) -> Iterator[RunningServer]:
    """Serve an application on a port of 127.0.0.1 until the block ends."""
    sock = bind(Address(name="test", host="127.0.0.1", port=0))
    ready = threading.Event()
    made: list[RunningServer] = []
    events: list[str] = []
    refusals: list[int] = []
    listener = Listener(
        sock=sock,
        app=app,
        documents=documents or Documents(),
        tls=tls,
        on_refusal=refusals.append,
    )
    port = sock.getsockname()[1]

    async def main() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        thread = threading.current_thread()
        made.append(RunningServer(port, refusals, events, loop, stopping, thread))
        await serve(
            [listener],
            limits=limits,
            clock=system_clock,
            stop=stopping,
            drain=drain,
            on_ready=ready.set,
            on_drain=lambda: events.append("drain"),
        )
        events.append("end")

    thread = threading.Thread(target=uvloop.run, args=(main(),))
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the server did not start")
    try:
        yield made[0]
    finally:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            made[0].stop()
        thread.join(20)
        sock.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came over the wire; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def told(self) -> dict[str, object]:
        """Return what EchoApp said."""
        told = json.loads(self.body)
        if not isinstance(told, dict):
            raise TypeError("not an answer of EchoApp")
        return told


def read_answer(sock: socket.socket, *, has_body: bool = True) -> Answer:
    """Read one answer with Content-Length; none has more bytes read than belong to it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise ConnectionError(f"closed after {head!r}")
        head += byte
    status_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    status = int(status_line.split(" ")[1])
    length = int(headers.get("content-length", "0")) if has_body else 0
    body = b""
    while len(body) < length:
        chunk = sock.recv(length - len(body))
        if not chunk:
            raise ConnectionError("closed within a body")
        body += chunk
    return Answer(status, headers, body)


def read_to_end(sock: socket.socket) -> bytes:
    """Return everything until the server closes; TimeoutError if it does not."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := sock.recv(65536):
            received += chunk
    return received
