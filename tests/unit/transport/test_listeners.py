"""Binding says what is wrong; leaving fails no request (P-1)."""

import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from idp.transport.addresses import Address, CannotListen, bind, bind_each
from idp.transport.listeners import Drain
from idp.transport.sockets import accept_waiting
from tests.kit.http_server import EchoApp, RunningServer, read_answer, read_to_end, serving

GET = b"GET / HTTP/1.1\r\nHost: idp.example\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: idp.example\r\n\r\n"


@pytest.fixture
def app() -> EchoApp:
    return EchoApp()


@pytest.fixture
def server(app: EchoApp) -> Iterator[RunningServer]:
    with serving(app, drain=Drain(linger=0.5, grace=3)) as running:
        yield running


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:5556", "127.0.0.1", 5556),
        ("0.0.0.0:80", "0.0.0.0", 80),
        (":5556", "", 5556),
        ("[::1]:0", "::1", 0),
        ("localhost:5556", "localhost", 5556),
    ],
)
def test_addresses_are_read_as_dex_writes_them(text: str, host: str, port: int) -> None:
    address = Address.parse("web.http", text)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "5556", "127.0.0.1", "a:b", "a:-1", "a:70000", "::1:8", "a:٣"]
)
def test_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CannotListen, match=r"^web\.http: .*5556"):
        Address.parse("web.http", text)


def test_taken_address_is_named_with_a_way_out() -> None:
    with closing(bind(Address(name="first", host="127.0.0.1", port=0))) as taken:
        port = taken.getsockname()[1]
        expected = f"web.http 127.0.0.1:{port}: address already in use; another process"
        with pytest.raises(CannotListen, match=expected):
            bind(Address(name="web.http", host="127.0.0.1", port=port))


def test_address_for_several_workers_is_refused_when_anybody_is_there() -> None:
    socks = bind_each(Address(name="first", host="127.0.0.1", port=0), 3)
    ports = {sock.getsockname()[1] for sock in socks}
    assert len(ports) == 1
    with pytest.raises(CannotListen, match="already in use"):
        bind_each(Address(name="web.http", host="127.0.0.1", port=ports.pop()), 2)
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
def test_address_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(CannotListen, match=f"web.http {host}:1"):
        bind(Address(name="web.http", host=host, port=1))


def test_empty_host_is_every_interface() -> None:
    with closing(bind(Address(name="web.http", host="", port=0))) as bound:
        port = bound.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()


@pytest.mark.covers("P-1")
def test_drain_answers_with_close_while_it_lingers_then_stops_listening(app: EchoApp) -> None:
    with serving(app, drain=Drain(linger=2, grace=3)) as server:
        with server.connect() as old:
            old.sendall(GET)
            assert "connection" not in read_answer(old).headers
            server.stop()
            wait_for(lambda: "drain" in server.events)
            old.sendall(GET)
            assert read_answer(old).headers["connection"] == "close"
            assert read_to_end(old) == b""
            assert server.ask(GET).headers["connection"] == "close"
        server.thread.join(10)
        assert server.events == ["drain", "end"]
        with pytest.raises(ConnectionRefusedError):
            server.connect()


@pytest.mark.covers("P-1")
def test_request_at_work_is_answered_before_the_end(app: EchoApp, server: RunningServer) -> None:
    with server.connect() as sock, server.connect() as idle:
        idle.sendall(GET)
        read_answer(idle)
        sock.sendall(SLOW)
        assert app.working.acquire(timeout=5)
        server.stop()
        time.sleep(1)
        assert "end" not in server.events
        app.go.set()
        answer = read_answer(sock)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
    server.thread.join(5)
    assert server.events == ["drain", "end"]


@pytest.mark.covers("P-1")
def test_connection_that_only_the_kernel_has_accepted_is_not_lost() -> None:
    with closing(bind(Address(name="test", host="127.0.0.1", port=0))) as listening:
        port = listening.getsockname()[1]
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        accepted = list(accept_waiting(listening))
        assert len(accepted) == 3
        for sock in (*clients, *accepted):
            sock.close()


@pytest.mark.covers("P-1")
def test_request_that_never_ends_is_dropped_after_the_grace(
    app: EchoApp, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(app, drain=Drain(linger=0, grace=0.3)) as server, server.connect() as sock:
        sock.sendall(SLOW)
        assert app.working.acquire(timeout=5)
        began = time.monotonic()
        server.stop()
        assert read_to_end(sock) == b""
        server.thread.join(5)
        assert time.monotonic() - began < 2
    assert [record.message for record in caplog.records] == ["drain_incomplete"]
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("linger", [0.0, 2.0])
@pytest.mark.covers("P-1")
def test_drain_under_load_fails_no_request(linger: float) -> None:
    answered: list[list[int]] = [[] for _ in range(8)]
    failed: list[Exception] = []
    with serving(EchoApp(), drain=Drain(linger=linger, grace=5)) as server:
        stop = threading.Event()
        with ThreadPoolExecutor(len(answered)) as pool:
            for each in answered:
                pool.submit(keep_asking, server.port, stop, each, failed)
            # Everybody has connected, and asks one thing after the other.
            wait_for(lambda: all(len(each) > 12 for each in answered) or failed, within=30)
            if not linger:
                stop.set()  # nobody comes anew where nobody is waited for
            server.stop()
            time.sleep(linger / 6)  # until the balancer has learnt
            stop.set()
            server.thread.join(8)
    assert failed == []
    assert {status for each in answered for status in each} == {200}


def keep_asking(
    port: int, stop: threading.Event, answered: list[int], failed: list[Exception]
) -> None:
    """Ask on one connection after the other until told to stop, then on the last to its end."""
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with closing(connection):
            ask_until_told_to_go(connection, answered, failed)


def ask_until_told_to_go(
    connection: http.client.HTTPConnection, answered: list[int], failed: list[Exception]
) -> None:
    closing_now = False
    while not closing_now:
        try:
            connection.request("POST", "/", body=b"x" * 100)
            response = connection.getresponse()
            response.read()
        except Exception as error:
            failed.append(error)
            return
        answered.append(response.status)
        closing_now = response.headers.get("connection") == "close"


def wait_for(condition: object, *, within: float = 5) -> None:
    assert callable(condition)
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
