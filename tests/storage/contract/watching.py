"""Watching: every change, of every handle, soon, and none from before."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest

from storage.base import Change, StorageUnavailable
from storage.collection import Collection
from storage.kinds import Record
from tests.kit.waiting import Stopwatch
from tests.storage.harness import NOW, Harness, grant, grants, refreshed, ring, rings

R = TypeVar("R", bound=Record)


async def begun(collection: Collection[R]) -> AsyncIterator[Change]:
    """Return a watch that has begun: a handle answers in the order in which it is asked.

    Without that, a change made through another handle may come before the watch.
    """
    changes = collection.watch()
    await collection.expired(NOW, 1)
    return changes


async def take(changes: AsyncIterator[Change], count: int) -> list[Change]:
    """Return the next changes; fails when they take too long."""
    async with asyncio.timeout(30):
        return [await anext(changes) for _ in range(count)]


@pytest.mark.covers("I-3")
async def test_another_handle_sees_changes_and_deletions_within_a_second(harness: Harness) -> None:
    async with harness.open() as one, harness.open() as other:
        changes = await begun(grants(other))
        stored = await grants(one).create(grant())
        stored = await grants(one).update(stored, refreshed)
        await grants(one).update(stored, lambda _: grant(ended_at=NOW))
        await grants(one).delete("g1")
        with Stopwatch() as watch:
            seen = await take(changes, 4)
            assert watch.seconds < 1
    assert [(change.name, change.gone) for change in seen] == [
        ("g1", False),
        ("g1", False),
        ("g1", False),
        ("g1", True),
    ]
    assert [change.columns["ended"] for change in seen] == ["", "", "true", "true"]
    assert seen[0].columns["user"] == "jane"


async def test_a_waiting_watch_wakes_within_a_second(harness: Harness) -> None:
    async with harness.open() as one, harness.open() as other:
        waiting = asyncio.ensure_future(take(grants(other).watch(), 1))
        await asyncio.sleep(0.4)
        await grants(one).create(grant())
        with Stopwatch() as watch:
            assert [change.name for change in await waiting] == ["g1"]
            assert watch.seconds < 1


async def test_a_watch_shows_changes_of_its_own_handle(harness: Harness) -> None:
    async with harness.open() as backend:
        changes = grants(backend).watch()
        await grants(backend).create(grant())
        assert [change.name for change in await take(changes, 1)] == ["g1"]


async def test_a_watch_starts_with_its_call(harness: Harness) -> None:
    """Changes before it are not shown, changes between call and first step are."""
    async with harness.open() as backend:
        await grants(backend).create(grant("before"))
        await grants(backend).delete("before")
        changes = grants(backend).watch()
        await grants(backend).create(grant("after"))
        await asyncio.sleep(0.05)
        assert [change.name for change in await take(changes, 1)] == ["after"]


async def test_a_watch_shows_its_own_kind_only(harness: Harness) -> None:
    async with harness.open() as backend:
        changes = rings(backend).watch()
        for number in range(5):
            await grants(backend).create(grant(f"g{number}"))
        await rings(backend).create(ring())
        assert [change.name for change in await take(changes, 1)] == ["ring"]


async def test_many_changes_arrive_in_order_and_complete_at_every_watch(harness: Harness) -> None:
    async with harness.open() as one, harness.open() as other:
        watches = [await begun(grants(handle)) for handle in (one, other, other)]
        expected = [f"g{number}" for number in range(450)]
        for number, name in enumerate(expected):
            await grants((one, other)[number % 2]).create(grant(name))
        for changes in watches:
            assert [change.name for change in await take(changes, 450)] == expected


async def test_a_watch_that_nobody_follows_harms_nobody(harness: Harness) -> None:
    async with harness.open() as backend:
        idle = grants(backend).watch()
        ended = grants(backend).watch()
        await grants(backend).create(grant("g1"))
        await take(ended, 1)
        cancelled = asyncio.ensure_future(take(ended, 1))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        await grants(backend).create(grant("g2"))
        assert (await grants(backend).get("g2")).record == grant("g2")
        del idle


async def test_closing_ends_a_watch_with_an_error(harness: Harness) -> None:
    async with harness.open() as backend:
        changes = grants(backend).watch()
        waiting = asyncio.ensure_future(take(changes, 1))
        await asyncio.sleep(0.05)
        await backend.close()
        with pytest.raises(StorageUnavailable):
            await waiting
