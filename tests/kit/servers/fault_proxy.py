"""A proxy before kube-apiserver that fails on demand: faults K-1 to K-9 of the store."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.faults import (
    BlackHole,
    Dawdles,
    Fault,
    LosesAnswers,
    Refuses,
    refusal,
    status,
)
from tests.kit.servers.loop_thread import LoopThread
from tests.kit.servers.process import free_port

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HOP_BY_HOP = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}


class FaultProxy:
    """An https proxy for one API server. Entering it starts its thread.

    It brings an authority of its own (`ca_file`), passes `Authorization` on, and counts in `asked`
    what came by verb and path, `watch` being a verb.
    """

    def __init__(self, upstream: str, *, upstream_ca: CertificateAuthority, directory: Path):
        """Write certificates into `directory`; `upstream` is the API server's URL."""
        authority = CertificateAuthority.create("Proxy authority")
        serving = authority.issue(directory)
        self._upstream = upstream
        self._upstream_tls = upstream_ca.client_context()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(serving.certificate, serving.key)
        self._port = free_port()
        self._fault: Fault | None = None
        self._thread: LoopThread | None = None
        self._front = _Front(self)
        self.url = f"https://127.0.0.1:{self._port}"
        self.ca_file = authority.write(directory / "ca.crt")
        self.asked: Counter[tuple[str, str]] = Counter()

    @property
    def fault(self) -> Fault | None:
        """The fault that requests meet now."""
        return self._fault

    def meet(self, fault: Fault | None) -> None:
        """Let requests meet a fault from now on; None lets everything through."""
        self._running().call(self._meet(fault))

    @contextlib.contextmanager
    def meeting(self, fault: Fault) -> Iterator[None]:
        """Let requests meet a fault inside the block."""
        self.meet(fault)
        try:
            yield
        finally:
            self.meet(None)

    def cut_watches(self) -> None:
        """Reset the connection of every watch (K-8)."""
        self._running().call(self._front.cut_watches())

    def expire_watches(self) -> None:
        """End every watch with an `ERROR` event that says 410 (K-8)."""
        self._running().call(self._front.expire_watches())

    def __enter__(self) -> Self:
        self._thread = LoopThread("fault-proxy")
        self._thread.call(self._front.open(self._upstream, self._upstream_tls))
        self._thread.call(self._front.listen(self._port, self._tls))
        return self

    def __exit__(self, *_: object) -> None:
        running = self._running()
        running.call(self._front.refuse())
        running.call(self._front.close())
        running.close()

    def _running(self) -> LoopThread:
        if self._thread is None:
            raise RuntimeError("the fault proxy was not entered")
        return self._thread

    async def _meet(self, fault: Fault | None) -> None:
        before, self._fault = self._fault, fault
        if isinstance(before, BlackHole | LosesAnswers):
            self._front.forget_the_waiting()
        if isinstance(fault, Refuses):
            await self._front.refuse()
        elif isinstance(before, Refuses):
            await self._front.listen(self._port, self._tls)


class _Front:
    """The side of the proxy that lives in its loop."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._greetings: set[asyncio.Task[None]] = set()
        self._held: list[socket.socket] = []
        self._waiting: list[web.BaseRequest] = []
        self._watches: list[_Watch] = []
        self._server: web.Server | None = None
        self._session: aiohttp.ClientSession | None = None

    async def open(self, upstream: str, tls: ssl.SSLContext) -> None:
        self._server = web.Server(self._answer, handler_cancellation=True, access_log=None)
        self._session = aiohttp.ClientSession(
            upstream,
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )

    async def listen(self, port: int, tls: ssl.SSLContext) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
        listener.settimeout(0)
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener, tls))

    async def refuse(self) -> None:
        """Stop listening and reset what is open."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
        if self._listener is not None:
            self._listener.close()
        self.forget_the_waiting()
        if self._server is not None:
            for connection in self._server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            # They are aborted by the loop, a turn or two later.
            for _ in range(1_000):
                if not self._server.connections:
                    break
                await asyncio.sleep(0.001)

    async def close(self) -> None:
        if self._server is not None:
            await self._server.shutdown(1)
        if self._session is not None:
            await self._session.close()

    def forget_the_waiting(self) -> None:
        """Reset everything that waits for an answer that will not come."""
        for held in self._held:
            held.close()
        self._held.clear()
        for request in self._waiting:
            _abort(request)

    async def cut_watches(self) -> None:
        for watch in self._watches:
            _abort(watch.request)

    async def expire_watches(self) -> None:
        gone = {"type": "ERROR", "object": status(410, "Expired")}
        for watch in list(self._watches):
            # Between two events only: half a line would be another fault.
            while not watch.at_line_end:  # noqa: ASYNC110 - written by the relay, in chunks
                await asyncio.sleep(0.005)
            await watch.response.write(json.dumps(gone).encode() + b"\n")
            await watch.response.write_eof()
            if watch.request.transport is not None:
                watch.request.transport.close()

    async def _accept(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            if isinstance(self._proxy.fault, BlackHole):
                self._held.append(connection)
                continue
            greeting = asyncio.create_task(self._greet(connection, tls))
            self._greetings.add(greeting)
            greeting.add_done_callback(self._greetings.discard)

    async def _greet(self, connection: socket.socket, tls: ssl.SSLContext) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._server is None:
            return
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                self._server, connection, ssl=tls
            )

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        is_watch = request.query.get("watch") in ("1", "true")
        self._proxy.asked["watch" if is_watch else request.method, request.path] += 1
        fault = self._proxy.fault
        if isinstance(fault, BlackHole):
            return await self._never(request)
        if isinstance(fault, Dawdles):
            await asyncio.sleep(fault.seconds)
        if (answer := refusal(fault, request, is_watch=is_watch)) is not None:
            return answer
        try:
            return await self._forward(request, fault, is_watch=is_watch)
        except (aiohttp.ClientError, OSError):
            # The API server is away: so are we.
            return _abort(request)

    async def _forward(
        self, request: web.BaseRequest, fault: Fault | None, *, is_watch: bool
    ) -> web.StreamResponse:
        if self._session is None:
            raise RuntimeError("the fault proxy was not entered")
        async with self._session.request(
            request.method,
            request.raw_path,
            headers=_passed_on(request.headers),
            data=await request.read() or None,
            skip_auto_headers=("Content-Type", "Accept-Encoding", "User-Agent"),
        ) as answer:
            if is_watch:
                return await self._relay(request, answer)
            body = await answer.read()
        if isinstance(fault, LosesAnswers) and request.method in _WRITES and answer.status < 400:
            lost = await self._lose(request, fault)
            if lost is not None:
                return lost
        return web.Response(status=answer.status, headers=_passed_on(answer.headers), body=body)

    async def _relay(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
        await response.prepare(request)
        watch = _Watch(request, response)
        self._watches.append(watch)
        try:
            async for chunk in answer.content.iter_any():
                if isinstance(self._proxy.fault, BlackHole):
                    return await self._never(request)
                watch.at_line_end = chunk.endswith(b"\n")
                await response.write(chunk)
            await response.write_eof()
        finally:
            self._watches.remove(watch)
        return response

    async def _lose(
        self, request: web.BaseRequest, fault: LosesAnswers
    ) -> web.StreamResponse | None:
        if fault.count == 0:
            return None
        if fault.count is not None:
            fault.count -= 1
        return _abort(request) if fault.by == "reset" else await self._never(request)

    async def _never(self, request: web.BaseRequest) -> web.StreamResponse:
        """Wait until the client hangs up or the fault is over, which resets the connection."""
        self._waiting.append(request)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._waiting.remove(request)
        return web.Response()


@dataclass(slots=True, eq=False)
class _Watch:
    """A watch that is being relayed."""

    request: web.BaseRequest
    response: web.StreamResponse
    at_line_end: bool = True


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


def _abort(request: web.BaseRequest) -> web.Response:
    """Reset the connection of a request; the response returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
