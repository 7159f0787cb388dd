"""All connections of a process, and the one timer that keeps their deadlines.

A timer handle per request costs more than answering a document; a look at every connection once a
second costs nothing that can be measured.
"""

import asyncio
import logging
from email.utils import formatdate
from typing import TYPE_CHECKING

from uvicorn.server import ServerState

from idp.clock import Clock
from idp.transport.limits import Limits

if TYPE_CHECKING:
    from idp.transport.protocol import HttpProtocol

_log = logging.getLogger("idp.transport")


class Connections:
    """What connections share: the sweep, the Date header, the drain, the budget for unread bodies.

    `state` is uvicorn's shared state, whose task set and default headers its request cycle uses.
    """

    def __init__(self, *, limits: Limits, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = limits
        self.loop = loop
        self.state = ServerState()
        self.open: set[HttpProtocol] = set()
        self.draining = False
        self.pending_bytes = 0
        self.date_line = b""
        self._clock = clock
        self._set_date()

    @property
    def full(self) -> bool:
        """Tell whether one more connection would be one too many."""
        return len(self.open) >= self.limits.connections

    async def sweep_forever(self) -> None:
        """Cut overdue connections and keep the Date header current until cancelled."""
        while True:
            await asyncio.sleep(self.limits.sweep)
            self._set_date()
            self.sweep()

    def sweep(self) -> None:
        """Cut what is overdue now."""
        now = self.loop.time()
        for connection in tuple(self.open):
            if connection.is_overdue(now):
                self._cut(connection, now)

    def _cut(self, connection: "HttpProtocol", now: float) -> None:
        try:
            connection.cut(now)
        except Exception:  # one connection must not end the sweep, and with it every deadline
            _log.exception("connection_cut_failed")
            connection.abort()

    def begin_drain(self) -> None:
        """From now on each answer ends its connection."""
        self.draining = True
        for connection in tuple(self.open):
            connection.finish_soon()

    async def wait_closed(self, within: float) -> int:
        """Close what is quiet, wait at most `within` seconds for the rest; return what is left."""
        deadline = self.loop.time() + within
        while self.open and self.loop.time() < deadline:
            for connection in tuple(self.open):
                connection.close_if_quiet(self.loop.time())
            await asyncio.sleep(0.02)
        return len(self.open)

    def abort(self) -> None:
        """Drop every connection and stop every request that still runs."""
        for connection in tuple(self.open):
            connection.abort()
        for task in tuple(self.state.tasks):
            task.cancel()

    def _set_date(self) -> None:
        date = formatdate(self._clock().timestamp(), usegmt=True).encode("ascii")
        self.date_line = b"date: " + date + b"\r\n"
        self.state.default_headers = [(b"date", date)]
