"""Following the source of sealing keys while the server runs.

A key that comes into sight opens at once and seals later: when its instant has come, and never
before this process has known it for `OPENS_FIRST`, whatever the clock says. A source that cannot be
read or makes no sense changes nothing: the keys that are known go on.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from idp.clock import Clock
from idp.keys.key_file import KeyFileError, parse
from idp.keys.key_source import KeySource
from idp.keys.seal import SealingKey, SealingKeys
from idp.keys.sealing_order import OPENS_FIRST, in_order, next_instant
from idp.log import log_event
from storage.base import StorageError

_log = logging.getLogger("idp.keys")


@dataclass(frozen=True, slots=True)
class Followed:
    """How many keys open, the id of the one that seals, and the problem with the source, or ""."""

    keys: int
    seals_with: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowPace:
    """How often the source is read: `every`, give or take a quarter, and never sooner than `least`
    after the last time, however many texts with an unknown key turn up.
    """

    every: timedelta = timedelta(seconds=20)
    least: timedelta = timedelta(seconds=1)
    opens_first: timedelta = OPENS_FIRST


class KeyFollower:
    """Keeps `SealingKeys` as the source says. `report` hears of every change, for metrics."""

    def __init__(
        self,
        source: KeySource,
        sealing: SealingKeys,
        *,
        clock: Clock,
        random: Callable[[int], bytes],
        report: Callable[[Followed], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
        pace: FollowPace = FollowPace(),
    ) -> None:
        """Take keys that were read from the source a moment ago; they count as long known."""
        self._source = source
        self._sealing = sealing
        self._clock = clock
        self._random = random
        self._report = report
        self._monotonic = monotonic
        self._pace = pace
        self._keys: Sequence[SealingKey] = sealing.keys
        self._since = {key.id: float("-inf") for key in sealing.keys}
        self._used_at = clock()
        self._unknown_met = asyncio.Event()
        self._reading = asyncio.Lock()
        self._state = Followed(len(sealing.keys), sealing.keys[0].id)

    async def refresh(self) -> Followed:
        """Read the source and use what it says; on trouble go on with what is known."""
        problem = ""
        async with self._reading:
            try:
                text = await self._source.read()
                self._learn(parse(text.text, where=self._source.where))
            except (KeyFileError, StorageError) as error:
                problem = str(error)
            self._use()
            self._tell(problem)
            return self._state

    async def run(self) -> None:
        """Follow the source until cancelled."""
        loop = asyncio.get_running_loop()
        # Whoever opens may do so in a thread.
        self._sealing.tell_of_unknown(lambda: _wake(loop, self._unknown_met))
        try:
            while True:
                await self.refresh()
                await asyncio.sleep(self._pace.least.total_seconds())
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._rest()):
                        await self._unknown_met.wait()
                self._unknown_met.clear()
        finally:
            self._sealing.tell_of_unknown(None)

    def _learn(self, keys: Sequence[SealingKey]) -> None:
        now = self._monotonic()
        self._since = {key.id: self._since.get(key.id, now) for key in keys}
        self._keys = keys

    def _use(self) -> None:
        known_since = self._monotonic() - self._pace.opens_first.total_seconds()
        waiting = {key_id for key_id, since in self._since.items() if since > known_since}
        self._used_at = self._clock()
        keys = in_order(self._keys, self._used_at, waiting=waiting)
        if keys != self._sealing.keys:
            self._sealing.use(keys)
            log_event(
                _log,
                logging.INFO,
                "sealing_keys_changed",
                seals_with=keys[0].id,
                opens_with=[key.id for key in keys],
            )

    def _tell(self, problem: str) -> None:
        keys = self._sealing.keys
        state = Followed(len(keys), keys[0].id, problem)
        if state == self._state:
            return
        if problem != self._state.problem:
            if problem:
                log_event(_log, logging.ERROR, "sealing_keys_not_read", problem=problem)
            else:
                log_event(_log, logging.INFO, "sealing_keys_read_again")
        self._state = state
        self._report(state)

    def _rest(self) -> float:
        """Return how many seconds to wait: not past the instant of the next key."""
        share = int.from_bytes(self._random(4), "big") / 2**32
        rest = self._pace.every.total_seconds() * (0.75 + share / 2)
        if (at := next_instant(self._keys, self._used_at)) is not None:
            rest = min(rest, (at - self._clock()).total_seconds())
        return rest


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody follows any more
        loop.call_soon_threadsafe(event.set)
