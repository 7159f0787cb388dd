"""Any record is read as it was written, and its columns show nothing but what they should."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Unreadable
from storage.kinds import GRANTS, KEY_RINGS, REGISTERED_CLIENTS, USED_ASSERTIONS, USER_STATES
from storage.records import (
    Consent,
    Grant,
    KeyRing,
    RefreshState,
    RegisteredClient,
    Resealing,
    RevokedKey,
    SessionState,
    SigningKey,
    UsedAssertion,
    UserState,
)
from tests.storage.harness import NOW, grant, registered_client, signing_key

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 -- the zone is drawn apart
    max_value=datetime(9999, 1, 1),  # noqa: DTZ001
    timezones=ZONES,
)
NUMBERS = st.integers(0, 2**53)
TEXTS = st.tuples() | st.lists(st.text(), max_size=3).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
UNKNOWN = st.dictionaries(st.text(max_size=5).map(lambda key: f"x-{key}"), JSON, max_size=3)
REFRESH = st.builds(
    RefreshState,
    generation=NUMBERS,
    last_used_at=TIMES,
    spent=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3).map(tuple),
    ends_at=st.none() | TIMES,
    unknown=UNKNOWN,
)
SESSION = st.builds(
    SessionState,
    authenticated_at=TIMES,
    ends_at=TIMES,
    clients=TEXTS,
    amr=TEXTS,
    generation=NUMBERS,
    ended_at=st.none() | TIMES,
    unknown=UNKNOWN,
)
ANY_USER_STATE = st.builds(
    UserState,
    name=st.just("u1"),
    consents=st.lists(
        st.builds(Consent, scopes=TEXTS, claims=TEXTS, granted_at=TIMES, unknown=UNKNOWN),
        max_size=2,
    ).map(tuple),
    unknown=UNKNOWN,
)
ANY_GRANT = st.builds(
    Grant,
    name=st.just("g1"),
    groups=TEXTS,
    scopes=TEXTS,
    created_at=TIMES,
    authenticated_at=TIMES,
    code_expires_at=TIMES,
    expires_at=TIMES,
    code_spent_at=st.none() | TIMES,
    refresh=st.none() | REFRESH,
    ended_at=st.none() | TIMES,
    session_state=st.none() | SESSION,
    amr=TEXTS,
    claims=st.lists(st.tuples(st.text(), TEXTS), max_size=3).map(tuple),
    asked_for_id_token=TEXTS,
    asked_for_userinfo=TEXTS,
    unknown=UNKNOWN,
)
ANY_KEY = st.builds(
    SigningKey,
    created_at=TIMES,
    signs_from=st.none() | TIMES,
    retired_at=st.none() | TIMES,
    drops_at=st.none() | TIMES,
    unknown=UNKNOWN,
)
RESEALING = st.builds(Resealing, begun_at=TIMES, clean_at=st.none() | TIMES, unknown=UNKNOWN)
ANY_RING = st.builds(
    KeyRing,
    name=st.just("ring"),
    keys=st.lists(ANY_KEY, max_size=3).map(tuple),
    revision=NUMBERS,
    rotates_at=st.none() | TIMES,
    revoked=st.lists(st.builds(RevokedKey, until=TIMES, unknown=UNKNOWN), max_size=2).map(tuple),
    resealing=st.none() | RESEALING,
    unknown=UNKNOWN,
)


ANY_CLIENT = st.builds(
    RegisteredClient,
    name=st.just("c1"),
    metadata=st.dictionaries(st.text(max_size=5), JSON, max_size=3).map(json.dumps),
    issued_at=TIMES,
    unknown=UNKNOWN,
)


@given(ANY_GRANT)
def test_any_grant_is_read_as_it_was_written(record: Grant) -> None:
    columns, body = GRANTS.encode(record)
    assert GRANTS.decode("g1", json.loads(json.dumps(body))) == record
    json.dumps(columns, ensure_ascii=False).encode("utf-8")


@given(ANY_RING)
def test_any_key_ring_is_read_as_it_was_written(record: KeyRing) -> None:
    columns, body = KEY_RINGS.encode(record)
    assert KEY_RINGS.decode("ring", json.loads(json.dumps(body))) == record
    json.dumps(columns, ensure_ascii=False).encode("utf-8")


@given(st.builds(UsedAssertion, name=st.just("a"), expires_at=TIMES, unknown=UNKNOWN))
def test_any_used_assertion_is_read_as_it_was_written(record: UsedAssertion) -> None:
    columns, body = USED_ASSERTIONS.encode(record)
    assert USED_ASSERTIONS.decode("a", json.loads(json.dumps(body))) == record
    json.dumps(columns, ensure_ascii=False).encode("utf-8")
    assert columns.keys() == {"client", "expires"}


@given(ANY_USER_STATE)
def test_any_state_of_a_user_is_read_as_it_was_written(record: UserState) -> None:
    columns, body = USER_STATES.encode(record)
    assert USER_STATES.decode("u1", json.loads(json.dumps(body))) == record
    assert columns.keys() == {"connector", "user_id", "user"}
    json.dumps(columns, ensure_ascii=False).encode("utf-8")


def test_a_grant_of_an_older_server_has_no_session() -> None:
    body = GRANTS.encode(grant())[1]
    assert not body.keys() & {"session", "session_state", "acr", "amr"}
    assert GRANTS.decode("g1", json.loads(json.dumps(body))) == grant()


def test_a_grant_of_an_older_server_has_what_is_new_by_default() -> None:
    body = GRANTS.encode(grant())[1]
    for name in ("claims", "asked_for_id_token", "asked_for_userinfo"):
        del body[name]
    nothing = grant(claims=(), asked_for_id_token=(), asked_for_userinfo=())
    assert GRANTS.decode("g1", json.loads(json.dumps(body))) == nothing


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("claims", {"department": ["x"]}),
        ("claims", ["department"]),
        ("claims", [["department"]]),
        ("claims", [["department", "x"]]),
        ("claims", [["department", [1]]]),
        ("claims", [[1, ["x"]]]),
        ("asked_for_id_token", ["email", None]),
        ("asked_for_userinfo", "email"),
    ],
)
def test_a_grant_whose_claims_are_of_another_shape_is_unreadable(field: str, value: object) -> None:
    body = {**GRANTS.encode(grant())[1], field: value}
    with pytest.raises(Unreadable, match=field):
        GRANTS.decode("g1", json.loads(json.dumps(body)))


def test_the_user_column_is_the_best_name_there_is() -> None:
    def user(**names: str) -> str:
        nobody = {"preferred_username": "", "email": "", "username": ""}
        return GRANTS.encode(grant(**{**nobody, **names}))[0]["user"]

    assert user(preferred_username="jane", email="j@x", username="Jane") == "jane"
    assert user(email="j@x", username="Jane") == "j@x"
    assert user(username="Jane") == "Jane"
    assert user() == ""


def test_columns_show_times_in_utc_that_sort() -> None:
    local = timezone(timedelta(hours=-5))
    at = datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=local)
    columns, _ = GRANTS.encode(
        grant(expires_at=at, refresh=RefreshState(generation=1, last_used_at=NOW))
    )
    assert columns["expires"] == "2026-03-02T04:59:59Z"
    assert columns["last_used"] == "2026-03-01T12:00:00Z"
    early = GRANTS.encode(grant(expires_at=datetime(999, 1, 1, tzinfo=UTC)))[0]["expires"]
    assert early == "0999-01-01T00:00:00Z"


@given(TIMES, TIMES)
def test_times_sort_in_columns_as_they_do_in_truth(one: datetime, other: datetime) -> None:
    first, second = (GRANTS.encode(grant(expires_at=at))[0]["expires"] for at in (one, other))
    if first < second:
        assert one < other


def test_the_columns_of_a_ring_show_people_what_they_ask_for_and_no_secret() -> None:
    later = NOW + timedelta(hours=1)
    record = KeyRing(
        name="ring",
        keys=(
            signing_key("old", signs_from=NOW, retired_at=NOW, drops_at=later, private_jwk=""),
            signing_key("now", signs_from=NOW),
            signing_key("next"),
            signing_key("other", alg="ES256", signs_from=later),
            signing_key("later", alg="ES256", signs_from=later),
        ),
        rotates_at=later,
        answered_rotate="routine 1",
    )
    columns, _ = KEY_RINGS.encode(record)
    assert columns == {
        "signing": "now, other",
        "next": "next, later",
        "rotates": "2026-03-01T13:00:00Z",
        "last_rotation": "2026-03-01T13:00:00Z; answered: routine 1",
        "keys": "\n".join(
            (
                "old RS256 retired since 2026-03-01T12:00:00Z until 2026-03-01T13:00:00Z",
                "now RS256 signing since 2026-03-01T12:00:00Z",
                "next RS256 next since 2026-03-01T12:00:00Z",
                "other ES256 signing since 2026-03-01T13:00:00Z",
                "later ES256 next since 2026-03-01T12:00:00Z",
            )
        ),
    }
    assert KEY_RINGS.encode(KeyRing(name="ring", keys=()))[0]["last_rotation"] == ""


def test_a_ring_of_an_older_server_has_what_is_new_by_default() -> None:
    record = KeyRing(name="ring", keys=(signing_key(),))
    body = {name: value for name, value in KEY_RINGS.encode(record)[1].items() if name in "keys v"}
    assert KEY_RINGS.decode("ring", json.loads(json.dumps(body))) == record


@given(ANY_CLIENT)
def test_any_registered_client_is_read_as_it_was_written(record: RegisteredClient) -> None:
    body = REGISTERED_CLIENTS.encode(record)[1]
    assert REGISTERED_CLIENTS.decode("c1", json.loads(json.dumps(body))) == record


def test_columns_of_a_registered_client_show_who_it_says_it_is() -> None:
    columns, _ = REGISTERED_CLIENTS.encode(registered_client())
    assert columns == {
        "client_name": "Wiki",
        "auth_method": "client_secret_basic",
        "redirect_uris": "https://wiki.example.org/cb https://wiki.example.org/other",
    }
    nameless, _ = REGISTERED_CLIENTS.encode(registered_client(metadata="{}"))
    assert set(nameless.values()) == {""}


@pytest.mark.parametrize("metadata", ["", "x", "[]", "null", '"x"'])
def test_a_registered_client_whose_metadata_is_no_object_is_unreadable(metadata: str) -> None:
    body = REGISTERED_CLIENTS.encode(registered_client())[1]
    with pytest.raises(Unreadable, match="registered-clients/c1"):
        REGISTERED_CLIENTS.decode("c1", {**body, "metadata": metadata})
