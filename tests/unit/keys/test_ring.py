"""The life of keys, step by step and then at random with clocks that jump."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from idp.keys.jwks import ALGORITHMS
from idp.keys.ring import (
    RingIncomplete,
    RotationPolicy,
    announced_key,
    due,
    emergency,
    first_ring,
    fresh_for_due,
    fresh_for_first_ring,
    rotate_requested,
    signing_key,
)
from storage.records import KeyRing, SigningKey
from tests.kit.clock import HandClock
from tests.kit.sizes import examples

START = HandClock()()
MINUTE = timedelta(minutes=1)
POLICY = RotationPolicy(
    rotation_period=60 * MINUTE, publish_for=2 * MINUTE, keep_retired_for=10 * MINUTE
)
BOTH = replace(POLICY, algorithms=("RS256", "ES256"))
_numbers = count()


def key(alg: str = "RS256", now: datetime = START) -> SigningKey:
    kid = f"{alg}-{next(_numbers)}"
    return SigningKey(kid=kid, alg=alg, public_jwk="{}", private_jwk="secret", created_at=now)


def first(policy: RotationPolicy = POLICY) -> KeyRing:
    return first_ring("keys", policy, START, [key(alg) for alg in fresh_for_first_ring(policy)])


def advance(ring: KeyRing, policy: RotationPolicy, now: datetime) -> KeyRing:
    fresh = [key(alg, now) for alg in fresh_for_due(ring, policy, now)]
    return due(ring, policy, now, fresh)


def signing(ring: KeyRing, alg: str = "RS256") -> SigningKey:
    found = signing_key(ring, alg)
    assert found is not None
    return found


def announced(ring: KeyRing, alg: str = "RS256") -> SigningKey:
    found = announced_key(ring, alg)
    assert found is not None
    return found


def test_the_very_first_key_signs_at_once_and_a_second_stands_by() -> None:
    ring = first(BOTH)
    for alg in BOTH.algorithms:
        assert signing(ring, alg).signs_from == START
        assert announced(ring, alg).signs_from is None
    assert len(ring.keys) == 4


def test_nothing_due_returns_the_same_object() -> None:
    ring = first()
    assert due(ring, POLICY, START + 59 * MINUTE, [key()]) is ring
    assert fresh_for_due(ring, POLICY, START + 59 * MINUTE) == ()


@pytest.mark.covers("R-91")
def test_a_rotation_promotes_announces_and_retires_in_one_change() -> None:
    ring, now = first(), START + 60 * MINUTE
    old, standby = ring.keys
    rotated = advance(ring, POLICY, now)
    assert [k.kid for k in rotated.keys[:2]] == [old.kid, standby.kid]
    assert signing(rotated) == replace(standby, signs_from=now)
    assert announced(rotated).created_at == now
    retired = rotated.keys[0]
    assert (retired.retired_at, retired.drops_at) == (now, now + 10 * MINUTE)
    assert retired.private_jwk == ""
    assert len(advance(rotated, POLICY, now + 10 * MINUTE - MINUTE / 60).keys) == 3
    assert len(advance(rotated, POLICY, now + 10 * MINUTE).keys) == 2


def test_nothing_is_promoted_unless_a_successor_takes_its_place() -> None:
    ring, now = first(), START + 60 * MINUTE
    assert due(ring, POLICY, now) is ring
    assert due(ring, POLICY, now, [key("ES256")]) is ring
    assert due(ring, POLICY, now, [ring.keys[1]]) is ring


def test_a_change_that_runs_again_on_its_own_result_does_nothing() -> None:
    ring, now = first(), START + 60 * MINUTE
    fresh = [key()]
    rotated = due(ring, POLICY, now, fresh)
    assert due(rotated, POLICY, now, fresh) is rotated


@pytest.mark.covers("R-91")
def test_a_period_shorter_than_publication_waits_for_it() -> None:
    quick = replace(POLICY, rotation_period=MINUTE)
    ring = first(quick)
    assert advance(ring, quick, START + MINUTE) is ring
    rotated = advance(ring, quick, START + 2 * MINUTE)
    assert signing(rotated).kid == ring.keys[1].kid
    assert advance(rotated, quick, START + 3 * MINUTE) is rotated


@pytest.mark.covers("R-91")
def test_a_rotation_asked_for_too_early_is_queued_and_says_when() -> None:
    ring = first()
    queued, at = rotate_requested(ring, "RS256", POLICY, START + MINUTE)
    assert at == START + 2 * MINUTE
    assert signing(queued) == signing(ring)
    assert rotate_requested(queued, "RS256", POLICY, START + MINUTE) == (queued, at)
    assert advance(queued, POLICY, at - MINUTE) is queued
    assert signing(advance(queued, POLICY, at)).kid == announced(ring).kid


def test_a_rotation_asked_for_late_enough_happens_now() -> None:
    now = START + 30 * MINUTE
    queued, at = rotate_requested(first(), "RS256", POLICY, now)
    assert at == now
    assert signing(advance(queued, POLICY, now)).signs_from == now


def test_a_longer_publication_moves_a_plan() -> None:
    queued, at = rotate_requested(first(), "RS256", POLICY, START)
    longer = replace(POLICY, publish_for=5 * MINUTE)
    assert advance(queued, longer, at) is queued
    assert rotate_requested(queued, "RS256", longer, START)[1] == START + 5 * MINUTE


def test_a_rotation_needs_a_key_that_stands_by() -> None:
    ring = first()
    for lacking in (replace(ring, keys=ring.keys[:1]), replace(ring, keys=ring.keys[1:])):
        with pytest.raises(RingIncomplete, match="stands by"):
            rotate_requested(lacking, "RS256", POLICY, START)
    with pytest.raises(RingIncomplete, match="ES256"):
        rotate_requested(ring, "ES256", POLICY, START)


@pytest.mark.covers("R-93")
def test_an_emergency_replaces_every_key_with_unpublished_ones() -> None:
    ring = advance(first(), POLICY, START + 60 * MINUTE)
    now = START + 61 * MINUTE
    fresh = [key(), key()]
    swapped = emergency(ring, POLICY, now, fresh)
    assert [k.kid for k in swapped.keys] == [k.kid for k in fresh]
    assert signing(swapped).signs_from == now
    assert announced(swapped).kid == fresh[1].kid
    with pytest.raises(ValueError, match="never published"):
        emergency(ring, POLICY, now, [ring.keys[2], key()])
    with pytest.raises(RingIncomplete, match="two new RS256 keys"):
        emergency(ring, POLICY, now, [key()])


def test_unknown_fields_of_a_newer_version_are_kept() -> None:
    ring = replace(first(), unknown={"new": 1})
    swapped = emergency(ring, POLICY, START, [key(), key()])
    assert (swapped.name, swapped.unknown) == ("keys", {"new": 1})
    rotated = advance(ring, POLICY, START + 60 * MINUTE)
    assert rotated.unknown == {"new": 1}


def test_a_new_algorithm_is_announced_first_while_the_old_one_goes_on() -> None:
    ring = first()
    to_ec = replace(POLICY, algorithms=("ES256",))
    now = START + 5 * MINUTE
    ring = advance(ring, to_ec, now)
    assert signing_key(ring, "ES256") is None
    assert announced(ring, "ES256").created_at == now
    assert advance(ring, to_ec, now + MINUTE) is ring
    ring = advance(ring, to_ec, now + 2 * MINUTE)
    assert signing(ring, "ES256").signs_from == now + 2 * MINUTE
    assert signing(ring, "RS256").private_jwk
    ring = advance(ring, to_ec, now + 4 * MINUTE)
    assert signing_key(ring, "RS256") is None
    for _ in range(2):  # the key that stood by leaves too
        ring = advance(ring, to_ec, now + 20 * MINUTE)
    assert {k.alg for k in ring.keys} == {"ES256"}


def test_a_planned_rotation_of_an_unwanted_algorithm_does_not_make_its_next_key_sign() -> None:
    ring, _ = rotate_requested(first(), "RS256", POLICY, START)
    to_ec = replace(POLICY, algorithms=("ES256",))
    planned = announced(ring)
    for minute in range(1, 20):
        ring = advance(ring, to_ec, START + minute * MINUTE)
        found = signing_key(ring, "RS256")
        assert found is None or found.kid != planned.kid
    assert signing(ring, "ES256").private_jwk


def test_a_wanted_algorithm_is_added_beside_the_first() -> None:
    ring = advance(first(), BOTH, START + MINUTE)
    ring = advance(ring, BOTH, START + 3 * MINUTE)
    assert signing(ring, "RS256").private_jwk
    assert signing(ring, "ES256").private_jwk


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithms": ()},
        {"algorithms": ("none",)},
        {"algorithms": ("RS256", "RS256")},
        {"rotation_period": timedelta(0)},
        {"publish_for": -MINUTE},
        {"keep_retired_for": -MINUTE},
    ],
)
def test_a_policy_that_no_ring_could_follow_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"algorithm|one of|positive"):
        replace(POLICY, **wrong)  # type: ignore[arg-type]


class LifeOfKeys(RuleBasedStateMachine):
    """Replicas whose clocks differ and jump, changing the ring in any order.

    The model remembers, by the true time of the clock that acted, since when each key has been
    published, and every token that was signed.
    """

    # With two minutes less than keys are kept for, which is how far clocks may differ.
    LIFE = POLICY.keep_retired_for - 2 * MINUTE

    @initialize(algorithms=st.sampled_from([("RS256",), ("RS256", "ES256"), ("ES256",)]))
    def begin(self, algorithms: tuple[str, ...]) -> None:
        self.policy = replace(POLICY, algorithms=algorithms)
        self.now = START
        self.ring = first_ring(
            "keys", self.policy, START, [key(alg) for alg in fresh_for_first_ring(self.policy)]
        )
        self.published_at = {k.kid: START for k in self.ring.keys}
        self.exempt = {k.kid for k in self.ring.keys if k.signs_from is not None}
        self.tokens: list[tuple[str, datetime]] = []
        self.sign()

    @rule(minutes=st.sampled_from([1, 2, 3, 5, 10, 59, 60, 61, 1000, 600_000]))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE
        self.tokens = [(kid, exp) for kid, exp in self.tokens if exp > self.now]

    @rule(minutes=st.sampled_from([1, 5, 60, 600, 600_000]))
    def the_clock_is_set_back(self, minutes: int) -> None:
        # A token dated after the new time, or once expired, owes its second life to a wrong clock.
        self.now = max(START, self.now - minutes * MINUTE)
        self.tokens = [(kid, exp) for kid, exp in self.tokens if exp <= self.now + self.LIFE]

    @rule()
    def tick(self) -> None:
        self.becomes(advance(self.ring, self.policy, self.now))

    @rule()
    def tick_without_new_keys(self) -> None:
        self.becomes(due(self.ring, self.policy, self.now))

    @rule(seconds=st.sampled_from([1, 30, 119]))
    def another_replica_ticks_by_a_clock_that_is_behind(self, seconds: int) -> None:
        behind = self.now - timedelta(seconds=seconds)
        fresh = [key(alg, behind) for alg in fresh_for_due(self.ring, self.policy, behind)]
        self.becomes(due(self.ring, self.policy, behind, fresh))

    @rule(alg=st.sampled_from(ALGORITHMS))
    def rotation_is_asked_for(self, alg: str) -> None:
        try:
            ring, at = rotate_requested(self.ring, alg, self.policy, self.now)
        except RingIncomplete:
            return
        assert at >= self.published_at[announced(self.ring, alg).kid] + self.policy.publish_for
        self.becomes(ring)

    @rule()
    def a_key_is_stolen(self) -> None:
        fresh = [key(alg, self.now) for alg in fresh_for_first_ring(self.policy)]
        gone = {k.kid for k in self.ring.keys}
        self.exempt |= {k.kid for k in fresh}
        self.becomes(emergency(self.ring, self.policy, self.now, fresh))
        assert not gone & {k.kid for k in self.ring.keys}
        self.tokens = []

    @precondition(lambda self: self.policy.algorithms)
    @rule(algorithms=st.sampled_from([("RS256",), ("ES256", "RS256"), ("ES256",)]))
    def the_algorithms_change(self, algorithms: tuple[str, ...]) -> None:
        self.policy = replace(self.policy, algorithms=algorithms)

    @rule()
    def sign(self) -> None:
        for alg in ALGORITHMS:
            found = signing_key(self.ring, alg)
            if found is not None:
                self.tokens.append((found.kid, self.now + self.LIFE))

    def becomes(self, ring: KeyRing) -> None:
        for alg in ALGORITHMS:
            before, after = signing_key(self.ring, alg), signing_key(ring, alg)
            if after is None or after.kid in self.exempt or after == before:
                continue
            assert after.signs_from is not None
            assert after.signs_from >= self.published_at[after.kid] + self.policy.publish_for
        for k in ring.keys:
            self.published_at.setdefault(k.kid, k.created_at)
        self.ring = ring

    @invariant()
    def something_signs_and_only_with_private_halves(self) -> None:
        signs = [k for alg in ALGORITHMS if (k := signing_key(self.ring, alg)) is not None]
        assert signs
        assert all(k.private_jwk for k in signs)
        for k in self.ring.keys:
            assert bool(k.private_jwk) == (k.retired_at is None)

    @invariant()
    def each_algorithm_that_signs_has_one_key_signing_and_one_standing_by(self) -> None:
        for alg in self.policy.algorithms:
            unretired = [k for k in self.ring.keys if k.alg == alg and k.retired_at is None]
            if signing_key(self.ring, alg) is not None:
                assert len(unretired) == 2
            else:
                assert len(unretired) <= 1

    @invariant()
    def no_kid_is_there_twice(self) -> None:
        kids = [k.kid for k in self.ring.keys]
        assert len(kids) == len(set(kids))

    @invariant()
    def every_token_verifies_until_it_has_expired(self) -> None:
        published = {k.kid for k in self.ring.keys}
        for kid, expires_at in self.tokens:
            assert kid in published, (kid, expires_at, self.now)


TestLifeOfKeys = LifeOfKeys.TestCase
TestLifeOfKeys.settings = settings(
    max_examples=examples(100), stateful_step_count=40, deadline=None
)
