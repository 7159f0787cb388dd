"""Locked people, and people who were signed out of everything."""

from datetime import UTC, datetime, timedelta

import pytest

from idp.oauth.standing import NO_STANDINGS, UserStanding, login_counts, token_counts
from idp.oauth.subject import subject

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SUB = subject("7", "ldap")
LOCKED = UserStanding(locked=True)
SINCE_NOON = UserStanding(not_before=NOON)


@pytest.mark.parametrize(
    ("standing", "at", "counts"),
    [
        (UserStanding(), NOON, True),
        (LOCKED, NOON, False),
        (SINCE_NOON, NOON - SECOND / 1000, False),
        (SINCE_NOON, NOON, True),
        (SINCE_NOON, NOON + SECOND / 2, True),
        (UserStanding(locked=True, not_before=NOON), NOON + SECOND, False),
        # Of the same second, which tokens do not tell apart: signing in again helps.
        (UserStanding(not_before=NOON + SECOND / 2), NOON + SECOND * 0.7, False),
        (UserStanding(not_before=NOON + SECOND / 2), NOON + SECOND, True),
    ],
)
def test_logins_and_their_tokens_are_judged_alike(
    standing: UserStanding, at: datetime, *, counts: bool
) -> None:
    standings = {SUB: standing}
    login = login_counts(standings, user_id="7", connector_id="ldap", authenticated_at=at)
    assert login is counts
    assert token_counts(standings, {"sub": SUB, "auth_time": int(at.timestamp())}) is counts


def test_nobody_else_is_meant() -> None:
    standings = {SUB: LOCKED}
    for user_id, connector_id in (("7", "local"), ("8", "ldap"), ("", "ldap")):
        assert login_counts(
            standings, user_id=user_id, connector_id=connector_id, authenticated_at=NOON
        )
    assert token_counts(standings, {"sub": subject("8", "ldap")})
    assert token_counts(standings, {})
    assert login_counts(NO_STANDINGS, user_id="7", connector_id="ldap", authenticated_at=NOON)


@pytest.mark.parametrize("auth_time", [None, "12345", 0])
def test_a_token_that_knows_no_login_is_older_than_every_one(auth_time: object) -> None:
    assert not token_counts({SUB: SINCE_NOON}, {"sub": SUB, "auth_time": auth_time})


def test_of_two_words_the_stricter_counts() -> None:
    later = UserStanding(not_before=NOON + SECOND)
    assert SINCE_NOON.joined(later) == later.joined(SINCE_NOON) == later
    assert LOCKED.joined(later) == UserStanding(locked=True, not_before=NOON + SECOND)
    assert LOCKED.joined(UserStanding()) == LOCKED
