"""Keeping the stored ring in motion: any replica may, conditional writes decide who did.

There is no leader. Whoever finds something due makes the keys for it in a thread and writes the
ring over the version that it read; who comes second finds nothing left to do. While the store is
away the last ring goes on signing and being published, however late a rotation gets.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic

from idp.clock import Clock
from idp.keys.jwks import ALGORITHMS, KeyUnusable, new_signing_key
from idp.keys.ring import (
    RingIncomplete,
    RotationPolicy,
    due,
    emergency,
    first_ring,
    fresh_for_due,
    fresh_for_first_ring,
    rotate_requested,
    signing_key,
)
from idp.keys.ring_store import RingCollection, S
from storage.base import AlreadyExists, NotFound, StorageError
from storage.records import KeyRing, SigningKey


@dataclass(frozen=True, slots=True)
class Kept:
    """How the keeping of keys stands.

    `problem` is None when `ring` is what the store holds; else the ring is the last one known and
    goes on signing, and the problem says why the store's could not be used.
    """

    ring: KeyRing
    problem: StorageError | KeyUnusable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often and how long things wait.

    `settle_for` is what every replica needs to hear of a change: for that long after an emergency
    the new key is published but not used, lest a relying party meet its signature at one replica
    and fetch the old set from another.
    """

    tick_every: timedelta = timedelta(seconds=30)
    watch_again_after: timedelta = timedelta(seconds=1)
    settle_for: timedelta = timedelta(seconds=2)


class KeyKeeper(Generic[S]):
    """Keeps the ring of one issuer and tells of every change.

    `on_change(published, signing)` is called in the event loop with the ring to publish and verify
    with, and the one to sign with; see `LiveKeys.adopt`. Deleting the stored ring revokes nothing,
    it is written again from memory; an emergency is the way.
    """

    def __init__(
        self,
        rings_of_store: RingCollection[S],
        *,
        name: str,
        policy: RotationPolicy,
        clock: Clock,
        on_change: Callable[[KeyRing, KeyRing], None],
        new_key: Callable[[str, datetime], SigningKey] = new_signing_key,
        pace: Pace = Pace(),
    ) -> None:
        self._rings = rings_of_store
        self._name = name
        self._policy = policy
        self._clock = clock
        self._on_change = on_change
        self._new_key = new_key
        self._pace = pace
        self._lock = asyncio.Lock()
        self._stored: S | None = None
        # What is signed with; differs from the stored ring only while an emergency settles.
        self._signing: KeyRing | None = None
        self._settling: asyncio.TimerHandle | None = None

    @property
    def ring(self) -> KeyRing:
        """Return the ring known last. Raises RingIncomplete before `start`."""
        return self._known.record

    async def start(self) -> KeyRing:
        """Read the ring, or make the first one, and return it.

        Of several replicas that start at once one makes it and all return the same. Raises
        StorageError (without keys there is nothing to serve) and KeyUnusable.
        """
        async with self._lock:
            try:
                stored = await self._rings.get(self._name)
            except NotFound:
                stored = await self._create_first()
            self._adopt(stored)
            return stored.record

    async def refresh(self) -> Kept:
        """Read the ring again; on trouble keep the last one and say so."""
        async with self._lock:
            return await self._guarded(self._refresh)

    async def tick(self, now: datetime) -> Kept:
        """Read the ring and do what is due; on trouble keep the last one and say so."""

        async def work() -> None:
            await self._refresh()
            await self._rotate_due(now)

        async with self._lock:
            return await self._guarded(work)

    async def rotate(self, alg: str, now: datetime) -> datetime:
        """Ask for a routine rotation and return when it happens, which may be now.

        Raises RingIncomplete if no key of `alg` signs or stands by, StorageError, KeyUnusable.
        """
        async with self._lock:
            await self._refresh()
            await self._write(lambda ring: rotate_requested(ring, alg, self._policy, now)[0])
            _, happens_at = rotate_requested(self.ring, alg, self._policy, now)
            await self._rotate_due(now)
            return happens_at

    async def emergency(self, now: datetime) -> KeyRing:
        """Replace every key at once, because one was stolen. Raises StorageError, KeyUnusable."""
        async with self._lock:
            fresh = await self._make(fresh_for_first_ring(self._policy), now)
            await self._refresh()
            await self._write(lambda ring: emergency(ring, self._policy, now, fresh))
            return self.ring

    async def run(self, report: Callable[[Kept], None]) -> None:
        """Follow the store and rotate until cancelled; `report` hears when the problem changes."""
        last = ""

        def report_change(kept: Kept) -> None:
            nonlocal last
            if (problem := str(kept.problem or "")) != last:
                last = problem
                report(kept)

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(report_change))
                tasks.create_task(self._tick_forever(report_change))
        finally:
            self._stop_settling()

    @property
    def _known(self) -> S:
        if self._stored is None:
            raise RingIncomplete("the keys are not there yet: start() was not called")
        return self._stored

    async def _follow(self, report: Callable[[Kept], None]) -> None:
        while True:
            try:
                changes = self._rings.watch()
                # What was changed before the watch began is not heard of.
                report(await self.refresh())
                async for change in changes:
                    if change.name == self._name:
                        report(await self.refresh())
            except StorageError as problem:
                report(Kept(self.ring, problem))
            await asyncio.sleep(self._pace.watch_again_after.total_seconds())

    async def _tick_forever(self, report: Callable[[Kept], None]) -> None:
        while True:
            report(await self.tick(self._clock()))
            await asyncio.sleep(self._pace.tick_every.total_seconds())

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> Kept:
        try:
            await work()
        except (StorageError, KeyUnusable) as problem:
            return Kept(self.ring, problem)
        return Kept(self.ring)

    async def _refresh(self) -> None:
        try:
            stored = await self._rings.get(self._name)
        except NotFound:
            stored = await self._create(self.ring)
        self._adopt(stored)

    async def _rotate_due(self, now: datetime) -> None:
        fresh = await self._make(fresh_for_due(self.ring, self._policy, now), now)
        if due(self.ring, self._policy, now, fresh) is not self.ring:
            await self._write(lambda ring: due(ring, self._policy, now, fresh))

    async def _write(self, change: Callable[[KeyRing], KeyRing]) -> None:
        self._adopt(await self._rings.update(self._known, change))

    async def _create_first(self) -> S:
        now = self._clock()
        fresh = await self._make(fresh_for_first_ring(self._policy), now)
        return await self._create(first_ring(self._name, self._policy, now, fresh))

    async def _create(self, ring: KeyRing) -> S:
        try:
            return await self._rings.create(ring)
        except AlreadyExists:
            return await self._rings.get(self._name)

    async def _make(self, algorithms: Sequence[str], now: datetime) -> list[SigningKey]:
        # In a thread, and before any write: an RSA key takes longer than a request may wait.
        return [await asyncio.to_thread(self._new_key, alg, now) for alg in algorithms]

    def _adopt(self, stored: S) -> None:
        """Tell of a ring that differs from the one known; or raise KeyUnusable and forget it."""
        ring = stored.record
        known = self._stored.record if self._stored is not None else None
        if known is None or self._signing is None:
            self._swap(ring, ring)
        elif ring != known or (self._settling is None and self._signing != ring):
            self._change(ring, known, self._signing)
        self._stored = stored

    def _change(self, ring: KeyRing, known: KeyRing, signing: KeyRing) -> None:
        if self._settling is None and not _signs_unannounced(ring, known):
            self._swap(ring, ring)
            return
        self._swap(ring, signing)
        if self._settling is None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(self._pace.settle_for.total_seconds(), self._settle)

    def _settle(self) -> None:
        self._settling = None
        with suppress(KeyUnusable):  # the next tick tries again, and its caller hears of it
            self._swap(self.ring, self.ring)

    def _swap(self, published: KeyRing, signing: KeyRing) -> None:
        self._on_change(published, signing)
        self._signing = signing

    def _stop_settling(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None


def _signs_unannounced(ring: KeyRing, known: KeyRing) -> bool:
    """Tell whether a key signs that was not in the set which we published until now."""
    published = {key.kid for key in known.keys}
    signing = (signing_key(ring, alg) for alg in ALGORITHMS)
    return any(key is not None and key.kid not in published for key in signing)
