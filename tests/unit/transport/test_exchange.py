"""What the application sees and what becomes of its mistakes."""

import asyncio
import logging
import threading

import pytest

from idp.transport.asgi import Message, Receive, Scope, Send
from tests.kit.http_server import read_answer, read_to_end, serving

HOST = b"Host: idp.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"
OK: Message = {"type": "http.response.start", "status": 200, "headers": []}


class Listens:
    """Reads all it is given until the client is gone, and keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.began = threading.Event()
        self.ended = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Listen."""
        while not self.heard or self.heard[-1]["type"] != "http.disconnect":
            self.heard.append(await receive())
            self.began.set()
        await send(OK)
        await send({"type": "http.response.body", "body": b"to nobody"})
        self.ended.set()


def test_handler_has_the_whole_body_at_once_and_hears_that_the_client_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Listens()
    with serving(app) as server:
        with server.connect() as sock:
            sock.sendall(POST)
            assert app.began.wait(5)
        assert app.ended.wait(5)
    assert app.heard == [
        {"type": "http.request", "body": b"hello", "more_body": False},
        {"type": "http.disconnect"},
    ]
    assert caplog.records == []


def test_body_is_whole_even_if_the_client_left_before_the_handler_began() -> None:
    app = Listens()
    with serving(app) as server:
        with server.connect() as sock:
            sock.sendall(POST)
        assert app.ended.wait(5)
    assert app.heard[0]["body"] == b"hello"


def test_exception_in_the_application_is_a_500_without_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("no details of this")

    with serving(app) as server:
        received = server.ask_until_closed(GET + GET)
    assert received.startswith(b"HTTP/1.1 500 ")
    assert received.count(b"HTTP/1.1") == 1
    assert b"details" not in received
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert caplog.records[0].name == "idp.transport"


def test_exception_within_an_answer_cuts_it_short() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**OK, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError

    with serving(app) as server:
        assert server.ask_until_closed(GET).endswith(b"\r\n\r\nhalf")


@pytest.mark.covers("R-63")
def test_header_that_would_split_the_answer_is_never_sent() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**OK, "headers": [(b"location", b"/a\r\nset-cookie: x=y")]})

    with serving(app) as server:
        assert b"set-cookie" not in server.ask_until_closed(GET)


def test_streamed_answer_is_chunked_and_the_connection_goes_on() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(OK)
        for part in (b"one", b"two"):
            await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    with serving(app) as server, server.connect() as sock:
        sock.sendall(GET)
        assert read_answer(sock).headers["transfer-encoding"] == "chunked"
        body = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        received = b""
        while len(received) < len(body):
            received += sock.recv(100)
        assert received == body
        sock.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert read_to_end(sock).endswith(body)
