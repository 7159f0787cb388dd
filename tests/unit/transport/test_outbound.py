"""The door to addresses of clients: what it fetches, and how everything that tries is refused."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from idp.transport.outbound import (
    LARGEST_BODY,
    Outbound,
    OutboundFailed,
    OutboundRefused,
)
from idp.transport.tls import TlsUnusable
from tests.kit.servers.certificates import CertificateAuthority

pytestmark = pytest.mark.anyio

KEYS = b'{"keys":[]}'
NAMES = ("127.0.0.1", "127.0.0.2", "localhost", "keys.test", "other.test", "::1")
PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"
"""What the tests take for an address of the public internet, and what not."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(slots=True)
class Trust:
    """An authority, its file, and what a server presents."""

    ca: Path
    tls: ssl.SSLContext


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    directory = tmp_path_factory.mktemp("outbound")
    authority = CertificateAuthority.create()
    serving = authority.issue(directory / "serving", names=NAMES)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(serving.certificate, serving.key)
    return Trust(authority.write(directory / "ca.crt"), tls)


def answer(body: bytes = KEYS, *, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Site:
    """A server that says what it is told to say; `asked` are the requests that arrived."""

    port: int = 0
    reply: bytes | Reply = field(default_factory=answer)
    asked: list[str] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = 0
            for line in head.lower().split("\r\n"):
                if line.startswith("content-length:"):
                    length = int(line.split(":")[1])
            self.asked.append(head + (await reader.readexactly(length)).decode())
            if isinstance(self.reply, bytes):
                writer.write(self.reply)
                await writer.drain()
            else:
                await self.reply(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    tls: ssl.SSLContext | None, host: str = PRIVATE, port: int = 0
) -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, host, port, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    async with server:
        yield site


@asynccontextmanager
async def door(trust: Trust, **options: Any) -> AsyncIterator[Outbound]:
    outbound = Outbound(root_ca=str(trust.ca), **options)
    try:
        yield outbound
    finally:
        await outbound.close()


async def test_a_document_is_fetched_from_a_host_that_the_operator_named(trust: Trust) -> None:
    async with serving(trust.tls) as site, door(trust, allowed_hosts=[PRIVATE]) as outbound:
        site.reply = answer(content_type="application/json; charset=utf-8", set_cookie="a=b")
        fetched = await outbound.get(f"https://{PRIVATE}:{site.port}/keys?x=1#fragment")
        assert (fetched.status, fetched.body) == (200, KEYS)
        assert fetched.content_type == "application/json"
        await outbound.get(f"https://{PRIVATE}:{site.port}/keys")
        first, second = site.asked
        assert first.startswith("GET /keys?x=1 HTTP/1.1\r\n")
        assert "accept-encoding: identity" in first.lower()
        assert "cookie" not in second.lower()
        assert "authorization" not in (first + second).lower()


async def test_a_form_is_posted(trust: Trust) -> None:
    async with serving(trust.tls) as site, door(trust, allowed_hosts=[PRIVATE]) as outbound:
        site.reply = answer(b"", status="204 No Content")
        fetched = await outbound.post(f"https://{PRIVATE}:{site.port}/out", {"logout_token": "x y"})
        assert fetched.status == 204
        assert site.asked[0].startswith("POST /out HTTP/1.1")
        assert site.asked[0].endswith("\r\n\r\nlogout_token=x+y")


@pytest.mark.covers("R-83", "CV-21")
@pytest.mark.parametrize("host", [PRIVATE, "localhost", "[::ffff:127.0.0.1]", "keys.test"])
async def test_an_inner_address_is_never_connected_to(trust: Trust, host: str) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        return [PRIVATE]

    async with serving(trust.tls) as site, door(trust, resolve=resolve) as outbound:
        with pytest.raises(OutboundRefused, match=r"operator can allow it in `outbound\.allowed"):
            await outbound.get(f"https://{host}:{site.port}/keys")
        with pytest.raises(OutboundRefused):
            await outbound.post(f"https://{host}:{site.port}/keys", {"a": "b"})
        assert site.connections == 0


@pytest.mark.covers("R-83", "CV-21")
@pytest.mark.parametrize(
    "url",
    [
        "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/",
        "https://169.254.169.254/latest/meta-data", "https://[fd00:ec2::254]/", "https://[::1]/",
        "https://[::ffff:169.254.169.254]/", "https://[64:ff9b::a9fe:a9fe]/", "https://0.0.0.0/",
        "https://10.0.0.1/", "https://[fe80::1%25lo]/", "https://127.0.0.1.:1/", "https://①②⑦.0.0.1/",
    ],
)  # fmt: skip
async def test_no_spelling_of_an_inner_address_is_connected_to(trust: Trust, url: str) -> None:
    """By the system's own resolver, which knows old spellings of addresses too."""
    async with door(trust, within=1.0) as outbound:
        with pytest.raises((OutboundRefused, OutboundFailed)):
            await outbound.get(url)


@pytest.mark.covers("R-83")
@pytest.mark.parametrize(
    "url",
    [
        "http://{}/", "HTTP://{}/", "file:///etc/passwd", "gopher://{}/", "ftp://{}/", "//{}/",
        "https:///", "https://user@{}/", "https://user:password@{}/", "{}", "", "https://",
        "https://{}:99999/", "https://[::1", "https://{}/" + "a" * 2048, "data:,x", "https:{}",
    ],
)  # fmt: skip
async def test_only_plain_https_addresses_are_asked(trust: Trust, url: str) -> None:
    async with serving(None) as site, door(trust, allowed_hosts=[PRIVATE]) as outbound:
        with pytest.raises((OutboundRefused, OutboundFailed)):
            await outbound.get(url.format(f"{PRIVATE}:{site.port}"))
        assert site.connections == 0


@pytest.mark.covers("R-83", "CV-21")
async def test_a_name_that_resolves_anew_leads_nowhere_else(trust: Trust) -> None:
    """DNS rebinding: what was looked at is what is connected to."""
    looked_up: list[str] = []

    async def resolve(host: str, _: int) -> Sequence[str]:
        looked_up.append(host)
        return [PUBLIC if len(looked_up) == 1 else PRIVATE]

    async with (
        serving(trust.tls, PUBLIC) as outer,
        serving(trust.tls, PRIVATE, outer.port) as inner,
        door(trust, resolve=resolve, may_connect=PUBLIC.__eq__) as outbound,
    ):
        url = f"https://keys.test:{outer.port}/keys"
        assert (await outbound.get(url)).status == 200
        assert looked_up == ["keys.test"]
        with pytest.raises(OutboundRefused):
            await outbound.get(url)
        assert (outer.connections, inner.connections) == (1, 0)


@pytest.mark.covers("R-83")
async def test_of_several_addresses_only_those_are_tried_that_may_be(trust: Trust) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        return [PRIVATE, PUBLIC, PRIVATE]

    async with (
        serving(trust.tls, PUBLIC) as outer,
        serving(trust.tls, PRIVATE, outer.port) as inner,
        door(trust, resolve=resolve, may_connect=PUBLIC.__eq__) as outbound,
    ):
        assert (await outbound.get(f"https://keys.test:{outer.port}/")).status == 200
        assert inner.connections == 0


@pytest.mark.covers("R-83", "CV-21")
async def test_a_redirect_is_an_answer_and_not_followed(trust: Trust) -> None:
    async with (
        serving(trust.tls, PUBLIC) as outer,
        serving(trust.tls, PRIVATE) as inner,
        door(trust, may_connect=PUBLIC.__eq__) as outbound,
    ):
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
            outer.reply = answer(status=status, location=f"https://{PRIVATE}:{inner.port}/")
            fetched = await outbound.get(f"https://{PUBLIC}:{outer.port}/")
            assert fetched.status == int(status[:3])
        assert inner.connections == 0


async def test_what_the_operator_named_is_that_host_and_no_other(trust: Trust) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        return [PRIVATE]

    async with serving(trust.tls) as site, serving(trust.tls) as neighbour:
        allowed = [f"keys.test:{site.port}"]
        async with door(trust, resolve=resolve, allowed_hosts=allowed) as outbound:
            assert (await outbound.get(f"https://KEYS.test:{site.port}/")).status == 200
            for refused in (f"keys.test:{neighbour.port}", f"other.test:{site.port}"):
                with pytest.raises(OutboundRefused):
                    await outbound.get(f"https://{refused}/")
            assert neighbour.connections == 0


async def test_a_certificate_must_be_trusted_and_of_this_name(trust: Trust) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        return [PRIVATE]

    allowed = ["keys.test", "stranger.test"]
    async with serving(trust.tls) as site:
        async with door(trust, resolve=resolve, allowed_hosts=allowed) as outbound:
            with pytest.raises(OutboundFailed, match="has no certificate that is trusted"):
                await outbound.get(f"https://stranger.test:{site.port}/")
        outbound = Outbound(resolve=resolve, allowed_hosts=allowed)
        with pytest.raises(OutboundFailed, match="has no certificate that is trusted"):
            await outbound.get(f"https://keys.test:{site.port}/")
        await outbound.close()
        assert site.asked == []


@pytest.mark.covers("R-83", "CV-16")
@pytest.mark.parametrize("told", [True, False])
async def test_an_answer_that_is_too_large_is_not_read(trust: Trust, *, told: bool) -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        length = "Content-Length: 1000000000\r\n" if told else ""
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n".encode())
        while sent < 50 * LARGEST_BODY:
            writer.write(b"x" * 1024)
            sent += 1024
            await writer.drain()

    async with serving(trust.tls) as site, door(trust, allowed_hosts=[PRIVATE]) as outbound:
        site.reply = flood
        with pytest.raises(OutboundFailed, match="the answer is too large"):
            await outbound.get(f"https://{PRIVATE}:{site.port}/")
        largest = b"x" * LARGEST_BODY
        site.reply = answer(largest)
        assert (await outbound.get(f"https://{PRIVATE}:{site.port}/")).body == largest
        site.reply = answer(largest + b"x")
        with pytest.raises(OutboundFailed, match="the answer is too large"):
            await outbound.get(f"https://{PRIVATE}:{site.port}/")


@pytest.mark.covers("R-83", "CV-16")
async def test_a_packed_answer_is_not_unpacked(trust: Trust) -> None:
    async with serving(trust.tls) as site, door(trust, allowed_hosts=[PRIVATE]) as outbound:
        site.reply = answer(gzip.compress(b"x" * 10_000_000), content_encoding="gzip")
        with pytest.raises(OutboundFailed, match="the answer is compressed"):
            await outbound.get(f"https://{PRIVATE}:{site.port}/")


@pytest.mark.covers("R-83")
@pytest.mark.parametrize("silent", ["before", "within"])
async def test_a_host_that_does_not_answer_is_given_up(trust: Trust, silent: str) -> None:
    async def wait(writer: asyncio.StreamWriter) -> None:
        if silent == "within":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
            await writer.drain()
        await asyncio.sleep(30)

    async with (
        serving(trust.tls) as site,
        door(trust, allowed_hosts=[PRIVATE], within=0.2) as outbound,
    ):
        site.reply = wait
        with pytest.raises(OutboundFailed, match=r"took longer than 0\.2 s"):
            await outbound.get(f"https://{PRIVATE}:{site.port}/")


async def test_a_name_that_does_not_resolve_in_time_is_given_up(trust: Trust) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        await asyncio.sleep(30)
        return []

    async with door(trust, resolve=resolve, within=0.1) as outbound:
        with pytest.raises(OutboundFailed, match="took longer"):
            await outbound.get("https://keys.test/")


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"\r\n", b"HTTP/1.1\r\n\r\n", b"garbage" * 1000, b"HTTP/1.1 200 OK\r\nX\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 9999,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)  # fmt: skip
async def test_whatever_a_host_says_is_at_worst_no_answer(trust: Trust, reply: bytes) -> None:
    async with serving(trust.tls) as site, door(trust, allowed_hosts=[PRIVATE]) as outbound:
        site.reply = reply
        with pytest.raises(OutboundFailed):
            await outbound.get(f"https://{PRIVATE}:{site.port}/")


async def test_a_closed_port_and_an_unknown_name_are_told(trust: Trust) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        raise OSError("no such name")

    async with serving(trust.tls) as site:
        port = site.port
    async with door(trust, allowed_hosts=[PRIVATE]) as outbound:
        with pytest.raises(OutboundFailed, match=r"127\.0\.0\.1 cannot be asked"):
            await outbound.get(f"https://{PRIVATE}:{port}/")
    async with door(trust, resolve=resolve) as outbound:
        with pytest.raises(OutboundFailed, match=r"keys\.test cannot be asked"):
            await outbound.get("https://keys.test/")


async def test_no_text_repeats_what_a_host_or_an_address_says(trust: Trust) -> None:
    async with serving(trust.tls) as site, door(trust, allowed_hosts=[PRIVATE]) as outbound:
        site.reply = b"HTTP/1.1 hunter2 hunter2\r\n\r\nhunter2"
        with pytest.raises(OutboundFailed) as failed:
            await outbound.get(f"https://{PRIVATE}:{site.port}/hunter2?token=hunter2")
        assert "hunter2" not in str(failed.value)


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.crt"
    empty.write_text("no certificate")
    for path, problem in ((empty, "holds no certificate"), (tmp_path / "gone", "no such file")):
        with pytest.raises(TlsUnusable, match=problem):
            Outbound(root_ca=str(path))
