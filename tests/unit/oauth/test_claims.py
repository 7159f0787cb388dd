"""What a token says of a person: only what was granted, in the types that Kubernetes insists on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.claim_names import OURS
from idp.oauth.claims import Person, person_claims, supported_claims, userinfo_claims

ALICE = Person(
    subject="sub-1",
    connector_id="local",
    user_id="user-1",
    username="Alice Liddell",
    preferred_username="alice",
    email="alice@example.com",
    email_verified=True,
    groups=("developers", "admins"),
)
NOBODY = Person(
    subject="sub-2", connector_id="", user_id="", username="", preferred_username="", email="",
    email_verified=False, groups=(),
)  # fmt: skip
FULL = replace(
    ALICE,
    claims=(
        ("family_name", ("Liddell",)),
        ("updated_at", ("1700000000",)),
        ("department", ("engineering", "research")),
        ("address.locality", ("Köln",)),
        ("phone_number", ("+49 221 1234",)),
        ("phone_number_verified", ("false",)),
    ),
)
SCOPES = ("openid", "email", "profile", "groups", "offline_access", "federated:id")


@pytest.mark.parametrize(
    ("scopes", "claims"),
    [
        ([], {"sub": "sub-1"}),
        (["openid", "offline_access"], {"sub": "sub-1"}),
        (["email"], {"sub": "sub-1", "email": "alice@example.com", "email_verified": True}),
        (["profile"], {"sub": "sub-1", "name": "Alice Liddell", "preferred_username": "alice"}),
        (["groups"], {"sub": "sub-1", "groups": ["developers", "admins"]}),
        (
            ["federated:id"],
            {"sub": "sub-1", "federated_claims": {"connector_id": "local", "user_id": "user-1"}},
        ),
    ],
)
def test_a_scope_grants_its_claims_and_no_others(
    scopes: list[str], claims: dict[str, object]
) -> None:
    assert person_claims(ALICE, scopes) == claims


def test_what_is_not_known_is_left_out_but_groups_are_always_an_array() -> None:
    claims = person_claims(NOBODY, SCOPES)
    assert claims == {
        "sub": "sub-2",
        "groups": [],
        "federated_claims": {"connector_id": "", "user_id": ""},
    }


@given(st.lists(st.sampled_from((*SCOPES, "audience:server:client_id:x", "unknown")), unique=True))
def test_types_are_those_of_the_api_server(scopes: list[str]) -> None:
    claims = person_claims(ALICE, scopes)
    assert isinstance(claims["sub"], str)
    assert isinstance(claims.get("groups", []), list)
    assert claims.get("email_verified", True) is True
    assert ("groups" in claims) == ("groups" in scopes)
    assert ("email" in claims) == ("email_verified" in claims) == ("email" in scopes)


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", set()),
        ("email", {"email", "email_verified"}),
        ("groups", {"groups"}),
        ("phone", {"phone_number", "phone_number_verified"}),
        ("address", {"address"}),
        ("profile", {"name", "preferred_username", "family_name", "updated_at", "department"}),
    ],
)
@pytest.mark.spec("OIDC Core", "5.4")
def test_each_further_claim_goes_with_its_scope(scope: str, names: set[str]) -> None:
    assert set(person_claims(FULL, [scope])) == {"sub", *names}


@pytest.mark.spec("OIDC Core", "5.5")
def test_what_was_asked_for_by_name_needs_no_scope() -> None:
    asked = ("phone_number", "groups", "name", "unknown", "gender")
    assert person_claims(FULL, ["openid"], asked) == {
        "sub": "sub-1",
        "name": "Alice Liddell",
        "groups": ["developers", "admins"],
        "phone_number": "+49 221 1234",
    }


@pytest.mark.covers("R-40")
@given(st.lists(st.tuples(st.sampled_from(sorted(OURS | set(map(str.upper, OURS)))),
                          st.tuples(st.text(min_size=1))), max_size=40))  # fmt: skip
def test_no_source_of_users_says_what_the_protocol_says(
    claims: list[tuple[str, tuple[str, ...]]],
) -> None:
    person = replace(ALICE, claims=tuple(claims))
    assert person_claims(person, SCOPES, sorted(OURS)) == person_claims(ALICE, SCOPES)


def test_a_source_cannot_contradict_the_fields_of_an_identity() -> None:
    further = (
        ("sub", ("root",)),
        ("email", ("root@example.com",)),
        ("Email_Verified", ("true",)),
        ("groups", ("system:masters",)),
        ("Groups", ("system:masters", "x")),
        ("name", ("Root",)),
        ("federated_claims", ("x",)),
        ("address", ("x",)),
    )
    person = replace(ALICE, email_verified=False, claims=further)
    assert person_claims(person, SCOPES) == person_claims(replace(person, claims=()), SCOPES)


@given(st.dictionaries(st.sampled_from(("sub", "email", "department", *OURS)), st.text(max_size=5)))
def test_userinfo_repeats_what_is_about_the_person_only(token: dict[str, str]) -> None:
    answer = userinfo_claims(token)
    assert set(answer) == set(token) - OURS
    assert all(token[name] == value for name, value in answer.items())


@pytest.mark.covers("R-106")
def test_what_is_supported_is_what_somebody_can_tell() -> None:
    plain = supported_claims(())
    assert {"iss", "sub", "name", "groups"} <= set(plain)
    assert not {"address", "phone_number", "birthdate"} & set(plain)
    offered = {"department", "birthdate", "address", "name", "badge"}
    assert supported_claims(offered) == [*plain, "birthdate", "address", "badge", "department"]
