"""Many callers at once: in one event loop and in several threads."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from storage.base import AlreadyExists, Backend, Conflict, NotFound, StorageUnavailable
from storage.collection import Stored
from storage.records import Grant, KeyRing
from tests.storage.harness import (
    Harness,
    generation,
    grant,
    grants,
    refreshed,
    ring,
    rings,
    signing_key,
)

RACERS = 200
KIND = "refresh-grants"


async def outcomes(calls: list[Awaitable[object]]) -> Counter[str]:
    """Return how often a call succeeded, and how often it raised what."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return Counter(
        type(result).__name__ if isinstance(result, BaseException) else "won" for result in results
    )


async def test_of_two_updates_one_inside_the_other_both_are_applied(harness: Harness) -> None:
    """The inner one writes between the outer one's read and its write, so it comes first."""
    async with harness.open() as one, harness.open() as other:
        stored = await grants(one).create(grant())
        between = asyncio.Event()
        attempts: list[Grant] = []

        def outer(record: Grant) -> Grant:
            attempts.append(record)
            return replace(record, nonce="outer")

        class Interposed:
            """Lets the inner update run before the outer one's first write."""

            place = one.place
            read = staticmethod(one.read)

            async def replace(self, kind: str, document: object) -> object:
                if not between.is_set():
                    between.set()
                    await grants(other).update(stored, refreshed)
                return await one.replace(kind, document)  # type: ignore[arg-type]

        final = await grants(Interposed()).update(stored, outer)  # type: ignore[arg-type]
        assert [generation(record) for record in attempts] == [0, 1]
        assert final.record == replace(refreshed(grant()), nonce="outer")
        assert (await grants(other).get("g1")).record == final.record


async def test_of_two_first_key_rings_one_wins_whole(harness: Harness) -> None:
    async with harness.open() as one, harness.open() as other:
        candidates = [ring(signing_key(f"k{number}")) for number in range(20)]
        calls: list[Awaitable[object]] = [
            rings(backend).create(candidate)
            for backend, candidate in zip([one, other] * 10, candidates, strict=True)
        ]
        assert await outcomes(calls) == {"won": 1, "AlreadyExists": 19}
        assert (await rings(one).get("ring")).record in candidates


async def test_of_two_rotations_each_adds_its_key(harness: Harness) -> None:
    def rotation(kid: str) -> Callable[[KeyRing], KeyRing]:
        return lambda held: replace(held, keys=(*held.keys, signing_key(kid)))

    async with harness.open() as one, harness.open() as other:
        stored = await rings(one).create(ring(signing_key("k0")))
        await asyncio.gather(
            *(
                rings(backend).update(stored, rotation(f"k{number}"))
                for number, backend in enumerate([one, other] * 5, start=1)
            )
        )
        kids = [key.kid for key in (await rings(one).get("ring")).record.keys]
    assert kids[0] == "k0"
    assert sorted(kids[1:]) == sorted(f"k{number}" for number in range(1, 11))


async def test_of_200_creators_one_wins(harness: Harness) -> None:
    async with harness.open() as one, harness.open() as other:
        calls: list[Awaitable[object]] = [
            grants(backend).create(grant(nonce=str(number)))
            for number, backend in enumerate([one, other] * (RACERS // 2))
        ]
        assert await outcomes(calls) == {"won": 1, "AlreadyExists": RACERS - 1}


async def test_of_200_deleters_one_wins(harness: Harness) -> None:
    async with harness.open() as one, harness.open() as other:
        await grants(one).create(grant())
        calls: list[Awaitable[object]] = [
            grants(backend).delete("g1") for backend in [one, other] * (RACERS // 2)
        ]
        assert await outcomes(calls) == {"won": 1, "NotFound": RACERS - 1}


@pytest.mark.covers("I-1")
async def test_of_200_writers_over_one_version_one_wins(harness: Harness) -> None:
    async with harness.open() as one, harness.open() as other:
        await grants(one).create(grant())
        document = await one.read(KIND, "g1")
        calls: list[Awaitable[object]] = [
            backend.replace(KIND, document) for backend in [one, other] * (RACERS // 2)
        ]
        assert await outcomes(calls) == {"won": 1, "Conflict": RACERS - 1}


async def test_of_200_redemptions_one_finds_the_code_unspent(harness: Harness) -> None:
    def spend(record: Grant) -> Grant:
        if record.code_spent_at is not None:
            raise PermissionError("spent")
        return replace(record, code_spent_at=record.created_at)

    async with harness.open() as one, harness.open() as other:
        stored = await grants(one).create(grant())
        calls: list[Awaitable[object]] = [
            grants(backend).update(stored, spend) for backend in [one, other] * (RACERS // 2)
        ]
        assert await outcomes(calls) == {"won": 1, "PermissionError": RACERS - 1}


async def test_100_parallel_increments_are_all_applied(harness: Harness) -> None:
    async def increment(backend: Backend, stored: Stored[Grant]) -> Stored[Grant]:
        """Try again when told to: on a busy machine three seconds are few for a hundred."""
        while True:
            try:
                return await grants(backend).update(stored, refreshed)
            except StorageUnavailable as error:
                if "others changed it" not in str(error):
                    raise

    async with harness.open() as one, harness.open() as other:
        stored = await grants(one).create(grant())
        results: list[Stored[Grant]] = await asyncio.gather(
            *(increment(backend, stored) for backend in [one, other] * 50)
        )
        assert sorted(generation(result.record) for result in results) == list(range(1, 101))
        assert generation((await grants(one).get("g1")).record) == 100


async def test_creations_and_deletions_alternate(harness: Harness) -> None:
    """Whoever creates and deletes the same name for ever: each success answers the other."""
    won: Counter[str] = Counter()

    async def busy(backend: Backend, call: str) -> None:
        for _ in range(60):
            try:
                if call == "create":
                    await grants(backend).create(grant())
                else:
                    await grants(backend).delete("g1")
            except (AlreadyExists, NotFound, Conflict):
                await asyncio.sleep(0)
            else:
                won[call] += 1

    async with harness.open() as one, harness.open() as other:
        await asyncio.gather(*(busy(b, c) for b in (one, other) for c in ("create", "delete")))
        left = [stored async for stored in grants(one).scan()]
    assert won["create"] - won["delete"] == len(left)
    assert won["create"] > 0


@pytest.mark.parametrize("shared", ["one handle for all", "a handle each"])
def test_threads_with_loops_of_their_own_lose_no_update(harness: Harness, shared: str) -> None:
    async def prepare() -> None:
        await grants(backend).create(grant())

    async def increments(own: Backend) -> None:
        stored = await grants(own).get("g1")
        for _ in range(25):
            stored = await grants(own).update(stored, refreshed)

    async def with_handle_of_its_own() -> None:
        async with harness.open() as own:
            await increments(own)

    async def check() -> None:
        assert generation((await grants(backend).get("g1")).record) == 100
        await opened.__aexit__(None, None, None)

    opened = harness.open()
    backend = asyncio.run(opened.__aenter__())
    asyncio.run(prepare())
    with ThreadPoolExecutor(4) as threads:
        for done in [
            threads.submit(
                asyncio.run,
                increments(backend) if shared.startswith("one") else with_handle_of_its_own(),
            )
            for _ in range(4)
        ]:
            done.result()
    asyncio.run(check())
