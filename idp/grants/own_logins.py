"""What one person has here, in an order that they can read: their sessions and what came of them.

Pure. A session is one browser. What clients got is put together for each client of a session,
because an application that signs people in anew each hour is one application to them. What goes on
without a session, as a command line with a refresh token does, stands for itself.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from idp.oauth.client import NO_RULES, Clients
from idp.oauth.standing import Standings, login_counts
from idp.tokens.refresh import RefreshPolicy, Verdict, judge
from storage.records import Grant, SessionState

FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLogin:
    """What one client has of a person through one session; `name` is that of one of its grants.

    `ends_at` is when it can renew its tokens no longer, FOR_EVER if it always can, None where it
    cannot anyway. `scopes` and `claims` are all that were granted.
    """

    name: str
    client_id: str
    connector_id: str
    device: str
    begun_at: datetime
    last_used_at: datetime
    ends_at: datetime | None
    scopes: tuple[str, ...]
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSession:
    """One browser in which the person is signed in."""

    name: str
    connector_id: str
    device: str
    signed_in_at: datetime
    last_used_at: datetime
    ends_at: datetime
    logins: tuple[OwnLogin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The sessions of a person, last used first, and what clients have without one.

    `is_whole` tells that there are no more than were looked at.
    """

    sessions: tuple[OwnSession, ...]
    logins: tuple[OwnLogin, ...]
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRules:
    """By what it is told whether a grant still counts.

    `page` is the id under which people sign in to our own page, which gets nothing.
    """

    clients: Clients
    standings: Standings
    policy: RefreshPolicy
    page: str


def living_session(grant: Grant, now: datetime) -> SessionState | None:
    """Return the state of the session that a grant began, None if there is none any more."""
    state = grant.session_state
    return None if state is None or state.ended_at is not None or now >= state.ends_at else state


def overview_of(grants: Iterable[Grant], rules: OwnRules, now: datetime) -> Overview:
    """Return the overview of all grants of one person."""
    counting = [grant for grant in grants if _counts(grant, rules)]
    sessions = {grant.name: grant for grant in counting if living_session(grant, now)}
    by_session: dict[str, list[Grant]] = defaultdict(list)
    alone: dict[tuple[str, str], list[Grant]] = defaultdict(list)
    for grant in counting:
        if grant.session in sessions:
            by_session[grant.session].append(grant)
        elif _renewable_until(grant, rules, now) is not None:
            alone[(grant.session or grant.name, grant.client_id)].append(grant)
    found = [_session(session, by_session[name], rules, now) for name, session in sessions.items()]
    logins = [_login(each, rules, now) for each in alone.values()]
    return Overview(
        sessions=tuple(sorted(found, key=lambda each: each.last_used_at, reverse=True)),
        logins=_last_used_first(logins),
    )


def _counts(grant: Grant, rules: OwnRules) -> bool:
    """Return whether a grant, or the session that it began, was not ended by anybody."""
    state = grant.session_state
    if grant.ended_at is not None and (state is None or state.ended_at is not None):
        return False
    return login_counts(
        rules.standings,
        user_id=grant.user_id,
        connector_id=grant.connector_id,
        authenticated_at=grant.authenticated_at if state is None else state.authenticated_at,
    )


def _session(session: Grant, members: list[Grant], rules: OwnRules, now: datetime) -> OwnSession:
    state = session.session_state
    if state is None:
        raise ValueError(f"grant {session.name} began no session")
    by_client: dict[str, list[Grant]] = defaultdict(list)
    for grant in members:
        if _gave_something(grant, rules):
            by_client[grant.client_id].append(grant)
    used = [state.authenticated_at, *(grant.created_at for grant in members)]
    return OwnSession(
        name=session.name,
        connector_id=session.connector_id,
        device=session.device,
        signed_in_at=state.authenticated_at,
        last_used_at=max(used),
        ends_at=state.ends_at,
        logins=_last_used_first(_login(each, rules, now) for each in by_client.values()),
    )


def _gave_something(grant: Grant, rules: OwnRules) -> bool:
    """Return whether the client got anything, and may have it still.

    A code that was never redeemed gave nothing; a login without a code its tokens at once.
    """
    if grant.ended_at is not None or grant.client_id == rules.page:
        return False
    return grant.code_spent_at is not None or grant.code_expires_at <= grant.created_at


def _login(grants: list[Grant], rules: OwnRules, now: datetime) -> OwnLogin:
    newest = max(grants, key=lambda grant: grant.created_at)
    ends = [_renewable_until(grant, rules, now) for grant in grants]
    return OwnLogin(
        name=newest.name,
        client_id=newest.client_id,
        connector_id=newest.connector_id,
        device=newest.device,
        begun_at=min(grant.created_at for grant in grants),
        last_used_at=max(_last_used_at(grant) for grant in grants),
        ends_at=max((at for at in ends if at is not None), default=None),
        scopes=tuple(dict.fromkeys(scope for grant in grants for scope in grant.scopes)),
        claims=tuple(
            dict.fromkeys(
                claim
                for grant in grants
                for claim in (*grant.asked_for_id_token, *grant.asked_for_userinfo)
            )
        ),
    )


def _renewable_until(grant: Grant, rules: OwnRules, now: datetime) -> datetime | None:
    """Return until when a client can renew its tokens by a grant, None if it cannot (any more)."""
    state = grant.refresh
    client = rules.clients.get(grant.client_id)
    policy = rules.policy.of(NO_RULES if client is None else client.tokens)
    if state is None or judge(grant, state.generation, now, policy) is not Verdict.SPEND:
        return None
    ends = (policy.expires_at(grant.created_at, state.last_used_at), state.ends_at)
    return min((at for at in ends if at is not None), default=FOR_EVER)


def _last_used_at(grant: Grant) -> datetime:
    return grant.created_at if grant.refresh is None else grant.refresh.last_used_at


def _last_used_first(logins: Iterable[OwnLogin]) -> tuple[OwnLogin, ...]:
    return tuple(sorted(logins, key=lambda each: each.last_used_at, reverse=True))
