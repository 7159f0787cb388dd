"""Which key seals: the rule itself, and replicas that follow one source with clocks that differ."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from idp.keys.follow import KeyFollower
from idp.keys.key_file import parse, render
from idp.keys.key_source import KeyText
from idp.keys.seal import SealingKey, SealingKeys
from idp.keys.sealing_order import OPENS_FIRST, in_order, next_instant, next_sealing_key
from tests.kit.clock import HandClock
from tests.kit.sizes import examples

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECRETS = [bytes([number]) * 32 for number in range(6)]
TIMES = st.integers(-10, 10).map(lambda minutes: NOW + minutes * MINUTE)


def key(number: int, seals_from: datetime | None = None) -> SealingKey:
    return SealingKey(SECRETS[number], seals_from=seals_from)


KEYS = st.lists(
    st.tuples(st.integers(0, 5), st.none() | TIMES),
    min_size=1,
    max_size=6,
    unique_by=lambda k: k[0],
).map(lambda pairs: [key(number, at) for number, at in pairs])


def test_without_times_the_first_seals() -> None:
    assert in_order([key(0), key(1)], NOW) == (key(0), key(1))


def test_a_time_that_has_come_wins_and_one_that_has_not_waits() -> None:
    old, new = key(0), key(1, NOW)
    assert in_order([old, new], NOW - MINUTE) == (old, new)
    assert in_order([old, new], NOW) == (new, old)
    later = key(2, NOW + MINUTE)
    assert in_order([later, new, old], NOW) == (new, later, old)
    assert next_instant([old, new, later], NOW) == NOW + MINUTE
    assert next_instant([old, new], NOW) is None
    assert next_sealing_key([old, later, new]) == later


def test_when_no_time_has_come_the_earliest_seals() -> None:
    later, earlier = key(0, NOW + 2 * MINUTE), key(1, NOW + MINUTE)
    assert in_order([later, earlier], NOW)[0] == earlier


def test_a_waiting_key_seals_only_if_nothing_else_may() -> None:
    old, new = key(0), key(1, NOW)
    assert in_order([new, old], NOW, waiting={new.id})[0] == old
    assert in_order([new], NOW, waiting={new.id})[0] == new


@given(KEYS, TIMES)
def test_the_rule(keys: list[SealingKey], now: datetime) -> None:
    ordered = in_order(keys, now)
    assert set(ordered) == set(keys), "all open"
    assert len(ordered) == len(keys)
    seals = ordered[0]
    come = [k for k in keys if k.seals_from is not None and k.seals_from <= now]
    begun = [k for k in keys if k.seals_from is None]
    if come:
        assert seals.seals_from == max(k.seals_from for k in come if k.seals_from is not None)
    elif begun:
        assert seals == begun[0]
    else:
        assert seals.seals_from == min(k.seals_from for k in keys if k.seals_from is not None)


@given(KEYS, TIMES, TIMES)
def test_time_only_ever_moves_on_to_later_keys(
    keys: list[SealingKey], one: datetime, other: datetime
) -> None:
    early, late = sorted((one, other))
    last = next_sealing_key(keys)
    assert in_order(keys, NOW + timedelta(days=1))[0] == last
    first, second = in_order(keys, early)[0], in_order(keys, late)[0]
    if first.seals_from is not None and first.seals_from <= early:
        assert second.seals_from is not None
        assert second.seals_from >= first.seals_from


@given(KEYS)
def test_the_text_keeps_keys_order_and_times(keys: list[SealingKey]) -> None:
    assert list(parse(render(keys), where="there")) == keys


@dataclass(slots=True)
class Text:
    """A source in memory."""

    keys: list[SealingKey]
    where: str = "there"
    writable: bool = False

    async def read(self) -> KeyText:
        return KeyText(render(self.keys), "")

    async def replace(self, text: str, version: str) -> None:
        raise AssertionError


@dataclass(slots=True)
class Replica:
    """A follower, and when it last read the source."""

    sealing: SealingKeys
    follower: KeyFollower
    read_at: datetime


@dataclass(slots=True)
class Skewed:
    """The true time and somebody's idea of it."""

    true: HandClock
    by: timedelta

    def __call__(self) -> datetime:
        return self.true() + self.by


class Fleet(RuleBasedStateMachine):
    """Whatever a replica seals, the others open, as long as each reads within two minutes.

    Keys are added with a time two minutes ahead, as `idp keys reseal` does, or with none and in
    front, as people may. Clocks are off by up to five minutes (K-12).
    """

    @initialize(skews=st.lists(st.integers(-5, 5), min_size=2, max_size=3))
    def begin(self, skews: list[int]) -> None:
        self.clock = HandClock(NOW)
        self.source = Text([SealingKey(secrets.token_bytes(32))])
        self.added_at = {self.source.keys[0].id: NOW}
        self.replicas = [self.replica(minutes * MINUTE) for minutes in skews]

    def replica(self, skew: timedelta) -> Replica:
        clock = Skewed(self.clock, skew)
        sealing = SealingKeys(in_order(self.source.keys, clock()), random=secrets.token_bytes)
        follower = KeyFollower(
            self.source,
            sealing,
            clock=clock,
            random=secrets.token_bytes,
            monotonic=lambda: self.clock().timestamp(),
        )
        return Replica(sealing, follower, self.clock())

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        for replica in self.replicas:
            if self.clock() + timedelta(seconds=seconds) > replica.read_at + OPENS_FIRST:
                self.read(replica)
        self.clock.turn(seconds)

    @rule(number=st.integers(0, 2))
    def one_reads(self, number: int) -> None:
        self.read(self.replicas[number % len(self.replicas)])

    @rule(timed=st.booleans())
    @precondition(lambda self: len(self.source.keys) < 4)
    def a_key_is_added(self, timed: bool) -> None:  # noqa: FBT001
        new = SealingKey(secrets.token_bytes(32))
        if timed:
            at = (self.clock() + OPENS_FIRST).replace(microsecond=0)
            self.source.keys.append(replace(new, seals_from=at))
        else:
            self.source.keys.insert(0, new)
        self.added_at[new.id] = self.clock()

    @rule()
    @precondition(lambda self: len(self.source.keys) > 1)
    def the_oldest_key_is_removed_long_after_it_was_replaced(self) -> None:
        for replica in self.replicas:
            self.read(replica)
        sealing = {replica.sealing.keys[0].id for replica in self.replicas}
        old = [k for k in self.source.keys if k.id not in sealing]
        settled = [k for k in old if self.clock() > self.added_at[k.id] + 2 * OPENS_FIRST]
        if settled and len(sealing) == 1:
            self.source.keys.remove(settled[0])

    def read(self, replica: Replica) -> None:
        asyncio.run(replica.follower.refresh())
        replica.read_at = self.clock()

    @invariant()
    def each_opens_what_any_seals(self) -> None:
        for one in self.replicas:
            sealed = one.sealing.seal("x", b"text")
            for other in self.replicas:
                assert other.sealing.open("x", sealed) == b"text"


TestFleet = pytest.mark.covers("R-94", "K-12")(Fleet.TestCase)
TestFleet.settings = settings(max_examples=examples(60), stateful_step_count=30, deadline=None)
