"""The life of a browser's session, as changes of the grant that began it.

The record of the first grant is the session's record, so that a login costs no write more than it
did without sessions. Ending the session marks it, as a grant that ended is marked: a tombstone
until the last access token of the session has expired.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from storage.records import Grant, SessionState


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLife:
    """How long a session lives at most, and how long its record outlives it."""

    absolute: timedelta
    keep_for: timedelta


def begin_session(grant: Grant, life: SessionLife) -> Grant:
    """Return a new grant as the beginning of a session."""
    ends_at = grant.authenticated_at + life.absolute
    state = SessionState(
        authenticated_at=grant.authenticated_at,
        ends_at=ends_at,
        clients=(grant.client_id,),
        acr=grant.acr,
        amr=grant.amr,
    )
    return replace(
        grant,
        session=grant.name,
        session_state=state,
        expires_at=max(grant.expires_at, ends_at + life.keep_for),
    )


def renew_session(session: Grant, grant: Grant, life: SessionLife) -> Grant:
    """Return a session after its person signed in once more, for the client of `grant`.

    References that were handed out before are worth nothing from now on. A session that has ended
    stays so.
    """
    state = session.session_state
    if state is None or state.ended_at is not None:
        return session
    ends_at = grant.authenticated_at + life.absolute
    following = replace(
        state,
        authenticated_at=grant.authenticated_at,
        ends_at=ends_at,
        clients=tuple(dict.fromkeys((*state.clients, grant.client_id))),
        acr=grant.acr,
        amr=grant.amr,
        generation=state.generation + 1,
    )
    return replace(
        session,
        session_state=following,
        expires_at=max(session.expires_at, ends_at + life.keep_for),
    )


def end_session(session: Grant, now: datetime, keep_for: timedelta) -> Grant:
    """Return a session's record after the end: nothing goes on from it, as session or as grant.

    It stays as a tombstone for `keep_for`, until the last access token has expired.
    """
    state = session.session_state
    if state is None or state.ended_at is not None:
        return session
    return replace(
        session,
        ended_at=session.ended_at or now,
        session_state=replace(state, ended_at=now),
        expires_at=min(session.expires_at, now + keep_for),
    )
