"""Lists and watches: what comes in which order, and what happens after a gap."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from storage.kubernetes.api import SILENCE_SECONDS, ApiServer, open_api_server
from storage.kubernetes.errors import Expired, Unavailable
from storage.kubernetes.watch import Event, Follower, Snapshot, follow
from tests.kit.fake_api_server import FakeApiServer, Fault, Resets, Says, Streams, line

pytestmark = pytest.mark.anyio

CLIENTS = "/apis/kube-idp.dev/v1beta1/namespaces/ns/oidcclients"
GONE_EVENT = b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n'


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@asynccontextmanager
async def opened(*names: str) -> AsyncIterator[tuple[FakeApiServer, ApiServer]]:
    """Return a server with some objects, and a door to it."""
    async with FakeApiServer() as server:
        for name in names:
            put(server, name)
        api = open_api_server(server.access())
        yield server, api
        await api.close()


def put(server: FakeApiServer, name: str) -> None:
    """Write an object as somebody does with kubectl."""
    server.put(f"{CLIENTS}/{name}", {"metadata": {"name": name}})


async def no_pause(_: float) -> None:
    """Let others run."""
    await asyncio.sleep(0)


def shown(news: Snapshot | Event) -> str:
    """Return a line for a snapshot or an event."""
    if isinstance(news, Snapshot):
        return "=" + ",".join(found["metadata"]["name"] for found in news.objects)
    return ("-" if news.gone else "+") + str(news.object["metadata"]["name"])


async def take(following: AsyncIterator[Snapshot | Event], count: int) -> list[str]:
    """Return the next news, each as a line."""
    async with asyncio.timeout(8):
        return [shown(await anext(following)) for _ in range(count)]


async def watched(api: ApiServer, *, silence: float = SILENCE_SECONDS) -> list[str]:
    """Return the types of the events of one watch from the beginning."""
    query = {"resourceVersion": "1"}
    events = api.watch(CLIENTS, query=query, silence=silence)
    return [event["type"] async for event in events]


@pytest.mark.servers
@pytest.mark.covers("K-8")
async def test_lines_may_be_cut_anywhere_and_long() -> None:
    short = line("ADDED", 2, text="ü日\u2028") + b"\n \n" + line("ODD", 4)
    long = line("ADDED", 3, text="x" * 3_000_000) + line("ODD", 4)
    for text, size in ((short, 1), (short, 7), (short, 60), (long, 65_536), (long, 10_000_000)):
        async with opened() as (server, api):
            pieces = (text[at : at + size] for at in range(0, len(text), size))
            server.faults.append(Streams(tuple(pieces)))
            assert await watched(api) == ["ADDED", "ODD"]


@pytest.mark.covers("K-8")
@pytest.mark.parametrize("fault", [Says(410), Streams((line("ADDED", 2), GONE_EVENT))])
async def test_gone_is_told_whether_it_comes_as_status_or_event(fault: Fault) -> None:
    async with opened() as (server, api):
        server.faults.append(fault)
        with pytest.raises(Expired):
            await watched(api)


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"ERROR","object":{"code":500,"message":"etcd"}}\n',
        b'{"type":"ERROR","object":{}}\n',
        b'{"type":"ERROR"}\n',
        b"[]\n",
        b"7\n",
        b"<html>\n",
        b"\xff\n",
        b"\n" * 10 + b'{"type":"ADDED","object":[]}\n',
    ],
)
async def test_what_is_no_event_ends_the_watch(text: bytes) -> None:
    async with opened() as (server, api):
        server.faults.append(Streams((text,)))
        with pytest.raises(Unavailable):
            await watched(api)


@pytest.mark.covers("K-2")
async def test_a_silent_watch_is_dead() -> None:
    async with opened() as (server, api):
        server.faults.append(Streams((line("ADDED", 2),), hangs=True))
        began_at = time.monotonic()
        with pytest.raises(Unavailable):
            await watched(api, silence=0.3)
        assert 0.25 < time.monotonic() - began_at < 5
    assert SILENCE_SECONDS == 60


async def test_a_watch_that_breaks_off_is_no_watch_that_ends() -> None:
    async with opened() as (server, api):
        server.faults.append(Streams((line("ADDED", 2),)))
        assert await watched(api) == ["ADDED"]
        server.faults.append(Streams((line("ADDED", 2),), breaks=True))
        with pytest.raises(Unavailable):
            await watched(api)


async def test_the_list_comes_first_and_then_every_change() -> None:
    async with opened("a", "b") as (server, api):
        contacts: list[float] = []
        following = follow(api, CLIENTS, on_contact=contacts.append)
        assert await take(following, 1) == ["=a,b"]
        put(server, "c")
        put(server, "a")
        server.delete(f"{CLIENTS}/b")
        assert await take(following, 3) == ["+c", "+a", "-b"]
        assert len(contacts) == 4
        assert contacts == sorted(contacts)


@pytest.mark.covers("K-8")
async def test_a_watch_that_the_server_ends_goes_on_where_it_ended() -> None:
    async with opened("a") as (server, api):
        following = Follower(api=api, path=CLIENTS, sleep=no_pause).follow()
        bookmark = line("BOOKMARK", 150)
        server.faults.extend(
            [
                None,
                Streams((line("ADDED", 102, "x"), line("MYSTERY", 103), bookmark)),
                Streams((line("DELETED", 160, "x"), b'{"type":"BOOKMARK","object":{}}\n')),
            ]
        )
        assert await take(following, 3) == ["=a", "+x", "-x"]
        server.version = 170
        put(server, "y")
        assert await take(following, 1) == ["+y"]
        versions = [
            target.partition("resourceVersion=")[2].partition("&")[0]
            for _, target, _ in server.seen
            if "watch" in target
        ]
        assert versions == ["101", "150", "160"]


@pytest.mark.covers("K-8")
@pytest.mark.parametrize(
    "faults",
    [
        [Says(410)],
        [Streams((GONE_EVENT,))],
        [Streams((line("ADDED", 102, "x")[:20],), breaks=True)],
        [Says(500)],
        [Says(429, headers={"Retry-After": "9"})],
        [Says(403)],
        [Resets()],
        [Says(410), Says(410), Says(500, body=b"<html>")],
    ],
)
async def test_after_a_gap_comes_a_new_list_with_what_went_in_it(faults: list[Fault]) -> None:
    async with opened("a", "b") as (server, api):
        following = Follower(api=api, path=CLIENTS, sleep=no_pause).follow()
        server.faults.extend([None, *faults])
        assert await take(following, 1) == ["=a,b"]
        server.delete(f"{CLIENTS}/a")
        news = await take(following, 1)
        assert news == ["=b"]


@pytest.mark.covers("K-9")
@pytest.mark.parametrize(
    "faults",
    [
        [None, Says(410)],
        [None, None, *[Says(500)] * 8],
        [None, Resets(), None],
        [None, Says(200, body=b"<html>")],
        [None, *[Says(410)] * 12],
    ],
)
async def test_of_a_list_that_breaks_off_nothing_is_shown(faults: list[Fault]) -> None:
    async with opened(*"abcdefg") as (server, api):
        server.page = 3
        server.faults.extend(faults)
        following = Follower(api=api, path=CLIENTS, sleep=no_pause).follow()
        assert await take(following, 1) == ["=a,b,c,d,e,f,g"]


async def test_short_and_empty_pages_are_no_end() -> None:
    pages = [
        b'{"metadata":{"continue":"x","resourceVersion":"5"},"items":[]}',
        b'{"metadata":{"continue":"y","resourceVersion":"5"},"items":null}',
        b'{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a"}}, 1]}',
    ]
    async with opened() as (server, api):
        server.faults.extend(Says(200, body=page) for page in pages)
        assert await take(follow(api, CLIENTS), 1) == ["=a"]


@pytest.mark.covers("K-14")
async def test_a_store_that_went_back_is_told_and_listed_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened("a") as (server, api):
        following = Follower(api=api, path=CLIENTS, sleep=no_pause).follow()
        server.version = 500
        assert await take(following, 1) == ["=a"]
        server.version = 200
        server.events.clear()
        # It ends in good order, and without a word: a real one waits for version 500.
        server.faults.append(Streams(()))
        with caplog.at_level(logging.WARNING, "storage"):
            assert await take(following, 1) == ["=a"]
            put(server, "b")
            assert await take(following, 1) == ["+b"]
        assert [record.getMessage() for record in caplog.records] == ["store_went_back"]


@pytest.mark.servers
@pytest.mark.covers("K-1")
async def test_five_seconds_after_the_servers_return_all_is_well() -> None:
    async with opened("a") as (server, api):
        following = follow(api, CLIENTS)
        assert await take(following, 1) == ["=a"]
        await server.stop()
        waiting = asyncio.ensure_future(take(following, 1))
        await asyncio.sleep(4)
        put(server, "b")
        await server.start()
        began_at = time.monotonic()
        assert await waiting == ["=a,b"]
        assert time.monotonic() - began_at < 4.5


@pytest.mark.covers("K-16")
@pytest.mark.parametrize("refused", ["list and watch", "watch"])
async def test_a_server_that_refuses_is_not_asked_all_the_time(refused: str) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 12:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    def choose(request: web.Request) -> Fault:
        overloaded = refused != "watch" or "watch" in request.query
        return Says(429, headers={"Retry-After": "9"}) if overloaded else None

    async with opened() as (server, api):
        server.choose = choose
        following = Follower(api=api, path=CLIENTS, sleep=sleep).follow()

        async def exhaust() -> None:
            async for _ in following:
                pass

        with pytest.raises(asyncio.CancelledError):
            await exhaust()
    assert 0.1 <= slept[0] <= 0.2
    assert all(1.5 <= seconds <= 3 for seconds in slept[5:])
