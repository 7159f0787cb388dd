"""Guessing is slowed down, whoever guesses and however, and nobody is shut out by it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.login.throttle import (
    CLIENT_SECRETS,
    HANDLES,
    PASSWORDS,
    AccountThrottled,
    Policy,
    SourceThrottled,
    Throttle,
    Throttled,
)
from tests.kit.clock import HandClock

VICTIM = "local/victim@example.com"


def throttle(clock: HandClock, policy: Policy = PASSWORDS, share: int = 1) -> Throttle:
    return Throttle(policy, clock=clock, share=share)


def is_checked(
    limiter: Throttle,
    *,
    account: str | None = VICTIM,
    source: str = "203.0.113.1",
    device: str | None = None,
) -> bool:
    """Make one wrong try and tell whether it reached the directory."""
    try:
        with limiter.reserve(account=account, source=source, device=device) as attempt:
            attempt.failed()
    except Throttled:
        return False
    return True


def sources() -> Callable[[], str]:
    """Return a botnet: another address each time."""
    count = iter(range(1_000_000))
    return lambda: f"198.18.{(number := next(count)) // 250}.{number % 250}"


@pytest.mark.covers("R-70")
def test_five_tries_are_checked_and_then_each_one_waits_twice_as_long() -> None:
    clock = HandClock()
    limiter = throttle(clock)
    assert [is_checked(limiter) for _ in range(6)] == [True] * 5 + [False]
    for seconds in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900):
        with pytest.raises(AccountThrottled) as refusal:
            limiter.reserve(account=VICTIM, source="198.51.100.1")
        assert refusal.value.retry_after.total_seconds() == pytest.approx(seconds, abs=0.01)
        clock.turn(seconds - 0.1)
        assert not is_checked(limiter)
        clock.turn(0.1)
        assert is_checked(limiter)


@pytest.mark.covers("R-70")
def test_a_right_password_starts_afresh() -> None:
    clock = HandClock()
    limiter = throttle(clock)
    for _ in range(4):
        assert is_checked(limiter)
    with limiter.reserve(account=VICTIM, source="203.0.113.1") as attempt:
        attempt.succeeded()
    assert [is_checked(limiter) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.covers("R-70")
def test_hammering_does_not_make_the_wait_longer() -> None:
    clock = HandClock()
    limiter = throttle(clock)
    while is_checked(limiter):
        pass
    for _ in range(1000):
        assert not is_checked(limiter)
    clock.turn(1)
    with limiter.reserve(account=VICTIM, source="203.0.113.1") as attempt:
        attempt.succeeded()


@pytest.mark.covers("R-70")
def test_no_wait_is_longer_than_a_quarter_of_an_hour_and_quiet_is_forgiven() -> None:
    clock = HandClock()
    limiter = throttle(clock)
    for _ in range(20_000):
        is_checked(limiter)
        clock.turn(5)
    clock.turn(timedelta(minutes=15))
    assert is_checked(limiter)
    clock.turn(timedelta(hours=5))
    assert [is_checked(limiter) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.covers("R-70")
def test_waiting_for_forgiveness_gains_no_more_than_four_guesses_an_hour() -> None:
    for pause in (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6)):
        clock = HandClock()
        limiter = throttle(clock)
        checked = 0
        for _ in range(timedelta(days=10) // pause):
            checked += sum(is_checked(limiter) for _ in range(20))
            clock.turn(pause)
        assert checked <= 10 * 24 * 4 + 20


@pytest.mark.covers("R-71", "CV-5")
def test_of_a_hundred_tries_at_once_five_are_checked() -> None:
    limiter = throttle(HandClock())
    botnet = sources()
    open_attempts = []
    for _ in range(100):
        try:
            open_attempts.append(limiter.reserve(account=VICTIM, source=botnet()))
        except AccountThrottled:
            continue
    assert len(open_attempts) == 5
    for attempt in open_attempts:
        attempt.failed()
    assert not is_checked(limiter)


@pytest.mark.covers("R-71")
def test_right_tries_at_once_free_the_way_for_the_next() -> None:
    limiter = throttle(HandClock())
    for _ in range(100):
        attempts = [limiter.reserve(account=VICTIM, source="203.0.113.1") for _ in range(5)]
        for attempt in attempts:
            attempt.succeeded()


@pytest.mark.covers("R-71")
@pytest.mark.parametrize("guesses_a_second", [1, 10, 100, 10_000])
def test_of_ten_thousand_guesses_at_most_sixty_are_checked(guesses_a_second: int) -> None:
    clock = HandClock()
    limiter = throttle(clock)
    botnet = sources()
    checked = 0
    for _ in range(10_000):
        checked += is_checked(limiter, source=botnet())
        clock.turn(1 / guesses_a_second)
    assert checked <= 60


@pytest.mark.covers("R-72")
@pytest.mark.parametrize("replicas", [2, 5, 10])
def test_replicas_let_through_together_what_one_would(replicas: int) -> None:
    clock = HandClock()
    limiters = [throttle(clock, share=replicas) for _ in range(replicas)]
    alone = throttle(clock)
    botnet = sources()
    checked = checked_alone = 0
    for second in range(3600):
        for limiter in limiters:
            checked += is_checked(limiter, source=botnet())
        checked_alone += is_checked(alone, source=botnet())
        if second == 59:
            assert checked <= 10
        clock.turn(1)
    assert checked <= 2 * checked_alone


@pytest.mark.covers("R-72")
@pytest.mark.parametrize("replicas", [3, 12])
def test_ten_thousand_guesses_over_replicas_stay_below_sixty(replicas: int) -> None:
    clock = HandClock()
    limiters = [throttle(clock, share=replicas) for _ in range(replicas)]
    botnet = sources()
    checked = 0
    for number in range(10_000):
        checked += is_checked(limiters[number % replicas], source=botnet())
        clock.turn(0.01)
    assert checked <= 60


@pytest.mark.covers("R-72")
def test_the_first_try_is_checked_however_many_replicas_there_are() -> None:
    assert is_checked(throttle(HandClock(), share=500))


def test_a_share_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="replicas"):
        throttle(HandClock(), share=0)


@pytest.mark.covers("R-73")
def test_twenty_failures_within_a_minute_stop_a_source_for_every_account() -> None:
    clock = HandClock()
    limiter = throttle(clock)
    for number in range(20):
        assert is_checked(limiter, account=f"local/{number}")
        clock.turn(2.5)
    with pytest.raises(SourceThrottled) as refusal:
        limiter.reserve(account="local/another", source="203.0.113.1")
    assert refusal.value.retry_after.total_seconds() == pytest.approx(10)
    assert is_checked(limiter, account="local/another", source="203.0.113.2")
    clock.turn(10)
    assert is_checked(limiter, account="local/another")
    assert not is_checked(limiter, account="local/another")


@pytest.mark.covers("R-73")
def test_a_spray_from_one_source_gets_twenty_accounts_a_minute() -> None:
    clock = HandClock()
    limiter = throttle(clock)
    checked = 0
    for number in range(36_000):
        checked += is_checked(limiter, account=f"local/{number}")
        clock.turn(0.1)
    assert checked == 20 * 60


@pytest.mark.covers("R-73")
def test_a_spray_at_once_pays_for_it_with_a_longer_wait() -> None:
    clock = HandClock()
    limiter = throttle(clock)
    attempts = []
    for number in range(1000):
        try:
            attempts.append(limiter.reserve(account=f"local/{number}", source="203.0.113.1"))
        except SourceThrottled:
            continue
    assert len(attempts) == 100
    for attempt in attempts:
        attempt.failed()
    checked = 0
    for number in range(299):
        checked += is_checked(limiter, account=f"local/later/{number}")
        clock.turn(1)
    assert checked == 0
    clock.turn(1)
    assert is_checked(limiter, account="local/at last")


@pytest.mark.covers("R-73")
def test_an_office_signs_in_at_once() -> None:
    limiter = throttle(HandClock())
    for _ in range(5):
        attempts = [
            limiter.reserve(account=f"local/{number}", source="203.0.113.1") for number in range(90)
        ]
        for attempt in attempts:
            attempt.succeeded()


@pytest.mark.covers("R-73")
def test_a_right_password_of_their_own_does_not_clear_a_sprayer() -> None:
    limiter = throttle(HandClock())
    checked = 0
    for number in range(100):
        checked += is_checked(limiter, account=f"local/{number}")
        try:
            with limiter.reserve(account="local/attacker", source="203.0.113.1") as attempt:
                attempt.succeeded()
        except SourceThrottled:
            continue
    assert checked == 20


@pytest.mark.covers("R-73")
def test_a_source_is_divided_among_replicas_but_never_to_nothing() -> None:
    for replicas, checked_here in ((1, 20), (3, 7), (100, 3)):
        limiter = throttle(HandClock(), share=replicas)
        checked = sum(is_checked(limiter, account=f"local/{number}") for number in range(50))
        assert checked == checked_here


@pytest.mark.covers("R-74")
def test_a_known_device_signs_in_while_the_account_is_hammered() -> None:
    clock = HandClock()
    limiter = throttle(clock)
    for _ in range(1000):
        is_checked(limiter)
        clock.turn(0.1)
        with limiter.reserve(account=VICTIM, source="203.0.113.1", device="d1") as attempt:
            attempt.succeeded()


@pytest.mark.covers("R-74")
def test_a_known_device_is_throttled_by_its_own_mistakes_only() -> None:
    limiter = throttle(HandClock())
    assert [is_checked(limiter, device="d1") for _ in range(6)] == [True] * 5 + [False]
    assert is_checked(limiter, device="d2")
    assert is_checked(limiter)
    assert not is_checked(limiter, device="d1")


@pytest.mark.covers("R-74")
def test_a_success_on_a_known_device_gives_the_guesser_nothing() -> None:
    limiter = throttle(HandClock())
    while is_checked(limiter):
        pass
    with limiter.reserve(account=VICTIM, source="203.0.113.9", device="d1") as attempt:
        attempt.succeeded()
    assert not is_checked(limiter)


@pytest.mark.covers("R-74")
def test_a_device_known_for_one_account_is_no_device_of_another() -> None:
    limiter = throttle(HandClock())
    for _ in range(5):
        assert is_checked(limiter, device="d1")
    assert is_checked(limiter, account="local/other", device="d1")


@pytest.mark.covers("R-75", "L-1")
def test_tries_that_nobody_could_check_cost_nothing() -> None:
    clock = HandClock()
    limiter = throttle(clock)
    for _ in range(1000):
        with limiter.reserve(account=VICTIM, source="203.0.113.1") as attempt:
            attempt.unknown()
    assert [is_checked(limiter) for _ in range(6)] == [True] * 5 + [False]
    clock.turn(1)
    with limiter.reserve(account=VICTIM, source="203.0.113.1") as attempt:
        attempt.unknown()
    clock.turn(1)
    assert is_checked(limiter)


def test_whoever_hangs_up_has_still_tried() -> None:
    limiter = throttle(HandClock())
    for _ in range(5):
        with (
            pytest.raises(ConnectionError),
            limiter.reserve(account=VICTIM, source="203.0.113.1"),
        ):
            raise ConnectionError
    assert not is_checked(limiter)


def test_the_first_outcome_counts() -> None:
    limiter = throttle(HandClock())
    for _ in range(5):
        with limiter.reserve(account=VICTIM, source="203.0.113.1") as attempt:
            attempt.failed()
            attempt.succeeded()
            attempt.unknown()
    assert not is_checked(limiter)


@pytest.mark.covers("R-75")
def test_guessing_a_client_secret_elsewhere_does_not_stop_the_client() -> None:
    clock = HandClock()
    limiter = throttle(clock, CLIENT_SECRETS)
    guesses = 0
    for _ in range(36_000):
        guesses += is_checked(limiter, account="app", source="198.51.100.66")
        with limiter.reserve(account="app", source="203.0.113.1") as attempt:
            attempt.succeeded()
        clock.turn(0.1)
    assert guesses <= 10 + 6 + 60


@pytest.mark.covers("R-75")
def test_an_old_secret_in_one_pod_lets_the_others_in_between() -> None:
    clock = HandClock()
    limiter = throttle(clock, CLIENT_SECRETS)
    shared = "10.0.0.1"
    signed_in = longest_gap = gap = 0
    for second in range(3600):
        if second % 7 == 0:
            is_checked(limiter, account="app", source=shared)
        try:
            with limiter.reserve(account="app", source=shared) as attempt:
                attempt.succeeded()
            signed_in, longest_gap, gap = signed_in + 1, max(longest_gap, gap), 0
        except AccountThrottled:
            gap += 1
        clock.turn(1)
    assert longest_gap <= 1
    assert signed_in > 3500


@pytest.mark.covers("R-75")
def test_another_client_behind_the_same_address_goes_on() -> None:
    clock = HandClock()
    limiter = throttle(clock, CLIENT_SECRETS)
    for _ in range(1000):
        is_checked(limiter, account="broken", source="10.0.0.1")
        with limiter.reserve(account="sound", source="10.0.0.1") as attempt:
            attempt.succeeded()
        clock.turn(0.05)


@pytest.mark.covers("R-75")
def test_secrets_of_many_clients_are_not_tried_from_one_source() -> None:
    limiter = throttle(HandClock(), CLIENT_SECRETS)
    checked = sum(is_checked(limiter, account=f"client-{number}") for number in range(10_000))
    assert checked == 120


@pytest.mark.covers("R-75")
def test_handles_without_an_account_are_counted_by_source() -> None:
    clock = HandClock()
    limiter = throttle(clock, HANDLES)
    for _ in range(100):
        with limiter.reserve(source="203.0.113.1") as attempt:
            attempt.succeeded()
    checked = sum(is_checked(limiter, account=None) for _ in range(100))
    assert checked == 20
    assert is_checked(limiter, account=None, source="203.0.113.2")


@pytest.mark.parametrize("hours", [-1, -24 * 365, 1])
def test_a_clock_that_is_set_does_not_lock_anyone_out(hours: int) -> None:
    clock = HandClock()
    limiter = throttle(clock)
    for number in range(100):
        is_checked(limiter)
        is_checked(limiter, account=f"local/{number}")
    clock.turn(timedelta(hours=hours))
    assert not is_checked(limiter) or hours > 0
    clock.turn(timedelta(minutes=15))
    assert is_checked(limiter)


def test_a_clock_that_is_set_back_does_not_keep_a_source_out() -> None:
    clock = HandClock()
    limiter = throttle(clock, HANDLES)
    attempts = [limiter.reserve(source="203.0.113.1") for _ in range(100)]
    for attempt in attempts:
        attempt.failed()
    clock.turn(timedelta(days=-365))
    assert is_checked(limiter, account=None)


def test_an_attempt_outlives_the_memory_of_its_source() -> None:
    limiter = throttle(HandClock(), HANDLES)
    forgotten = limiter.reserve(source="203.0.113.1")
    for number in range(5000):
        is_checked(limiter, account=None, source=f"2001:db8:{number:x}::/64")
    forgotten.succeeded()
    assert is_checked(limiter, account=None)


def test_a_refusal_names_nobody() -> None:
    limiter = throttle(HandClock())
    while is_checked(limiter):
        pass
    with pytest.raises(AccountThrottled) as refusal:
        limiter.reserve(account=VICTIM, source="203.0.113.1")
    assert "victim" not in str(refusal.value)
    assert "203" not in str(refusal.value)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["right", "wrong", "away", "hang up"]),
            st.sampled_from([0.0, 0.4, 1.0, 30.0, 900.0]),
        ),
        max_size=60,
    )
)
def test_whatever_came_before_a_quarter_of_an_hour_later_one_is_let_in(
    history: list[tuple[str, str, float]],
) -> None:
    clock = HandClock()
    limiter = throttle(clock)
    waits = []
    for account, outcome, pause in history:
        try:
            with limiter.reserve(account=account, source="203.0.113.1") as attempt:
                {"right": attempt.succeeded, "wrong": attempt.failed, "away": attempt.unknown}.get(
                    outcome, lambda: None
                )()
        except Throttled as refusal:
            waits.append(refusal.retry_after)
        clock.turn(pause)
    assert all(timedelta(0) < wait <= timedelta(minutes=15) for wait in waits)
    clock.turn(timedelta(minutes=15))
    assert is_checked(limiter, account="a")


ALICE = "ldap\n\nid-of-alice"
"""Whom a directory finds by each of her names."""


def names(count: int) -> list[str]:
    return [f"ldap\nalice-{number}" for number in range(count)]


def reaches(
    limiter: Throttle, name: str, *, source: str, device: str | None = None, owner: str = ALICE
) -> bool:
    """Make one wrong try under one of her names; tell whether it reached the directory."""
    try:
        with limiter.reserve(account=name, source=source, device=device) as attempt:
            attempt.failed(owner)
    except Throttled:
        return False
    return True


@pytest.mark.covers("R-68", "R-70")
def test_several_names_of_one_person_are_one_account() -> None:
    limiter, botnet = throttle(HandClock()), sources()
    reached = [reaches(limiter, name, source=botnet()) for name in names(3) for _ in range(10)]
    # Five on the first name; one on each further, for nobody knows yet whose it is.
    assert sum(reached) == 5 + 2


@pytest.mark.covers("R-72")
@pytest.mark.parametrize("guesses_a_second", [1, 100, 10_000])
def test_ten_thousand_guesses_under_many_names_over_replicas_stay_below_sixty(
    guesses_a_second: int,
) -> None:
    clock, botnet = HandClock(), sources()
    limiters = [throttle(clock, share=3) for _ in range(3)]
    reached = 0
    for number in range(10_000):
        name = names(4)[number % 4]
        reached += reaches(limiters[number % 3], name, source=botnet())
        clock.turn(1 / guesses_a_second)
    assert reached <= 60


@pytest.mark.covers("R-71")
def test_many_names_at_the_same_moment_gain_no_more_than_their_number() -> None:
    clock, botnet = HandClock(), sources()
    limiter = throttle(clock)
    open_tries = []
    for number in range(100):
        try:
            open_tries.append(limiter.reserve(account=names(4)[number % 4], source=botnet()))
        except AccountThrottled:
            continue
    assert len(open_tries) == 4 * 5
    for attempt in open_tries:
        with attempt:
            attempt.failed(ALICE)
    # All of them are on her account now, and she waits as long as one may have to.
    with pytest.raises(AccountThrottled) as refused:
        limiter.reserve(account=names(4)[0], source=botnet())
    assert refused.value.retry_after.total_seconds() == pytest.approx(900, abs=1)


@pytest.mark.covers("R-74")
def test_the_person_signs_in_from_a_known_browser_while_all_names_are_hammered() -> None:
    limiter, botnet = throttle(HandClock()), sources()
    for name in names(4) * 20:
        reaches(limiter, name, source=botnet())
    for name in names(4):
        with limiter.reserve(account=name, source="192.0.2.7", device="laptop") as attempt:
            attempt.succeeded(ALICE)
    assert not reaches(limiter, names(4)[0], source=botnet())


def test_a_right_password_under_one_name_starts_all_names_afresh() -> None:
    clock, botnet = HandClock(), sources()
    limiter = throttle(clock)
    for name in names(2) * 5:
        reaches(limiter, name, source=botnet())
    clock.turn(3600)
    with limiter.reserve(account=names(1)[0], source="192.0.2.7") as attempt:
        attempt.succeeded(ALICE)
    assert all(reaches(limiter, names(2)[1], source=botnet()) for _ in range(5))


def test_names_of_two_people_have_nothing_to_do_with_each_other() -> None:
    limiter, botnet = throttle(HandClock()), sources()
    for _ in range(10):
        reaches(limiter, "ldap\nalice", source=botnet())
    assert [
        reaches(limiter, "ldap\nbob", source=botnet(), owner="ldap\n\nid-of-bob") for _ in range(6)
    ] == [True] * 5 + [False]


def test_a_name_that_passes_to_somebody_else_is_theirs_from_then_on() -> None:
    limiter, botnet = throttle(HandClock()), sources()
    for _ in range(4):
        assert reaches(limiter, "ldap\nsupport", source=botnet())
    assert reaches(limiter, "ldap\nsupport", source=botnet(), owner="ldap\n\nid-of-bob")
    assert reaches(limiter, "ldap\nsupport", source=botnet(), owner="ldap\n\nid-of-bob")


def test_names_that_lead_to_people_are_remembered_within_bounds() -> None:
    limiter = throttle(HandClock())
    for number in range(10_000):
        owner = f"ldap\n\n{number}"
        reaches(limiter, f"ldap\nname-{number}", source=f"2001:db8:{number:x}::", owner=owner)
    assert len(limiter._owners) <= 4096
