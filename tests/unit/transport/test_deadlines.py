"""Slow clients are cut off, and do not slow down anybody else (R-80)."""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from idp.transport.limits import Limits
from tests.kit.http_server import BRISK, EchoApp, RunningServer, read_answer, read_to_end, serving

HOST = b"Host: idp.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
SLACK = 3.0
"""What a busy machine and the sweep may add to a deadline."""
NEVER = 30.0
"""A deadline that is not meant, and strikes after the one that is with all its slack."""
STRUCK = 1.0
"""After so long a deadline has struck, where nothing shows that it has."""


@pytest.fixture
def app() -> EchoApp:
    return EchoApp()


@pytest.fixture
def server(app: EchoApp) -> Iterator[RunningServer]:
    with serving(app) as running:
        yield running


def drip(sock: socket.socket, data: bytes, *, every: float) -> None:
    """Send byte by byte until the server has had enough."""
    sock.settimeout(every)
    for byte in data:
        with contextlib.suppress(ConnectionError):
            sock.sendall(bytes([byte]))
        with contextlib.suppress(TimeoutError):
            if sock.recv(1, socket.MSG_PEEK) is not None:
                break
    sock.settimeout(5)


def seconds(began: float) -> float:
    return time.monotonic() - began


@pytest.mark.covers("R-80")
def test_connection_without_a_byte_is_closed(app: EchoApp) -> None:
    with serving(app, limits=replace(BRISK, idle=NEVER)) as server:
        began = time.monotonic()
        with server.connect() as sock:
            assert read_to_end(sock) == b""
        assert BRISK.head <= seconds(began) + 0.01 < BRISK.head + SLACK


@pytest.mark.covers("R-80")
def test_dripping_head_is_408_at_the_deadline_from_its_first_byte(server: RunningServer) -> None:
    with server.connect() as sock:
        began = time.monotonic()
        drip(sock, GET[:-2] + b"X: " + b"a" * 400, every=0.02)
        assert read_answer(sock).status == 408
        assert BRISK.head <= seconds(began) + 0.01 < BRISK.head + SLACK
        assert read_to_end(sock) == b""


@pytest.mark.covers("R-80")
def test_dripping_body_is_408_at_the_deadline_from_the_head(
    app: EchoApp, server: RunningServer
) -> None:
    with server.connect() as sock:
        began = time.monotonic()
        sock.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n")
        drip(sock, b"a" * 999, every=0.02)
        assert read_answer(sock).status == 408
        assert BRISK.body <= seconds(began) + 0.01 < BRISK.body + SLACK
    assert app.asked == []


@pytest.mark.covers("R-80")
def test_second_request_has_its_own_deadline(app: EchoApp) -> None:
    limits = replace(BRISK, head=1.2, idle=NEVER)
    with serving(app, limits=limits) as server, server.connect() as sock:
        for _ in range(4):
            sock.sendall(GET[:20])
            time.sleep(limits.head / 3)
            sock.sendall(GET[20:])
            assert read_answer(sock).status == 200
        sock.sendall(GET[:20])
        assert read_answer(sock).status == 408


@pytest.mark.covers("R-80")
def test_empty_lines_do_not_keep_a_connection_open(app: EchoApp) -> None:
    limits = replace(BRISK, idle=NEVER)
    with serving(app, limits=limits) as server, server.connect() as sock:
        began = time.monotonic()
        drip(sock, b"\r\n" * 200, every=0.02)
        assert read_to_end(sock) == b""
        assert seconds(began) < BRISK.head + SLACK


@pytest.mark.servers
@pytest.mark.covers("R-80")
def test_idle_connection_is_closed_after_its_time_and_not_before(app: EchoApp) -> None:
    limits = replace(BRISK, idle=1.5)
    with serving(app, limits=limits) as server, server.connect() as sock:
        for _ in range(3):
            sock.sendall(GET)
            assert read_answer(sock).status == 200
            time.sleep(limits.idle * 0.5)
        began = time.monotonic()
        sock.sendall(GET)
        assert read_answer(sock).status == 200
        assert read_to_end(sock) == b""
        assert limits.idle <= seconds(began) + 0.01 < limits.idle + SLACK


@pytest.mark.covers("R-80")
def test_reader_that_does_not_read_is_cut(server: RunningServer) -> None:
    with server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
        time.sleep(BRISK.write + STRUCK)
        assert len(read_to_end(sock)) < 8 << 20


@pytest.mark.covers("R-80")
def test_reader_that_stops_after_connection_close_is_cut(server: RunningServer) -> None:
    with server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /big HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
        time.sleep(BRISK.write + BRISK.write + STRUCK)
        assert len(read_to_end(sock)) < 8 << 20


def test_handler_has_no_deadline_here(app: EchoApp, server: RunningServer) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        time.sleep(BRISK.idle + STRUCK)
        app.go.set()
        assert read_answer(sock).status == 200


@pytest.mark.servers
@pytest.mark.covers("R-80")
def test_normal_requests_are_served_beside_500_slow_sockets(app: EchoApp) -> None:
    limits = replace(Limits(), head=2.0, sweep=0.1)
    with serving(app, limits=limits) as server, contextlib.ExitStack() as stack:
        alone = slowest_of(server, 300)
        slow = [stack.enter_context(server.connect()) for _ in range(500)]
        for sock in slow:
            sock.sendall(b"GET / HTTP/1.1\r\nX: ")
        beside = slowest_of(server, 300)
        assert beside < max(2 * alone, 0.05)
        for sock in slow:
            assert read_answer(sock).status == 408


def slowest_of(server: RunningServer, count: int) -> float:
    """Return the 99th percentile of the answering times, in seconds."""
    times = []
    with server.connect() as sock:
        for _ in range(count):
            began = time.monotonic()
            sock.sendall(GET)
            assert read_answer(sock).status == 200
            times.append(seconds(began))
    return sorted(times)[count * 99 // 100]
