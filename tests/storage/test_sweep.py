"""The sweeper: when it sweeps, and that nothing stops it."""

import asyncio
from datetime import timedelta

import pytest

from storage.base import NotFound
from storage.memory import MemoryBackend
from storage.sweep import Sweeper
from tests.kit.storage import Fails, Faults, FlakyBackend
from tests.storage.harness import NOW, grant, grants

pytestmark = pytest.mark.anyio


class Sleeps:
    """Notes how long the sweeper wants to sleep; ends it after some rounds."""

    def __init__(self, rounds: int) -> None:
        self.asked: list[float] = []
        self._rounds = rounds

    async def __call__(self, seconds: float) -> None:
        """Note it and go on at once."""
        self.asked.append(seconds)
        if len(self.asked) > self._rounds:
            raise asyncio.CancelledError


async def run(sweeper: Sweeper) -> None:
    """Run until the sleeps are over."""
    with pytest.raises(asyncio.CancelledError):
        await sweeper.run()


async def test_a_failed_sweep_is_followed_by_the_next() -> None:
    faults = Faults()
    collection = grants(FlakyBackend(MemoryBackend(), faults))
    await collection.create(grant(expires_at=NOW - timedelta(hours=1)))
    faults.next("expired", Fails())
    sleeps = Sleeps(rounds=2)
    sweeper = Sweeper(
        collection=collection, clock=lambda: NOW, sleep=sleeps, random_bytes=lambda n: b"\0" * n
    )
    await run(sweeper)
    assert sleeps.asked == [150.0] * 3
    with pytest.raises(NotFound):
        await collection.get("g1")


async def test_pauses_are_spread_and_records_kept_for_a_margin() -> None:
    collection = grants(MemoryBackend())
    await collection.create(grant("kept", expires_at=NOW - timedelta(minutes=4)))
    await collection.create(grant("gone", expires_at=NOW - timedelta(minutes=6)))
    sleeps = Sleeps(rounds=1)
    sweeper = Sweeper(
        collection=collection, clock=lambda: NOW, sleep=sleeps, random_bytes=lambda n: b"\xff" * n
    )
    await run(sweeper)
    assert 449 < sleeps.asked[0] < 450
    assert [stored.record.name async for stored in collection.scan()] == ["kept"]


async def test_of_several_replicas_only_the_leader_sweeps() -> None:
    collection = grants(MemoryBackend())
    await collection.create(grant(expires_at=NOW - timedelta(hours=1)))
    leads = iter((False, True))
    seen: list[bool] = []

    def leads_now() -> bool:
        seen.append(next(leads))
        return seen[-1]

    async def sleep(_: float) -> None:
        if seen == [False]:
            await collection.get("g1")  # not swept by the round that did not lead
        if len(seen) == 2:
            raise asyncio.CancelledError

    sweeper = Sweeper(
        collection=collection,
        clock=lambda: NOW,
        sleep=sleep,
        random_bytes=lambda n: b"\0" * n,
        leads=leads_now,
    )
    await run(sweeper)
    with pytest.raises(NotFound):
        await collection.get("g1")
