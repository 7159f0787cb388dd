"""Requests that are too large in any way are refused before they weigh anything."""

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from idp.transport.limits import Limits
from tests.kit.http_server import BRISK, EchoApp, RunningServer, read_answer, read_to_end, serving

HOST = b"Host: idp.example\r\n"
POST = b"POST /form HTTP/1.1\r\n" + HOST
LIMITS = Limits(sweep=0.05)


@pytest.fixture(scope="module")
def app() -> EchoApp:
    return EchoApp()


@pytest.fixture(scope="module")
def server(app: EchoApp) -> Iterator[RunningServer]:
    with serving(app, limits=LIMITS) as running:
        yield running


def header(size: int) -> bytes:
    return b"X: " + b"a" * (size - 5) + b"\r\n"


def get(*headers: bytes, target: bytes = b"/") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"".join(headers) + b"\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get(header(30 * 1024)), 200),
        (get(header(33 * 1024)), 431),
        (get(header(1 << 20)), 431),
        (get(*[header(400)] * 80), 200),
        (get(*[header(400)] * 90), 431),
        (get(*[b"X: a\r\n"] * 99), 200),
        (get(*[b"X: a\r\n"] * 100), 431),
        (get(*[b"X: a\r\n"] * 100_000), 431),
        (get(target=b"/" + b"a" * 16_000), 200),
        (get(target=b"/" + b"a" * 17_000), 414),
        (get(target=b"/" + b"a" * 100_000), 414),
        (get(target=b"/?" + b"a" * 1_000_000), 414),
        (POST + b"Content-Length: 65536\r\n\r\n" + b"a" * 65536, 200),
        (POST + b"Content-Length: 65537\r\n\r\n" + b"a" * 65537, 413),
        (POST + b"Content-Length: 999999999999\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n%b\r\n" % (b"a" * 1024) * 65, 413),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 415),
        (POST + b"Content-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", 200),
        (POST + b"Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello", 417),
    ],
    ids=lambda value: None if isinstance(value, int) else repr(value[:20]) + str(len(value)),
)
@pytest.mark.covers("R-81", "R-82")
def test_each_size_has_its_limit(
    request_bytes: bytes, status: int, app: EchoApp, server: RunningServer
) -> None:
    app.asked.clear()
    with server.connect() as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(request_bytes)
        answer = read_answer(sock)
        assert answer.status == status
        if status != 200:
            assert app.asked == []
            assert answer.headers["connection"] == "close"
            assert read_to_end(sock) == b""


@pytest.mark.covers("R-81")
def test_oversized_declared_body_is_refused_before_it_is_sent(server: RunningServer) -> None:
    with server.connect() as sock:
        sock.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n")
        assert read_answer(sock).status == 413


def test_expect_continue_is_answered_before_the_body(server: RunningServer) -> None:
    with server.connect() as sock:
        sock.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert read_answer(sock).status == 100
        sock.sendall(b"hello")
        assert read_answer(sock).told()["body"] == "hello"


def test_expect_continue_behind_another_request_waits_for_its_turn(
    app: EchoApp, server: RunningServer
) -> None:
    app.go.clear()
    with server.connect() as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        sock.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert app.working.acquire(timeout=5)
        app.go.set()
        assert read_answer(sock).told()["path"] == "/slow"
        assert read_answer(sock).status == 100
        sock.sendall(b"hello")
        assert read_answer(sock).told()["path"] == "/form"


def test_http_1_0_gets_no_continue(server: RunningServer) -> None:
    head = b"POST /form HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    assert server.ask(head + b"hello").status == 200


@pytest.mark.covers("R-81")
def test_endless_chunk_extensions_are_refused(server: RunningServer) -> None:
    chunks = b"1;" + b"e" * 1000 + b"\r\nx\r\n"
    received = server.ask_until_closed(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks * 900)
    assert received.startswith(b"HTTP/1.1 413 ")


@pytest.mark.covers("R-81")
def test_endless_trailers_are_refused(server: RunningServer) -> None:
    start = POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    received = server.ask_until_closed(start + b"X: y\r\n" * 200_000)
    assert received.startswith(b"HTTP/1.1 413 ")


@pytest.mark.covers("R-81")
def test_refused_sender_is_cut_when_it_goes_on_for_ever() -> None:
    limits = replace(BRISK, discard_bytes=100_000, discard=30.0)
    with serving(EchoApp(), limits=limits) as server, server.connect() as sock:
        sock.sendall(POST + b"Content-Length: 999999\r\n\r\n")
        with pytest.raises(ConnectionError):  # noqa: PT012 - any of the sends may meet the end
            for _ in range(1000):
                sock.sendall(b"a" * 65536)


@pytest.mark.covers("R-81")
def test_one_connection_too_many_is_503() -> None:
    with serving(EchoApp(), limits=replace(LIMITS, connections=3)) as server:
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(server.connect()) for _ in range(3)]
            for sock in socks:
                sock.sendall(get())
                assert read_answer(sock).status == 200
            assert server.ask(get()).status == 503
            socks[0].sendall(get())
            assert read_answer(socks[0]).status == 200
        assert 503 in server.refusals


@pytest.mark.covers("R-81")
def test_unfinished_bodies_have_one_budget() -> None:
    limits = replace(LIMITS, pending_bytes=200_000)
    half = POST + b"Content-Length: 65536\r\n\r\n" + b"a" * 60_000
    with serving(EchoApp(), limits=limits) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(server.connect()) for _ in range(3)]
        for sock in socks:
            sock.sendall(half)
        assert server.ask(half).status == 503
        for sock in socks:
            sock.sendall(b"a" * 5_536)
            assert read_answer(sock).status == 200
        assert server.ask(half + b"a" * 5_536).status == 200


@pytest.mark.covers("R-81")
def test_large_input_leaves_no_memory_behind(server: RunningServer) -> None:
    huge = [get(header(1 << 20)), POST + b"Content-Length: 9\r\nX: " + b"a" * (1 << 20)]
    for data in huge:
        server.ask_until_closed(data)
    before = resident_bytes()
    for _ in range(20):
        for data in huge:
            server.ask_until_closed(data)
    assert resident_bytes() - before < 5 << 20


@pytest.mark.servers
@pytest.mark.covers("R-80", "R-81")
def test_pipelining_without_reading_answers_is_held_up(server: RunningServer, app: EchoApp) -> None:
    app.asked.clear()
    with server.connect(timeout=1) as sock:
        sock.setsockopt(1, 8, 4096)  # SO_RCVBUF
        with contextlib.suppress(TimeoutError):
            for _ in range(200):
                sock.sendall(get(target=b"/" + b"a" * 100) * 1000)
    assert len(app.asked) < 100_000


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
