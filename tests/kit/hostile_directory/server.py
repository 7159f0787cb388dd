"""The hostile directory itself: it listens, and shows what it was told and sent."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal, Self, TypeVar

from tests.kit.directory_tree import Attributes
from tests.kit.hostile_directory import answers
from tests.kit.hostile_directory.behaviours import Behaviour, HangsUp, Operation, Sends, Silence
from tests.kit.hostile_directory.connection import Connection
from tests.kit.hostile_directory.script import Condition, Script, Seen, SeenConnection
from tests.kit.hostile_directory.tree import Tree
from tests.kit.hostile_directory.wire import Wire
from tests.kit.servers.certificates import ServerCertificate
from tests.kit.servers.process import free_port

_T = TypeVar("_T")

_SETTLED_SECONDS = 10
_POLL_SECONDS = 0.005
_BACKLOG = 1024


class HostileDirectory:
    """A directory on a port of 127.0.0.1. Entering starts it.

    Until it is told otherwise, and but for what it is told of, it is an honest one.

    With a certificate it offers StartTLS, or TLS from the start with the scheme `ldaps`. Passwords
    are the entries' `userPassword`; whoever asks may read everything but these.
    """

    def __init__(
        self,
        entries: Iterable[tuple[str, Attributes]] = (),
        *,
        certificate: ServerCertificate | None = None,
        scheme: Literal["ldap", "ldaps"] = "ldap",
        values_at_most: int | None = None,
    ) -> None:
        """Choose a port. `values_at_most` has longer attributes given in ranges."""
        self._tree = Tree(entries, values_at_most=values_at_most)
        self._scheme = scheme
        self._tls: ssl.SSLContext | None = None
        self._script = Script()
        self._seen = Seen()
        self._connections: list[Connection] = []
        self._accepting: threading.Thread | None = None
        self._own_ports: set[int] = set()
        self._accepted = 0
        self._listener: socket.socket | None = None
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{scheme}://{self.host}"
        if certificate is not None:
            self.serve(certificate)

    def serve(self, certificate: ServerCertificate) -> None:
        """Show this certificate from the next connection on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        self._tls = context

    def tell(
        self,
        operation: Operation,
        behaviour: Behaviour,
        *,
        times: int | None = None,
        when: Condition = lambda request: True,
    ) -> None:
        """Order a behaviour for the next `times` operations, or all, that `when` agrees to.

        Of several orders the first that applies is followed. To a connection nothing can be done
        but `Silence`, `HangsUp` and `Sends`.
        """
        if operation == "connect" and not isinstance(behaviour, Silence | HangsUp | Sends):
            raise ValueError(f"a connection has no true answer for {behaviour}")
        self._script.add(operation, behaviour, times=times, when=when)

    def behave(self) -> None:
        """Forget all orders."""
        self._script.clear()

    def seen(self) -> Seen:
        """Return all that was sent so far, read to its last byte.

        What a client sent before this call is in it: connections that wait to be accepted and
        bytes that wait to be read are waited for, 10 s at most.
        """
        deadline = time.monotonic() + _SETTLED_SECONDS
        if self._listener is not None:
            self._drain_accepts(deadline)
        while not all(each.wire.is_idle for each in list(self._connections)):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        connections = [replace(each) for each in self._seen.connections]
        return Seen(connections, list(self._seen.requests))

    def forget(self) -> None:
        """Forget what was sent so far; connections keep their numbers."""
        self.seen()
        self._seen.requests.clear()
        self._seen.connections[:] = [each for each in self._seen.connections if each.is_open]

    def hang_up(self, how: Literal["close", "reset", "notice"] = "close") -> None:
        """End all connections that are open, as is done with those that are idle for long."""
        connections = list(self._connections)
        for connection in connections:
            if how == "notice":
                with contextlib.suppress(OSError):
                    connection.wire.send(answers.notice_of_disconnection())
            connection.wire.interrupt("reset" if how == "reset" else "close")
        self._until_closed(connections)

    def listen(self) -> None:
        """Take connections, on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(_BACKLOG)
        self._listener = listener
        self._accepting = _started(self._accept, listener)

    def refuse(self) -> None:
        """Listen no more, and reset what is open."""
        if self._listener is not None:
            # This wakes the thread that waits in `accept`, which then closes it.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener = None
        if self._accepting is not None:
            self._accepting.join(_SETTLED_SECONDS)
        self.hang_up("reset")

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    accepted, (_, port) = listener.accept()
                except OSError:
                    return
                if port in self._own_ports:
                    self._own_ports.remove(port)
                    accepted.close()
                    continue
                self._take(accepted)

    def _take(self, accepted: socket.socket) -> None:
        self._accepted += 1
        about = SeenConnection(self._accepted)
        self._seen.connections.append(about)
        wire = Wire(accepted)
        connection = Connection(
            wire, about=about, seen=self._seen, script=self._script, tree=self._tree
        )
        self._connections.append(connection)
        _started(self._serve, connection)

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve(tls=self._tls, scheme=self._scheme)
        finally:
            self._connections.remove(connection)

    def _until_closed(self, connections: Iterable[Connection]) -> None:
        deadline = time.monotonic() + _SETTLED_SECONDS
        while any(each in self._connections for each in connections):
            if time.monotonic() > deadline:
                raise TimeoutError("a connection of the hostile directory does not end")
            time.sleep(_POLL_SECONDS)

    def _drain_accepts(self, deadline: float) -> None:
        """Return when everybody was taken who waits to be: they are taken one after the other."""
        with socket.socket() as last:
            last.bind(("127.0.0.1", 0))
            port = last.getsockname()[1]
            self._own_ports.add(port)
            last.connect(("127.0.0.1", self.port))
            while port in self._own_ports and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)


def _started(target: Callable[[_T], None], argument: _T) -> threading.Thread:
    thread = threading.Thread(target=target, args=[argument], daemon=True, name="directory")
    thread.start()
    return thread
