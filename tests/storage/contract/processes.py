"""Several processes on one store, and processes that are killed."""

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from typing import TypeVar

import pytest

from storage.base import Backend, NotFound
from tests.kit.sizes import sized
from tests.kit.waiting import Stopwatch
from tests.storage.contract.watching import begun, take
from tests.storage.harness import Harness, Opener, generation, grant, grants
from tests.storage.workers import increment, race_to_create, race_to_delete, write_until_killed

T = TypeVar("T")


def elsewhere(harness: Harness) -> Opener:
    """Return how another process opens the store."""
    if harness.elsewhere is None:
        pytest.skip("this store lives in one process")
    return harness.elsewhere


async def spread(processes: ProcessPoolExecutor, *calls: Callable[[], list[T]]) -> list[list[T]]:
    """Run each call in a process of its own, all at once."""
    loop = asyncio.get_running_loop()
    return await asyncio.gather(*(loop.run_in_executor(processes, call) for call in calls))


@pytest.mark.covers("I-2")
async def test_processes_lose_no_update(harness: Harness, processes: ProcessPoolExecutor) -> None:
    opener = elsewhere(harness)
    async with harness.open() as backend:
        await grants(backend).create(grant())
        ours = await spread(processes, *([partial(increment, opener, 50)] * 4))
        assert sorted(chain(*ours)) == list(range(1, 201))
        assert generation((await grants(backend).get("g1")).record) == 200


@pytest.mark.covers("I-1")
async def test_of_processes_that_create_and_delete_one_wins(
    harness: Harness, processes: ProcessPoolExecutor
) -> None:
    opener = elsewhere(harness)
    names = [f"g{number}" for number in range(30)]
    created = await spread(
        processes, *(partial(race_to_create, opener, names, str(number)) for number in range(4))
    )
    assert sorted(chain(*created)) == sorted(names)
    async with harness.open() as backend:
        for number, ours in enumerate(created):
            for name in ours:
                assert (await grants(backend).get(name)).record.nonce == str(number)
    deleted = await spread(processes, *([partial(race_to_delete, opener, names)] * 4))
    assert sorted(chain(*deleted)) == sorted(names)


@pytest.mark.covers("I-3")
async def test_a_watch_sees_another_process(
    harness: Harness, processes: ProcessPoolExecutor
) -> None:
    opener = elsewhere(harness)
    async with harness.open() as backend:
        changes = await begun(grants(backend))
        await spread(processes, partial(race_to_create, opener, ["a", "b"], ""))
        await spread(processes, partial(race_to_delete, opener, ["a"]))
        with Stopwatch() as watch:
            seen = [(change.name, change.gone) for change in await take(changes, 3)]
            assert watch.seconds < 1
    assert seen == [("a", False), ("b", False), ("a", True)]


async def kill_writers(harness: Harness, rounds: int, writes: int) -> None:
    """Kill a writer in the middle of its work, again and again; compare with what it was told."""
    opener = elsewhere(harness)
    context = get_context("spawn")
    async with harness.open() as backend:
        for number in range(rounds):
            receiver, sender = context.Pipe(duplex=False)
            writer = context.Process(
                target=write_until_killed, args=(opener, f"r{number}", sender), daemon=True
            )
            writer.start()
            sender.close()
            said: dict[str, str] = {}
            for _ in range(writes + number):
                name, state = await asyncio.to_thread(receiver.recv)
                said[name] = state
            os.kill(writer.pid or 0, signal.SIGKILL)
            await asyncio.to_thread(writer.join)
            while receiver.poll():
                try:
                    name, state = receiver.recv()
                except EOFError:
                    break
                said[name] = state
            receiver.close()
            writer.close()
            await compare(backend, said)
            # Whoever is left goes on at once: a killed process holds no lock.
            await grants(backend).create(grant(f"after-{number}"))


async def compare(backend: Backend, said: dict[str, str]) -> None:
    """Check all that was acknowledged; the writer may have got one step further than it said."""
    newest = max(said, key=lambda name: int(name.rpartition("-")[2]))
    for name, state in said.items():
        try:
            nonce = (await grants(backend).get(name)).record.nonce
        except NotFound:
            assert state == "deleted" or (name == newest and state == "updated")
        else:
            assert state != "deleted"
            assert nonce == "two" or (name == newest and state == "created" and nonce == name)


@pytest.mark.covers("I-5")
async def test_nothing_acknowledged_is_lost_when_writers_are_killed(harness: Harness) -> None:
    await kill_writers(harness, rounds=2, writes=40)


@pytest.mark.servers
@pytest.mark.covers("I-5")
async def test_nothing_acknowledged_is_lost_when_many_writers_are_killed(harness: Harness) -> None:
    await kill_writers(harness, rounds=sized(ci=8, full=30), writes=100)
