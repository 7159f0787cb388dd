"""From the name of a host to a connection that may be spoken on: address, TCP, TLS."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from connectors.ldap.config import Host, Security
from connectors.ldap.connection import Connection
from connectors.ldap.deadline import Deadline
from connectors.ldap.errors import HostFailed
from connectors.ldap.tls import TlsContexts

Address = tuple[int, str, int]
"""Family, IP address, port."""

Resolve = Callable[[Host, float], list[Address]]
"""Returns the addresses of a host within some seconds. Raises OSError, TimeoutError too."""

_UNACKNOWLEDGED_MILLISECONDS = 2000
_KEEPALIVE_SECONDS = 30
_RESOLVING_AT_ONCE = 4


class SystemResolver:
    """Asks the system for addresses, each time anew, in threads that may hang without harm."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._threads = ThreadPoolExecutor(_RESOLVING_AT_ONCE, thread_name_prefix="ldap-resolve")

    def __call__(self, host: Host, within: float) -> list[Address]:
        """Return the addresses of a host, in the system's order. Raises OSError."""
        with suppress(OSError):
            return _addresses(host, socket.AI_NUMERICHOST)
        try:
            asked = self._threads.submit(_addresses, host, 0)
        except RuntimeError:
            raise OSError("the connector is closed") from None
        return asked.result(within)

    def close(self) -> None:
        """Wait for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """Opens connections as the configuration says they have to be."""

    security: Security
    contexts: TlsContexts
    resolve: Resolve

    def open(
        self, host: Host, deadline: Deadline, told: Callable[[str, str], None] = lambda *_: None
    ) -> Connection:
        """Return a connection, TLS on it, nobody bound; every address of the host is tried.

        `told` hears of each step that went well. Raises HostFailed and TrustUnusable.
        """
        if deadline.has_passed():
            raise HostFailed(name_of(host), "connect", "no time is left for it")
        addresses = self._look_up(host, deadline)
        told("look up", f"{name_of(host)} is {', '.join(ip for _, ip, _ in addresses)}")
        for position, address in enumerate(addresses, 1):
            left = len(addresses) - position
            try:
                return self._open(host, address, _share(deadline, left), told)
            except HostFailed:
                if not left or deadline.has_passed():
                    raise
        raise HostFailed(name_of(host), "look up", "it has no address")

    def _look_up(self, host: Host, deadline: Deadline) -> list[Address]:
        try:
            return self.resolve(host, deadline.remaining())
        except TimeoutError:
            problem = "the name server did not answer in time"
            raise HostFailed(name_of(host), "look up", problem) from None
        except (OSError, UnicodeError) as failure:
            problem = f"the name cannot be looked up ({failure}); check host and name server"
            raise HostFailed(name_of(host), "look up", problem) from None

    def _open(
        self, host: Host, address: Address, deadline: Deadline, told: Callable[[str, str], None]
    ) -> Connection:
        connection = _connect(name_of(host), address, deadline)
        told("connect", f"{address[1]} port {host.port} answers")
        try:
            if self.security == "ldaps":
                connection.begin_tls(self.contexts.current(), host.name, deadline)
            elif self.security == "starttls":
                connection.start_tls(self.contexts.current(), host.name, deadline)
        except BaseException:
            connection.abandon()
            raise
        told("TLS", self._protection(connection))
        return connection

    def _protection(self, connection: Connection) -> str:
        if not connection.tls_version:
            return "none: passwords travel in clear"
        verified = (
            "verified" if self.contexts.verifies else "and nobody verified (insecureSkipVerify)"
        )
        return f"{connection.tls_version}, {verified}"


def name_of(host: Host) -> str:
    """Return a host as people write it."""
    return f"[{host.name}]:{host.port}" if ":" in host.name else f"{host.name}:{host.port}"


def _share(deadline: Deadline, left: int) -> Deadline:
    """Return how long one address may take when there are others behind it."""
    return deadline.within(deadline.remaining() / (left + 1)) if left else deadline


def _addresses(host: Host, flags: int) -> list[Address]:
    found = socket.getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, str(where[0]), host.port) for family, _, _, _, where in found]


def _connect(host: str, address: Address, deadline: Deadline) -> Connection:
    family, ip, port = address
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)
        # A peer that is gone without a word is noticed by what it does not acknowledge.
        connected.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MILLISECONDS
        )
        connected.settimeout(deadline.remaining())
        connected.connect((ip, port))
    except OSError as failure:
        connected.close()
        late = isinstance(failure, TimeoutError)
        problem = "no answer in time" if late else failure.strerror or str(failure)
        remedy = "check host, port and what is between, and that the directory runs"
        raise HostFailed(host, f"connect to {ip}", f"{problem}; {remedy}") from None
    return Connection(connected, host)
