"""Ended grants are known within a second, after a restart too, and forgotten in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from idp.grants.ended import EndedGrants, follow_ended_grants
from idp.tokens.refresh import end_grant
from storage.base import Change, StorageUnavailable
from tests.kit.clock import HandClock
from tests.kit.storage import Fails
from tests.unit.grants.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.covers("R-20", "I-3")]
KEEP_FOR = timedelta(minutes=65)


def ended_grants(clock: HandClock, counts: list[int] | None = None) -> EndedGrants:
    heard = [] if counts is None else counts
    return EndedGrants(clock=clock, keep_for=KEEP_FOR, on_count=heard.append)


@asynccontextmanager
async def following(world: World, ended: EndedGrants) -> AsyncIterator[None]:
    job = asyncio.create_task(follow_ended_grants(world.grants, ended))
    await asyncio.sleep(0.01)
    try:
        yield
    finally:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job


async def end(world: World, name: str = "grant-1") -> None:
    stored = await world.grants.get(name)
    await world.grants.update(stored, lambda grant: end_grant(grant, world.clock(), KEEP_FOR))


async def becomes_known(ended: EndedGrants, name: str = "grant-1") -> bool:
    for _ in range(100):
        if name in ended:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_an_end_is_known_within_a_second(world: World) -> None:
    await world.code()
    ended = ended_grants(world.clock)
    async with following(world, ended):
        assert "grant-1" not in ended
        await end(world)
        assert await becomes_known(ended)


async def test_a_deletion_is_an_end(world: World) -> None:
    await world.code()
    ended = ended_grants(world.clock)
    async with following(world, ended):
        await world.grants.delete("grant-1")
        assert await becomes_known(ended)


async def test_uses_that_end_nothing_are_not_remembered(world: World) -> None:
    ended = ended_grants(world.clock)
    async with following(world, ended):
        token = await world.refresh_token()
        await world.refresh(token)
        await asyncio.sleep(0.05)
        assert "grant-1" not in ended


async def test_a_restart_knows_what_ended_before(world: World) -> None:
    for number in range(3):
        await world.code(f"grant-{number}")
    await end(world, "grant-1")
    ended = ended_grants(world.clock)
    async with following(world, ended):
        assert [f"grant-{number}" in ended for number in range(3)] == [False, True, False]


async def test_a_column_that_somebody_edited_ends_nothing_at_a_restart(world: World) -> None:
    """Columns are not authenticated; the record is asked."""
    await world.code()
    document = await world.document()
    columns = {**document.columns, "ended": "true"}
    await world.inner.replace("refresh-grants", replace(document, columns=columns))
    ended = ended_grants(world.clock)
    await ended.load(world.grants)
    assert "grant-1" not in ended


async def test_nothing_that_ends_while_the_tombstones_are_read_is_missed(world: World) -> None:
    for number in range(20):
        await world.code(f"grant-{number}")
    ended = ended_grants(world.clock)
    async with following(world, ended):
        await asyncio.gather(*(end(world, f"grant-{number}") for number in range(20)))
        for number in range(20):
            assert await becomes_known(ended, f"grant-{number}")


@pytest.mark.parametrize("verb", ["watch", "scan"])
async def test_a_watch_that_breaks_is_told_and_forgets_nothing(world: World, verb: str) -> None:
    await world.code()
    ended = ended_grants(world.clock)
    ended.add("grant-0")
    world.faults.always(verb, Fails())  # type: ignore[arg-type]
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(follow_ended_grants(world.grants, ended), 1)
    assert "grant-0" in ended
    # What ended meanwhile is found by the next start.
    await end(world)
    world.faults.clear()
    async with following(world, ended):
        assert await becomes_known(ended)


def test_names_are_kept_until_the_last_access_token_has_expired() -> None:
    clock, counts = HandClock(), list[int]()
    ended = ended_grants(clock, counts)
    for number in range(100):
        ended.add(f"grant-{number}")
        clock.turn(60)
    # 65 minutes, one a minute.
    assert counts[-1] <= 66
    assert "grant-99" in ended
    assert "grant-40" in ended
    assert "grant-0" not in ended


def test_a_name_that_is_heard_of_twice_is_remembered_once() -> None:
    clock, counts = HandClock(), list[int]()
    ended = ended_grants(clock, counts)
    for _ in range(5):
        ended.see(Change(name="grant-1", columns={"ended": "true"}, gone=False))
    assert counts == [1] * 5
    ended.see(Change(name="grant-2", columns={"ended": ""}, gone=False))
    ended.see(Change(name="grant-3", columns={}, gone=False))
    assert "grant-2" not in ended
    assert "grant-3" not in ended
