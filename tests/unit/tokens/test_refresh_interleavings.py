"""Codes and refresh tokens in every order that chance finds: the invariants always hold.

The world is a client, a thief, several replicas and an operator who restores backups. What each
of them holds is tracked outside the record, so that the rules are judged by what really happened.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.tokens.authorization import identity_of
from idp.tokens.code import spend_code
from idp.tokens.refresh import RefreshPolicy, Verdict, advance, judge
from storage.records import Grant, RefreshState
from tests.kit.sizes import examples

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

Step = tuple[str, int, float]
"""What happens, which of the handed-out generations (or backups) it is about, and a pause."""

pauses = st.one_of(
    st.sampled_from([0.0, 0.001, 0.5, 1.0, 30.0, 59.0, 59.9, 60.0, 61.0]),
    st.floats(0, 90),
    st.floats(0, 86400 * 12),
)
steps = st.tuples(
    st.sampled_from(["refresh", "refresh", "leaf", "race", "wait", "code", "back up", "restore"]),
    st.integers(0, 40),
    pauses,
)


class Life:
    """One login from its code to its end, and what really happened beside its record."""

    def __init__(self) -> None:
        self.now = NOON
        self.grant = Grant(
            name="grant-1", client_id="app", connector_id="local", user_id="user-1",
            username="", preferred_username="", email="", email_verified=False, groups=(),
            connector_data="", scopes=("openid", "offline_access"), nonce="",
            redirect_uri="https://app.example.com/callback", code_challenge="", seed=bytes(32),
            created_at=NOON, authenticated_at=NOON, code_expires_at=NOON + timedelta(seconds=60),
            expires_at=NOON + timedelta(days=31),
            refresh=RefreshState(generation=1, last_used_at=NOON),
        )  # fmt: skip
        self.code_successes = 0
        self.highest_shown = 1
        self.backups: list[Grant] = []
        self.was_restored = False
        self.spent_at: dict[int, datetime] = {}
        self.last_used_at = NOON
        self.redeem_the_code()

    @property
    def state(self) -> RefreshState:
        assert self.grant.refresh is not None
        return self.grant.refresh

    def take(self, step: Step) -> None:
        """Let one thing happen."""
        what, number, pause = step
        generation = 1 + number % self.highest_shown
        if what == "wait":
            self.now += timedelta(seconds=pause)
        elif what == "code" and number == 0:
            # Seldom, because it is the end.
            self.redeem_the_code()
        elif what == "refresh":
            self.present(generation, seen=self.grant)
        elif what == "leaf":
            self.present(self.state.generation, seen=self.grant)
        elif what == "race":
            # Several replicas judge one reading; all but the first write again on the newer.
            seen = self.grant
            for racer in range(2 + number % 4):
                self.present(1 + (number * racer) % self.highest_shown, seen=seen)
            self.present(self.state.generation, seen=seen)
        elif what == "back up":
            self.backups.append(self.grant)
        elif what == "restore" and self.backups and self.grant.ended_at is None:
            # What was spent since is still in the world.
            self.grant = self.backups[number % len(self.backups)]
            self.was_restored = True
            self.last_used_at = self.state.last_used_at

    def redeem_the_code(self) -> None:
        """Present the code with everything right."""
        was_spent = self.grant.code_spent_at is not None
        self.grant = spend_code(self.grant, self.now, POLICY.keep_for)
        if self.grant.ended_at is None:
            self.code_successes += 1
            self.last_used_at = self.now
        assert (self.grant.ended_at is not None) == was_spent

    def present(self, generation: int, *, seen: Grant) -> None:
        """Present a generation to a replica that has read `seen`."""
        before = after = self.grant
        verdict = judge(seen, generation, self.now, POLICY)
        if verdict in (Verdict.SPEND, Verdict.RESTORED, Verdict.REUSED):
            after = advance(before, generation, identity_of(seen), self.now, POLICY)
        if after.ended_at is not None and before.ended_at is None:
            self.check_ending(generation)
        self.grant = after
        if after is not before and after.ended_at is None:
            assert before.refresh is not None
            assert self.state.generation == generation + 1
            assert generation >= before.refresh.generation
            spent = range(before.refresh.generation, generation + 1)
            self.spent_at.update(dict.fromkeys(spent, self.now))
            self.last_used_at = self.now
        handed_out = (Verdict.SPEND, Verdict.RESTORED, Verdict.GRACE)
        if verdict in handed_out and after.ended_at is None:
            # This is what the client is handed: the one leaf, whoever asks.
            self.highest_shown = max(self.highest_shown, self.state.generation)
            assert judge(after, self.state.generation, self.now, POLICY) is Verdict.SPEND

    def check_ending(self, generation: int) -> None:
        """Nothing spent within the grace, and no leaf, ever ends a grant."""
        assert generation < self.state.generation
        if not self.was_restored:
            assert self.now - self.spent_at[generation] >= GRACE

    def check(self) -> None:
        """Assert the invariants."""
        assert self.code_successes <= 1
        assert len(self.state.spent) <= 62
        assert list(self.state.spent) == sorted(self.state.spent)
        if self.grant.ended_at is None:
            self.check_living()
        else:
            self.check_ended()

    def check_living(self) -> None:
        """One leaf; every other generation is judged by when it was really spent."""
        leaf = self.state.generation
        expires_at = POLICY.expires_at(NOON, self.last_used_at)
        if expires_at is not None and expires_at <= self.now:
            assert judge(self.grant, leaf, self.now, POLICY) is Verdict.EXPIRED
            return
        verdicts = {g: judge(self.grant, g, self.now, POLICY) for g in range(1, leaf + 1)}
        assert [g for g, v in verdicts.items() if v is Verdict.SPEND] == [leaf]
        if self.was_restored:
            return
        for generation, spent_at in self.spent_at.items():
            age = self.now - spent_at
            if age < GRACE:
                assert verdicts[generation] is Verdict.GRACE, (generation, age)
            if age > GRACE + ROUNDING:
                assert verdicts[generation] is Verdict.REUSED, (generation, age)

    def check_ended(self) -> None:
        """Nothing is given, nothing is written."""
        for generation in (1, self.state.generation, self.highest_shown + 1):
            assert judge(self.grant, generation, self.now, POLICY) is Verdict.ENDED
            renewed = advance(self.grant, generation, identity_of(self.grant), self.now, POLICY)
            assert renewed is self.grant
        assert spend_code(self.grant, self.now, POLICY.keep_for) is self.grant


@pytest.mark.covers("I-1", "I-2", "R-20", "R-31", "R-32", "K-14")
@settings(max_examples=examples(300), deadline=None)
@given(st.lists(steps, min_size=5, max_size=20))
def test_the_invariants_hold_whatever_happens_in_whatever_order(happenings: list[Step]) -> None:
    life = Life()
    for step in happenings:
        life.take(step)
        life.check()


def test_a_restored_and_healed_grant_keeps_the_highest_generation_that_a_client_showed() -> None:
    """Whatever the backup knew, no token that was handed out before comes to life again."""
    policy = POLICY
    grant = Grant(
        name="grant-1", client_id="app", connector_id="local", user_id="user-1",
        username="", preferred_username="", email="", email_verified=False, groups=(),
        connector_data="", scopes=("offline_access",), nonce="", redirect_uri="",
        code_challenge="", seed=bytes(32), created_at=NOON, authenticated_at=NOON,
        code_expires_at=NOON, expires_at=NOON, code_spent_at=NOON,
        refresh=RefreshState(generation=3, last_used_at=NOON, spent=((int(NOON.timestamp()), 2),)),
    )  # fmt: skip
    healed = advance(grant, 40, identity_of(grant), NOON + timedelta(hours=1), policy)
    later = NOON + timedelta(hours=2)
    old = [judge(healed, generation, later, policy) for generation in range(1, 41)]
    assert set(old) == {Verdict.REUSED}
    assert judge(replace(healed), 41, later, policy) is Verdict.SPEND
