"""A socket of a `HostileDirectory`, of which another thread can tell whether it was read out."""

import contextlib
import select
import socket
import ssl
import struct
import threading
from typing import Literal

_RESET = struct.pack("ii", 1, 0)


class Wire:
    """A connection in clear or over TLS, used by one thread; `interrupt` and `is_idle` by any."""

    def __init__(self, accepted: socket.socket) -> None:
        """Take over a connection just accepted."""
        accepted.settimeout(0)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = accepted
        self._is_busy = True
        self._is_deaf = False
        self._how: Literal["close", "reset"] = "close"
        self._ended = threading.Event()

    @property
    def is_idle(self) -> bool:
        """Tell whether everything that came was read and dealt with."""
        if self._is_deaf or self._ended.is_set():
            return True
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
            # In this order: what the thread has read meanwhile makes it busy.
            return not poll.poll(0) and not self._is_busy
        except (ValueError, OSError):
            # Closed just now, or being wrapped for TLS.
            return self._ended.is_set()

    def receive(self) -> bytes:
        """Return what comes next, b"" at the end."""
        while True:
            try:
                return self._socket.recv(1 << 16)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN)
            except OSError:
                return b""

    def send(self, data: bytes) -> None:
        """Send all; raises OSError if the client is gone."""
        left = memoryview(data)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._poll(select.POLLOUT)

    def pause(self, seconds: float) -> None:
        """Wait, or not any longer if the connection is to end; raises OSError then."""
        if self._ended.wait(seconds):
            raise OSError("the connection is to end")

    def start_tls(self, context: ssl.SSLContext) -> str:
        """Do the server's part of the handshake and return the version; raises OSError."""
        over = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = over
        while True:
            try:
                over.do_handshake()
                return str(over.version())
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._poll(select.POLLOUT)

    def wait_until_gone(self) -> None:
        """Read nothing, and return when the client has hung up."""
        self._is_deaf = True
        self._poll(select.POLLRDHUP)

    def interrupt(self, how: Literal["close", "reset"]) -> None:
        """Have the thread that reads see the end, and close in this manner."""
        self._how = how
        self._ended.set()
        # A reset sends nothing first. TLS must not notice: its own end is for its own thread.
        ends = socket.SHUT_RD if how == "reset" else socket.SHUT_RDWR
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, ends)

    def close(self, how: Literal["close", "reset"] | None = None) -> None:
        """Close: in order, by a reset, or as `interrupt` wished."""
        self._ended.set()
        if (how or self._how) == "reset":
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()

    def _wait(self, event: int) -> None:
        self._is_busy = False
        self._poll(event)
        self._is_busy = True

    def _poll(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        poll.poll()
