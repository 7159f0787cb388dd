"""Answers objects in their status, from the background, by the leader alone.

Something is written only where it differs from what is there, at most five times a second in all
and once a second for one object; what fails is tried again later and later. No request ever waits
for it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from idp.clock import Clock
from idp.log import log_event
from idp.login.reachability import Reach
from idp.objects.conditions import WORDS, Condition, conditions_of, events_of, status_of
from idp.objects.roster import Roster
from idp.objects.schedule import Schedule, Waker
from idp.objects.verdicts import Change, Entry
from storage.base import Conflict, NotFound, StorageError
from storage.objects import Leadership, ObjectEvent, ObjectKind, WrittenObject, WrittenObjects

_log = logging.getLogger("idp.objects")


class ObjectRef(NamedTuple):
    """Which object is meant."""

    kind: ObjectKind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingPace:
    """How often status is written, in seconds.

    What was written and reads back otherwise is written again only after `insist_after`: somebody
    else writes there too, or the cluster's schema is older than ours and drops some of it.
    """

    gap: float = 0.2
    gap_for_one: float = 1.0
    insist_after: float = 60.0
    first_retry: float = 1.0
    longest_retry: float = 60.0
    idle: float = 1.0
    batch: int = 200


@dataclass(slots=True)
class _Memory:
    """What was done about one object; `written` is the generation and what was said of it."""

    uid: str = ""
    written_at: float = float("-inf")
    written: tuple[int, tuple[Condition, ...]] = (0, ())
    failures: int = 0


class StatusWriter:
    """Writes status and events. `rosters` are the kinds that have a status.

    `reach` tells what was last heard of what an object describes, where that is asked.
    """

    def __init__(
        self,
        source: WrittenObjects,
        leadership: Leadership,
        rosters: Mapping[ObjectKind, Roster[Any]],
        *,
        reach: Callable[[ObjectRef], Reach | None] = lambda _: None,
        clock: Clock,
        monotonic: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
        pace: WritingPace,
    ) -> None:
        self._source = source
        self._leadership = leadership
        self._rosters = rosters
        self._reach = reach
        self._clock = clock
        self._monotonic = monotonic
        self._pause = pause
        self._pace = pace
        self._schedule: Schedule[ObjectRef] = Schedule()
        self._memory: dict[ObjectRef, _Memory] = {}
        self._waker = Waker()

    def hear(self, kind: ObjectKind, changes: Sequence[Change[Any]]) -> None:
        """Note that the status of these objects may not fit any more."""
        now = self._monotonic()
        for change in changes:
            ref = ObjectRef(kind, change.name)
            if change.new is None:
                self._schedule.drop(ref)
                self._memory.pop(ref, None)
            else:
                self._schedule.hasten(ref, self._earliest(ref, change.new.written, now))
        self._waker.wake()

    def touch(self, ref: ObjectRef) -> None:
        """Note that something else is to be said of an object, though the object is as it was."""
        entry = self._rosters[ref.kind].entry(ref.name)
        if entry is not None:
            self._schedule.hasten(ref, self._earliest(ref, entry.written, self._monotonic()))
            self._waker.wake()

    async def run(self) -> None:
        """Write until cancelled, whenever this process leads."""
        while True:
            await self._waker.sleep(self._schedule.wait_for(self._monotonic()))
            if self._leadership.leads():
                await self.write_due()
            else:
                await self._pause(self._pace.idle)

    async def write_due(self) -> None:
        """Answer what is due now, at the pace that is allowed, until this process leads no more."""
        for _ in range(self._pace.batch):
            # One by one: whatever happens to one of them, the others stay due.
            due = self._schedule.take_due(self._monotonic(), 1)
            if not due:
                return
            entry = self._rosters[due[0].kind].entry(due[0].name)
            if entry is not None and await self._answer(due[0], entry):
                await self._pause(self._pace.gap)
                if not self._leadership.leads():
                    return
        await self._pause(0)

    def _earliest(self, ref: ObjectRef, written: WrittenObject, now: float) -> float:
        known = self._memory.get(ref)
        if known is None or known.uid != written.uid:
            return now
        return max(now, known.written_at + self._pace.gap_for_one)

    async def _answer(self, ref: ObjectRef, entry: Entry[Any]) -> bool:
        """Write the status of an object if it differs; return whether the store was asked."""
        conditions = conditions_of(entry, WORDS[ref.kind], self._reach(ref))
        status = status_of(entry, conditions, self._clock())
        if not conditions or status == entry.written.status:
            return False
        memory = self._memory_of(ref, entry.written)
        now = self._monotonic()
        insist_at = memory.written_at + self._pace.insist_after
        if memory.written == (entry.written.generation, conditions) and now < insist_at:
            self._schedule.hasten(ref, insist_at)
            return False
        memory.written_at = now
        try:
            await self._source.write_status(entry.written, status)
        except (Conflict, NotFound):
            # It was changed or deleted, which we are about to hear of.
            self._schedule.hasten(ref, now + self._pace.longest_retry)
            return True
        except StorageError as error:
            self._retry(ref, memory, error)
            return True
        memory.written, memory.failures = (entry.written.generation, conditions), 0
        await self._tell(entry.written, events_of(entry, conditions))
        return True

    def _memory_of(self, ref: ObjectRef, written: WrittenObject) -> _Memory:
        known = self._memory.get(ref)
        if known is None or known.uid != written.uid:
            known = self._memory[ref] = _Memory(uid=written.uid)
        return known

    def _retry(self, ref: ObjectRef, memory: _Memory, error: StorageError) -> None:
        delay = min(self._pace.first_retry * 2**memory.failures, self._pace.longest_retry)
        memory.failures = min(memory.failures + 1, 16)
        self._schedule.hasten(ref, self._monotonic() + delay)
        log_event(
            _log,
            logging.WARNING,
            "status_not_written",
            kind=ref.kind,
            object=ref.name,
            problem=str(error),
        )

    async def _tell(self, written: WrittenObject, events: Sequence[ObjectEvent]) -> None:
        """Tell what happened, once: the status says it as well, and stays."""
        for event in events:
            try:
                await self._source.tell(written, event)
            except StorageError as error:
                log_event(
                    _log,
                    logging.WARNING,
                    "event_not_written",
                    kind=written.kind,
                    object=written.name,
                    problem=str(error),
                )
