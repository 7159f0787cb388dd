"""An application that hears of the end of sessions, on a real TLS socket of this machine."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.waiting import eventually


@dataclass(slots=True)
class LogoutReceiver:
    """What came so far, and how it is answered: with each of `statuses` in turn, then 200.

    `let_go` is what requests wait for.
    """

    ca: Path
    port: int = 0
    statuses: list[int] = field(default_factory=list)
    bodies: list[tuple[str, str]] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Return the address of the application's endpoint."""
        return f"https://127.0.0.1:{self.port}/back"

    def tokens(self, count: int, *, within: float = 20) -> list[str]:
        """Return the logout tokens once so many have come."""
        eventually(lambda: len(self.bodies) >= count, within=within)
        return [parse_qs(body)["logout_token"][0] for _, body in self.bodies]


@contextmanager
def logout_receiver(directory: Path) -> Iterator[LogoutReceiver]:
    """Serve until the end of the block."""
    authority = CertificateAuthority.create()
    serving = authority.issue(directory / "application")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(serving.certificate, serving.key)
    receiver = LogoutReceiver(authority.write(directory / "application-ca.crt"))
    receiver.let_go.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length).decode()
            receiver.bodies.append((self.headers["content-type"], body))
            receiver.let_go.wait(30)
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.send_header("cache-control", "no-store")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # The handshake is left to the connection's own thread: a slow client stops nobody.
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()
