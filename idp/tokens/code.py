"""The life of an authorization code, as changes of the grant it belongs to.

A code is spent by marking the grant, not by deleting it, so that a second, fully correct use is
recognised as a replay and ends everything that the first one got (RFC 6749 section 4.1.2).
"""

from dataclasses import replace
from datetime import datetime, timedelta

from idp.tokens.refresh import end_grant
from storage.records import Grant, RefreshState


def code_is_expired(grant: Grant, now: datetime) -> bool:
    """Return whether a code that was never used has outlived its minute."""
    return now >= grant.code_expires_at


def spend_code(grant: Grant, now: datetime, keep_for: timedelta) -> Grant:
    """Return the grant after a fully correct use of its code: spent, or ended by a replay.

    `keep_for` is how long an ended grant is kept, as `end_grant` says.
    """
    if grant.ended_at is not None:
        return grant
    if grant.code_spent_at is not None:
        return end_grant(grant, now, keep_for)
    started = None if grant.refresh is None else replace(grant.refresh, last_used_at=now)
    return replace(grant, code_spent_at=now, refresh=started)


def first_refresh_state(now: datetime) -> RefreshState:
    """Return the state of a refresh token that has not been used yet."""
    return RefreshState(generation=1, last_used_at=now)
