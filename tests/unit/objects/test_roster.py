"""Who counts among rivals, whatever the order in which they came."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.local import LocalUser
from idp.oauth.client import Client
from idp.objects.clients import client_claims, client_need, judge_client
from idp.objects.live import LiveClients, LiveUsers
from idp.objects.roster import Roster, Rules, at_most_one, with_one_secret
from idp.objects.users import judge_user, user_claims, user_need
from idp.objects.verdicts import (
    BadSecret,
    Claim,
    Entry,
    GoodSecret,
    Judged,
    SecretNeed,
    SecretReading,
    Secrets,
)
from storage.objects import Gone, Listed, ObjectNews, Put, WrittenObject
from tests.kit.connectors import cheap_hash
from tests.kit.objects import FIRST_CREATED_AT, TERMS, written

HASH = cheap_hash("correct horse")
STATIC = Client(id="static", name="static", secret_hashes=(bytes(32),))


def client_roster(secrets: dict[str, SecretReading] | None = None) -> Roster[Client]:
    def read(need: SecretNeed) -> SecretReading | None:
        return (secrets or {}).get(need.name)

    rules = Rules(
        kind="oidc-clients",
        judge=with_one_secret(partial(judge_client, generates=False, terms=TERMS)),
        claims=client_claims,
        needs=at_most_one(partial(client_need, generates=False)),
        taken=lambda claim: claim.value == STATIC.id,
    )
    return Roster(rules, read)


def user_roster() -> Roster[LocalUser]:
    rules = Rules(
        kind="local-users",
        judge=with_one_secret(partial(judge_user, signs_in=True)),
        claims=user_claims,
        needs=at_most_one(user_need),
    )
    return Roster(rules, lambda _: None)


def an_app(name: str, client_id: str = "app", age: int = 0, **spec: Any) -> WrittenObject:
    """Return a public client; the larger the age, the older."""
    created_at = FIRST_CREATED_AT - timedelta(seconds=age)
    fields = {"clientID": client_id, "public": True, **spec}
    return written("oidc-clients", name, fields, created_at=created_at)


def a_user(name: str, email: str, user_id: str, age: int = 0) -> WrittenObject:
    created_at = FIRST_CREATED_AT - timedelta(seconds=age)
    fields = {"email": email, "userID": user_id, "passwordHash": HASH}
    return written("local-users", name, fields, created_at=created_at)


def entry(roster: Roster[Any], name: str) -> Entry[Any]:
    found = roster.entry(name)
    assert found is not None
    return found


def rivals(roster: Roster[Any], name: str) -> list[tuple[str, str]]:
    return [(rival.claim.what, rival.name) for rival in entry(roster, name).rivals]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_oldest_of_several_clients_with_one_id_wins(order: Sequence[int]) -> None:
    roster = client_roster()
    objects = [an_app("young"), an_app("old", age=2), an_app("middle", age=1)]
    for i in order:
        roster.apply(Put(objects[i]))
    assert entry(roster, "old").served is not None
    assert rivals(roster, "young") == rivals(roster, "middle") == [("client id", "old")]
    assert roster.counts() == {"ready": 1, "refused": 0, "conflict": 2, "waiting": 0}


def test_of_two_made_in_one_second_the_lesser_uid_wins() -> None:
    roster = client_roster()
    roster.apply(Listed([replace(an_app("a"), uid="2"), replace(an_app("b"), uid="1")]))
    assert entry(roster, "b").served is not None
    assert rivals(roster, "a") == [("client id", "b")]


def test_the_next_one_is_served_when_the_winner_goes() -> None:
    roster = client_roster()
    first = an_app("first", age=5)
    roster.apply(Listed([an_app("second", age=1), first, an_app("third")]))
    changes = roster.apply(Gone("first", first.uid))
    assert {change.name for change in changes} == {"first", "second", "third"}
    assert entry(roster, "second").served is not None
    assert rivals(roster, "third") == [("client id", "second")]


def test_nobody_takes_over_the_id_of_a_client_that_is_broken() -> None:
    roster = client_roster()
    roster.apply(Put(an_app("broken", age=1, redirectURIs=["*"])))
    roster.apply(Put(an_app("taker")))
    assert entry(roster, "taker").state == "conflict"
    assert entry(roster, "broken").state == "refused"


def test_an_entry_of_the_configuration_wins_over_the_oldest_object() -> None:
    roster = client_roster()
    roster.apply(Put(an_app("old", "static", age=10**6)))
    assert rivals(roster, "old") == [("client id", "")]


def test_users_may_be_in_conflict_over_two_things() -> None:
    roster = user_roster()
    roster.apply(Put(a_user("a", "a@example.com", "1", age=3)))
    roster.apply(Put(a_user("b", "b@example.com", "2", age=2)))
    roster.apply(Put(a_user("c", "A@EXAMPLE.COM", "2", age=1)))
    assert rivals(roster, "c") == [("email address", "a"), ("user id", "b")]


def test_an_object_that_was_made_anew_starts_again_as_the_youngest() -> None:
    roster = client_roster()
    old = an_app("first", age=5)
    roster.apply(Listed([old, an_app("second", age=1)]))
    roster.apply(Put(replace(an_app("first"), uid="another")))
    assert rivals(roster, "first") == [("client id", "second")]
    # The deletion of the old one is heard last.
    assert roster.apply(Gone("first", old.uid)) == []
    assert roster.entry("first") is not None


def test_what_did_not_change_is_not_judged_again() -> None:
    judged: list[str] = []

    def judge(each: WrittenObject, _: Secrets) -> Any:
        judged.append(each.name)
        return judge_client(each, None, generates=False, terms=TERMS)

    roster = Roster(Rules(kind="oidc-clients", judge=judge, claims=client_claims), lambda _: None)
    objects = [an_app("a", "a"), an_app("b", "b")]
    roster.apply(Listed(objects))
    assert roster.apply(Listed(objects)) == []
    (change,) = roster.apply(Put(replace(objects[0], version="2", status={"x": 1})))
    assert change.new is not None
    assert change.new.written.status == {"x": 1}
    assert judged == ["a", "b"]


def test_an_object_that_needs_several_secrets_is_judged_by_all_of_them() -> None:
    needs = tuple(SecretNeed(name=name, key="k", field="spec.ref") for name in ("a", "b"))
    found: dict[str, SecretReading] = {}

    def judge(_: WrittenObject, secrets: Secrets) -> Judged[str]:
        good = [secret.value for secret in secrets if isinstance(secret, GoodSecret)]
        return Judged(value=b"".join(good).decode() if len(good) == len(secrets) else None)

    rules = Rules(kind="oidc-clients", judge=judge, needs=lambda _: needs)
    roster = Roster(rules, lambda need: found.get(need.name))
    roster.apply(Put(an_app("app")))
    assert entry(roster, "app").state == "waiting"
    found["b"] = GoodSecret(b"2")
    roster.secret_changed(needs[1])
    assert entry(roster, "app").state == "waiting"
    found["a"] = GoodSecret(b"1")
    roster.secret_changed(needs[0])
    assert entry(roster, "app").served == "12"
    found["b"] = BadSecret("SecretNotFound", "gone")
    roster.secret_changed(needs[1])
    assert entry(roster, "app").state == "refused"
    roster.apply(Gone("app", "uid-app"))
    assert not any(map(roster.is_needed, needs))


@pytest.mark.covers("K-22")
def test_an_object_that_cannot_be_judged_stops_no_other() -> None:
    def judge(each: WrittenObject, _: Secrets) -> Any:
        if each.name == "bomb":
            raise RecursionError
        return judge_client(each, None, generates=False, terms=TERMS)

    roster = Roster(Rules(kind="oidc-clients", judge=judge, claims=client_claims), lambda _: None)
    roster.apply(Listed([an_app("bomb", "x"), an_app("good", "y")]))
    assert entry(roster, "bomb").state == "refused"
    assert entry(roster, "good").state == "ready"


def test_a_secret_that_changes_is_judged_for_whoever_needs_it() -> None:
    secrets: dict[str, SecretReading] = {}
    roster = client_roster(secrets)
    spec = {"clientID": "app", "secretRef": {"name": "s"}}
    roster.apply(Put(written("oidc-clients", "app", spec)))
    (need,) = entry(roster, "app").needs
    states = []
    for reading in (GoodSecret(b"0123456789abcdef"), BadSecret("SecretNotFound", "gone")):
        states.append(entry(roster, "app").state)
        secrets["s"] = reading
        roster.secret_changed(need)
        states.append(entry(roster, "app").state)
    assert states == ["waiting", "ready", "ready", "refused"]
    assert roster.counts()["refused"] == 1
    roster.apply(Gone("app", "uid-app"))
    assert not roster.is_needed(need)


def test_thousands_in_conflict_over_one_thing_are_settled_at_once() -> None:
    roster = client_roster()
    roster.apply(Listed([an_app(f"n{i}", age=i) for i in range(5000)]))
    assert roster.counts()["conflict"] == 4999
    changes = roster.apply(Put(an_app("another")))
    assert len(changes) == 1


names = st.sampled_from("abcd")
versions = st.integers(0, 3)


@st.composite
def objects(draw: st.DrawFn) -> WrittenObject:
    """Return a user: one of few names, addresses, ids and ages, sometimes broken."""
    name = draw(names)
    email, user_id = draw(st.sampled_from("xyz")), draw(st.sampled_from("123"))
    made = a_user(name, f"{email}@example.com", user_id, age=draw(versions))
    if draw(st.integers(0, 5)) == 0:
        made = replace(made, spec={**made.spec, "groups": "broken"})
    return replace(made, uid=draw(st.sampled_from(["u1", "u2"])) + name)


@st.composite
def news(draw: st.DrawFn) -> ObjectNews:
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return Listed(draw(st.lists(objects(), max_size=4)))
    if kind < 3:
        name = draw(names)
        return Gone(name, draw(st.sampled_from(["u1", "u2"])) + name)
    return Put(draw(objects()))


def left_of(history: Sequence[ObjectNews]) -> dict[str, WrittenObject]:
    """Return the objects that there are in the end."""
    left: dict[str, WrittenObject] = {}
    for each in history:
        match each:
            case Listed(listed):
                left = {made.name: made for made in listed}
            case Put(made):
                left[made.name] = made
            case Gone(name, uid) if name in left and left[name].uid == uid:
                del left[name]
            case _:
                pass
    return left


@given(st.lists(news(), max_size=12), st.randoms(use_true_random=False))
def test_the_result_depends_on_what_is_there_and_on_no_order(
    history: list[ObjectNews], shuffle: random.Random
) -> None:
    roster, live = user_roster(), LiveUsers([], random=bytes)
    for each in history:
        live.adopt(roster.apply(each))
    left = list(left_of(history).values())
    shuffle.shuffle(left)
    afresh, live_afresh = user_roster(), LiveUsers([], random=bytes)
    live_afresh.adopt(afresh.apply(Listed(left)))
    for name in "abcd":
        assert roster.entry(name) == afresh.entry(name)
    assert roster.counts() == afresh.counts()
    assert sum(roster.counts().values()) == len(left)
    assert live.users() == live_afresh.users()


@given(st.lists(st.tuples(names, st.sampled_from("pq"), versions), max_size=12))
def test_the_clients_that_are_served_are_those_that_count(
    history: list[tuple[str, str, int]],
) -> None:
    roster, live = client_roster(), LiveClients({STATIC.id: STATIC})
    for name, client_id, age in history:
        known = roster.entry(name)
        if known is not None and age == 0:
            live.adopt(roster.apply(Gone(name, known.written.uid)))
        else:
            live.adopt(roster.apply(Put(an_app(name, client_id, age))))
    entries = [each for name in "abcd" if (each := roster.entry(name)) is not None]
    counting = [each.served for each in entries if each.served is not None]
    assert dict(live) == {STATIC.id: STATIC, **{client.id: client for client in counting}}
    for client_id in "pq":
        claimants = [each for each in entries if Claim("client id", client_id) in each.claims]
        assert (client_id in live) == bool(claimants)
