"""Replicas that keep one ring: a store, a clock that is turned by hand, and faults of each."""

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from idp.keys.jwks import KeyUnusable, new_signing_key
from idp.keys.ring import RotationPolicy, announced_key, signing_key
from idp.keys.rotate import KeyKeeper, Pace
from idp.keys.seal import SealingKey, SealingKeys
from storage.collection import Collection, Stored
from storage.kinds import KEY_RINGS
from storage.memory import MemoryBackend
from storage.records import KeyRing, SigningKey
from tests.kit.clock import HandClock
from tests.kit.storage import Faults, FlakyBackend

MINUTE = timedelta(minutes=1)
POLICY = RotationPolicy(
    algorithms=("ES256",),
    rotation_period=60 * MINUTE,
    publish_for=2 * MINUTE,
    keep_retired_for=10 * MINUTE,
)
QUICK = Pace(
    tick_every=timedelta(milliseconds=5),
    watch_again_after=timedelta(milliseconds=1),
    settle_for=timedelta(milliseconds=30),
)
Keeper = KeyKeeper[Stored[KeyRing]]
SEALING = SealingKeys([SealingKey(b"k" * 32)], random=secrets.token_bytes)


@dataclass(slots=True)
class Shop:
    """A store and the clock that its replicas share."""

    backend: MemoryBackend = field(default_factory=MemoryBackend)
    clock: HandClock = field(default_factory=HandClock)

    def replica(self, pace: Pace = QUICK) -> "Replica":
        return Replica(self, replace(pace, monotonic=self.monotonic))

    def monotonic(self) -> float:
        return self.clock().timestamp()


class Replica:
    """A keeper with faults of its own, which notes every swap that it is told of."""

    def __init__(self, shop: Shop, pace: Pace, sealing: SealingKeys = SEALING) -> None:
        self.faults = Faults()
        self.swaps: list[tuple[KeyRing, KeyRing]] = []
        self.made_in: list[threading.Thread] = []
        self.refuses = False
        self.events: list[str] = []
        self.shop = shop
        self.pace = pace
        self.rings: Collection[KeyRing] = Collection(
            backend=FlakyBackend(shop.backend, self.faults, spared=()),
            kind=KEY_RINGS,
            sealer=sealing,
            issuer="https://idp.example.com",
        )
        self.keeper = self.new_keeper()

    def new_keeper(self) -> Keeper:
        return KeyKeeper(
            self.rings,
            name="keys",
            policy=POLICY,
            clock=self.shop.clock,
            on_change=self.note,
            new_key=self.make,
            pace=self.pace,
            audit=self.hear,
        )

    def pace_ticks_every(self, interval: timedelta) -> None:
        """Start anew with ticks so far apart."""
        self.pace = replace(self.pace, tick_every=interval)
        self.keeper = self.new_keeper()

    def hear(self, event: str, /, **fields: str | int) -> None:
        self.events.append(event)

    def note(self, published: KeyRing, signing: KeyRing) -> None:
        if self.refuses:
            raise KeyUnusable("refused by the test")
        self.swaps.append((published, signing))

    def make(self, alg: str, now: datetime) -> SigningKey:
        self.made_in.append(threading.current_thread())
        return new_signing_key(alg, now)

    @property
    def kid(self) -> str:
        return signing(self.swaps[-1][1])


def signing(ring: KeyRing) -> str:
    key = signing_key(ring, "ES256")
    assert key is not None
    return key.kid


def announced(ring: KeyRing) -> str:
    key = announced_key(ring, "ES256")
    assert key is not None
    return key.kid


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def within_a_minute() -> None:
        async with asyncio.timeout(60):
            await main()

    asyncio.run(within_a_minute())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 -- any state, not only what an event could tell
        await asyncio.sleep(0.002)
