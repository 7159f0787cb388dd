"""The life of a session, as changes of the grant that began it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.base import Identity
from idp.tokens.code import spend_code
from idp.tokens.refresh import RefreshPolicy, advance, end_grant
from idp.tokens.session import SessionLife, begin_session, end_session, renew_session
from storage.kinds import GRANTS
from storage.records import Grant
from tests.unit.tokens.conftest import NOON

KEEP_FOR = timedelta(minutes=65)
LIFE = SessionLife(absolute=timedelta(hours=24), keep_for=KEEP_FOR)


@pytest.fixture
def session(unspent: Grant) -> Grant:
    return begin_session(replace(unspent, acr="urn:a", amr=("pwd",)), None, LIFE)


def test_the_first_grant_is_the_session_and_names_itself(session: Grant) -> None:
    state = session.session_state
    assert state is not None
    assert session.session == session.name
    assert (state.authenticated_at, state.ends_at) == (NOON, NOON + timedelta(hours=24))
    assert (state.clients, state.acr, state.amr) == (("app",), "urn:a", ("pwd",))
    assert state.generation == 1


def test_a_record_is_kept_as_long_as_its_session_and_its_access_tokens(unspent: Grant) -> None:
    short = replace(unspent, refresh=None, expires_at=NOON + timedelta(minutes=66))
    assert begin_session(short, None, LIFE).expires_at == NOON + timedelta(hours=25, minutes=5)
    assert begin_session(unspent, None, LIFE).expires_at == unspent.expires_at


def test_a_refresh_does_not_let_the_record_go_before_the_session(session: Grant) -> None:
    policy = RefreshPolicy(
        grace=timedelta(0),
        idle=timedelta(minutes=5),
        absolute=None,
        keep_for=timedelta(minutes=65),
    )
    end = NOON + timedelta(hours=25, minutes=5)
    spent = spend_code(replace(session, expires_at=end), NOON, KEEP_FOR)
    after = advance(spent, 1, Identity(user_id="user-1"), NOON + timedelta(minutes=1), policy)
    assert after.expires_at == end


def test_another_sign_in_renews_and_makes_older_references_worthless(session: Grant) -> None:
    later = NOON + timedelta(hours=3)
    again = replace(session, name="grant-2", client_id="other", authenticated_at=later, acr="urn:b")
    state = renew_session(session, again, LIFE).session_state
    assert state is not None
    assert state.generation == 2
    assert state.clients == ("app", "other")
    assert (state.authenticated_at, state.ends_at) == (later, later + timedelta(hours=24))
    assert state.acr == "urn:b"
    assert renew_session(session, again, LIFE).authenticated_at == NOON


@pytest.mark.covers("R-54")
def test_an_end_is_an_end_of_both_and_is_not_undone(session: Grant) -> None:
    ended = end_session(session, NOON, KEEP_FOR)
    assert ended.ended_at == NOON
    assert ended.session_state is not None
    assert ended.session_state.ended_at == NOON
    later = NOON + timedelta(hours=1)
    assert end_session(ended, later, KEEP_FOR) is ended
    assert renew_session(ended, session, LIFE) is ended
    assert end_session(replace(session, session_state=None), NOON, KEEP_FOR).ended_at is None


def test_a_grant_may_end_without_the_session_that_it_began(session: Grant) -> None:
    revoked = end_grant(session, NOON, KEEP_FOR)
    assert revoked.session_state == session.session_state
    later = NOON + timedelta(hours=1)
    ended = end_session(revoked, later, KEEP_FOR)
    assert ended.ended_at == NOON
    assert ended.session_state is not None
    assert ended.session_state.ended_at == later


def test_columns_tell_a_revoked_grant_from_an_ended_session(session: Grant) -> None:
    def shown(grant: Grant) -> tuple[str, str, str]:
        columns = GRANTS.encode(grant)[0]
        return columns["session"], columns["ended"], columns["session_ended"]

    assert shown(session) == ("grant-1", "", "")
    assert shown(end_grant(session, NOON, KEEP_FOR)) == ("grant-1", "true", "")
    assert shown(end_session(session, NOON, KEEP_FOR)) == ("grant-1", "true", "true")


def test_a_grant_of_no_session_shows_none(unspent: Grant) -> None:
    assert "session" not in GRANTS.encode(unspent)[0]
