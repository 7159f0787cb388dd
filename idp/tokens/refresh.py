"""The life of a refresh token: rotation, grace window, reuse detection, expiry.

Every use of the current generation makes the next one. A generation that was spent less than the
grace window ago still gets the current one, so that several kubectl processes, or one whose answer
was lost, can share a token. An older one is proof that a token was stolen and ends the grant. A
*later* one than the record knows is genuine by its MAC, so the record was restored from a backup:
that is healed, not punished.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from connectors.base import Identity
from idp.clock import epoch_seconds
from idp.oauth.client import NO_END, TokenRules
from storage.records import Grant, RefreshState


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshPolicy:
    """How long a refresh token lives. None means without end.

    `keep_for` is how long a grant outlives its refresh token, so that its revocation is known until
    its last access token has expired.
    """

    grace: timedelta
    idle: timedelta | None
    absolute: timedelta | None
    keep_for: timedelta

    def of(self, rules: TokenRules) -> "RefreshPolicy":
        """Return the policy for a client that has rules of its own."""
        return replace(
            self,
            idle=_chosen(rules.refresh_idle, self.idle),
            absolute=_chosen(rules.refresh_absolute, self.absolute),
        )

    def expires_at(self, created_at: datetime, last_used_at: datetime) -> datetime | None:
        """Return when the refresh token can no longer be used, None for never."""
        ends = []
        if self.idle is not None:
            ends.append(last_used_at + self.idle)
        if self.absolute is not None:
            ends.append(created_at + self.absolute)
        return min(ends, default=None)


def _chosen(said: timedelta | None, default: timedelta | None) -> timedelta | None:
    if said is None:
        return default
    return None if said == NO_END else said


class Verdict(Enum):
    """What the presentation of a generation means."""

    SPEND = auto()
    GRACE = auto()
    REUSED = auto()
    RESTORED = auto()
    EXPIRED = auto()
    ENDED = auto()


def judge(grant: Grant, generation: int, now: datetime, policy: RefreshPolicy) -> Verdict:
    """Return what it means that a genuine token of this generation is presented now."""
    state = grant.refresh
    if grant.ended_at is not None or grant.code_spent_at is None or state is None:
        return Verdict.ENDED
    expires_at = policy.expires_at(grant.created_at, state.last_used_at)
    ends = [at for at in (expires_at, state.ends_at) if at is not None]
    if ends and now >= min(ends):
        return Verdict.EXPIRED
    if generation == state.generation:
        return Verdict.SPEND
    if generation > state.generation:
        return Verdict.RESTORED
    spent_at = _spent_at(state, generation)
    return Verdict.GRACE if _is_recent(spent_at, now, policy) else Verdict.REUSED


def _spent_at(state: RefreshState, generation: int) -> int:
    """Return the second in which a generation was spent: that of the first entry reaching it.

    Generations before the oldest entry count as spent with it. That is right, because pruning
    always leaves the newest entry that is already too old.
    """
    return next((second for second, highest in state.spent if highest >= generation), 0)


def _is_recent(second: int, now: datetime, policy: RefreshPolicy) -> bool:
    """Return whether a second lies within the grace window; errs by less than one, to be kind."""
    grace = policy.grace.total_seconds()
    return grace > 0 and epoch_seconds(now) - second <= grace


def advance(
    grant: Grant, generation: int, identity: Identity, now: datetime, policy: RefreshPolicy
) -> Grant:
    """Return the grant after a refresh; the very same object where nothing is to be written.

    `identity` is the person as the connector knows them now. The change may run again on a newer
    record after a lost race, so it judges for itself.
    """
    verdict = judge(grant, generation, now, policy)
    if verdict is Verdict.REUSED:
        return end_grant(grant, now, policy.keep_for)
    state = grant.refresh
    if state is None or verdict not in (Verdict.SPEND, Verdict.RESTORED):
        return grant
    following = replace(
        state,
        generation=generation + 1,
        last_used_at=now,
        spent=_with_spent(state, generation, now, policy),
    )
    return replace(
        grant,
        refresh=following,
        username=identity.username,
        preferred_username=identity.preferred_username,
        email=identity.email,
        email_verified=identity.email_verified,
        groups=identity.groups,
        claims=identity.claims,
        connector_data=identity.connector_data,
        # Who has a session is told of its end: then the record is kept as long as that.
        expires_at=max(
            kept_until(grant.created_at, now, policy),
            grant.expires_at if grant.session else grant.created_at,
        ),
    )


def _with_spent(
    state: RefreshState, generation: int, now: datetime, policy: RefreshPolicy
) -> tuple[tuple[int, int], ...]:
    # Never before the last entry: the clocks of two replicas may differ by seconds.
    second = max(epoch_seconds(now), state.spent[-1][0] if state.spent else 0)
    entries = [entry for entry in state.spent if entry[0] != second]
    entries.append((second, generation))
    too_old = [entry for entry in entries if not _is_recent(entry[0], now, policy)]
    recent = [entry for entry in entries if _is_recent(entry[0], now, policy)]
    return (*too_old[-1:], *recent)


def kept_until(created_at: datetime, last_used_at: datetime, policy: RefreshPolicy) -> datetime:
    """Return when a grant that was just used may be swept away."""
    ends = policy.expires_at(created_at, last_used_at)
    return datetime.max.replace(tzinfo=UTC) if ends is None else ends + policy.keep_for


def _session_until(grant: Grant, keep_for: timedelta) -> datetime:
    """Return until when a grant is kept for the session that it began and that goes on."""
    state = grant.session_state
    if state is None or state.ended_at is not None:
        return grant.created_at
    return state.ends_at + keep_for


def end_grant(grant: Grant, now: datetime, keep_for: timedelta) -> Grant:
    """Return the grant revoked: a tombstone until its last access token has expired.

    `keep_for` is that long. Every process reads all tombstones when it starts, so none may stay for
    as long as its login would have, which may be for ever.
    """
    if grant.ended_at is not None:
        return grant
    kept = max(now + keep_for, _session_until(grant, keep_for))
    return replace(grant, ended_at=now, expires_at=min(grant.expires_at, kept))
