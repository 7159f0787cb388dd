"""The life of a browser's session, as changes of the grant that began it.

The record of the first grant is the session's record, so that a login costs no write more than it
did without sessions. Ending the session marks it, as a grant that ended is marked: a tombstone
until the last access token of the session has expired.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from idp.oauth.client import Client
from storage.records import Grant, RefreshState, SessionState


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLife:
    """How long a session lives at most, and how long its record outlives it."""

    absolute: timedelta
    keep_for: timedelta


def begin_session(grant: Grant, client: Client | None, life: SessionLife) -> Grant:
    """Return a new grant, for a client, as the beginning of a session."""
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
        refresh=_refresh_until(ends_at, grant, client),
    )


def join_session(grant: Grant, session: Grant, client: Client | None) -> Grant:
    """Return a grant as one more of a session.

    If its client wants to be told of the end it is kept until then: without a record nobody would
    know whom to tell.
    """
    state = session.session_state
    expires_at = grant.expires_at
    if state is not None and client is not None and client.logout.wants_notice:
        expires_at = max(expires_at, state.ends_at)
    if state is None:
        return replace(grant, session=session.name)
    return replace(
        grant,
        session=session.name,
        expires_at=expires_at,
        refresh=_refresh_until(state.ends_at, grant, client),
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


def _refresh_until(ends_at: datetime, grant: Grant, client: Client | None) -> RefreshState | None:
    """Return the refresh token's state, which ends with the session if the client wants that."""
    refresh = grant.refresh
    if refresh is None or client is None or not client.tokens.ends_with_session:
        return refresh
    return replace(refresh, ends_at=ends_at)
