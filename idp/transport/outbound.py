"""The one door through which the provider fetches from, and posts to, addresses of clients.

https only, no redirects, no cookies, no proxy, three seconds, 64 KiB. Connections go to public
addresses only, unless the operator named the host; the check is made on the very address that the
socket connects to, so a name that resolves differently a moment later leads nowhere else (R-83).
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from idp.transport.public_addresses import is_public
from idp.transport.tls import TlsUnusable

SECONDS: Final = 3.0
LARGEST_BODY: Final = 64 * 1024
MOST_AT_ONCE: Final = 32
_LONGEST_URL: Final = 2048

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host name. Raises OSError."""


class OutboundError(Exception):
    """Nothing came of a request; the text names the host at most, and nothing that it said."""


class OutboundRefused(OutboundError):
    """The address is not one that a client may send the provider to."""


class OutboundFailed(OutboundError):
    """The host could not be asked, or its answer is none that could be used."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, whatever its status; the body is whole."""

    status: int
    content_type: str
    body: bytes = field(repr=False)


class _AddressRefused(OSError):
    """A socket would have connected to an address that is not public."""


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host as the system knows them. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Outbound:
    """Sends requests to hosts that clients named.

    `allowed_hosts` are hosts of the operator's own, `host` or `host:port` in lower case, which may
    have any address; all others must have one that `may_connect` takes. `root_ca` is a file of
    authorities that are trusted beside those of `system_trust`.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Sequence[str] = (),
        root_ca: str = "",
        system_trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        resolve: Resolve = resolve_by_system,
        may_connect: Callable[[str], bool] = is_public,
        within: float = SECONDS,
    ) -> None:
        """Connect to nothing yet. Raises TlsUnusable for a `root_ca` that cannot be read."""
        self._allowed = frozenset(allowed_hosts)
        self._tls = _trusting(root_ca, system_trust())
        self._resolver = _Resolver(resolve)
        self._may_connect = may_connect
        self._within = within
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def get(self, url: str) -> Fetched:
        """Fetch a document. Raises OutboundRefused and OutboundFailed."""
        return await self._request("GET", url, None)

    async def post(self, url: str, form: Mapping[str, str]) -> Fetched:
        """Send a form. Raises OutboundRefused and OutboundFailed; it may have arrived then."""
        return await self._request("POST", url, form)

    async def close(self) -> None:
        """Let go of all connections."""
        for session in self._sessions.values():
            await session.close()

    async def _request(self, method: str, url: str, form: Mapping[str, str] | None) -> Fetched:
        target = _checked(url)
        session = self._session(trusted=self._is_allowed(target))
        try:
            async with (
                asyncio.timeout(self._within),
                self._turns,
                session.request(method, target, data=form, allow_redirects=False) as answer,
            ):
                return Fetched(answer.status, answer.content_type, await _body(answer))
        except TimeoutError:
            raise OutboundFailed(f"{target.host} took longer than {self._within:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _explained(target, error) from None

    def _is_allowed(self, url: URL) -> bool:
        host = (url.host or "").lower()
        host = f"[{host}]" if ":" in host else host
        return host in self._allowed or f"{host}:{url.port}" in self._allowed

    def _session(self, *, trusted: bool) -> aiohttp.ClientSession:
        if trusted not in self._sessions:
            connector = aiohttp.TCPConnector(
                ssl=self._tls,
                resolver=self._resolver,
                use_dns_cache=False,
                limit=MOST_AT_ONCE,
                keepalive_timeout=5,
                socket_factory=None if trusted else self._checked_socket,
            )
            self._sessions[trusted] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                headers={"User-Agent": "kube-idp", "Accept-Encoding": "identity"},
            )
        return self._sessions[trusted]

    def _checked_socket(self, address_info: tuple[Any, ...]) -> socket.socket:
        """Return a socket for an address that may be: the one that it will be connected to."""
        family, kind, protocol, _, address = address_info
        if not self._may_connect(str(address[0])):
            raise _AddressRefused("not an address that may be connected to")
        return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    """Looks names up anew for each connection."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host."""
        addresses = await self._resolve(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in dict.fromkeys(addresses)
        ]

    async def close(self) -> None:
        """Keep nothing."""


def _trusting(root_ca: str, context: ssl.SSLContext) -> ssl.SSLContext:
    if root_ca:
        try:
            context.load_verify_locations(cafile=root_ca)
        except ssl.SSLError as error:
            raise TlsUnusable(f"{root_ca}: holds no certificate that can be read") from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise TlsUnusable(f"{root_ca}: {reason}") from error
    return context


def _checked(url: str) -> URL:
    if len(url) > _LONGEST_URL:
        raise OutboundRefused("the address is too long")
    try:
        target = URL(url)
    except ValueError:
        raise OutboundRefused("the address is not a URL") from None
    if target.scheme != "https" or not target.host:
        raise OutboundRefused("the address does not begin with https://")
    if target.user is not None or target.password is not None:
        raise OutboundRefused("the address holds a user name")
    return target


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body as it was sent. Raises ValueError for one that is too large or packed."""
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ValueError("the answer is compressed")
    if (answer.content_length or 0) > LARGEST_BODY:
        raise ValueError("the answer is too large")
    body = bytearray()
    async for chunk in answer.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ValueError("the answer is too large")
    return bytes(body)


def _explained(target: URL, error: Exception) -> OutboundError:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, _AddressRefused):
        return OutboundRefused(
            f"{target.host} is not a host of the public internet; an operator can allow it in"
            " `outbound.allowedHosts`"
        )
    if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
        return OutboundFailed(f"{target.host}: {error}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return OutboundFailed(f"{target.host} has no certificate that is trusted here")
    return OutboundFailed(f"{target.host} cannot be asked: {type(error).__name__}")
