"""What asyncio does not tell or do: the kernel's side of a connection, and of a listener."""

import asyncio
import fcntl
import resource
import socket
import struct
import termios
from collections.abc import Iterator

_NO_LINGER = struct.pack("ii", 1, 0)


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes the client has not taken, ours and the kernel's.

    The kernel's are what counts over TLS: uvloop does not show the buffer below its TLS layer.
    """
    sock = _tcp_socket(transport)
    if sock is None:
        return transport.get_write_buffer_size()
    outstanding = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return transport.get_write_buffer_size() + int(struct.unpack("i", outstanding)[0])


def reset(transport: asyncio.Transport) -> None:
    """Drop a connection with a TCP reset, so that the kernel too forgets what was not read."""
    sock = _tcp_socket(transport)
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def accept_waiting(listening: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections that the kernel has made and nobody has accepted.

    A listener that closes resets them, so take them first.
    """
    while True:
        try:
            connected, _ = listening.accept()
        except OSError:
            return
        connected.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        yield connected


def allow_files(count: int) -> None:
    """Raise the limit on open files to `count`, as far as this process may; never lowers it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in (soft, hard) and soft < min(count, hard):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def _tcp_socket(transport: asyncio.Transport) -> socket.socket | None:
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return None
    return sock if sock.family in (socket.AF_INET, socket.AF_INET6) else None
