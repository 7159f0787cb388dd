"""What a token says of a person: only what was granted, in the types that Kubernetes insists on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.claims import USERINFO_CLAIMS, Person, person_claims, userinfo_claims

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


@given(st.dictionaries(st.sampled_from((*USERINFO_CLAIMS, "iss", "aud", "scope", "grant", "jti"))
                       , st.text(max_size=5)))  # fmt: skip
def test_userinfo_repeats_what_is_about_the_person_only(token: dict[str, str]) -> None:
    answer = userinfo_claims(token)
    assert set(answer) == set(token) & set(USERINFO_CLAIMS)
    assert all(token[name] == value for name, value in answer.items())
