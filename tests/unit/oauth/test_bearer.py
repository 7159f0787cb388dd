"""A bearer token stands in one place, and never in the URL (RFC 6750 section 2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.bearer import read_bearer
from idp.oauth.errors import InvalidRequest
from idp.oauth.params import Parameters

NOTHING = Parameters(values={}, repeated=frozenset())


def sent(**values: str) -> Parameters:
    return Parameters(values=values, repeated=frozenset())


@pytest.mark.spec("RFC 6750", "2.1")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_of_the_header(scheme: str) -> None:
    assert (
        read_bearer(f"{scheme} a.b-c_d~e+f/g==", query=NOTHING, form=NOTHING) == "a.b-c_d~e+f/g=="
    )


@pytest.mark.spec("RFC 6750", "2.2")
def test_the_token_of_the_body() -> None:
    assert read_bearer(None, query=NOTHING, form=sent(access_token="abc")) == "abc"


def test_no_token_at_all_is_none() -> None:
    assert read_bearer(None, query=NOTHING, form=NOTHING) is None
    assert read_bearer("Basic YTpi", query=NOTHING, form=NOTHING) is None
    assert read_bearer("", query=NOTHING, form=sent(access_token="")) is None


@pytest.mark.covers("R-102")
@pytest.mark.parametrize("value", ["abc", ""])
def test_a_token_in_the_url_is_refused_even_beside_a_good_one(value: str) -> None:
    with pytest.raises(InvalidRequest):
        read_bearer("Bearer abc", query=sent(access_token=value), form=NOTHING)


@pytest.mark.covers("R-102")
def test_a_token_in_two_places_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_bearer("Bearer abc", query=NOTHING, form=sent(access_token="abc"))


@pytest.mark.covers("R-102")
def test_a_token_that_comes_twice_in_the_body_is_refused() -> None:
    form = Parameters(values={"access_token": "a"}, repeated=frozenset({"access_token"}))
    with pytest.raises(InvalidRequest):
        read_bearer(None, query=NOTHING, form=form)


@pytest.mark.covers("R-102", "CV-34")
@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer  abc", "Bearer a b", "Bearer abc,", "Bearer =abc", "Bearer a=b",
     'Bearer "abc"', "Bearer abc\n", "Bearer\tabc", "Bearer é", "Bearer abc def", "bearer \0"],
)  # fmt: skip
def test_a_header_of_another_form_is_refused(header: str) -> None:
    if header == "Bearer\tabc":
        # Another scheme by its name, so there is no bearer token in it.
        assert read_bearer(header, query=NOTHING, form=NOTHING) is None
        return
    with pytest.raises(InvalidRequest):
        read_bearer(header, query=NOTHING, form=NOTHING)


@pytest.mark.covers("CV-36")
@given(st.one_of(st.text(max_size=40), st.text(max_size=40).map("Bearer ".__add__)))
def test_any_header_is_a_token_or_none_or_invalid_request(header: str) -> None:
    try:
        token = read_bearer(header, query=NOTHING, form=NOTHING)
    except InvalidRequest:
        return
    assert token is None or header[7:] == token
