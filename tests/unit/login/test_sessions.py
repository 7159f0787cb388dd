"""When a session stands in for a sign-in, and when it does not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from idp.login.sessions import (
    Reference,
    SessionPolicy,
    is_fresh_enough,
    keeps_enough,
    live_state,
    reference_to,
    stands_in,
)
from idp.oauth.asked_claims import AskedClaims
from idp.oauth.authorize import AuthorizationRequest, Target
from idp.oauth.client import Allowed, ClaimRules, Client
from idp.oauth.subject import subject
from idp.tokens.session import SessionLife, begin_session, end_session, renew_session
from storage.records import Grant
from tests.unit.grants.world import new_grant

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LIFE = SessionLife(absolute=timedelta(hours=24), keep_for=timedelta(minutes=65))
CLOSED = SessionPolicy(
    life=LIFE, idle=timedelta(hours=1), shared_by_default=False, remember_by_default=True
)
OPEN = replace(CLOSED, shared_by_default=True)


def client(name: str, *shared_with: str) -> Client:
    return Client(id=name, name=name, sso_shared_with=frozenset(shared_with))


def request(client_id: str = "app", /, **changes: object) -> AuthorizationRequest:
    asked = AuthorizationRequest(
        target=Target(client_id=client_id, redirect_uri="https://a.example", state=None),
        scopes=("openid",),
        peers=(),
        nonce="",
        code_challenge="",
        prompts=frozenset(),
        max_age=None,
        login_hint="",
        hinted_subject="",
        connector_id="",
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


@pytest.fixture
def session() -> Grant:
    """A session of alice that began at noon, for the client `app`."""
    return begin_session(new_grant("session-1", NOON), None, LIFE)


def suits(
    session: Grant, asked: AuthorizationRequest, *clients: Client, policy: SessionPolicy = CLOSED
) -> bool:
    known = {each.id: each for each in (clients or (client("app"),))}
    return stands_in(session, asked, clients=known, policy=policy)


def test_it_does_for_whoever_asks_nothing_special(session: Grant) -> None:
    assert suits(session, request())


@pytest.mark.parametrize(
    "changes",
    [
        {"prompts": frozenset({"login"})},
        {"prompts": frozenset({"select_account"})},
        {"prompts": frozenset({"login", "consent"})},
        {"connector_id": "ldap"},
        {"hinted_subject": subject("user-2", "local")},
        {"hinted_subject": subject("user-1", "ldap")},
        {"claims": AskedClaims(subjects=(subject("user-2", "local"),))},
        {"claims": AskedClaims(acr_values=("gold",), acr_essential=True)},
    ],
)
def test_it_does_not_for_whoever_asks_for_more(session: Grant, changes: dict[str, object]) -> None:
    assert not suits(session, request(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"prompts": frozenset({"none"})},
        {"prompts": frozenset({"consent"})},
        {"connector_id": "local"},
        {"hinted_subject": subject("user-1", "local")},
        {"login_hint": "somebody else"},
        {"claims": AskedClaims(subjects=("x", subject("user-1", "local")))},
        {"claims": AskedClaims(acr_values=("gold",))},
    ],
)
def test_it_does_for_whoever_asks_for_what_it_is(
    session: Grant, changes: dict[str, object]
) -> None:
    assert suits(session, request(**changes))


def test_a_record_is_enough_for_what_its_own_client_was_told(session: Grant) -> None:
    """It matters only for connectors that cannot be asked again."""
    first = {"app": client("app")}
    kept = replace(session, scopes=("openid", "profile"), asked_for_userinfo=("phone_number",))
    for asked in (
        request(scopes=("openid", "profile", "email", "offline_access")),
        request(claims=AskedClaims(id_token=("phone_number", "email", "birthdate", "department"))),
    ):
        assert keeps_enough(kept, asked, first)
    for scope in ("groups", "address", "phone"):
        assert not keeps_enough(kept, request(scopes=("openid", scope)), first)
    for claim in ("groups", "address", "phone_number_verified"):
        assert not keeps_enough(kept, request(claims=AskedClaims(userinfo=(claim,))), first)


def test_groups_that_a_filter_let_through_are_not_all_there_are(session: Grant) -> None:
    asked = request(scopes=("openid", "groups"))
    named = request(claims=AskedClaims(userinfo=("groups",)))
    kept = replace(session, scopes=("openid", "groups"), asked_for_userinfo=("groups",))
    assert keeps_enough(kept, asked, {"app": client("app")})
    assert keeps_enough(kept, named, {"app": client("app")})
    filtering = replace(client("app"), claims=ClaimRules(groups_filter=("team-*",)))
    for first in ({"app": filtering}, {}):
        assert not keeps_enough(kept, asked, first)
        assert not keeps_enough(kept, named, first)


@pytest.mark.covers("CV-3")
def test_a_client_that_may_not_use_the_connector_gets_nothing_from_it(session: Grant) -> None:
    barred = replace(client("app"), allowed=Allowed(connectors=frozenset({"ldap"})))
    assert not suits(session, request(), barred)


@pytest.mark.covers("CV-33")
def test_a_client_that_is_gone_neither_gets_nor_gives(session: Grant) -> None:
    assert not suits(session, request(), client("other"))
    assert not suits(session, request("other"), client("other"), policy=OPEN)


@pytest.mark.parametrize(
    ("shared_with", "by_default", "shared"),
    [
        (None, False, False),
        (None, True, True),
        ((), True, False),
        (("*",), False, True),
        (("other",), False, True),
        (("third",), True, False),
        (("Other", "other ", "*other"), False, False),
    ],
)
def test_a_client_shares_with_whom_it_says(
    session: Grant, shared_with: tuple[str, ...] | None, *, by_default: bool, shared: bool
) -> None:
    source = replace(
        client("app"),
        sso_shared_with=None if shared_with is None else frozenset(shared_with),
    )
    policy = OPEN if by_default else CLOSED
    assert suits(session, request("other"), source, client("other"), policy=policy) is shared


def test_sharing_has_one_direction(session: Grant) -> None:
    wants = client("other", "app")
    assert not suits(session, request("other"), client("app"), wants)


def test_sharing_is_not_handed_on(session: Grant) -> None:
    """`other` got in by sharing, so nobody signed in for it: it has nothing to share."""
    clients = (client("app", "other"), client("other", "third"), client("third"))
    assert suits(session, request("other"), *clients)
    assert not suits(session, request("third"), *clients)


def test_whoever_people_signed_in_for_once_more_shares_too(session: Grant) -> None:
    clients = (client("app"), client("other", "third"), client("third"))
    again = replace(new_grant("grant-2", NOON), client_id="other")
    assert not suits(session, request("third"), *clients)
    assert suits(renew_session(session, again, LIFE), request("third"), *clients)


@pytest.mark.covers("R-8")
@pytest.mark.parametrize(
    ("max_age", "seconds", "fresh"),
    [(None, 10**6, True), (0, 0, False), (1, 0, True), (1, 1, True), (1, 2, False),
     (3600, 3600, True), (3600, 3601, False), (3600, 3600.9, True)],
)  # fmt: skip
def test_max_age_is_judged_in_the_seconds_that_auth_time_tells(
    session: Grant, max_age: int | None, seconds: float, *, fresh: bool
) -> None:
    state = session.session_state
    assert state is not None
    assert is_fresh_enough(state, max_age, NOON + timedelta(seconds=seconds)) is fresh


@pytest.mark.covers("R-54")
@pytest.mark.parametrize(
    ("used", "now", "idle", "over"),
    [(0, 3599, 3600, False), (0, 3600, 3600, True), (3599, 7198, 3600, False),
     (0, 86399, None, False), (0, 86400, None, True), (86399, 86400, 3600, True),
     (0, -60, 3600, False)],
)  # fmt: skip
def test_a_reference_dies_of_disuse_and_of_age(
    session: Grant, used: int, now: int, idle: int | None, *, over: bool
) -> None:
    reference = reference_to(session, NOON + timedelta(seconds=used), remembered=True)
    policy = replace(CLOSED, idle=None if idle is None else timedelta(seconds=idle))
    assert reference.is_over(NOON + timedelta(seconds=now), policy) is over


@pytest.mark.covers("R-53", "R-54")
def test_only_the_last_reference_to_a_live_session_counts(session: Grant) -> None:
    reference = reference_to(session, NOON, remembered=False)
    assert live_state(session, reference, NOON) is session.session_state
    renewed = renew_session(session, new_grant("grant-2", NOON), LIFE)
    assert live_state(renewed, reference, NOON) is None
    assert live_state(renewed, reference_to(renewed, NOON, remembered=False), NOON) is not None
    assert live_state(end_session(session, NOON, LIFE.keep_for), reference, NOON) is None
    assert live_state(session, reference, NOON + timedelta(hours=24)) is None
    assert live_state(new_grant("grant-3", NOON), reference, NOON) is None


def test_a_use_moves_nothing_but_the_last_use(session: Grant) -> None:
    reference = reference_to(session, NOON, remembered=True)
    later = reference.used(NOON + timedelta(minutes=5))
    assert later == replace(reference, used_at=reference.used_at + 300)
    assert isinstance(later, Reference)


def test_a_grant_that_began_no_session_has_no_reference() -> None:
    with pytest.raises(ValueError, match="did not begin"):
        reference_to(new_grant("grant-1", NOON), NOON, remembered=True)
