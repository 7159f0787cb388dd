"""Claims are of the types of OIDC Core section 5.1, whatever texts they are made of."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.claim_names import OF_IDENTITY, STANDARD, may_be_set
from idp.oauth.claim_values import check_values, on_the_wire

NAMES = st.sampled_from((*STANDARD, "department", "address.locality", "address.country", "iss"))
SAID = st.lists(st.tuples(NAMES, st.lists(st.text()).map(tuple)))


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("1700000000", 1700000000), ("20231114221320Z", 1700000000),
     ("20231114221320.0Z", 1700000000), ("19700101000000Z", 0),
     ("", None), ("yesterday", None), ("-1", None), ("1.5", None), ("1e9", None), ("٣", None),
     ("20231399000000Z", None), ("20231114221320", None), ("9" * 13, None), ("NaN", None)],
)  # fmt: skip
def test_updated_at_is_a_number(text: str, number: int | None) -> None:
    found = on_the_wire([("updated_at", (text,))])
    assert found == ({} if number is None else {"updated_at": number})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        *((text, {"phone_number_verified": True}) for text in ("true", "TRUE")),
        *((text, {"phone_number_verified": False}) for text in ("false", "FALSE")),
        *((text, {}) for text in ("yes", "1", "")),
    ],
)
def test_verified_is_a_boolean(text: str, told: dict[str, bool]) -> None:
    found = on_the_wire([("phone_number_verified", (text,))])
    assert found == told
    assert {type(value) for value in found.values()} <= {bool}


def test_a_standard_claim_is_one_text_and_any_other_may_be_several() -> None:
    two = ("first", "second")
    assert on_the_wire([("given_name", two), ("department", two), ("badge", ("7",))]) == {
        "given_name": "first",
        "department": ["first", "second"],
        "badge": "7",
    }


@pytest.mark.spec("OIDC Core", "5.1.1")
def test_an_address_is_an_object_of_what_is_known() -> None:
    said = [
        ("address.locality", ("Köln", "Bonn")),
        ("address.country", ("DE",)),
        ("address.region", ("",)),
        ("address.planet", ("Earth",)),
        ("address", ("here",)),
    ]
    assert on_the_wire(said) == {"address": {"locality": "Köln", "country": "DE"}}
    assert on_the_wire([("address.locality", ())]) == {}


def test_what_is_empty_is_not_said() -> None:
    assert on_the_wire([("nickname", ()), ("department", ("",)), ("badge", ("", "7"))]) == {
        "badge": "7"
    }


@given(SAID)
def test_whatever_a_source_says_the_types_are_right(
    said: list[tuple[str, tuple[str, ...]]],
) -> None:
    found = on_the_wire(said)
    json.dumps(found)
    assert not set(found) & (OF_IDENTITY - {"address"})
    for claim, value in found.items():
        expected = {"updated_at": int, "phone_number_verified": bool, "address": dict}
        if claim in STANDARD:
            assert type(value) is expected.get(claim, str)
        else:
            assert may_be_set(claim)
            assert isinstance(value, str | list)
        assert value not in ("", [], {})


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("updated_at", ("soon",), "a number of seconds"),
        ("updated_at", (), "a number of seconds"),
        ("phone_number_verified", ("maybe",), "true or false"),
        ("given_name", ("a", "b"), "one value only"),
        ("address.country", ("a", "b"), "one value only"),
    ],
)
def test_what_cannot_be_the_claim_is_refused_to_who_writes_it_down(
    name: str, values: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        check_values(name, values)


def test_what_can_be_is_not() -> None:
    check_values("updated_at", ("1700000000",))
    check_values("phone_number_verified", ("true",))
    check_values("given_name", ("Alice",))
    check_values("department", ("engineering", "research"))
