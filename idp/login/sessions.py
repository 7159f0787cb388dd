"""Single sign-on: when a browser that signed in before need not do so again. Pure.

The session of a browser is the grant that began it; its name is the `sid`. The browser holds a
reference to it, which dies of disuse (`validIfNotUsedFor`) without a write, since the last use
travels in the reference itself. All else is decided by the record.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from idp.clock import epoch_seconds
from idp.oauth import prompt
from idp.oauth.authorize import AuthorizationRequest
from idp.oauth.claim_names import OF_IDENTITY, scope_of
from idp.oauth.client import Clients
from idp.oauth.policies import may_sign_in_with
from idp.oauth.scopes import ADDRESS, GROUPS, PHONE, PROFILE
from idp.oauth.subject import subject
from idp.tokens.session import SessionLife
from storage.records import Grant, SessionState

_SELECTIVE = frozenset((PROFILE, ADDRESS, PHONE, GROUPS))
"""The scopes of which a grant keeps only what was asked for; names and email it keeps always."""

_ALWAYS_KEPT = OF_IDENTITY - {"groups", "address"}

EVERYBODY = "*"
"""In `ssoSharedWith`: all clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How long sessions live and who shares them.

    `idle` is None where disuse ends none. `shared_by_default` counts for clients that say nothing
    of it themselves, `remember_by_default` for people.
    """

    life: SessionLife
    idle: timedelta | None
    shared_by_default: bool
    remember_by_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a browser holds of a session. Times are whole seconds since 1970.

    A `remembered` one outlives the browser's window.
    """

    session: str
    generation: int
    ends_at: int
    used_at: int
    remembered: bool

    def is_over(self, now: datetime, policy: SessionPolicy) -> bool:
        """Return whether time alone has ended the session for this browser."""
        second = epoch_seconds(now)
        if second >= self.ends_at:
            return True
        return policy.idle is not None and second - self.used_at >= policy.idle.total_seconds()

    def used(self, now: datetime) -> "Reference":
        """Return the reference after a use."""
        return replace(self, used_at=epoch_seconds(now))


def live_state(grant: Grant, reference: Reference, now: datetime) -> SessionState | None:
    """Return the state of the session that a reference leads to, None if it does so no more."""
    state = grant.session_state
    if state is None or state.ended_at is not None or now >= state.ends_at:
        return None
    return state if reference.generation == state.generation else None


def stands_in(
    session: Grant, request: AuthorizationRequest, *, clients: Clients, policy: SessionPolicy
) -> bool:
    """Return whether a live session may be used for what a client asks, its age left aside.

    Whoever demands another connector, a fresh sign-in, a choice of accounts, somebody else or
    another way to sign in gets the form (OIDC Core sections 3.1.2.1 and 5.5.1).
    """
    if request.prompts & {prompt.LOGIN, prompt.SELECT_ACCOUNT}:
        return False
    if request.connector_id not in ("", session.connector_id):
        return False
    if not request.admits(subject(session.user_id, session.connector_id)):
        return False
    if session.session_state is None or not request.claims.is_met_by(session.session_state.acr):
        return False
    client = clients.get(request.target.client_id)
    if client is None or not may_sign_in_with(client, session.connector_id):
        return False
    return _is_shared(session, request.target.client_id, clients, policy)


def keeps_enough(session: Grant, request: AuthorizationRequest, clients: Clients) -> bool:
    """Return whether the record of a session has all of its person that a request asks for.

    It keeps what its own client was to be told, and only the groups that got through its filter.
    """
    first = clients.get(session.client_id)
    whole_groups = first is not None and not first.claims.groups_filter
    kept = {scope for scope in session.scopes if scope != GROUPS or whole_groups}
    named = {*session.asked_for_id_token, *session.asked_for_userinfo}
    if not whole_groups:
        named.discard(GROUPS)
    return _SELECTIVE & set(request.scopes) <= kept and all(
        scope_of(claim) in kept or claim in named or claim in _ALWAYS_KEPT
        for claim in request.claims.names
    )


def is_fresh_enough(state: SessionState, max_age: int | None, now: datetime) -> bool:
    """Return whether a sign-in is no older than `max_age` allows; 0 allows none.

    In whole seconds, as `auth_time` tells them to the client.
    """
    if max_age is None:
        return True
    return max_age > 0 and epoch_seconds(now) - epoch_seconds(state.authenticated_at) <= max_age


def _is_shared(session: Grant, client_id: str, clients: Clients, policy: SessionPolicy) -> bool:
    """Return whether a client that people signed in for shares its sessions with this one.

    As in Dex that has one direction, and a client which got in by sharing has nothing to share.
    """
    state = session.session_state
    for source_id in () if state is None else state.clients:
        source = clients.get(source_id)
        if source is None:
            continue
        if source_id == client_id:
            return True
        shared = source.sso_shared_with
        if policy.shared_by_default if shared is None else shared & {client_id, EVERYBODY}:
            return True
    return False


def reference_to(session: Grant, now: datetime, *, remembered: bool) -> Reference:
    """Return what a browser is to hold of a session. Raises ValueError for a grant that is none."""
    state = session.session_state
    if state is None:
        raise ValueError(f"grant {session.name} did not begin a session")
    return Reference(
        session=session.name,
        generation=state.generation,
        ends_at=epoch_seconds(state.ends_at),
        used_at=epoch_seconds(now),
        remembered=remembered,
    )
