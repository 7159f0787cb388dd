"""Listeners: serving on all of them at once, and leaving without a failed request."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from idp.clock import Clock
from idp.log import log_event
from idp.transport.addresses import BACKLOG
from idp.transport.asgi import ASGIApp
from idp.transport.connections import Connections
from idp.transport.documents import Documents
from idp.transport.entry import Entry
from idp.transport.limits import Limits
from idp.transport.protocol import HttpProtocol
from idp.transport.sockets import accept_waiting, allow_files

_log = logging.getLogger("idp.transport")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening socket and what is served on it, over TLS if there is a context."""

    sock: socket.socket
    app: ASGIApp
    documents: Documents = field(default_factory=Documents)
    tls: ssl.SSLContext | None = None
    on_refusal: Callable[[int], None] = field(default=lambda status: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How to leave: listen for `linger` seconds more, then give requests `grace` seconds.

    Setting `hurry` ends the lingering, for whoever knows that no balancer has to learn of it.
    """

    linger: float = 5.0
    grace: float = 20.0
    hurry: asyncio.Event = field(default_factory=asyncio.Event)


async def serve(
    listeners: Sequence[Listener],
    *,
    limits: Limits,
    clock: Clock,
    stop: asyncio.Event,
    drain: Drain,
    on_ready: Callable[[], None],
    on_drain: Callable[[], None],
) -> None:
    """Serve until `stop` is set, then drain and return.

    `on_ready` is called once connections are accepted. `on_drain` is called at once when `stop` is
    set: readiness should turn false there. From then on every answer carries `Connection: close`;
    new connections are still welcome for `drain.linger` seconds, because those who balance load
    learn late. What then still runs has `drain.grace` seconds. The sockets are closed at the end.
    """
    allow_files(2 * limits.connections)  # as many again for handshakes and for what the app opens
    loop = asyncio.get_running_loop()
    connections = Connections(limits=limits, clock=clock, loop=loop)
    doors = [_Door(listener, connections) for listener in listeners]
    for door in doors:
        await door.open()
    sweep = loop.create_task(connections.sweep_forever())
    try:
        on_ready()
        await stop.wait()
        on_drain()
        connections.begin_drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(drain.hurry.wait(), drain.linger)
        await asyncio.gather(*(door.close() for door in doors))
        await _finish(connections, drain.grace)
    finally:
        for door in doors:
            door.shut()
        sweep.cancel()
        with suppress(asyncio.CancelledError):
            await sweep


class _Door:
    """A listener that is open to connections."""

    def __init__(self, listener: Listener, connections: Connections) -> None:
        entry = Entry(
            app=listener.app, documents=listener.documents, on_refusal=listener.on_refusal
        )
        config = entry.uvicorn_config()
        self._listener = listener
        self._connections = connections
        self._make_protocol = lambda: HttpProtocol(entry, config, connections)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Accept connections from now on."""
        times = self._tls_times()
        self._server = await self._connections.loop.create_server(
            self._make_protocol,
            sock=self._listener.sock,
            ssl=self._listener.tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=times[0],
            ssl_shutdown_timeout=times[1],
        )

    async def close(self) -> None:
        """Stop listening; who is connected already, if only in the kernel, is still served."""
        waiting = list(accept_waiting(self._listener.sock))
        self.shut()
        await asyncio.gather(*(self._welcome(connected) for connected in waiting))

    async def _welcome(self, connected: socket.socket) -> None:
        times = self._tls_times()
        with suppress(OSError):  # this one client is gone, or cannot speak TLS
            await self._connections.loop.connect_accepted_socket(
                self._make_protocol,
                connected,
                ssl=self._listener.tls,
                ssl_handshake_timeout=times[0],
                ssl_shutdown_timeout=times[1],
            )

    def shut(self) -> None:
        """Stop listening at once."""
        if self._server is not None:
            self._server.close()

    def _tls_times(self) -> tuple[float | None, float | None]:
        """Return seconds for a handshake, and for an answer to leave before TLS is shut down."""
        limits = self._connections.limits
        return (limits.handshake, limits.write) if self._listener.tls else (None, None)


async def _finish(connections: Connections, grace: float) -> None:
    left = await connections.wait_closed(grace)
    if left:
        log_event(_log, logging.WARNING, "drain_incomplete", connections=left)
        connections.abort()
        await connections.wait_closed(1.0)
