"""Requests of two meanings: 400, the connection closed, and the second request never runs."""

from collections.abc import Iterator

import pytest

from tests.kit.http_server import EchoApp, RunningServer, read_answer, serving

HOST = b"Host: idp.example\r\n"
POST = b"POST /first HTTP/1.1\r\n" + HOST
SECOND = b"GET /second HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
EMPTY = b"\r\n0\r\n\r\n"

AMBIGUOUS = {
    "length and coding": POST + b"Content-Length: 5\r\n" + CHUNKED + EMPTY,
    "coding and length": POST + CHUNKED + b"Content-Length: 5\r\n" + EMPTY,
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "length with a space": POST + b"Content-Length: 5 0\r\n\r\nhello",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "overflowing length": POST + b"Content-Length: 18446744073709551621\r\n\r\nhello",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n" + EMPTY,
    "coding after another": POST + b"Transfer-Encoding: gzip, chunked\r\n" + EMPTY,
    "coding on two lines": POST + b"Transfer-Encoding: gzip\r\n" + CHUNKED + EMPTY,
    "coding twice": POST + CHUNKED + CHUNKED + EMPTY,
    "coding before another": POST + b"Transfer-Encoding: chunked, identity\r\n" + EMPTY,
    "identity coding": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "quoted coding": POST + b'Transfer-Encoding: "chunked"\r\n' + EMPTY,
    "coding behind a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n" + EMPTY,
    "coding in HTTP/1.0": b"POST /first HTTP/1.0\r\n" + HOST + CHUNKED + EMPTY,
    "folded header": POST + b"X: a\r\n b\r\n\r\n",
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n" + EMPTY,
    "bare LF everywhere": b"POST /first HTTP/1.1\nHost: a\n\n",
    "bare LF after a header": POST + b"X: a\nContent-Length: 0\r\n\r\n",
    "bare LF at the end": POST + b"X: a\r\n\n",
    "bare CR": POST + b"X: a\rContent-Length: 0\r\n\r\n",
    "NUL in a name": POST + b"X\0: a\r\n\r\n",
    "NUL in a value": POST + b"X: a\0b\r\n\r\n",
    "control character in a value": POST + b"X: a\x01b\r\n\r\n",
    "space before the colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "space in a name": POST + b"Content Length: 5\r\n\r\nhello",
    "space before the first header": b"POST /first HTTP/1.1\r\n " + HOST + b"\r\n",
    "no colon": POST + b"X\r\n\r\n",
    "empty name": POST + b": x\r\n\r\n",
    "no Host": b"GET /first HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /first HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "two different Hosts": b"GET /first HTTP/1.1\r\n" + HOST + b"Host: evil\r\n\r\n",
    "empty Host": b"GET /first HTTP/1.1\r\nHost:\r\n\r\n",
    "user in Host": b"GET /first HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "path in Host": b"GET /first HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "target of another host": b"GET http://evil/first HTTP/1.1\r\n" + HOST + b"\r\n",
    "target without a slash": b"GET first HTTP/1.1\r\n" + HOST + b"\r\n",
    "space in the target": b"GET /first x HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
}
BAD_CHUNKS = {
    "wrong chunk length": b"3\r\nhello\r\n0\r\n\r\n",
    "bare LF in chunks": b"5\nhello\n0\n\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "prefixed size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "space after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "overflowing size": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "length in trailers": b"0\r\nContent-Length: 5\r\n\r\n",
}


@pytest.fixture(scope="module")
def app() -> EchoApp:
    return EchoApp()


@pytest.fixture(scope="module")
def server(app: EchoApp) -> Iterator[RunningServer]:
    with serving(app) as running:
        yield running


@pytest.mark.parametrize("name", AMBIGUOUS)
@pytest.mark.covers("R-84")
def test_request_of_two_meanings_is_400_and_the_next_never_runs(
    name: str, app: EchoApp, server: RunningServer
) -> None:
    app.asked.clear()
    received = server.ask_until_closed(AMBIGUOUS[name] + SECOND)
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"connection: close\r\n" in received
    assert received.count(b"HTTP/1.1") == 2  # the status line, and the text names the protocol
    assert app.asked == []


@pytest.mark.parametrize("name", BAD_CHUNKS)
@pytest.mark.covers("R-84")
def test_bad_chunks_are_400_before_the_application_sees_the_request(
    name: str, app: EchoApp, server: RunningServer
) -> None:
    app.asked.clear()
    received = server.ask_until_closed(POST + CHUNKED + b"\r\n" + BAD_CHUNKS[name] + SECOND)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert app.asked == []


def test_trailers_are_dropped_and_the_next_request_runs(server: RunningServer) -> None:
    with server.connect() as sock:
        sock.sendall(
            POST + CHUNKED + b"\r\n5;x=y\r\nhello\r\n0\r\nHost: evil\r\nX: y\r\n\r\n" + SECOND
        )
        told = read_answer(sock).told()
        assert told["body"] == "hello"
        assert told["headers"] == {"host": "idp.example", "transfer-encoding": "chunked"}
        assert read_answer(sock).told()["path"] == "/second"


@pytest.mark.covers("R-84")
def test_refusal_waits_for_the_answer_before_it(app: EchoApp, server: RunningServer) -> None:
    app.go.clear()
    with server.connect() as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n" + AMBIGUOUS["two lengths"])
        assert app.working.acquire(timeout=5)
        app.go.set()
        answer = read_answer(sock)
        assert answer.told()["path"] == "/slow"
        assert answer.headers["connection"] == "close"
        assert sock.recv(1) == b""


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/2.0"])
def test_other_versions_are_505(version: bytes, server: RunningServer) -> None:
    assert server.ask(b"GET / " + version + b"\r\n" + HOST + b"\r\n").status == 505


@pytest.mark.parametrize(
    "line", [b"GET /\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"]
)
def test_other_protocols_get_a_4xx_or_505(line: bytes, server: RunningServer) -> None:
    received = server.ask_until_closed(line)
    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))


@pytest.mark.parametrize(
    "line",
    [
        b"FOO /first HTTP/1.1",
        b"TRACE /first HTTP/1.1",
        b"PROPFIND /first HTTP/1.1",
        b"CONNECT idp.example:443 HTTP/1.1",
        b"CONNECT /first HTTP/1.1",
    ],
)
@pytest.mark.covers("R-87")
def test_unknown_method_is_405_and_reaches_nobody(
    line: bytes, app: EchoApp, server: RunningServer
) -> None:
    app.asked.clear()
    answer = server.ask(line + b"\r\n" + HOST + b"\r\n" + SECOND)
    assert answer.status == 405
    assert "POST" in answer.headers["allow"]
    assert app.asked == []


@pytest.mark.parametrize("path", [b"//token", b"/x/../token", b"/token/", b"/TOKEN", b"/token;x"])
@pytest.mark.covers("R-87", "R-85")
def test_application_sees_the_path_as_it_was_sent(path: bytes, server: RunningServer) -> None:
    told = server.ask(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n").told()
    assert told["path"] == path.decode()


@pytest.mark.parametrize(("path", "status"), [(b"/%2ftoken", 404), (b"/token%00", 400)])
@pytest.mark.covers("R-87")
def test_escaped_slash_or_nul_reaches_nobody(
    path: bytes, status: int, app: EchoApp, server: RunningServer
) -> None:
    app.asked.clear()
    assert server.ask(b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n").status == status
    assert app.asked == []


@pytest.mark.covers("R-85")
def test_absolute_form_is_routed_by_its_path_only(server: RunningServer) -> None:
    told = server.ask(b"GET http://idp.example/a/b?c=d HTTP/1.1\r\n" + HOST + b"\r\n").told()
    assert (told["path"], told["query"]) == ("/a/b", "c=d")


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"TLS/1.0", b"x"])
@pytest.mark.covers("R-87")
def test_upgrade_is_ignored_and_the_body_is_kept(protocol: bytes, server: RunningServer) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + b"\r\n"
    with server.connect() as sock:
        sock.sendall(POST + upgrade + b"Content-Length: 5\r\n\r\nhello" + SECOND)
        told = read_answer(sock).told()
        assert (told["path"], told["body"]) == ("/first", "hello")
        assert read_answer(sock).told()["path"] == "/second"


def test_answers_to_pipelined_requests_come_in_order(server: RunningServer) -> None:
    asked = [b"GET /%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(500)]
    with server.connect() as sock:
        sock.sendall(b"".join(asked))
        assert [read_answer(sock).told()["path"] for _ in asked] == [f"/{n}" for n in range(500)]


def test_http_1_0_is_answered_and_closed(server: RunningServer) -> None:
    received = server.ask_until_closed(b"GET /first HTTP/1.0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")


def test_client_that_shuts_its_side_still_gets_its_answer(
    app: EchoApp, server: RunningServer
) -> None:
    app.go.clear()
    with server.connect() as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        assert app.working.acquire(timeout=5)
        sock.shutdown(1)
        app.go.set()
        assert read_answer(sock).status == 200


@pytest.mark.covers("R-87")
def test_head_of_a_refusal_has_no_body(server: RunningServer) -> None:
    received = server.ask_until_closed(b"HEAD /%2f HTTP/1.1\r\n" + HOST + b"\r\n")
    assert received.startswith(b"HTTP/1.1 404 ")
    assert received.endswith(b"\r\n\r\n")
