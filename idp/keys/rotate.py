"""Keeping the stored ring in motion: any replica may, conditional writes decide who did.

There is no leader. Whoever finds something due, or asked for by people, makes the keys for it in a
thread and writes the ring over the version that it read; who comes second finds nothing left to do.
While the store is away, or holds an older ring than is known here, the last ring goes on signing
and being published, however late a rotation gets.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic

from idp.clock import Clock
from idp.keys.adoption import Adoption
from idp.keys.jwks import KeyUnusable, new_signing_key
from idp.keys.restored import KnownRing, restored, went_back
from idp.keys.ring import (
    RingIncomplete,
    RotationPolicy,
    due,
    emergency,
    first_ring,
    fresh_for_due,
    fresh_for_first_ring,
    rotate_requested,
    with_plan,
)
from idp.keys.ring_store import RingCollection, S
from idp.keys.rotate_request import (
    ROTATE_COLUMN,
    RequestNotUnderstood,
    answered,
    fresh_for_answer,
    read_rotate_request,
)
from idp.log import Audit, AuditLog, log_event
from storage.base import AlreadyExists, NotFound, StorageError
from storage.records import KeyRing, SigningKey

_log = logging.getLogger("idp.keys")
_to_log = Audit(logging.getLogger("idp.audit"))


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
    and fetch the old set from another. `monotonic` tells how long a key has been published here,
    whatever happens to the clock.
    """

    tick_every: timedelta = timedelta(seconds=30)
    watch_again_after: timedelta = timedelta(seconds=1)
    settle_for: timedelta = timedelta(seconds=2)
    monotonic: Callable[[], float] = time.monotonic


class KeyKeeper(Generic[S]):
    """Keeps the ring of one issuer and tells of every change.

    `on_change(published, signing)` is called in the event loop with the ring to publish and verify
    with, and the one to sign with; see `LiveKeys.adopt`. Deleting the stored ring revokes nothing,
    it is written again from memory, and so is what an older ring lacks; an emergency is the way.
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
        audit: AuditLog = _to_log,
    ) -> None:
        self._rings = rings_of_store
        self._name = name
        self._policy = policy
        self._clock = clock
        self._new_key = new_key
        self._pace = pace
        self._audit = audit
        self._lock = asyncio.Lock()
        self._stored: S | None = None
        self._adoption = Adoption(on_change, settle_for=pace.settle_for, monotonic=pace.monotonic)
        self._read_at = clock()
        self._not_understood = ""

    @property
    def ring(self) -> KeyRing:
        """Return the ring known last. Raises RingIncomplete before `start`."""
        return self._known.record

    @property
    def columns(self) -> Mapping[str, str]:
        """Return what is shown beside the ring. Raises RingIncomplete before `start`."""
        return self._known.columns

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
        """Read the ring, do what is asked for and what is due; on trouble keep the last one."""

        async def work() -> None:
            await self._refresh()
            await self._answer(now)
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

    async def change(self, change: Callable[[KeyRing], KeyRing]) -> None:
        """Write a change of the newest ring; it may run several times. Raises as `rotate`."""
        async with self._lock:
            await self._write(change)

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
            self._adoption.stop()

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
                report(await self.tick(self._clock()))
                async for change in changes:
                    if change.name == self._name:
                        report(await self.tick(self._clock()))
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
        if self._restored(stored.record) is stored.record:
            self._adopt(stored)
        else:
            await self._write(lambda ring: ring, stored)

    async def _answer(self, now: datetime) -> None:
        """Do what people asked for and write that it is done, in one change."""
        text, before = self.columns.get(ROTATE_COLUMN, ""), self.ring.answered_rotate
        if text in ("", before, self._not_understood):
            return
        try:
            request = read_rotate_request(text)
        except RequestNotUnderstood as problem:
            self._not_understood = text
            log_event(_log, logging.WARNING, "request_not_understood", problem=str(problem))
            return
        fresh = await self._make(fresh_for_answer(request, self._policy), now)

        def unless_answered(ring: KeyRing) -> KeyRing:
            # Another replica was quicker; what it left is looked at when its write is heard of.
            if ring.answered_rotate != before:
                return ring
            return answered(ring, request, self._policy, now, fresh)

        with suppress(RingIncomplete):  # no key stands by yet: at the next tick one does
            if await self._write(unless_answered) and self.ring.answered_rotate == text:
                self._audit("signing_keys_asked_to_rotate", request=text)

    async def _rotate_due(self, now: datetime) -> None:
        waiting = self._adoption.seen_less_than(self._policy.publish_for)
        fresh = await self._make(fresh_for_due(self.ring, self._policy, now, waiting=waiting), now)

        def rotated(ring: KeyRing) -> KeyRing:
            changed = due(ring, self._policy, now, fresh, waiting=waiting)
            # A ring of an older version shows nothing to people yet.
            return changed if ring.revision else with_plan(changed, self._policy)

        if rotated(self.ring) is not self.ring:
            await self._write(rotated)

    async def _write(self, change: Callable[[KeyRing], KeyRing], stored: S | None = None) -> bool:
        """Write a change over what the store holds, and return whether it was us who wrote."""
        known = over = self.ring
        wrote = False

        def counted(found: KeyRing) -> KeyRing:
            nonlocal over, wrote
            changed = change(self._restored(found))
            over, wrote = found, changed is not found
            revision = max(found.revision, known.revision) + 1
            return replace(changed, revision=revision) if wrote else found

        self._adopt(await self._rings.update(stored or self._known, counted))
        if wrote and went_back(over, known):
            self._audit("store_went_back", found=over.revision, known=known.revision)
        return wrote

    def _restored(self, found: KeyRing) -> KeyRing:
        return restored(found, KnownRing(self.ring, self._read_at), self._policy, self._clock())

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
        """Go on with a ring as the store has it. Raises KeyUnusable; then the last one stays."""
        self._adoption.adopt(stored.record)
        self._stored = stored
        self._read_at = self._clock()
