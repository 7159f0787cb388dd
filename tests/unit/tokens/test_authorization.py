"""What a login keeps of a person, and what a grant lets be told: no more than was asked for."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Identity
from idp.oauth.asked_claims import NOTHING_ASKED, AskedClaims
from idp.oauth.claim_names import OURS
from idp.oauth.claims import person_claims
from idp.oauth.client import Allowed, ClaimRules, Client
from idp.oauth.groups import Audience
from idp.tokens.authorization import (
    asked_of,
    authorization_of,
    identity_of,
    needed_of,
    person_of,
)
from storage.records import Grant

APP = Client(id="app", name="The App")
SCOPES = ("openid", "email", "profile", "address", "phone", "groups")
ALICE = Identity(
    user_id="user-1",
    username="Alice Liddell",
    email="alice@example.com",
    groups=("team-a", "team-b", "admins"),
    claims=(
        ("department", ("engineering",)),
        ("address.locality", ("Köln",)),
        ("address.country", ("DE",)),
        ("phone_number", ("+49 221 1234",)),
        ("iss", ("https://evil.example",)),
        ("Groups", ("system:masters",)),
    ),
)


def kept(scopes: tuple[str, ...], asked: AskedClaims = NOTHING_ASKED) -> dict[str, object]:
    return dict(needed_of(ALICE, scopes, asked, APP).claims)


@pytest.mark.parametrize(
    ("scopes", "names"),
    [
        (("openid", "email"), set()),
        (("openid", "groups"), set()),
        (("profile",), {"department"}),
        (("openid", "address"), {"address.locality", "address.country"}),
        (("phone",), {"phone_number"}),
        (SCOPES, {"department", "address.locality", "address.country", "phone_number"}),
    ],
)
def test_what_was_not_asked_for_is_not_kept(scopes: tuple[str, ...], names: set[str]) -> None:
    assert set(kept(scopes)) == names
    assert bool(needed_of(ALICE, scopes, NOTHING_ASKED, APP).groups) == ("groups" in scopes)


def test_what_was_asked_for_by_name_is_kept() -> None:
    asked = AskedClaims(id_token=("groups",), userinfo=("address",))
    assert set(kept(("openid",), asked)) == {"address.locality", "address.country"}
    assert needed_of(ALICE, ("openid",), asked, APP).groups == ALICE.groups


@given(st.sets(st.sampled_from(SCOPES)).map(tuple), st.sets(st.sampled_from(
    ("department", "address", "phone_number", "groups", "email", "name"))).map(tuple))  # fmt: skip
def test_keeping_less_changes_no_token(scopes: tuple[str, ...], names: tuple[str, ...]) -> None:
    asked = AskedClaims(id_token=names)
    needed = needed_of(ALICE, scopes, asked, APP)
    for whole in (ALICE, needed):
        person = person_of(whole, "local")
        told = person_claims(person, scopes, names)
        assert told == person_claims(person_of(ALICE, "local"), scopes, names)
        assert not set(told) & OURS


@pytest.mark.spec("OIDC Core", "5.5")
def test_a_name_that_nobody_knows_is_not_remembered() -> None:
    """Else it could say anything to the person who is asked to approve it."""
    asked = AskedClaims(
        id_token=("department", "Give us your password", "birthdate", "badge"),
        userinfo=("address", "groups", "federated_claims", "x"),
        acr_values=("gold",),
    )
    assert asked_of(asked, ALICE, ("openid",), APP) == AskedClaims(
        id_token=("department", "birthdate"),
        userinfo=("address", "groups", "federated_claims"),
        acr_values=("gold",),
    )
    assert asked_of(asked, ALICE, ("profile",), APP).names == frozenset()


def test_a_filter_keeps_what_it_lets_through_without_the_prefix() -> None:
    rules = ClaimRules(groups_filter=("team-*",), groups_prefix="idp:")
    assert needed_of(ALICE, SCOPES, NOTHING_ASKED, replace(APP, claims=rules)).groups == (
        "team-a",
        "team-b",
    )


def test_the_rules_of_now_are_those_of_the_token(unspent: Grant) -> None:
    """A record keeps the names of the source, so a changed rule counts at the next token."""
    grant = replace(unspent, groups=("team-a", "team-b"), scopes=SCOPES)
    rules = ClaimRules(groups_filter=("team-a",), groups_prefix="idp:", id_token_claims="minimal")
    authorization = authorization_of(grant, SCOPES, Audience(replace(APP, claims=rules)))
    assert authorization.person.groups == ("idp:team-a",)
    assert authorization.id_token_claims == "minimal"
    assert authorization_of(grant, SCOPES, Audience(APP)).person.groups == ("team-a", "team-b")
    assert identity_of(grant).groups == ("team-a", "team-b")


@pytest.mark.covers("R-34")
def test_a_refresh_without_openid_leaves_out_what_was_asked_for_by_name(unspent: Grant) -> None:
    grant = replace(unspent, asked_for_id_token=("email",), asked_for_userinfo=("groups",))
    whole = authorization_of(grant, ("openid", "profile"), Audience(APP))
    assert (whole.asked_for_id_token, whole.asked_for_userinfo) == (("email",), ("groups",))
    narrow = authorization_of(grant, ("profile",), Audience(APP))
    assert (narrow.asked_for_id_token, narrow.asked_for_userinfo) == ((), ())


@pytest.mark.covers("CV-3")
def test_a_client_gets_nothing_by_name_that_it_may_not_have_by_scope(unspent: Grant) -> None:
    """Neither at login nor, once the operator took a scope away, at the next token."""
    asked = AskedClaims(id_token=("email", "groups"), userinfo=("phone_number", "department"))
    few = replace(APP, allowed=Allowed(scopes=frozenset({"openid", "email"})))
    assert asked_of(asked, ALICE, ("openid",), few) == AskedClaims(id_token=("email",))
    grant = replace(unspent, asked_for_id_token=asked.id_token, asked_for_userinfo=asked.userinfo)
    authorization = authorization_of(grant, ("openid",), Audience(few))
    assert authorization.asked_for_id_token == ("email",)
    assert authorization.asked_for_userinfo == ()
