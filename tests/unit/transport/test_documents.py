"""Documents are answered before the framework, and no differently from an application's answer."""

import dataclasses
from collections.abc import Iterator

import pytest

from idp.transport.documents import Documents, StaticDocument
from tests.kit.http_server import EchoApp, RunningServer, read_answer, read_to_end, serving

HOST = b"Host: idp.example\r\n"
KEYS = StaticDocument(
    body=b'{"keys":[]}',
    headers=(
        (b"content-type", b"application/json"),
        (b"cache-control", b"public, max-age=60"),
        (b"x-content-type-options", b"nosniff"),
    ),
    etag=b'"one"',
)


def keys(*headers: bytes, method: bytes = b"GET") -> bytes:
    return method + b" /keys HTTP/1.1\r\n" + HOST + b"".join(headers) + b"\r\n"


@pytest.fixture
def counted() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def documents(counted: list[tuple[str, int]]) -> Documents:
    registry = Documents(
        allowed_origin=lambda origin: origin == "https://app.example",
        on_document=lambda path, status: counted.append((path, status)),
    )
    registry.publish({"/keys": KEYS})
    return registry


@pytest.fixture
def app() -> EchoApp:
    return EchoApp()


@pytest.fixture
def server(app: EchoApp, documents: Documents) -> Iterator[RunningServer]:
    with serving(app, documents=documents) as running:
        yield running


def test_document_comes_with_its_headers_and_without_the_application(
    app: EchoApp, server: RunningServer, counted: list[tuple[str, int]]
) -> None:
    answer = server.ask(keys())
    assert answer.status == 200
    assert answer.body == KEYS.body
    date = answer.headers["date"]
    assert date.endswith("GMT")
    assert answer.headers == {
        "content-type": "application/json",
        "cache-control": "public, max-age=60",
        "x-content-type-options": "nosniff",
        "etag": '"one"',
        "vary": "Origin",
        "content-length": "11",
        "date": date,
    }
    assert app.asked == []
    assert counted == [("/keys", 200)]


def test_head_has_the_headers_and_no_body(server: RunningServer) -> None:
    with server.connect() as sock:
        sock.sendall(keys(method=b"HEAD") + keys())
        head = read_answer(sock, has_body=False)
        full = read_answer(sock)
    assert dict(head.headers) | {"date": ""} == dict(full.headers) | {"date": ""}


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        (b'"one"', 304),
        (b'W/"one"', 304),
        (b'"two", "one"', 304),
        (b"*", 304),
        (b'"two"', 200),
        (b"one", 200),
        (b"", 200),
    ],
)
def test_client_that_holds_the_document_gets_304(
    tag: bytes, status: int, server: RunningServer
) -> None:
    with server.connect() as sock:
        sock.sendall(keys(b"If-None-Match: " + tag + b"\r\n"))
        answer = read_answer(sock)
        assert answer.status == status
        assert answer.headers["etag"] == '"one"'
        assert answer.body == (b"" if status == 304 else KEYS.body)
        sock.sendall(keys())
        assert read_answer(sock).status == 200


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (b"https://app.example", "https://app.example"),
        (b"https://app.example.evil", None),
        (b"https://app.example, https://app.example", None),
        (b"null", None),
        (b"\xc3\xa9", None),
        (b"", None),
    ],
)
@pytest.mark.covers("R-58")
def test_only_allowed_origins_may_read(
    origin: bytes, allowed: str | None, server: RunningServer
) -> None:
    answer = server.ask(keys(b"Origin: " + origin + b"\r\n"))
    assert answer.headers.get("access-control-allow-origin") == allowed
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.covers("R-58")
def test_origin_sent_twice_is_not_allowed(server: RunningServer) -> None:
    answer = server.ask(keys(b"Origin: https://app.example\r\n" * 2))
    assert "access-control-allow-origin" not in answer.headers


def test_document_does_not_overtake_an_answer(app: EchoApp, server: RunningServer) -> None:
    conditional = keys(b"If-None-Match: *\r\nOrigin: https://app.example\r\n")
    with server.connect() as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n" + keys() + conditional + keys())
        assert app.working.acquire(timeout=5)
        app.go.set()
        assert read_answer(sock).told()["path"] == "/slow"
        queued = read_answer(sock)
        unchanged = read_answer(sock)
        assert unchanged.status == 304
        assert unchanged.headers["access-control-allow-origin"] == "https://app.example"
        assert read_answer(sock).body == KEYS.body
        sock.sendall(keys())
        direct = read_answer(sock)
    assert dict(queued.headers) | {"date": ""} == dict(direct.headers) | {"date": ""}
    assert queued.body == direct.body


@pytest.mark.parametrize(
    "request_bytes",
    [
        keys(method=b"POST"),
        keys(method=b"OPTIONS"),
        b"GET /keys/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET //keys HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /%6beys HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
@pytest.mark.covers("R-87")
def test_everything_else_goes_to_the_application(
    request_bytes: bytes, app: EchoApp, server: RunningServer
) -> None:
    assert server.ask(request_bytes).status == 200
    assert len(app.asked) == 1


def test_get_with_a_body_is_answered_and_the_body_is_no_request(
    app: EchoApp, server: RunningServer
) -> None:
    smuggled = b"GET /x HTTP/1.1\r\n\r\n"
    with server.connect() as sock:
        sock.sendall(keys(b"Content-Length: %d\r\n" % len(smuggled)) + smuggled + keys())
        assert read_answer(sock).body == KEYS.body
        assert read_answer(sock).body == KEYS.body
    assert app.asked == []


def test_query_is_ignored_and_so_is_the_absolute_form(server: RunningServer) -> None:
    for target in (b"/keys?x=y", b"http://idp.example/keys"):
        assert server.ask(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n").body == KEYS.body


@pytest.mark.parametrize("line", [b"HTTP/1.0\r\n", b"HTTP/1.1\r\nConnection: close\r\n"])
def test_client_that_wants_no_more_is_closed(line: bytes, server: RunningServer) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /keys " + line + HOST + b"\r\n")
        answer = read_answer(sock)
        assert answer.headers["connection"] == "close"
        assert read_to_end(sock) == b""


def test_new_documents_replace_all_old_ones(documents: Documents, server: RunningServer) -> None:
    with server.connect() as sock:
        sock.sendall(keys())
        assert read_answer(sock).body == KEYS.body
        documents.publish({"/keys": dataclasses.replace(KEYS, body=b"new", etag=b'"two"')})
        sock.sendall(keys(b'If-None-Match: "one"\r\n'))
        assert read_answer(sock).body == b"new"
        documents.publish({})
        sock.sendall(keys())
        assert read_answer(sock).told()["path"] == "/keys"


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("keys", KEYS),
        ("/k?x", KEYS),
        ("/%6b", KEYS),
        ("/é", KEYS),
        ("/keys", dataclasses.replace(KEYS, headers=((b"X-A", b"b"),))),
        ("/keys", dataclasses.replace(KEYS, headers=((b"x a", b"b"),))),
        ("/keys", dataclasses.replace(KEYS, headers=((b"x", b"a\r\nb: c"),))),
        ("/keys", dataclasses.replace(KEYS, headers=((b"content-length", b"1"),))),
        ("/keys", dataclasses.replace(KEYS, etag=b'"a\n"')),
        ("/keys", dataclasses.replace(KEYS, etag=b"bare")),
    ],
)
@pytest.mark.covers("R-63")
def test_document_that_would_break_the_answer_is_refused_when_published(
    path: str, document: StaticDocument
) -> None:
    with pytest.raises(ValueError, match="document"):
        Documents().publish({path: document})
