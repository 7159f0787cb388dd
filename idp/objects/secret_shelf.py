"""The Secrets that objects refer to: read at once, and again and again.

There is no watch on Secrets, for which the server would need the right to list them all. So each is
read every 30 seconds, one that gives nothing every 2 seconds for a while, and any of them at once
when an object that refers to it changes.

While the store is away the last value stays. A Secret that was deleted, emptied or taken from our
reach gives nothing any more.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from idp.objects.roster import Roster
from idp.objects.schedule import AT_ONCE, Schedule, Waker
from idp.objects.secret_values import forbidden, found_in, no_answer, not_found
from idp.objects.verdicts import Change, GoodSecret, SecretNeed, SecretReading
from storage.base import NotFound, StorageError
from storage.objects import SecretForbidden

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfPace:
    """How often Secrets are read, in seconds.

    An API server that has just started may forbid for a moment what it allows: a value that we had
    outlives `forbidden_for`. One that cannot be asked for is tried again after `away`, and in the
    end after `away_for_long`; after `given_up_after` tries it is said to give nothing, where it
    never gave anything. At most `at_once` reads run together; between two batches that bring nobody
    anything new there is `gap`, so that thousands of Secrets only make the rounds longer.
    """

    good: float = 30.0
    bad: float = 2.0
    bad_for_long: float = 30.0
    hopeless_after: int = 150
    forbidden_for: float = 60.0
    away: float = 2.0
    away_for_long: float = 5.0
    given_up_after: int = 3
    gap: float = 0.2
    at_once: int = 8


class SecretShelf:
    """What was last read. `on_change` hears of every need whose reading is another than before."""

    def __init__(
        self,
        read: Callable[[str], Awaitable[Mapping[str, bytes]]],
        *,
        on_change: Callable[[SecretNeed], None],
        monotonic: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
        pace: ShelfPace,
    ) -> None:
        self._read = read
        self._on_change = on_change
        self._monotonic = monotonic
        self._pause = pause
        self._pace = pace
        self._needs: defaultdict[str, set[SecretNeed]] = defaultdict(set)
        self._readings: dict[SecretNeed, SecretReading] = {}
        self._unread: set[SecretNeed] = set()
        self._failures: dict[str, int] = {}
        self._forbidden_since: dict[str, float] = {}
        self._unanswered: dict[str, int] = {}
        self._schedule: Schedule[str] = Schedule()
        self._waker = Waker()

    def reading(self, need: SecretNeed) -> SecretReading | None:
        """Return what was last read, None when nobody could say yet."""
        return self._readings.get(need)

    def want(self, need: SecretNeed) -> None:
        """Read this as soon as can be, and go on reading it."""
        self._needs[need.name].add(need)
        if need not in self._readings:
            self._unread.add(need)
        self._failures.pop(need.name, None)
        self._unanswered.pop(need.name, None)
        self.refresh(need.name)

    def refresh(self, name: str) -> None:
        """Read a Secret that is wanted as soon as can be."""
        if name in self._needs:
            self._schedule.plan(name, AT_ONCE)
            self._waker.wake()

    def forget(self, need: SecretNeed) -> None:
        """Stop reading this, and let go of what was read."""
        self._readings.pop(need, None)
        self._unread.discard(need)
        needs = self._needs[need.name]
        needs.discard(need)
        if not needs:
            del self._needs[need.name]
            self._schedule.drop(need.name)
            self._failures.pop(need.name, None)
            self._forbidden_since.pop(need.name, None)
            self._unanswered.pop(need.name, None)

    def is_settled(self) -> bool:
        """Return whether everything that is wanted was read, or is known not to be there."""
        return not self._unread

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self._waker.sleep(self._schedule.wait_for(self._monotonic()))
            pause = await self.read_due()
            if pause:
                await self._pause(pause)

    async def read_due(self) -> float:
        """Read some of what is due; return for how many seconds to read nothing more."""
        names = self._schedule.take_due(self._monotonic(), self._pace.at_once)
        is_routine = all(self._is_known(name) or name in self._unanswered for name in names)
        try:
            await asyncio.gather(*(self._read_one(name) for name in names))
        except BaseException:
            for name in names:
                self._note_no_answer(name, "")
            raise
        return self._pace.gap if names and is_routine else 0.0

    def _is_known(self, name: str) -> bool:
        return all(need in self._readings for need in self._needs.get(name, ()))

    async def _read_one(self, name: str) -> None:
        try:
            entries = await self._read(name)
        except NotFound:
            self._note(name, not_found)
        except SecretForbidden as error:
            self._note_forbidden(name, str(error))
        except StorageError as error:
            self._note_no_answer(name, str(error))
        else:
            self._note(name, lambda need: found_in(entries, need))

    def _note_no_answer(self, name: str, explanation: str) -> None:
        """Try again; say so in the end where there was never a value, so that nobody waits for it.

        One Secret that the API server cannot decrypt keeps no other from being served.
        """
        if name not in self._needs:
            return
        tries = self._unanswered[name] = min(self._unanswered.get(name, 0) + 1, 16)
        delay = min(self._pace.away * 2 ** (tries - 1), self._pace.away_for_long)
        self._schedule.hasten(name, self._monotonic() + delay)
        if tries >= self._pace.given_up_after and not self._is_known(name):
            known = self._readings
            self._adopt(
                {
                    need: known.get(need) or no_answer(need, explanation)
                    for need in self._needs[name]
                }
            )

    def _note_forbidden(self, name: str, explanation: str) -> None:
        now = self._monotonic()
        since = self._forbidden_since.setdefault(name, now)
        had = (self._readings.get(need) for need in self._needs.get(name, ()))
        if now - since < self._pace.forbidden_for and any(isinstance(r, GoodSecret) for r in had):
            self._schedule.hasten(name, now + self._pace.bad)
            return
        self._note(name, lambda need: forbidden(need, explanation))
        if name in self._needs:
            self._forbidden_since[name] = since

    def _note(self, name: str, reading_of: Callable[[SecretNeed], SecretReading]) -> None:
        """Keep what was read, if anybody still wants it, and plan the next time."""
        self._forbidden_since.pop(name, None)
        self._unanswered.pop(name, None)
        readings = {need: reading_of(need) for need in self._needs.get(name, ())}
        if not readings:
            return
        # Somebody may have asked for it anew meanwhile.
        self._schedule.hasten(name, self._monotonic() + self._next_in(name, readings))
        self._adopt(readings)

    def _adopt(self, readings: Mapping[SecretNeed, SecretReading]) -> None:
        changed = [need for need in readings if self._readings.get(need) != readings[need]]
        self._readings.update(readings)
        self._unread.difference_update(readings)
        for need in changed:
            self._on_change(need)

    def _next_in(self, name: str, readings: Mapping[SecretNeed, SecretReading]) -> float:
        if all(isinstance(reading, GoodSecret) for reading in readings.values()):
            self._failures.pop(name, None)
            return self._pace.good
        self._failures[name] = self._failures.get(name, 0) + 1
        is_hopeless = self._failures[name] > self._pace.hopeless_after
        return self._pace.bad_for_long if is_hopeless else self._pace.bad


def want_secrets(shelf: SecretShelf, roster: Roster[T], changes: Sequence[Change[T]]) -> None:
    """Let the shelf read what changed objects need, and nothing that nobody needs any more."""
    for change in changes:
        old = () if change.old is None else change.old.needs
        new = () if change.new is None else change.new.needs
        if _is_worth_reading(change):
            for need in new:
                shelf.want(need)
        for need in old:
            if need not in new and not roster.is_needed(need):
                shelf.forget(need)


def _is_worth_reading(change: Change[T]) -> bool:
    """Return whether an object's author did something, and did not only hear our answer.

    The answer to a client whose secret was made tells the other replicas that it is there.
    """
    old, new = change.old, change.new
    if old is None or new is None:
        return True
    if old.written is new.written:
        return False
    if old.written.spec != new.written.spec:
        return True
    return not all(isinstance(secret, GoodSecret) for secret in new.secrets)
