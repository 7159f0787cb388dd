"""Connections that are kept open between two uses, by host.

Whether one still works shows when it is used; what can be seen without asking is seen here.
"""

import threading
from collections.abc import Callable

from connectors.ldap.config import Host
from connectors.ldap.connection import Connection
from connectors.ldap.deadline import Deadline

LONGEST_IDLE_SECONDS = 120.0
"""Well below what servers and firewalls allow, so that it is mostly we who hang up."""

MOST_KEPT = 16
"""For each host. A login uses one at a time, for some milliseconds."""


class Pool:
    """Idle connections for one purpose; those used last are used next."""

    def __init__(
        self,
        open_connection: Callable[[Host, Deadline], Connection],
        *,
        monotonic: Callable[[], float],
    ) -> None:
        """Hold no connection yet; `open_connection` makes one that is ready for the purpose."""
        self.open = open_connection
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._idle: dict[Host, list[Connection]] = {}
        self._closed = False

    def take(self, host: Host) -> Connection | None:
        """Return an idle connection that seems to work, None when there is none."""
        while True:
            with self._lock:
                idle = self._idle.get(host)
                if not idle:
                    return None
                connection = idle.pop()
            if self.idle_seconds(connection) < LONGEST_IDLE_SECONDS and connection.is_silent():
                return connection
            connection.close()

    def put(self, host: Host, connection: Connection) -> None:
        """Keep a connection on which nothing is outstanding."""
        connection.used_at = self._monotonic()
        with self._lock:
            idle = self._idle.setdefault(host, [])
            if len(idle) < MOST_KEPT and not self._closed:
                idle.append(connection)
                return
        connection.close()

    def idle_seconds(self, connection: Connection) -> float:
        """Return for how long nobody used it."""
        return self._monotonic() - connection.used_at

    def drop(self, host: Host) -> None:
        """Close what is idle: what happened to one connection happened to the others too."""
        with self._lock:
            dropped = self._idle.pop(host, [])
        for connection in dropped:
            connection.abandon()

    def drop_old(self) -> None:
        """Close what has been idle for too long."""
        old: list[Connection] = []
        with self._lock:
            for idle in self._idle.values():
                while idle and self.idle_seconds(idle[0]) >= LONGEST_IDLE_SECONDS:
                    old.append(idle.pop(0))
        for connection in old:
            connection.close()

    def close(self) -> None:
        """Close all, and whatever is put back later."""
        with self._lock:
            self._closed = True
            hosts = list(self._idle)
        for host in hosts:
            self.drop(host)
