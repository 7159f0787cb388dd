"""Connections to the API server: one HTTP session for each event loop that uses the door.

A session belongs to the loop it was made in. Usually there is one; commands and tests have several.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
from yarl import URL

from storage.kubernetes.access import Access, Credentials
from storage.kubernetes.errors import Unavailable
from storage.kubernetes.wire import Answer, Request

CONNECT_SECONDS = 1.0
LARGEST_ANSWER = 32 * 1024 * 1024
MOST_WRITES = 32

_UNACKNOWLEDGED_MILLISECONDS = 1500
_KEEPALIVE_SECONDS = 15
_LAST_MOMENT_SECONDS = 0.03

_log = logging.getLogger("storage")


class NoAnswer(Exception):
    """An attempt came to nothing. `maybe_done`: the request may have reached the server."""

    def __init__(self, problem: str, *, maybe_done: bool, untrusted: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.maybe_done = maybe_done
        self.untrusted = untrusted


class _Session:
    """One aiohttp session, closed when it has been replaced and nobody uses it any more."""

    def __init__(self, credentials: Credentials) -> None:
        tls: ssl.SSLContext | bool = credentials.tls or True
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=tls, ttl_dns_cache=10, socket_factory=_patient_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            headers={"User-Agent": "kube-idp", "Accept-Encoding": "identity"},
        )
        # Else a PUT or DELETE whose connection broke is quietly sent again, and its second answer
        # says that somebody else was quicker. We repeat such requests ourselves, and know it.
        self.http._retry_connection = False
        self.users = 0
        self.replaced = False


class Connections:
    """The session of one event loop, who we are to the server, and the queue of writers."""

    def __init__(self, access: Access) -> None:
        """Connect to nothing yet; must be called in the loop."""
        self.loop = asyncio.get_running_loop()
        self.writes = asyncio.Semaphore(MOST_WRITES)
        self._access = access
        self._credentials = access.credentials
        self._session = _Session(self._credentials)
        self._renewal: asyncio.Task[None] | None = None
        self._cut_short = False
        # When the loop ends it cancels this task, which closes the session if nobody else did.
        self._keeper = self.loop.create_task(self._keep())

    async def send(self, request: Request, *, within: float) -> Answer:
        """Make one attempt. Raises NoAnswer when there is no whole answer in time."""
        timeout = aiohttp.ClientTimeout(total=within, connect=CONNECT_SECONDS)
        async with self._answer(request, timeout) as response:
            return Answer(
                status=response.status,
                retry_after=response.headers.get("Retry-After", ""),
                data=await _whole(response),
            )

    @asynccontextmanager
    async def stream(
        self, request: Request, *, within: float, silence: float
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        """Open an answer that goes on: yield its head, with the body of a refusal, and its pieces.

        The head must come `within` seconds, later never more than `silence` seconds pass between
        two pieces. Raises NoAnswer.
        """
        timeout = aiohttp.ClientTimeout(connect=CONNECT_SECONDS, sock_read=silence)
        opening = asyncio.timeout(within)
        async with opening, self._answer(request, timeout) as response:
            answer = Answer(
                status=response.status,
                retry_after=response.headers.get("Retry-After", ""),
                data=b"" if response.status < 300 else await _whole(response),
            )
            opening.reschedule(None)
            yield answer, response.content.iter_any()

    async def renew(self, *, within: float) -> bool:
        """Read credentials anew, once for all who ask at the same time; tell whether they changed.

        When that takes longer it goes on in the background. Raises Unavailable when they cannot be
        read.
        """
        before = self._credentials
        if self._renewal is None or self._renewal.done():
            self._renewal = self.loop.create_task(self._renew())
        done, _ = await asyncio.wait({self._renewal}, timeout=within)
        for renewal in done:
            renewal.result()
        return self._credentials is not before

    async def close(self) -> None:
        """Close the session and all of its connections."""
        self._keeper.cancel()
        await asyncio.wait({self._keeper})
        await self._session.http.close()  # a task that never ran has closed nothing
        if self._cut_short:
            # A connection that was still being made is no longer the session's; it ends by itself.
            await asyncio.sleep(_LAST_MOMENT_SECONDS)

    def close_from_elsewhere(self) -> None:
        """Close from another thread or loop; harmless when this loop has ended."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._keeper.cancel)

    async def _keep(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._access.reread_seconds or 3600.0)
                if self._access.reread_seconds is not None:
                    try:
                        _ = await self.renew(within=CONNECT_SECONDS)
                    except Unavailable as error:
                        _log.error("store_credentials_unreadable", extra={"problem": str(error)})
        finally:
            await self._session.http.close()

    async def _renew(self) -> None:
        fresh = await asyncio.to_thread(self._access.read)
        if _same(fresh, self._credentials):
            return
        old, self._credentials = self._credentials, fresh
        if fresh.tls_digest != old.tls_digest:
            _log.info("store_certificates_changed")
            former, self._session = self._session, _Session(fresh)
            former.replaced = True
            await _close_if_unused(former)

    @asynccontextmanager
    async def _answer(
        self, request: Request, timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        session, credentials = self._session, self._credentials
        headers = {"Accept": request.accept}
        if credentials.authorization:
            headers["Authorization"] = credentials.authorization
        if request.data is not None:
            headers["Content-Type"] = request.content_type
        session.users += 1
        try:
            async with session.http.request(
                request.method,
                URL(credentials.server + request.target, encoded=True),
                data=request.data,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                server_hostname=credentials.tls_server_name,
                proxy=credentials.proxy,
            ) as response:
                yield response
        except asyncio.CancelledError:
            self._cut_short = True
            raise
        except (TimeoutError, OSError, aiohttp.ClientError, RuntimeError) as error:
            raise _no_answer(error) from error
        finally:
            session.users -= 1
            if session.replaced:
                await _close_if_unused(session)


async def _close_if_unused(session: _Session) -> None:
    if session.users == 0:
        await session.http.close()


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """Read a body, but not more than fits."""
    if (response.content_length or LARGEST_ANSWER) < LARGEST_ANSWER:
        return await response.read()
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise Unavailable("the API server's answer is larger than 32 MiB")
        pieces.append(piece)
    return b"".join(pieces)


def _same(one: Credentials, other: Credentials) -> bool:
    return (one.authorization, one.tls_digest) == (other.authorization, other.tls_digest)


def _patient_socket(address: "aiohttp.AddrInfoType") -> socket.socket:
    """Return a socket that notices a peer which has silently gone."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_SECONDS),
        ("TCP_KEEPINTVL", _KEEPALIVE_SECONDS // 3),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED_MILLISECONDS),
    ):
        if hasattr(socket, name):  # Linux; elsewhere the deadlines alone have to do
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _no_answer(error: Exception) -> NoAnswer:
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return NoAnswer(
                f"its certificate is not trusted, or TLS failed ({error})",
                maybe_done=False,
                untrusted=True,
            )
        case aiohttp.ConnectionTimeoutError():
            return NoAnswer(f"no connection within {CONNECT_SECONDS:g} s", maybe_done=False)
        case aiohttp.ClientConnectorError():
            return NoAnswer(f"no connection ({error.strerror or error})", maybe_done=False)
        case TimeoutError():
            return NoAnswer("no answer in time", maybe_done=True)
    return NoAnswer(f"the connection broke off ({type(error).__name__})", maybe_done=True)
