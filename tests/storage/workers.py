"""What the contract runs in processes of their own."""

import asyncio
from dataclasses import replace
from multiprocessing.connection import Connection

from storage.base import AlreadyExists, NotFound
from tests.storage.harness import Opener, generation, grant, grants, refreshed


def increment(opener: Opener, times: int) -> list[int]:
    """Refresh the grant g1 so many times; return the generations that were ours."""

    async def run() -> list[int]:
        ours = []
        async with opener() as backend:
            stored = await grants(backend).get("g1")
            for _ in range(times):
                stored = await grants(backend).update(stored, refreshed)
                ours.append(generation(stored.record))
        return ours

    return asyncio.run(run())


def race_to_create(opener: Opener, names: list[str], nonce: str) -> list[str]:
    """Create all names; return those that were ours."""

    async def run() -> list[str]:
        ours = []
        async with opener() as backend:
            for name in names:
                try:
                    await grants(backend).create(grant(name, nonce=nonce))
                except AlreadyExists:
                    continue
                ours.append(name)
        return ours

    return asyncio.run(run())


def race_to_delete(opener: Opener, names: list[str]) -> list[str]:
    """Delete all names; return those that were ours."""

    async def run() -> list[str]:
        ours = []
        async with opener() as backend:
            for name in names:
                try:
                    await grants(backend).delete(name)
                except NotFound:
                    continue
                ours.append(name)
        return ours

    return asyncio.run(run())


def write_until_killed(opener: Opener, prefix: str, acknowledged: Connection) -> None:
    """Create, change and delete for ever; say what was acknowledged, after it was."""

    async def run() -> None:
        number = 0
        async with opener() as backend:
            while True:
                name = f"{prefix}-{number}"
                stored = await grants(backend).create(grant(name, nonce=name))
                acknowledged.send((name, "created"))
                stored = await grants(backend).update(stored, refreshed)
                await grants(backend).update(stored, lambda record: replace(record, nonce="two"))
                acknowledged.send((name, "updated"))
                if number % 3 == 0:
                    await grants(backend).delete(name)
                    acknowledged.send((name, "deleted"))
                number += 1

    asyncio.run(run())
