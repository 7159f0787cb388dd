"""The `claims` parameter: read strictly, and no more kept of it than can be answered."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.asked_claims import NOTHING_ASKED, AskedClaims, read_claims
from idp.oauth.errors import InvalidRequest, UnmetAuthenticationRequirements

pytestmark = pytest.mark.spec("OIDC Core", "5.5")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(("id_token", "userinfo", "sub", "acr", "essential", "value",
                                       "values", "email", "x")), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


def read(claims: Any) -> AskedClaims:
    return read_claims(json.dumps(claims))


def test_nothing_is_asked_by_default() -> None:
    assert read_claims(None) == NOTHING_ASKED == read({"id_token": {}}) == read({"userinfo": {}})
    assert NOTHING_ASKED.admits("anybody")


def test_the_example_of_the_specification() -> None:
    asked = read(
        {
            "userinfo": {
                "given_name": {"essential": True},
                "nickname": None,
                "email": {"essential": True},
                "email_verified": {"essential": True},
                "picture": None,
                "http://example.info/claims/groups": None,
            },
            "id_token": {
                "auth_time": {"essential": True},
                "acr": {"values": ["urn:mace:incommon:iap:silver"]},
            },
        }
    )
    assert asked == AskedClaims(
        userinfo=("given_name", "nickname", "email", "email_verified", "picture",
                  "http://example.info/claims/groups"),
        id_token=(),
        acr_values=("urn:mace:incommon:iap:silver",),
    )  # fmt: skip
    assert "email" in asked.names


def test_what_is_not_understood_is_ignored() -> None:
    asked = read(
        {
            "id_token": {
                "iss": None,
                "sub": {"essential": True},
                "grant": None,
                "é": None,
                "email": {"purpose": "x"},
            },
            "userinfo": {"_claim_names": {"value": "x"}, "address.locality": None},
            "verified_claims": 7,
        }
    )
    assert asked == AskedClaims(id_token=("email",))


@pytest.mark.covers("R-82")
@pytest.mark.parametrize(
    "text",
    [
        "x", "7", "true", "null", "[]", '"x"', "{", "{}", '{"x": {}}', '{"id_token": {}', "{'a':1}",
        '{"id_token": null}', '{"id_token": []}', '{"id_token": "email"}', '{"userinfo": true}',
        '{"id_token": {"email": true}}', '{"id_token": {"email": []}}',
        '{"id_token": {"email": "x"}}', '{"id_token": {"email": 0}}',
        '{"id_token": {"email": {"essential": "true"}}}',
        '{"id_token": {"email": {"essential": null}}}',
        '{"id_token": {"email": {"values": "x"}}}', '{"id_token": {"email": {"values": []}}}',
        '{"id_token": {"email": {"value": "x", "values": ["x"]}}}',
        '{"id_token": {"sub": {"value": 7}}}', '{"id_token": {"sub": {"value": null}}}',
        '{"id_token": {"sub": {"values": ["x", 7]}}}', '{"id_token": {"acr": {"values": [1]}}}',
        '{"id_token": {}, "id_token": {"email": null}}', '{"id_token": {"a": null, "a": null}}',
        '{"id_token": {"email": {"value": NaN}}}', '{"id_token": {"email": {"value": 1e999}}}',
        "[" * 2000, '{"id_token":' * 300, '{"id_token": {"x": ' + "9" * 3000 + "}}",
        '{"id_token": {"sub": {"value": "' + "x" * 513 + '"}}}',
        '{"id_token": {}}' + " " * 5000, '{"id_token": {"\\ud800": {}}}',
        json.dumps({"userinfo": {f"c{n}": None for n in range(65)}}),
        json.dumps({"id_token": {"acr": {"values": ["x"] * 33}}}),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidRequest, match="claims") as refused:
        read_claims(text)
    assert len(refused.value.description) < 250


@given(JSON)
def test_no_json_makes_a_fault(value: Any) -> None:
    try:
        asked = read_claims(json.dumps(value))
    except (InvalidRequest, UnmetAuthenticationRequirements):
        return
    assert not asked.names & {"sub", "acr", "iss"}


@given(st.text())
def test_no_text_makes_a_fault(text: str) -> None:
    try:
        read_claims(text)
    except InvalidRequest:
        return


@pytest.mark.spec("OIDC Core", "5.5.1")
@pytest.mark.parametrize(
    ("claims", "admitted", "refused"),
    [
        ({"id_token": {"sub": {"value": "a"}}}, "a", "bc"),
        ({"userinfo": {"sub": {"value": "a"}}}, "a", "bc"),
        ({"id_token": {"sub": {"values": ["a", "b"]}}}, "ab", "c"),
        ({"id_token": {"sub": {"values": ["a", "b"]}}, "userinfo": {"sub": {"value": "b"}}},
         "b", "ac"),
        ({"id_token": {"sub": {"value": "a"}}, "userinfo": {"sub": {"value": "b"}}}, "", "abc"),
        ({"id_token": {"sub": None}, "userinfo": {"sub": {"essential": True}}}, "abc", ""),
    ],
)  # fmt: skip
def test_a_subject_may_be_demanded(claims: Any, admitted: str, refused: str) -> None:
    asked = read(claims)
    assert all(asked.admits(subject) for subject in admitted)
    assert not any(asked.admits(subject) for subject in refused)


@pytest.mark.spec("OIDC Core", "5.5.1.1")
def test_an_essential_acr_must_be_one_that_is_served() -> None:
    demand = json.dumps({"id_token": {"acr": {"essential": True, "values": ["silver", "gold"]}}})
    asked = read_claims(demand, acr_served=("bronze", "gold"))
    assert (asked.acr_values, asked.acr_essential) == (("silver", "gold"), True)
    for served in ((), ("bronze",)):
        with pytest.raises(UnmetAuthenticationRequirements):
            read_claims(demand, acr_served=served)


@pytest.mark.spec("OIDC Core", "5.5.1.1")
@pytest.mark.parametrize(
    "acr",
    [None, {"essential": True}, {"values": ["gold"]}, {"essential": False, "value": "gold"}],
)
def test_any_other_wish_for_an_acr_is_no_demand(acr: Any) -> None:
    asked = read({"id_token": {"acr": acr}})
    assert not (asked.acr_essential and asked.acr_values)


def test_an_acr_at_userinfo_is_no_demand() -> None:
    demand = {"userinfo": {"acr": {"essential": True, "value": "gold"}}}
    assert read(demand) == NOTHING_ASKED
