"""The life of a code as pure changes of a grant (RFC 6749 section 4.1.2)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from idp.tokens.code import code_is_expired, first_refresh_state, spend_code
from storage.records import Grant

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
KEEP_FOR = timedelta(minutes=65)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.covers("R-21")
@pytest.mark.parametrize(
    ("age", "expired"), [(0, False), (59.999999, False), (60, True), (61, True), (-5, False)]
)
def test_a_code_lives_for_a_minute(unspent: Grant, age: float, expired: bool) -> None:  # noqa: FBT001
    assert code_is_expired(unspent, at(age)) is expired


def test_the_first_use_marks_the_code_and_starts_the_refresh_token(unspent: Grant) -> None:
    spent = spend_code(unspent, at(30), KEEP_FOR)
    assert spent.code_spent_at == at(30)
    assert spent.ended_at is None
    assert spent.refresh is not None
    assert (spent.refresh.generation, spent.refresh.last_used_at) == (1, at(30))


def test_a_login_without_offline_access_gets_no_refresh_state(unspent: Grant) -> None:
    assert spend_code(replace(unspent, refresh=None), at(1), KEEP_FOR).refresh is None


@pytest.mark.covers("R-20")
@pytest.mark.parametrize("later", [0, 1, 59, 61, 86400, 86400 * 365])
def test_every_further_use_ends_the_grant_however_late(unspent: Grant, later: float) -> None:
    replayed = spend_code(spend_code(unspent, at(1), KEEP_FOR), at(1 + later), KEEP_FOR)
    assert replayed.ended_at == at(1 + later)
    assert spend_code(replayed, at(2 + later), KEEP_FOR) is replayed


def test_a_grant_that_has_ended_before_its_code_was_used_stays_ended(unspent: Grant) -> None:
    ended = replace(unspent, ended_at=at(1))
    assert spend_code(ended, at(2), KEEP_FOR) is ended


def test_the_first_refresh_token_is_generation_one() -> None:
    state = first_refresh_state(NOON)
    assert (state.generation, state.last_used_at, state.spent) == (1, NOON, ())
