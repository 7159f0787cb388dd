"""The door under faults: what is tried again, what is not, and how long anything takes."""

import asyncio
import gc
import itertools
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from storage.base import AlreadyExists, Conflict, NotFound, StorageUnavailable
from storage.kubernetes.api import CALL_SECONDS, ApiServer, Tries, open_api_server
from storage.kubernetes.errors import Forbidden, Invalid, TooLarge, Unavailable
from tests.kit.fake_api_server import FakeApiServer, Fault, Resets, Says, Waits

pytestmark = pytest.mark.anyio

GRANTS = "/apis/state.kube-idp.dev/v1beta1/namespaces/ns/refreshgrants"
BODY = {"metadata": {"name": "a"}, "spec": {"sealed": "x"}}


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[FakeApiServer, ApiServer]]:
    """Return a server with one object `a`, and a door to it."""
    async with FakeApiServer() as server:
        server.put(f"{GRANTS}/a", BODY)
        api = open_api_server(server.access())
        yield server, api
        await api.close()
        await api.close()


async def refused(api: ApiServer, method: str = "GET", path: str = f"{GRANTS}/a") -> Unavailable:
    """Return the error of a call that must be unavailable."""
    with pytest.raises(Unavailable) as caught:
        await api.call(method, path, body=None if method in ("GET", "DELETE") else BODY)
    return caught.value


async def test_objects_are_read_written_and_deleted() -> None:
    async with opened() as (server, api):
        found = await api.call("GET", f"{GRANTS}/a")
        assert found["spec"] == BODY["spec"]
        assert (await api.call("PUT", f"{GRANTS}/a", body=found))["spec"] == BODY["spec"]
        with pytest.raises(Conflict):
            await api.call("PUT", f"{GRANTS}/a", body=found)
        with pytest.raises(AlreadyExists):
            await api.call("POST", GRANTS, body=BODY)
        await api.call("DELETE", f"{GRANTS}/a")
        with pytest.raises(NotFound):
            await api.call("DELETE", f"{GRANTS}/a")
        assert {authorization for _, _, authorization in server.seen} == {"Bearer one"}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_is_tried_again_and_counted_as_perhaps_done(status: int) -> None:
    async with opened() as (server, api):
        server.faults.extend([Says(status), Says(status, body=b"<html>")])
        tries = Tries()
        await api.call("GET", f"{GRANTS}/a", tries=tries)
        assert (tries.made, tries.unknown) == (3, 2)


@pytest.mark.servers
@pytest.mark.covers("K-5")
async def test_with_three_in_ten_attempts_failing_all_calls_succeed() -> None:
    statuses = itertools.cycle([None, 500, None, None, 503, None, 502, None, None, None])
    chance = itertools.count()

    def choose(_: web.Request) -> Fault:
        # 3 in 10, in an order that shifts, so that one call meets several in a row.
        status = next(statuses) if next(chance) % 7 else 504
        return Says(status) if status else None

    async with opened() as (server, api):
        server.choose = choose
        results = await asyncio.gather(
            *(api.call("GET", f"{GRANTS}/a") for _ in range(300)), return_exceptions=True
        )
    assert sum(isinstance(result, dict) for result in results) >= 0.999 * len(results)


async def test_a_server_that_only_fails_is_given_up_soon() -> None:
    async with opened() as (server, api):
        server.choose = lambda _: Says(503, "etcd is away")
        began_at = time.monotonic()
        error = await refused(api, "PUT")
        assert time.monotonic() - began_at < 2.5
        assert "etcd is away" in str(error)
        assert error.status == 503
        assert server.count("PUT") == 8


@pytest.mark.covers("K-1")
async def test_an_outage_costs_requests_little_and_its_end_is_noticed_at_once() -> None:
    async with opened() as (server, api):
        await server.stop()
        for _ in range(3):
            await refused(api)
        began_at = time.monotonic()
        for _ in range(100):
            await refused(api)
        assert time.monotonic() - began_at < 5  # a hundred that tried would take a minute
        await server.start()
        await asyncio.sleep(0.55)
        await asyncio.gather(*(api.call("GET", f"{GRANTS}/a") for _ in range(20)))


async def test_a_short_break_is_bridged() -> None:
    async with opened() as (server, api):
        await api.call("GET", f"{GRANTS}/a")
        await server.stop()
        calls = [asyncio.ensure_future(api.call("GET", f"{GRANTS}/a")) for _ in range(20)]
        await asyncio.sleep(0.05)
        await server.start()
        await asyncio.gather(*calls)


@pytest.mark.servers
@pytest.mark.covers("K-2")
async def test_a_black_hole_is_given_up_within_three_and_a_half_seconds() -> None:
    with socket.socket() as full:  # its backlog is full: further connections hang
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.socket() as one, socket.socket() as two:
            for filler in (one, two):
                filler.settimeout(0)
                filler.connect_ex(full.getsockname())
            server = FakeApiServer(port=full.getsockname()[1])
            api = open_api_server(server.access())
            began_at = time.monotonic()
            await refused(api, "PUT")
            assert time.monotonic() - began_at < 3.5
            began_at = time.monotonic()
            await asyncio.gather(*(refused(api) for _ in range(50)))
            assert time.monotonic() - began_at < 1.2
            await api.close()


@pytest.mark.servers
@pytest.mark.covers("K-3")
async def test_a_slow_server_is_given_up_by_all_who_wait_and_sees_at_most_32_writes() -> None:
    async with opened() as (server, api):
        arrivals: list[float] = []

        def wait(_: web.Request) -> Waits:
            arrivals.append(time.monotonic())
            return Waits(5)

        server.choose = wait
        began_at = time.monotonic()
        await asyncio.gather(*(refused(api, "PUT") for _ in range(100)))
        assert time.monotonic() - began_at < 3.5
        # Before then nobody gave up, so no turn can have come free.
        assert sum(at < began_at + CALL_SECONDS for at in arrivals) == 32
        server.choose = lambda _: None
        await api.call("GET", f"{GRANTS}/a")


@pytest.mark.covers("K-4")
async def test_a_short_wait_is_honoured_once() -> None:
    async with opened() as (server, api):
        server.faults.append(Says(429, headers={"Retry-After": "1"}))
        began_at, tries = time.monotonic(), Tries()
        await api.call("GET", f"{GRANTS}/a", tries=tries)
        assert 1 <= time.monotonic() - began_at < CALL_SECONDS
        assert tries.made == 2
        server.faults.extend([Says(429, headers={"Retry-After": "0"})] * 2)
        assert (await refused(api)).retry_after == 0


@pytest.mark.covers("K-4")
async def test_a_long_wait_is_passed_on() -> None:
    async with opened() as (server, api):
        for header, asked in ({"Retry-After": "30"}, 30), ({"Retry-After": "9" * 30}, 1e30):
            server.faults.append(Says(429, headers=header))
            began_at = time.monotonic()
            assert (await refused(api)).retry_after == pytest.approx(asked)
            assert time.monotonic() - began_at < 2  # the longest wait that is honoured


@pytest.mark.servers
@pytest.mark.covers("K-4")
async def test_an_overloaded_server_gets_few_more_requests_than_calls() -> None:
    async with opened() as (server, api):
        server.choose = lambda _: Says(429, headers={"Retry-After": "0"})
        await asyncio.gather(*(refused(api) for _ in range(200)))
        assert len(server.seen) <= 200 * 1.1 + 10


@pytest.mark.covers("K-16")
async def test_a_missing_right_is_named_logged_once_and_asked_once_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened() as (server, api):
        server.choose = lambda _: Says(403, 'User "idp" cannot update resource')
        with caplog.at_level(logging.ERROR, "storage"):
            for _ in range(50):
                with pytest.raises(Forbidden, match=r"update refreshgrants\.state\.kube-idp\.dev"):
                    await api.call("PUT", f"{GRANTS}/a", body=BODY)
        assert len(server.seen) == 1
        assert [record.getMessage() for record in caplog.records] == ["store_access_denied"]
        server.choose = lambda _: None
        await api.call("GET", f"{GRANTS}/a")  # another verb is not denied
        await asyncio.sleep(1.05)
        with pytest.raises(Conflict):
            await api.call("PUT", f"{GRANTS}/a", body=BODY)


@pytest.mark.covers("K-19")
async def test_a_quota_is_no_missing_right() -> None:
    async with opened() as (server, api):
        server.choose = lambda _: Says(403, "exceeded quota: count/refreshgrants")
        assert "exceeded quota" in str(await refused(api, "POST", GRANTS))
        server.choose = lambda _: None
        with pytest.raises(AlreadyExists):
            await api.call("POST", GRANTS, body=BODY)


@pytest.mark.covers("K-17")
@pytest.mark.parametrize(
    "fault",
    [
        Says(413, "limit is 3145728"),
        Says(500, "etcdserver: request is too large"),
        Says(500, "trying to send message larger than max (2500 vs. 2000)"),
    ],
)
async def test_an_object_that_is_too_large_is_told_so_at_once(fault: Fault) -> None:
    async with opened() as (server, api):
        server.faults.append(fault)
        with pytest.raises(TooLarge, match="too much"):
            await api.call("PUT", f"{GRANTS}/a", body=BODY)
        assert len(server.seen) == 1


async def test_what_the_schema_refuses_names_the_fields() -> None:
    status = b'{"message":"bad","details":{"causes":[{"field":"spec.x","message":"is odd"}, 1]}}'
    async with opened() as (server, api):
        server.faults.append(Says(422, body=status))
        with pytest.raises(Invalid, match=r"spec\.x: is odd") as caught:
            await api.call("PUT", f"{GRANTS}/a", body=BODY)
        assert caught.value.causes == ("spec.x: is odd",)


@pytest.mark.covers("K-15")
async def test_a_resource_that_is_not_served_is_not_an_object_that_is_missing() -> None:
    async with opened() as (server, api):
        server.faults.append(Says(404, body=b"404 page not found\n"))
        assert "idp crds" in str(await refused(api))
        body = b'{"message":"gone","details":{"name":"ns","kind":"namespaces"}}'
        server.faults.append(Says(404, body=body))
        assert "namespace 'ns' does not exist" in str(await refused(api, "POST", GRANTS))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"1", b'{"a":', b"\xff\xfe", b"null"])
async def test_what_is_no_json_object_is_no_api_server(body: bytes) -> None:
    async with opened() as (server, api):
        server.faults.append(Says(200, body=body))
        assert "no JSON object" in str(await refused(api))


async def test_an_answer_that_is_too_large_is_refused() -> None:
    async with opened() as (server, api):
        server.choose = lambda _: Says(200, body=b" " * (33 * 1024 * 1024))
        with pytest.raises(Unavailable, match="32 MiB"):
            await api.call("GET", f"{GRANTS}/a", deadline=30)
        assert len(server.seen) == 1


async def test_redirects_are_not_followed() -> None:
    async with opened() as (server, api):
        server.faults.append(Says(307, headers={"Location": f"{GRANTS}/b"}))
        assert "307" in str(await refused(api))
        assert len(server.seen) == 1


@pytest.mark.covers("K-6")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_no_write_is_repeated_behind_our_back(method: str) -> None:
    """The HTTP library would, on a connection that was used before; then nobody could tell."""
    async with opened() as (server, api):
        held = await api.call("GET", f"{GRANTS}/a")
        body = {"metadata": {"name": "b"}} if method == "POST" else held
        path = GRANTS if method == "POST" else f"{GRANTS}/a"
        server.faults.append(Resets(done=True))
        tries = Tries()
        with pytest.raises((Conflict, NotFound, AlreadyExists)):
            await api.call(method, path, body=body, tries=tries)
        assert (tries.made, tries.unknown) == (2, 1)
        assert server.count(method) == 2


async def test_a_json_patch_is_not_repeated_when_it_may_have_been_done() -> None:
    async with opened() as (server, api):
        for fault in (Resets(done=True), Says(500)):
            server.faults.append(fault)
            with pytest.raises(Unavailable):
                await api.call(
                    "PATCH", f"{GRANTS}/a", body=[], content_type="application/json-patch+json"
                )
        assert server.count("PATCH") == 2


async def test_a_closed_door_ends_what_is_under_way() -> None:
    async with opened() as (server, api):
        server.choose = lambda _: Waits(20)
        calls = [asyncio.ensure_future(refused(api)) for _ in range(3)]
        await asyncio.sleep(0.05)
        began_at = time.monotonic()
        await api.close()
        await asyncio.gather(*calls)
        with pytest.raises(StorageUnavailable, match="closed"):
            await api.call("GET", f"{GRANTS}/a")
        assert time.monotonic() - began_at < 2  # and not at their deadline


def test_each_event_loop_has_connections_of_its_own_and_leaves_none_open() -> None:
    async def main() -> None:
        async with FakeApiServer() as server:
            server.put(f"{GRANTS}/a", BODY)
            api = open_api_server(server.access())

            async def call() -> None:
                await api.call("GET", f"{GRANTS}/a")

            await asyncio.gather(*(asyncio.to_thread(asyncio.run, call()) for _ in range(4)))
            await call()
            await api.close()

    asyncio.run(main())
    gc.collect()  # a socket that was left open warns here, and warnings are errors
