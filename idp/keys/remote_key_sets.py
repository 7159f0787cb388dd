"""Key sets that clients publish at an address: fetched when they are needed, and kept for a while.

Whoever sends nonsense in the name of a client causes at most one fetch in half a minute; any number
of requests at once share one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from idp.keys.client_keys import ClientKey, KeySetUnusable, read_key_set
from idp.transport.outbound import Fetched, OutboundError

_OK = 200


class KeySetUnavailable(Exception):
    """The keys of a client cannot be had; the text says why, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPace:
    """How long things are kept, in seconds, and of how many addresses.

    A set counts for `good`; what came of nothing for `bad`. A set in which a key is missed is
    fetched again once it is older than `missed`.
    """

    good: float = 300.0
    bad: float = 10.0
    missed: float = 30.0
    most: int = 256


@dataclass(frozen=True, slots=True)
class _Known:
    keys: tuple[ClientKey, ...]
    problem: str
    at: float


@dataclass(slots=True)
class RemoteKeySets:
    """Fetches and remembers. `get` is the door to the outside."""

    get: Callable[[str], Awaitable[Fetched]]
    monotonic: Callable[[], float]
    pace: FetchPace = field(default_factory=FetchPace)
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict)
    _running: dict[str, asyncio.Task[_Known]] = field(default_factory=dict)

    async def keys(self, url: str) -> tuple[ClientKey, ...]:
        """Return the keys at an address. Raises KeySetUnavailable."""
        known = self._known.get(url)
        if known is None or self._age(known) >= self._counts_for(known):
            known = await self._fetched(url)
        return _keys_in(known)

    async def newer_keys(self, url: str) -> tuple[ClientKey, ...]:
        """Return the keys, fetched again unless that was done a moment ago.

        For a client that signs with a key that is not there yet. Raises KeySetUnavailable.
        """
        known = self._known.get(url)
        if known is None or self._age(known) >= min(self.pace.missed, self._counts_for(known)):
            known = await self._fetched(url)
        return _keys_in(known)

    def _counts_for(self, known: _Known) -> float:
        return self.pace.bad if known.problem else self.pace.good

    def _age(self, known: _Known) -> float:
        return self.monotonic() - known.at

    async def _fetched(self, url: str) -> _Known:
        running = self._running.get(url)
        if running is None:
            running = self._running[url] = asyncio.create_task(self._fetch(url))
            running.add_done_callback(lambda _: self._running.pop(url))
        # Whoever stops waiting does not stop it for the others.
        return await asyncio.shield(running)

    async def _fetch(self, url: str) -> _Known:
        keys: tuple[ClientKey, ...] = ()
        problem = ""
        try:
            fetched = await self.get(url)
            if fetched.status != _OK:
                problem = f"the answer was {fetched.status}"
            else:
                keys = read_key_set(fetched.body)
        except OutboundError as error:
            problem = str(error)
        except KeySetUnusable as error:
            problem = f"what was fetched {error}"
        known = self._known[url] = _Known(keys, problem, self.monotonic())
        self._known.move_to_end(url)
        if len(self._known) > self.pace.most:
            self._known.popitem(last=False)
        return known


def _keys_in(known: _Known) -> tuple[ClientKey, ...]:
    if known.problem:
        raise KeySetUnavailable(known.problem)
    return known.keys
