"""The background job that carries out what `reseal` decides, on the leader only.

Everything it writes is conditional, so a refresh that comes in between wins, and two leaders for a
moment do no harm. A record that does not open is left as it is and named.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from idp.clock import Clock
from idp.keys.follow import KeyFollower
from idp.keys.key_file import KeyFileError, parse, with_key, without_keys
from idp.keys.key_source import KeySource, KeyText
from idp.keys.reseal import (
    ResealPace,
    Situation,
    Step,
    begun,
    clean,
    finished,
    new_key,
    next_step,
)
from idp.keys.rotate_request import RESEAL_COLUMN
from idp.keys.seal import SECRET_LENGTH, SealBroken, SealingKey, SealingKeys, key_id_of
from idp.keys.sealing_order import next_sealing_key
from idp.log import log_event
from storage.base import Conflict, Document, NotFound, StorageError, Unreadable
from storage.collection import Collection
from storage.records import KeyRing, Resealing

_log = logging.getLogger("idp.keys")


class HeldRing(Protocol):
    """The ring with what is asked beside it, and a way to change it; a `KeyKeeper` fits."""

    @property
    def ring(self) -> KeyRing:
        """Return the ring known last."""
        ...

    @property
    def columns(self) -> Mapping[str, str]:
        """Return what is shown beside it."""
        ...

    async def change(self, change: Callable[[KeyRing], KeyRing]) -> None:
        """Write a change of the newest ring. Raises StorageError."""
        ...


@dataclass(frozen=True, slots=True)
class ResealProgress:
    """Records sealed anew and records that do not open, of the request being served."""

    rewritten: int
    left: int


@dataclass(slots=True, kw_only=True)
class Resealer:
    """Seals all records of `collections` anew when asked to. `report` hears of progress."""

    held: HeldRing
    collections: Sequence[Collection[Any]]
    source: KeySource
    sealing: SealingKeys
    follower: KeyFollower
    clock: Clock
    random: Callable[[int], bytes]
    pace: ResealPace
    leads: Callable[[], bool]
    report: Callable[[ResealProgress], None] = lambda _: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _rewritten: int = field(default=0, init=False)
    _left: set[str] = field(default_factory=set, init=False)
    _told: str = field(default="", init=False)

    async def run(self) -> None:
        """Serve requests until cancelled."""
        while True:
            await self.sleep(self.pace.look_every.total_seconds())
            if self.leads():
                await self._guarded_step()

    async def step(self) -> Step:
        """Do the next thing and return what it was. Raises StorageError and KeyFileError."""
        ring, request = self.held.ring, self.held.columns.get(RESEAL_COLUMN, "")
        if ring.resealing is None and request in ("", ring.answered_reseal):
            return Step.REST
        text = await self.source.read()
        keys = parse(text.text, where=self.source.where)
        at = Situation(
            ring=ring,
            request=request,
            keys=keys,
            writable=self.source.writable,
            seals_with=self.sealing.keys[0].id,
            now=self.clock(),
        )
        step = next_step(at, self.pace)
        if ring.resealing is None:
            await self._begin(at)
        else:
            await self._go_on(step, ring.resealing, text, keys)
        return step

    async def _guarded_step(self) -> None:
        try:
            await self.step()
        except (StorageError, KeyFileError) as error:
            if str(error) != self._told:
                self._told = str(error)
                log_event(_log, logging.WARNING, "reseal_interrupted", problem=self._told)
        else:
            self._told = ""

    async def _begin(self, at: Situation) -> None:
        await self.held.change(lambda ring: begun(ring, at.request, at.now))
        self._rewritten, self._left = 0, set()
        log_event(_log, logging.INFO, "reseal_begun", request=at.request)

    async def _go_on(
        self, step: Step, resealing: Resealing, text: KeyText, keys: Sequence[SealingKey]
    ) -> None:
        match step:
            case Step.ADD_KEY:
                await self._add_key(resealing, text)
            case Step.NEED_KEY:
                problem = (
                    f"{self.source.where} has one key, and the server may not change it. Add a"
                    " line with a new key and a time some minutes ahead, then ask again"
                )
                log_event(_log, logging.WARNING, "reseal_needs_key", problem=problem)
                await self._finish(resealing)
            case Step.REWRITE:
                if await self._rewrite():
                    now = self.clock()
                    await self.held.change(lambda ring: clean(ring, resealing, now))
                    log_event(_log, logging.INFO, "reseal_nothing_left", left=len(self._left))
            case Step.REMOVE_KEYS:
                if await self._rewrite():
                    await self._remove_keys(text, keys)
                    await self._finish(resealing)
                elif self.leads():
                    # A replica that was cut off sealed with an old key: browsers may hold some too.
                    await self.held.change(lambda ring: clean(ring, resealing, None))

    async def _add_key(self, resealing: Resealing, text: KeyText) -> None:
        key = new_key(self.random(SECRET_LENGTH), resealing, self.pace, self.clock())
        await self.source.replace(with_key(text.text, key), text.version)
        log_event(_log, logging.INFO, "sealing_key_added", key=key.id, seals_from=key.seals_from)
        await self.follower.refresh()

    async def _remove_keys(self, text: KeyText, keys: Sequence[SealingKey]) -> None:
        newest = next_sealing_key(keys)
        old = [key.id for key in keys if key.id != newest.id]
        if old and self.source.writable:
            await self.source.replace(without_keys(text.text, old), text.version)
            log_event(_log, logging.INFO, "sealing_keys_removed", keys=old)
            await self.follower.refresh()
        elif old:
            log_event(
                _log, logging.INFO, "sealing_keys_removable", keys=old, where=self.source.where
            )

    async def _finish(self, resealing: Resealing) -> None:
        await self.held.change(lambda ring: finished(ring, resealing))
        log_event(
            _log,
            logging.INFO,
            "reseal_finished",
            request=resealing.request,
            rewritten=self._rewritten,
            left=len(self._left),
        )

    async def _rewrite(self) -> bool:
        """Seal anew what another key has sealed; return whether there was nothing to do."""
        self._left = set()
        before = self._rewritten
        clean = [await self._rewrite_all_of(collection) for collection in self.collections]
        if self._rewritten != before or self._left:
            self._tell()
        return all(clean)

    async def _rewrite_all_of(self, collection: Collection[Any]) -> bool:
        """Return whether there was nothing to do but what does not open."""
        clean = True
        while True:
            # Names first, for a list that stays open while all is written would break off.
            names = await self._stale(collection)
            for name in names:
                if not self.leads():
                    return False
                clean = not await self._rewrite_one(collection, name) and clean
                await self.sleep(1 / self.pace.writes_per_second)
            if len(names) < self.pace.names_at_once:
                return clean

    async def _stale(self, collection: Collection[Any]) -> list[str]:
        names: list[str] = []
        async for document in collection.backend.scan(collection.kind.name, {}):
            if self._is_stale(collection, document):
                names.append(document.name)
                if len(names) == self.pace.names_at_once:
                    break
        return names

    def _is_stale(self, collection: Collection[Any], document: Document) -> bool:
        where = f"{collection.kind.name}/{document.name}"
        if where in self._left or (not document.sealed and collection.kind.blank is not None):
            return False
        try:
            return key_id_of(document.sealed) != self.sealing.keys[0].id
        except SealBroken as error:
            self._leave(where, f"{where}: {error}")
            return False

    async def _rewrite_one(self, collection: Collection[Any], name: str) -> bool:
        """Return False for a record that does not open."""
        try:
            document = await collection.backend.read(collection.kind.name, name)
            if not self._is_stale(collection, document):
                return True
            await collection.reseal(document)
        except (Conflict, NotFound):
            return True  # somebody wrote or removed it just now; the next pass looks again
        except Unreadable as error:
            self._leave(f"{collection.kind.name}/{name}", str(error))
            return False
        self._rewritten += 1
        if self._rewritten % 1000 == 0:
            self._tell()
        return True

    def _leave(self, where: str, problem: str) -> None:
        self._left.add(where)
        log_event(_log, logging.ERROR, "record_not_resealed", problem=problem)

    def _tell(self) -> None:
        progress = ResealProgress(self._rewritten, len(self._left))
        log_event(
            _log,
            logging.INFO,
            "reseal_progress",
            rewritten=progress.rewritten,
            left=progress.left,
        )
        self.report(progress)
