"""Addresses to listen on: reading them, binding them, saying what is wrong with them."""

import socket
from dataclasses import dataclass
from typing import Self

BACKLOG = 2048
"""Connections that the kernel keeps for us until we accept them."""


class CannotListen(Exception):
    """An address that cannot be listened on: taken, not ours, not permitted, or none at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen; `name` is the place in the configuration file, for example "web.http"."""

    name: str
    host: str
    port: int

    @classmethod
    def parse(cls, name: str, text: str) -> Self:
        """Read `host:port`, `[v6]:port` or `:port` (every interface). Raises CannotListen."""
        host, colon, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise CannotListen(f"{name}: {text!r} is not host:port; write for example 0.0.0.0:5556")
        if ":" in bare and not bracketed:
            raise CannotListen(f"{name}: write the IPv6 address of {text!r} in brackets: [::]:5556")
        return cls(name=name, host=bare, port=int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name} {host}:{self.port}"


def bind(address: Address) -> socket.socket:
    """Return a bound and listening socket. An empty host means every interface, IPv6 and IPv4.

    Raises CannotListen.
    """
    return _listen(address, socket.SO_REUSEADDR)


def bind_each(address: Address, count: int) -> list[socket.socket]:
    """Return `count` sockets on one address, a worker's own each.

    The kernel deals connections out among them evenly; one socket shared by all workers was seen to
    leave a worker without any of 32 connections. As other programs may share an address too, it is
    first made sure that nobody is there. Raises CannotListen.
    """
    probe = bind(address)
    found = Address(name=address.name, host=address.host, port=probe.getsockname()[1])
    probe.close()
    return [_listen(found, socket.SO_REUSEADDR, socket.SO_REUSEPORT) for _ in range(count)]


def _listen(address: Address, *options: int) -> socket.socket:
    wanted = address.host or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")
    try:
        found = socket.getaddrinfo(
            wanted, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, sockaddr = found[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListen(f"{address}: {_reason(error)}") from error
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(wanted != "::"))
        bound.bind(sockaddr)
        bound.listen(BACKLOG)
        bound.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    except OSError as error:
        bound.close()
        raise CannotListen(f"{address}: {_reason(error)}") from error
    return bound


def _reason(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    hints = {
        "address already in use": "another process listens there; stop it or choose another port",
        "permission denied": "ports below 1024 need a privilege; choose a higher one",
        "cannot assign requested address": "this machine has no such address",
    }
    return f"{reason}; {hints[reason]}" if reason in hints else reason
