"""Codes and refresh tokens in every order that chance finds: the invariants always hold.

The machine is a client, a thief, several replicas and an operator who restores backups. What each
of them holds is tracked outside the record, so that the rules are judged by what really happened.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from idp.tokens.authorization import identity_of
from idp.tokens.code import spend_code
from idp.tokens.refresh import RefreshPolicy, Verdict, advance, judge
from storage.records import Grant, RefreshState

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
GRACE = timedelta(seconds=60)
ROUNDING = timedelta(seconds=1)
"""A record knows the second only; at the edge of the grace a second more may be forgiven."""
POLICY = RefreshPolicy(
    grace=GRACE,
    idle=timedelta(days=30),
    absolute=timedelta(days=180),
    keep_for=timedelta(minutes=65),
)

pauses = st.one_of(
    st.sampled_from([0.0, 0.001, 0.5, 1.0, 59.0, 59.9, 60.0, 61.0]),
    st.floats(0, 90),
    st.floats(0, 86400 * 12),
)


@dataclass(slots=True)
class World:
    """What really happened, beside the record."""

    now: datetime = NOON
    code_successes: int = 0
    highest_shown: int = 1
    restored: bool = False


class Life(RuleBasedStateMachine):
    """One login from its code to its end."""

    @initialize()
    def sign_in(self) -> None:
        self.world = World()
        self.grant = Grant(
            name="grant-1", client_id="app", connector_id="local", user_id="user-1",
            username="", preferred_username="", email="", email_verified=False, groups=(),
            connector_data="", scopes=("openid", "offline_access"), audience=(), nonce="",
            redirect_uri="https://app.example.com/callback", code_challenge="", seed=bytes(32),
            created_at=NOON, authenticated_at=NOON, code_expires_at=NOON + timedelta(seconds=60),
            expires_at=NOON + timedelta(days=31),
            refresh=RefreshState(generation=1, last_used_at=NOON),
        )  # fmt: skip
        self.backups: list[Grant] = []
        self.spent_at: dict[int, datetime] = {}
        self.last_used_at = NOON

    @rule(pause=pauses)
    def time_passes(self, pause: float) -> None:
        self.world.now += timedelta(seconds=pause)

    @rule()
    def redeem_the_code(self) -> None:
        was_spent = self.grant.code_spent_at is not None
        was_ended = self.grant.ended_at is not None
        self.grant = spend_code(self.grant, self.world.now)
        if self.grant.ended_at is None:
            self.world.code_successes += 1
            self.last_used_at = self.world.now
        assert (self.grant.ended_at is not None) == (was_spent or was_ended)

    @precondition(lambda self: self.grant.code_spent_at is not None)
    @rule()
    def back_up(self) -> None:
        self.backups.append(self.grant)

    @precondition(lambda self: self.backups and self.grant.ended_at is None)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        """Bring an older record back; what was spent since is still in the world."""
        self.grant = data.draw(st.sampled_from(self.backups))
        assert self.grant.refresh is not None
        self.world.restored = True
        self.last_used_at = self.grant.refresh.last_used_at

    @precondition(lambda self: self.grant.code_spent_at is not None)
    @rule(data=st.data())
    def refresh(self, data: st.DataObject) -> None:
        """Present any generation that was ever handed out, to a replica that has read afresh."""
        self._present(data.draw(st.integers(1, self.world.highest_shown)), seen=self.grant)

    @precondition(lambda self: self.grant.code_spent_at is not None)
    @rule(data=st.data(), racers=st.integers(2, 5))
    def race(self, data: st.DataObject, racers: int) -> None:
        """Let several replicas judge one reading; all but the first write again on the newer."""
        seen = self.grant
        for _ in range(racers):
            self._present(data.draw(st.integers(1, self.world.highest_shown)), seen=seen)

    @precondition(lambda self: self.grant.code_spent_at is not None)
    @rule()
    def refresh_with_the_leaf(self) -> None:
        assert self.grant.refresh is not None
        self._present(self.grant.refresh.generation, seen=self.grant)

    def _present(self, generation: int, *, seen: Grant) -> None:
        world, before = self.world, self.grant
        verdict = judge(seen, generation, world.now, POLICY)
        after = before
        if verdict in (Verdict.SPEND, Verdict.RESTORED, Verdict.REUSED):
            after = advance(before, generation, identity_of(seen), world.now, POLICY)
        if after.ended_at is not None and before.ended_at is None:
            self._check_ending(generation, before)
        if after is not before and after.ended_at is None:
            assert after.refresh is not None
            assert before.refresh is not None
            assert after.refresh.generation == generation + 1
            assert generation >= before.refresh.generation
            for spent in range(before.refresh.generation, generation + 1):
                self.spent_at[spent] = world.now
            self.last_used_at = world.now
        self.grant = after
        assert after.refresh is not None
        if verdict in (Verdict.SPEND, Verdict.RESTORED, Verdict.GRACE) and after.ended_at is None:
            # This is what the client is handed: the one leaf, whoever asks.
            world.highest_shown = max(world.highest_shown, after.refresh.generation)
            assert judge(after, after.refresh.generation, world.now, POLICY) is Verdict.SPEND

    def _check_ending(self, generation: int, before: Grant) -> None:
        """Nothing spent within the grace, and no leaf, ever ends a grant."""
        assert before.refresh is not None
        assert generation < before.refresh.generation
        if not self.world.restored:
            assert self.world.now - self.spent_at[generation] >= GRACE

    @precondition(lambda self: self.grant.code_spent_at and not self.grant.ended_at)
    @invariant()
    def verdicts_are_what_happened(self) -> None:
        assert self.grant.refresh is not None
        leaf = self.grant.refresh.generation
        now = self.world.now
        if POLICY.expires_at(NOON, self.last_used_at) <= now:  # type: ignore[operator]
            assert judge(self.grant, leaf, now, POLICY) is Verdict.EXPIRED
            return
        verdicts = {g: judge(self.grant, g, now, POLICY) for g in range(1, leaf + 1)}
        assert [g for g, v in verdicts.items() if v is Verdict.SPEND] == [leaf]
        if self.world.restored:
            return
        for generation, spent_at in self.spent_at.items():
            age = now - spent_at
            if age < GRACE:
                assert verdicts[generation] is Verdict.GRACE, (generation, age)
            if age > GRACE + ROUNDING:
                assert verdicts[generation] is Verdict.REUSED, (generation, age)

    @invariant()
    def one_code_makes_one_grant(self) -> None:
        assert self.world.code_successes <= 1

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.grant.refresh is not None
        spent = self.grant.refresh.spent
        assert len(spent) <= 62
        assert list(spent) == sorted(spent)

    @precondition(lambda self: self.grant.ended_at is not None)
    @invariant()
    def an_ended_grant_gives_nothing(self) -> None:
        for generation in range(1, self.world.highest_shown + 2):
            assert judge(self.grant, generation, self.world.now, POLICY) is Verdict.ENDED
            identity = identity_of(self.grant)
            renewed = advance(self.grant, generation, identity, self.world.now, POLICY)
            assert renewed is self.grant
        assert spend_code(self.grant, self.world.now) is self.grant


TestInterleavings = pytest.mark.covers("I-1", "I-2", "R-31", "R-32", "K-14")(Life.TestCase)
Life.TestCase.settings = settings(
    max_examples=1000,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_a_restored_and_healed_grant_keeps_the_highest_generation_that_a_client_showed() -> None:
    """Whatever the backup knew, no token that was handed out before comes to life again."""
    policy = POLICY
    grant = Grant(
        name="grant-1", client_id="app", connector_id="local", user_id="user-1",
        username="", preferred_username="", email="", email_verified=False, groups=(),
        connector_data="", scopes=("offline_access",), audience=(), nonce="", redirect_uri="",
        code_challenge="", seed=bytes(32), created_at=NOON, authenticated_at=NOON,
        code_expires_at=NOON, expires_at=NOON, code_spent_at=NOON,
        refresh=RefreshState(generation=3, last_used_at=NOON, spent=((int(NOON.timestamp()), 2),)),
    )  # fmt: skip
    healed = advance(grant, 40, identity_of(grant), NOON + timedelta(hours=1), policy)
    later = NOON + timedelta(hours=2)
    old = [judge(healed, generation, later, policy) for generation in range(1, 41)]
    assert set(old) == {Verdict.REUSED}
    assert judge(replace(healed), 41, later, policy) is Verdict.SPEND
