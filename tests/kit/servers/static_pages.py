"""A few fixed answers over http or https, from a thread: the pages of nobody in particular."""

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

from tests.kit.servers.certificates import ServerCertificate


@dataclass(frozen=True, slots=True)
class StaticPage:
    """One answer to GET or POST, with its own header lines."""

    body: str
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


_NOT_FOUND = StaticPage("not found", content_type="text/plain", status=404)


class _Server(ThreadingHTTPServer):
    # Of five, which it is by default, a sixth connection would be lost and tried after a second.
    request_queue_size = 128


class StaticPages:
    """A server on a port of its own. Entering it starts its thread; any other path is a 404.

    `pages` may be filled after the server is made, since pages like to name `url`. `forms` are the
    bodies that were posted, in the order of their coming; `asked` are all targets of requests.
    """

    def __init__(self, *, certificate: ServerCertificate | None = None) -> None:
        """Listen at once, so that `url` is known; answer after entering."""
        self.pages: dict[str, StaticPage] = {}
        self.forms: list[str] = []
        self.asked: list[str] = []
        handler = _handler(self.pages, self.forms, self.asked)
        self._server = _Server(("127.0.0.1", 0), handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            # The handshake is left to the connection's own thread: a slow client stops nobody.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)


def _handler(
    pages: Mapping[str, StaticPage], forms: list[str], asked: list[str]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_GET(self) -> None:
            asked.append(self.path)
            page = pages.get(urlsplit(self.path).path, _NOT_FOUND)
            body = page.body.encode()
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in page.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            forms.append(self.rfile.read(length).decode())
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a failing test shows what it asked for."""

    return Handler
