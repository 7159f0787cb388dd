"""Rotation, grace, reuse and expiry as pure changes of a grant (RFC 9700 section 4.14.2)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.base import Identity
from idp.tokens.authorization import identity_of
from idp.tokens.refresh import RefreshPolicy, Verdict, advance, end_grant, judge, kept_until
from storage.records import Grant, RefreshState

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def spend(grant: Grant, generation: int, now: datetime, policy: RefreshPolicy) -> Grant:
    return advance(grant, generation, identity_of(grant), now, policy)


def generation_of(grant: Grant) -> int:
    assert grant.refresh is not None
    return grant.refresh.generation


@pytest.mark.covers("R-30")
def test_every_use_makes_the_next_generation(fresh: Grant, policy: RefreshPolicy) -> None:
    grant = fresh
    for expected in range(2, 12):
        grant = spend(grant, expected - 1, at(expected * 100), policy)
        assert generation_of(grant) == expected
        assert grant.refresh is not None
        assert grant.refresh.last_used_at == at(expected * 100)


@pytest.mark.covers("R-31")
@pytest.mark.parametrize("age", [0, 0.001, 1, 30, 59, 59.3, 59.999])
@pytest.mark.parametrize("fraction", [0, 0.2, 0.5, 0.9, 0.999999])
def test_a_generation_spent_less_than_a_minute_ago_is_in_grace(
    fresh: Grant, policy: RefreshPolicy, age: float, fraction: float
) -> None:
    spent = spend(fresh, 1, at(fraction), policy)
    assert judge(spent, 1, at(fraction + age), policy) is Verdict.GRACE
    assert spend(spent, 1, at(fraction + age), policy) is spent


@pytest.mark.covers("R-32")
@pytest.mark.parametrize("age", [61.001, 62, 3600, 86400])
@pytest.mark.parametrize("fraction", [0, 0.5, 0.999999])
def test_a_generation_spent_longer_ago_ends_the_grant(
    fresh: Grant, policy: RefreshPolicy, age: float, fraction: float
) -> None:
    spent = spend(fresh, 1, at(fraction), policy)
    now = at(fraction + age)
    assert judge(spent, 1, now, policy) is Verdict.REUSED
    ended = spend(spent, 1, now, policy)
    assert ended.ended_at == now
    assert [judge(ended, generation, now, policy) for generation in (1, 2, 3)] == [
        Verdict.ENDED
    ] * 3


@pytest.mark.covers("R-31")
def test_every_generation_of_the_last_minute_is_in_grace(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    """Also the grandparent: a slow process may hold a token that two others went past."""
    grant = fresh
    for generation in range(1, 6):
        grant = spend(grant, generation, at(generation * 10), policy)
    assert [judge(grant, generation, at(69), policy) for generation in range(1, 7)] == [
        *[Verdict.GRACE] * 5,
        Verdict.SPEND,
    ]
    assert [judge(grant, generation, at(82), policy) for generation in range(1, 7)] == [
        *[Verdict.REUSED] * 2,
        *[Verdict.GRACE] * 3,
        Verdict.SPEND,
    ]


@pytest.mark.covers("R-31")
def test_a_grace_of_nothing_forgives_nothing(fresh: Grant, policy: RefreshPolicy) -> None:
    strict = replace(policy, grace=timedelta(0))
    spent = spend(fresh, 1, at(0), strict)
    assert judge(spent, 1, at(0), strict) is Verdict.REUSED


def test_a_generation_that_the_memory_has_lost_is_old(fresh: Grant, policy: RefreshPolicy) -> None:
    """A record without any memory (made by hand, or pruned) must not forgive by accident."""
    bare = replace(fresh, refresh=RefreshState(generation=9, last_used_at=NOON))
    assert judge(bare, 8, NOON, policy) is Verdict.REUSED


@pytest.mark.covers("R-31")
def test_replicas_whose_clocks_differ_a_little_do_not_end_a_grant(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    """Generation 1 was spent at second 100; 5 seconds of skew must not make that older."""
    grant = spend(fresh, 1, at(100), policy)
    grant = spend(grant, 2, at(95), policy)
    grant = spend(grant, 3, at(100), policy)
    assert judge(grant, 1, at(158), policy) is Verdict.GRACE


@pytest.mark.covers("R-31")
def test_memory_of_spent_generations_is_bounded(fresh: Grant, policy: RefreshPolicy) -> None:
    """However fast a client refreshes: one entry a second, for a minute, and one that is older."""
    grant = fresh
    most = 0
    for generation in range(1, 2001):
        grant = spend(grant, generation, at(generation / 10), policy)
        assert grant.refresh is not None
        most = max(most, len(grant.refresh.spent))
    assert 60 <= most <= 62
    assert generation_of(grant) == 2001
    assert judge(grant, 1990, at(200), policy) is Verdict.GRACE
    assert judge(grant, 1000, at(200), policy) is Verdict.REUSED
    assert judge(grant, 1, at(200), policy) is Verdict.REUSED


@pytest.mark.covers("K-14")
def test_a_generation_later_than_the_record_heals_it(fresh: Grant, policy: RefreshPolicy) -> None:
    """The record was restored from a backup: neither theft nor a reason to sign in again."""
    assert judge(fresh, 7, at(5), policy) is Verdict.RESTORED
    healed = spend(fresh, 7, at(5), policy)
    assert healed.ended_at is None
    assert generation_of(healed) == 8
    # All that lies between was spent in the future that was lost; the grace counts from now.
    assert [judge(healed, generation, at(6), policy) for generation in (1, 5, 7)] == [
        Verdict.GRACE
    ] * 3
    assert judge(healed, 5, at(120), policy) is Verdict.REUSED


def test_nothing_can_be_refreshed_before_the_code_is_spent(
    unspent: Grant, policy: RefreshPolicy
) -> None:
    assert judge(unspent, 1, NOON, policy) is Verdict.ENDED
    assert spend(unspent, 1, NOON, policy) is unspent


def test_a_grant_without_refresh_token_is_never_refreshed(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    online = replace(fresh, refresh=None)
    assert judge(online, 1, NOON, policy) is Verdict.ENDED
    assert spend(online, 1, NOON, policy) is online


@pytest.mark.covers("R-30")
@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (timedelta(days=30, microseconds=-1), Verdict.SPEND),
        (timedelta(days=30), Verdict.EXPIRED),
        (timedelta(days=31), Verdict.EXPIRED),
    ],
)
def test_an_idle_refresh_token_expires(
    fresh: Grant, policy: RefreshPolicy, now: timedelta, verdict: Verdict
) -> None:
    assert judge(fresh, 1, NOON + now, policy) is verdict


@pytest.mark.covers("R-30")
def test_use_puts_off_the_idle_end_but_not_the_absolute_one(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    grant = fresh
    for use in range(1, 8):
        grant = spend(grant, use, NOON + timedelta(days=25 * use), policy)
        assert generation_of(grant) == use + 1
    end = NOON + timedelta(days=180)
    assert judge(grant, 8, end - timedelta(microseconds=1), policy) is Verdict.SPEND
    assert judge(grant, 8, end, policy) is Verdict.EXPIRED


@pytest.mark.covers("R-30")
@pytest.mark.parametrize(
    ("idle", "absolute", "end"),
    [
        (None, None, None),
        (timedelta(days=30), None, timedelta(days=35)),
        (None, timedelta(days=180), timedelta(days=180)),
        (timedelta(days=30), timedelta(days=180), timedelta(days=35)),
        (timedelta(days=30), timedelta(days=7), timedelta(days=7)),
    ],
)
def test_lifetimes_end_at_the_earlier_of_both_and_none_is_never(
    policy: RefreshPolicy,
    idle: timedelta | None,
    absolute: timedelta | None,
    end: timedelta | None,
) -> None:
    policy = replace(policy, idle=idle, absolute=absolute)
    expected = None if end is None else NOON + end
    assert policy.expires_at(NOON, NOON + timedelta(days=5)) == expected


def test_an_expired_token_is_refused_without_ending_the_grant(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    """Whoever comes back from a long holiday is no thief, even with an old generation."""
    spent = spend(fresh, 1, at(1), policy)
    late = NOON + timedelta(days=60)
    assert judge(spent, 1, late, policy) is Verdict.EXPIRED
    assert spend(spent, 1, late, policy) is spent


def test_a_refresh_takes_over_what_the_connector_says_now(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    now = Identity(
        user_id="user-1",
        username="Alice Hargreaves",
        preferred_username="ali",
        email="ali@example.com",
        email_verified=False,
        groups=("retired",),
        connector_data="note",
        claims=(("department", ("history",)),),
    )
    before = replace(fresh, claims=(("department", ("physics",)), ("badge", ("7",))))
    renewed = advance(before, 1, now, at(1), policy)
    assert identity_of(renewed) == now


def test_nobody_can_take_over_a_grant_through_the_connector(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    """`sub` is made of these two; a refresh must never change who a session belongs to."""
    other = Identity(user_id="somebody-else", username="Mallory")
    renewed = advance(fresh, 1, other, at(1), policy)
    assert (renewed.user_id, renewed.connector_id) == ("user-1", "local")


def test_what_a_newer_version_put_into_a_grant_survives_a_refresh(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    newer = replace(fresh, unknown={"added_in_v2": [1]})
    assert spend(newer, 1, at(1), policy).unknown == {"added_in_v2": [1]}


def test_what_a_newer_version_put_into_the_refresh_state_survives_a_refresh(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    state = RefreshState(generation=1, last_used_at=NOON, unknown={"added_in_v2": "x"})
    renewed = spend(replace(fresh, refresh=state), 1, at(1), policy)
    assert renewed.refresh is not None
    assert renewed.refresh.unknown == {"added_in_v2": "x"}


@pytest.mark.covers("R-20", "R-32")
def test_the_end_of_a_grant_is_final_and_keeps_its_time(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    ended = end_grant(fresh, at(1), policy.keep_for)
    assert ended.ended_at == at(1)
    assert end_grant(ended, at(2), policy.keep_for) is ended
    assert spend(ended, 1, at(2), policy) is ended


def test_a_record_outlives_its_refresh_token_by_its_access_tokens(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    """Otherwise it could be swept away while a tombstone is still needed."""
    assert kept_until(fresh.created_at, NOON, policy) == NOON + timedelta(days=30, minutes=65)
    renewed = spend(fresh, 1, at(86400), policy)
    assert renewed.expires_at == NOON + timedelta(days=31, minutes=65)


def test_a_tombstone_is_kept_until_its_last_access_token_has_expired(
    fresh: Grant, policy: RefreshPolicy
) -> None:
    """And no longer, however long the login would have lived."""
    endless = replace(fresh, expires_at=datetime.max.replace(tzinfo=UTC))
    for grant in (fresh, endless):
        ended = end_grant(grant, at(1), policy.keep_for)
        assert ended.expires_at == at(1) + policy.keep_for
    soon = replace(fresh, expires_at=at(100))
    assert end_grant(soon, at(1), policy.keep_for).expires_at == at(100)


def test_a_record_of_an_endless_login_is_never_swept(fresh: Grant, policy: RefreshPolicy) -> None:
    endless = replace(policy, idle=None, absolute=None)
    assert kept_until(fresh.created_at, NOON, endless).year == 9999
    assert judge(fresh, 1, NOON + timedelta(days=20_000), endless) is Verdict.SPEND
