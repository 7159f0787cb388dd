"""Documents: answers to GET that are made before anyone asks.

Discovery and keys are read far more often than they change. The transport sends them straight from
here, with no task and no framework in between. `DocumentsApp` answers the same for requests that
took the long way, for example behind a pipelined request that is still being worked on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from idp.transport.asgi import ASGIApp, Receive, Scope, Send

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticDocument:
    """A body and its headers (lower-case names; content-type, caching, security), always the same.

    The transport adds Content-Length, ETag, Vary, Date, Connection and Access-Control-Allow-Origin.
    `etag` is a quoted strong entity tag (RFC 9110 section 8.8.3).
    """

    body: bytes
    headers: Headers
    etag: bytes


class PreparedDocument:
    """A StaticDocument joined to bytes once; `status` picks between them for each request."""

    __slots__ = ("app_headers", "body", "etag", "found", "path", "unchanged")

    def __init__(self, path: bytes, document: StaticDocument) -> None:
        shared = (*document.headers, (b"etag", document.etag), (b"vary", b"Origin"))
        length = (b"content-length", str(len(document.body)).encode())
        self.path = path.decode("ascii")
        self.body = document.body
        self.etag = document.etag
        self.app_headers: dict[int, Headers] = {200: (*shared, length), 304: shared}
        self.found = b"HTTP/1.1 200 OK\r\n" + _lines((*shared, length))
        self.unchanged = b"HTTP/1.1 304 Not Modified\r\n" + _lines(shared)

    def status(self, if_none_match: bytes | None) -> int:
        """Return 304 if the client holds this very document, else 200 (RFC 9110 section 13.1.2)."""
        if if_none_match is None:
            return 200
        if if_none_match == self.etag:
            return 304
        held = (tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b","))
        return 304 if any(tag in (self.etag, b"*") for tag in held) else 200


class Documents:
    """The documents served at this moment, by escaped path; replaced as a whole."""

    def __init__(
        self,
        *,
        allowed_origin: Callable[[str], bool] = lambda origin: False,
        on_document: Callable[[str, int], None] = lambda path, status: None,
    ) -> None:
        """`allowed_origin` says which Origin may read them; `on_document` counts (path, status)."""
        self.current: Mapping[bytes, PreparedDocument] = {}
        self.on_document = on_document
        self._allowed_origin = allowed_origin

    def publish(self, documents: Mapping[str, StaticDocument]) -> None:
        """Serve exactly these from now on; keys are paths from the root, such as `/dex/keys`.

        Raises ValueError for a header that would break the answer.
        """
        prepared = {}
        for path, document in documents.items():
            _check(path, document)
            prepared[path.encode("ascii")] = PreparedDocument(path.encode("ascii"), document)
        self.current = prepared

    def cors_line(self, origin: bytes) -> bytes:
        """Return the header line that lets `origin` read the answer, or nothing."""
        allowed = origin.isascii() and self._allowed_origin(origin.decode("ascii"))
        return b"access-control-allow-origin: " + origin + b"\r\n" if allowed else b""


class DocumentsApp:
    """An ASGI application that answers the documents and leaves everything else to another one."""

    def __init__(self, documents: Documents, app: ASGIApp) -> None:
        self._documents = documents
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prepared = None
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            prepared = self._documents.current.get(scope["raw_path"])
        if prepared is None:
            await self._app(scope, receive, send)
        else:
            await self._answer(prepared, scope, send)

    async def _answer(self, prepared: PreparedDocument, scope: Scope, send: Send) -> None:
        noted = {name: value for name, value in scope["headers"] if name in _CONDITIONS}
        status = prepared.status(noted.get(b"if-none-match"))
        headers = list(prepared.app_headers[status])
        if self._documents.cors_line(noted.get(b"origin", b"")):
            headers.append((b"access-control-allow-origin", noted[b"origin"]))
        body = prepared.body if status == 200 else b""
        self._documents.on_document(prepared.path, status)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


_CONDITIONS = (b"if-none-match", b"origin")
_OURS = (
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"date",
    b"etag",
    b"vary",
    b"access-control-allow-origin",
)


def _lines(headers: Headers) -> bytes:
    return b"".join(name + b": " + value + b"\r\n" for name, value in headers)


def _check(path: str, document: StaticDocument) -> None:
    if not path.startswith("/") or not path.isascii() or any(char in path for char in "?#%"):
        raise ValueError(f"document path {path!r} must begin with '/' and be plain ASCII")
    if len(document.etag) < 3 or not (document.etag[:1] == document.etag[-1:] == b'"'):
        raise ValueError(f"document {path}: the entity tag {document.etag!r} is not in quotes")
    for name, value in (*document.headers, (b"etag-value", document.etag)):
        if name != name.lower() or name in _OURS or not name.replace(b"-", b"").isalnum():
            raise ValueError(
                f"document {path}: header {name!r} is not lower-case, or is set for you"
            )
        if any(byte < 0x20 or byte == 0x7F for byte in value):
            raise ValueError(f"document {path}: header {name!r} holds a control character")
