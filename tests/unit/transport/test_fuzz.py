"""Whatever bytes come, and however they are cut: an answer or the end, never a traceback."""

import contextlib
import itertools
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.http_server import BRISK, EchoApp, RunningServer, read_answer, read_to_end, serving
from tests.kit.sizes import examples

HOST = b"Host: idp.example\r\n"
REQUESTS = (
    b"GET /a?b=c HTTP/1.1\r\n" + HOST + b"Accept: */*\r\n\r\n"
    b"POST /form HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\nhello=world"
    b"POST /chunks HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;x=y\r\n=world\r\n0\r\n\r\n"
    b"PUT /up HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n"
    b"Content-Length: 3\r\n\r\nabc"
    b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
)
PIECES = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\n",
        HOST,
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"hello",
        b"\n",
        b"\0",
        b" ",
        b"GET /%2f HTTP/1.1\r\n",
        b"HEAD http://idp.example/ HTTP/1.0\r\n",
    ]
)


class Tracebacks(logging.Handler):
    """Keeps what is logged with a traceback, or as an error."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record if it tells of a fault of ours."""
        if record.exc_info or record.levelno >= logging.ERROR:
            self.seen.append(record.getMessage())


@pytest.fixture(scope="module")
def tracebacks() -> Iterator[Tracebacks]:
    handler = Tracebacks()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.fixture(scope="module")
def server(tracebacks: Tracebacks) -> Iterator[RunningServer]:
    with serving(EchoApp(), limits=replace(BRISK, head=5, body=5, idle=5)) as running:
        yield running


def send_and_leave(server: RunningServer, data: bytes) -> bytes:
    """Send, shut our side, and return what came."""
    with server.connect() as sock, contextlib.suppress(ConnectionError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return read_to_end(sock)
    return b""


@given(st.binary(max_size=300))
@settings(max_examples=examples(300), deadline=None)
@pytest.mark.covers("CV-36")
def test_random_bytes_do_no_harm(
    server: RunningServer, tracebacks: Tracebacks, data: bytes
) -> None:
    received = send_and_leave(server, data)
    assert received == b"" or received.startswith(b"HTTP/1.1 ")
    assert tracebacks.seen == []


@given(st.lists(PIECES, max_size=12).map(b"".join))
@settings(max_examples=examples(400), deadline=None)
@pytest.mark.covers("CV-36", "R-84")
def test_pieces_of_requests_in_any_order_do_no_harm(
    server: RunningServer, tracebacks: Tracebacks, data: bytes
) -> None:
    received = send_and_leave(server, data)
    assert received == b"" or received.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 5" not in received.replace(b"HTTP/1.1 505", b"")
    assert tracebacks.seen == []


@given(st.lists(st.integers(1, len(REQUESTS) - 1), max_size=20, unique=True))
@settings(max_examples=examples(100), deadline=None)
def test_however_requests_are_cut_the_answers_are_the_same(
    server: RunningServer, tracebacks: Tracebacks, cuts: list[int]
) -> None:
    edges = [0, *sorted(cuts), len(REQUESTS)]
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in itertools.pairwise(edges):
            sock.sendall(REQUESTS[start:end])
        answers = [read_answer(sock).told() for _ in range(5)]
        assert read_to_end(sock) == b""
    told = [(answer["path"], answer["query"], answer["body"]) for answer in answers]
    assert told == [
        ("/a", "b=c", ""),
        ("/form", "", "hello=world"),
        ("/chunks", "", "hello=world"),
        ("/up", "", "abc"),
        ("/last", "", ""),
    ]
    assert tracebacks.seen == []
