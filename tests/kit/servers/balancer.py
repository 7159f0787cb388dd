"""A balancer of TCP connections: round robin, and the next one when a server refuses."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Self

from tests.kit.servers.loop_thread import LoopThread
from tests.kit.servers.process import free_port

_CHUNK = 64 << 10


class Balancer:
    """Hands each new connection to the next of several ports of 127.0.0.1.

    A server that refuses is passed over within the same connection, so that clients notice only
    the connections that were open when it died.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        """Choose a port; nothing listens before the balancer is entered."""
        self._ports = tuple(ports)
        self._next = 0
        self._loop: LoopThread | None = None
        self._server: asyncio.Server | None = None
        self.port = free_port()

    def __enter__(self) -> Self:
        self._loop = LoopThread("balancer")
        self._loop.call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.call(self._stop())
            self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=_CHUNK, backlog=1024
        )

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            upstream_reader, upstream_writer = await self._connect()
            with contextlib.closing(upstream_writer):
                # Whichever side ends first ends both: HTTP needs no half-closed connections.
                pumps = [
                    asyncio.create_task(_pump(reader, upstream_writer)),
                    asyncio.create_task(_pump(upstream_reader, writer)),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(len(self._ports) - 1):
            with contextlib.suppress(ConnectionError):
                return await asyncio.open_connection("127.0.0.1", self._take(), limit=_CHUNK)
        return await asyncio.open_connection("127.0.0.1", self._take(), limit=_CHUNK)

    def _take(self) -> int:
        port = self._ports[self._next % len(self._ports)]
        self._next += 1
        return port


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
