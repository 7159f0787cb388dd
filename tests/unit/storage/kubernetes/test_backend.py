"""Documents over an API server that fails: lost answers, odd objects, lists that break off."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import unquote, unquote_plus

import pytest
from aiohttp import web

from storage.base import AlreadyExists, Conflict, Document, NotFound, StorageUnavailable
from storage.kubernetes.access import Access
from storage.kubernetes.api import ApiServer, open_api_server
from storage.kubernetes.backend import KubernetesBackend
from tests.kit.fake_api_server import FakeApiServer, Fault, Resets, Says, Waits
from tests.kit.waiting import soon
from tests.storage.harness import generation, grant, grants, refreshed

pytestmark = pytest.mark.anyio

KIND = "refresh-grants"
GRANTS = "/apis/state.kube-idp.dev/v1beta1/namespaces/ns/refreshgrants"
LOST = [Resets(done=True), Says(500)]
"""Faults after which nobody knows; with the first one the write was done."""


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@asynccontextmanager
async def opened(
    door: Callable[[Access], ApiServer] = open_api_server,
) -> AsyncIterator[tuple[FakeApiServer, KubernetesBackend]]:
    """Return an empty server and the documents in it."""
    async with FakeApiServer() as server:
        api = door(server.access())
        backend = KubernetesBackend(api)
        yield server, backend
        await backend.close()
        await api.close()


def document(name: str = "a", sealed: str = "ours", **columns: str) -> Document:
    """Return a document."""
    return Document(name=name, columns=columns, sealed=sealed)


def put(server: FakeApiServer, name: str, spec: object, **metadata: Any) -> None:
    """Write an object as somebody does with kubectl."""
    server.put(f"{GRANTS}/{name}", {"metadata": {"name": name, **metadata}, "spec": spec})


async def names(backend: KubernetesBackend, where: Mapping[str, str] | None = None) -> list[str]:
    """Return the names that a scan yields."""
    return [found.name async for found in backend.scan(KIND, where or {})]


@pytest.mark.covers("K-6")
async def test_a_creation_whose_answer_was_lost_is_taken_for_done() -> None:
    async with opened() as (server, backend):
        server.faults.append(Resets(done=True))
        stored = await backend.create(KIND, document(user="jane"))
        assert stored == await backend.read(KIND, "a")
        assert stored.version
        assert server.count("POST") == 2


@pytest.mark.covers("K-6")
async def test_a_creation_that_somebody_else_did_is_not_ours() -> None:
    async with opened() as (server, backend):
        await backend.create(KIND, document(sealed="theirs"))
        server.faults.append(Resets())
        with pytest.raises(AlreadyExists):
            await backend.create(KIND, document())
        with pytest.raises(AlreadyExists):
            await backend.create(KIND, document(sealed="theirs"))  # no answer was lost


@pytest.mark.covers("K-6")
async def test_a_replacement_whose_answer_was_lost_is_taken_for_done() -> None:
    async with opened() as (server, backend):
        stored = await backend.create(KIND, document())
        changed = Document(name="a", columns={}, sealed="newer", version=stored.version)
        server.faults.append(Resets(done=True))
        assert await backend.replace(KIND, changed) == await backend.read(KIND, "a")
        server.faults.append(Resets(done=True))
        server.put(f"{GRANTS}/a", {**server.objects[f"{GRANTS}/a"], "spec": {"sealed": "theirs"}})
        with pytest.raises(Conflict):
            await backend.replace(KIND, changed)


@pytest.mark.covers("K-6")
async def test_a_removal_whose_answer_was_lost_is_taken_for_done() -> None:
    async with opened() as (server, backend):
        await backend.create(KIND, document())
        server.faults.append(Resets(done=True))
        await backend.remove(KIND, "a")
        with pytest.raises(NotFound):
            await backend.remove(KIND, "a")


@pytest.mark.covers("K-6", "I-1")
async def test_a_change_is_applied_once_however_many_answers_are_lost() -> None:
    # Time stands still: five losses within half a second are no outage, and here they may take it.
    async with opened(partial(ApiServer, monotonic=lambda: 0.0)) as (server, backend):
        stored = await grants(backend).create(grant())
        for lost in range(1, 6):
            server.faults.extend([Resets(done=True)] * lost)
            stored = await grants(backend).update(stored, refreshed)
            assert generation(stored.record) == lost
            assert generation((await grants(backend).get("g1")).record) == lost
            server.faults.clear()


@pytest.mark.covers("K-6")
async def test_when_nobody_can_tell_whether_it_was_done_it_is_unavailable() -> None:
    async with opened() as (server, backend):
        server.faults.extend([Resets(done=True), None, *[Says(500)] * 8])
        with pytest.raises(StorageUnavailable):
            await backend.create(KIND, document())


@pytest.mark.covers("K-7")
async def test_a_conflict_is_solved_by_a_fresh_read() -> None:
    async with opened() as (server, backend):
        old = await grants(backend).create(grant())
        await grants(backend).update(old, refreshed)
        writes = server.count("PUT")
        assert generation((await grants(backend).update(old, refreshed)).record) == 2
        assert server.count("PUT") == writes + 2


async def test_of_many_changes_at_once_the_losers_do_not_write() -> None:
    async with opened() as (server, backend):
        stored = await backend.create(KIND, document())
        server.choose = lambda _: Waits(0.05)
        results = await asyncio.gather(
            *(backend.replace(KIND, stored) for _ in range(200)), return_exceptions=True
        )
        assert sum(isinstance(result, Document) for result in results) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 199
        assert server.count("PUT") == 1
        server.choose = lambda _: None
        stored = await backend.read(KIND, "a")
        await backend.replace(KIND, stored)
        server.put(f"{GRANTS}/a", server.objects[f"{GRANTS}/a"])
        results = await asyncio.gather(
            *(backend.replace(KIND, stored) for _ in range(50)), return_exceptions=True
        )
        assert all(isinstance(result, Conflict) for result in results)
        assert server.count("PUT") == 3


@pytest.mark.servers
async def test_of_many_reads_at_once_those_who_come_later_share_one() -> None:
    async with opened() as (server, backend):
        await backend.create(KIND, document())
        server.choose = lambda request: Waits(0.1) if request.method == "GET" else None
        first = asyncio.ensure_future(backend.read(KIND, "a"))
        await asyncio.sleep(0.05)
        stored = await backend.replace(KIND, await backend.read(KIND, "a"))
        later = [asyncio.ensure_future(backend.read(KIND, "a")) for _ in range(50)]
        await asyncio.sleep(0.02)
        later.pop().cancel()
        newest = await backend.replace(KIND, stored)
        last = [asyncio.ensure_future(backend.read(KIND, "a")) for _ in range(50)]
        assert (await first).version < stored.version
        assert all(found.version >= stored.version for found in await asyncio.gather(*later))
        assert all(found == newest for found in await asyncio.gather(*last))
        assert server.count("GET") == 4
        server.choose = lambda _: Says(500)
        failed = await asyncio.gather(
            *(backend.read(KIND, "a") for _ in range(9)), return_exceptions=True
        )
        assert all(isinstance(each, StorageUnavailable) for each in failed)
        server.choose = lambda _: None
        assert await backend.read(KIND, "a") == newest


@pytest.mark.servers
@pytest.mark.covers("K-3")
async def test_whoever_waits_behind_a_slow_write_gives_up_in_time() -> None:
    async with opened() as (server, backend):
        stored = await backend.create(KIND, document())
        server.choose = lambda _: Waits(5)
        began_at = time.monotonic()
        results = await asyncio.gather(
            *(backend.replace(KIND, stored) for _ in range(50)), return_exceptions=True
        )
        assert time.monotonic() - began_at < 3.5
        assert all(isinstance(result, StorageUnavailable) for result in results)
        assert server.count("PUT") <= 2


@pytest.mark.servers
@pytest.mark.covers("K-3", "K-7")
async def test_an_update_takes_no_longer_than_three_and_a_half_seconds() -> None:
    async with opened() as (server, backend):
        stored = await grants(backend).create(grant())
        others = {"GET": Waits(1.4), "PUT": Says(409, body=b'{"reason":"Conflict"}')}
        for faults in ({"PUT": Waits(5), "GET": Waits(5)}, others):
            server.choose = lambda request, now=faults: now[request.method]  # type: ignore[misc]
            began_at = time.monotonic()
            with pytest.raises(StorageUnavailable):
                await grants(backend).update(stored, refreshed)
            assert 2.5 < time.monotonic() - began_at < 3.5


@pytest.mark.covers("K-22")
async def test_odd_objects_are_read_as_what_does_not_open_and_stop_nobody() -> None:
    async with opened() as (server, backend):
        specs: dict[str, object] = {
            "a": {},
            "b": None,
            "c": [],
            "d": {"sealed": 7, "user": {"a": 1}, "clientID": "kubectl"},
            "e": {"sealed": "x", "expires": 5, "ended": True, "lastUsed": None},
            "f": "spec",
        }
        for name, spec in specs.items():
            put(server, name, spec)
        put(server, "g", {"sealed": "x"}, labels=[], annotations="none")
        put(server, "h", {"sealed": "x"}, deletionTimestamp="2026-01-01T00:00:00Z")
        server.objects[f"{GRANTS}/i"] = {"metadata": {}, "spec": {}}
        server.objects[f"{GRANTS}/j"] = {}
        await backend.create(KIND, document("k", user="jane"))
        assert await names(backend) == ["a", "b", "c", "d", "e", "f", "g", "k"]
        assert (await backend.read(KIND, "d")).columns == {"client": "kubectl"}
        assert [(await backend.read(KIND, name)).sealed for name in "abcdf"] == [""] * 5
        assert (await backend.read(KIND, "e")).columns == {}
        with pytest.raises(NotFound):
            await backend.read(KIND, "h")
        assert await backend.expired(KIND, "2030-01-01T00:00:00Z", 10) == []


async def test_requests_of_people_are_columns_and_stay_when_we_write() -> None:
    async with opened() as (server, backend):
        asked = {"kube-idp.dev/rotate": "emergency 1", "other": "x"}
        put(server, "a", {"sealed": "x", "later": "kept"}, annotations=asked)
        found = await backend.read(KIND, "a")
        assert found.columns == {"later": "kept", "request/rotate": "emergency 1"}
        await backend.replace(KIND, found)
        assert await backend.read(KIND, "a") != found
        held = server.objects[f"{GRANTS}/a"]
        assert held["metadata"]["annotations"] == {"kube-idp.dev/rotate": "emergency 1"}
        assert held["spec"] == {"sealed": "x", "later": "kept"}


async def test_long_columns_are_cut_and_still_found() -> None:
    async with opened() as (server, backend):
        await backend.create(KIND, document(user="ü" * 5000, odd="o" * 5000))
        assert (await backend.read(KIND, "a")).columns == {"user": "ü" * 1024, "odd": "o" * 256}
        assert await names(backend, {"user": "ü" * 5000}) == ["a"]
        assert all(len(target) < 500 for _, target, _ in server.seen)


async def test_the_server_selects_and_what_it_selects_is_checked() -> None:
    async with opened() as (server, backend):
        where = {"user": "a,b=c\\d", "client": "kubectl", "ended": ""}
        await backend.create(KIND, document(**where))
        await backend.create(KIND, document("b", user="jane", ended="true"))
        assert await names(backend, where) == ["a"]
        assert await names(backend, {"ended": "true"}) == ["b"]
        targets = [unquote(target) for method, target, _ in server.seen if method == "GET"]
        assert "labelSelector=!kube-idp.dev/ended" in targets[0]
        assert "fieldSelector=spec.user=a\\,b\\=c\\\\d,spec.clientID=kubectl" in targets[0]
        assert "labelSelector=kube-idp.dev/ended=true" in targets[1]


async def test_a_server_without_selectable_fields_is_asked_once() -> None:
    def choose(request: web.Request) -> Fault:
        return Says(400, "field label not supported") if "field" in request.query_string else None

    async with opened() as (server, backend):
        await backend.create(KIND, document(user="jane"))
        await backend.create(KIND, document("b", user="joe"))
        server.seen.clear()
        server.choose = choose
        assert await names(backend, {"user": "jane"}) == ["a"]
        assert await names(backend, {"user": "joe"}) == ["b"]
        assert len(server.seen) == 3


@pytest.mark.covers("K-9")
async def test_a_scan_that_is_outdated_in_the_middle_yields_nothing_twice() -> None:
    async with opened() as (server, backend):
        for number in range(10):
            await backend.create(KIND, document(f"n{number}"))
        server.page = 3
        server.faults.extend([None, None, Says(410)])
        assert await names(backend) == [f"n{number}" for number in range(10)]
        server.faults.extend([None, *[Says(500)] * 8])
        scanned = backend.scan(KIND, {})
        assert [(await anext(scanned)).name for _ in range(3)] == ["n0", "n1", "n2"]
        with pytest.raises(StorageUnavailable):
            await anext(scanned)


async def test_what_has_expired_is_asked_for_by_day() -> None:
    async with opened() as (server, backend):
        for name, expires in {
            "due": "2026-03-01T11:59:59Z",
            "later": "2026-03-01T12:00:01Z",
            "odd": "2026",
            "old": "1999-01-01T00:00:00Z",
        }.items():
            await backend.create(KIND, document(name, expires=expires))
        labels = server.objects[f"{GRANTS}/due"]["metadata"]["labels"]
        assert labels == {"kube-idp.dev/expires-day": "2026-03-01"}
        assert "labels" not in server.objects[f"{GRANTS}/odd"]["metadata"]
        server.seen.clear()
        found = await backend.expired(KIND, "2026-03-01T12:00:00Z", 10)
        assert set(found) == {"due", "odd", "old"}
        recent, rest = (unquote_plus(target) for _, target, _ in server.seen)
        assert "kube-idp.dev/expires-day in (2026-03-01,2026-02-28," in recent
        assert "2026-03-02" not in recent
        assert "kube-idp.dev/expires-day notin (2026-03-01," in rest
        assert max(len(target) for _, target, _ in server.seen) < 8000
        assert len(await backend.expired(KIND, "2026-03-01T12:00:00Z", 1)) == 1
        for odd in ("", "x", "0000-00-00T", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"):
            await backend.expired(KIND, odd, 10)


async def test_a_watch_shows_what_was_done_after_its_call() -> None:
    async with opened() as (server, backend):
        await backend.create(KIND, document("before"))
        server.faults.append(Waits(0.2))  # the watch begins slowly
        changes = backend.watch(KIND)
        await backend.create(KIND, document(user="jane", ended="true"))
        put(server, "going", {"sealed": "x"}, deletionTimestamp="2026-01-01T00:00:00Z")
        await backend.remove(KIND, "a")
        async with asyncio.timeout(10):
            seen = [await anext(changes) for _ in range(3)]
        assert [(change.name, change.gone) for change in seen] == [
            ("a", False),
            ("going", True),
            ("a", True),
        ]
        assert seen[0].columns == {"user": "jane", "ended": "true"}


@pytest.mark.servers
@pytest.mark.covers("K-8")
async def test_a_watch_that_cannot_begin_or_go_on_where_it_was_ends() -> None:
    async with opened() as (server, backend):
        for faults in ([Says(500)] * 8, [None, Says(410)], [Waits(2)], [Says(403)]):
            server.faults.extend(faults)
            changes = backend.watch(KIND)
            for _ in range(2):
                with pytest.raises(StorageUnavailable):
                    await anext(changes)
            server.faults.clear()


@pytest.mark.servers
@pytest.mark.covers("K-8")
async def test_a_watch_shows_after_an_outage_what_happened_in_it() -> None:
    async with opened() as (server, backend):
        await backend.create(KIND, document("before"))
        changes = backend.watch(KIND)
        await backend.create(KIND, document())
        assert (await anext(changes)).name == "a"
        await server.stop()
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(1)
        server.delete(f"{GRANTS}/before")
        await server.start()
        async with asyncio.timeout(5):
            seen = await waiting
        assert (seen.name, seen.gone) == ("before", True)


@pytest.mark.covers("K-14")
async def test_a_watch_ends_when_the_store_went_back() -> None:
    async with opened() as (server, backend):
        server.version = 500
        changes = backend.watch(KIND)
        await names(backend)
        await server.stop()
        server.version = 300
        await server.start()
        async with asyncio.timeout(5):
            with pytest.raises(StorageUnavailable, match="gone back"):
                await anext(changes)


async def test_a_watch_that_nobody_holds_ends() -> None:
    async with opened() as (server, backend):
        changes = backend.watch(KIND)
        await names(backend)
        others = len(asyncio.all_tasks())
        del changes
        await soon(lambda: len(asyncio.all_tasks()) < others)
        assert server.count("GET") >= 2


STATES = "/apis/state.kube-idp.dev/v1beta1/namespaces/ns/userstates"


async def test_what_people_wrote_into_a_shared_object_is_left_as_it_is() -> None:
    async with opened() as (server, backend):
        written: dict[str, Any] = {
            "metadata": {"name": "a", "labels": {"team": "x"}, "annotations": {"note": "mine"}},
            "spec": {"connector": "ldap", "userID": "7", "locked": True, "notBefore": "later"},
        }
        server.put(f"{STATES}/a", written)
        found = await backend.read("user-states", "a")
        assert found.columns == {"connector": "ldap", "user_id": "7", "not_before": "later"}
        assert not found.sealed

        changed = Document(
            name="a",
            columns={**found.columns, "user": "jane"},
            sealed="s",
            version=found.version,
        )
        stored = await backend.replace("user-states", changed)

        kept = server.objects[f"{STATES}/a"]
        assert kept["spec"] == {**written["spec"], "user": "jane", "sealed": "s"}
        assert kept["metadata"]["labels"] == {"team": "x"}
        assert kept["metadata"]["annotations"] == {"note": "mine"}
        assert stored.sealed == "s"
        with pytest.raises(Conflict):
            await backend.replace("user-states", changed)


async def test_columns_that_are_labels_are_found_whatever_the_schema_keeps() -> None:
    async with opened() as (server, backend):
        columns = {"user": "jane", "session": "s1", "person": "p1", "session_ended": ""}
        await backend.create(KIND, document(**columns))
        await backend.create(KIND, document("b", user="jane"))
        held = server.objects[f"{GRANTS}/a"]
        assert held["metadata"]["labels"] == {
            "kube-idp.dev/session": "s1",
            "kube-idp.dev/person": "p1",
        }
        assert held["spec"] == {"user": "jane", "sealed": "ours"}
        # An older definition keeps no field that it does not know.
        server.put(f"{GRANTS}/a", {**held, "spec": {"sealed": "ours"}})
        assert (await backend.read(KIND, "a")).columns == {"session": "s1", "person": "p1"}
        assert await names(backend, {"session": "s1"}) == ["a"]
        assert await names(backend, {"person": "p1"}) == ["a"]
        assert await names(backend, {"session": "s2"}) == []


async def test_a_value_that_no_label_can_hold_is_left_out_and_found_nowhere() -> None:
    async with opened() as (server, backend):
        for number, odd in enumerate(("a b", "x" * 64, "-a", "a,b=c")):
            await backend.create(KIND, document(f"n{number}", session=odd))
            assert "labels" not in server.objects[f"{GRANTS}/n{number}"]["metadata"]
            assert await names(backend, {"session": odd}) == []
