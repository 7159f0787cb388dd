"""Parameters are read once, strictly, and a parser's corner is never a crash."""

import time
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.errors import InvalidRequest
from idp.oauth.params import LONGEST_VALUE, MOST_FIELDS, Parameters, parse_parameters

texts = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.dictionaries(texts, texts, max_size=20))
def test_what_is_encoded_comes_back(fields: dict[str, str]) -> None:
    parameters = parse_parameters(urlencode(fields).encode())
    assert parameters.values == fields
    assert not parameters.repeated


@pytest.mark.covers("CV-36")
@given(st.binary(max_size=200))
def test_any_bytes_are_parameters_or_invalid_request(raw: bytes) -> None:
    try:
        parameters = parse_parameters(raw)
    except InvalidRequest:
        return
    for text in (*parameters.values, *parameters.values.values()):
        text.encode("utf-8")
    assert parameters.repeated <= set(parameters.values)


@pytest.mark.covers("R-5")
@given(st.lists(st.tuples(st.sampled_from("abc"), st.text("xy", max_size=2)), max_size=8))
def test_what_comes_twice_is_known_to_be_repeated_and_the_first_one_stands(
    pairs: list[tuple[str, str]],
) -> None:
    parameters = parse_parameters(urlencode(pairs).encode())
    names = [name for name, _ in pairs]
    assert parameters.repeated == {name for name in names if names.count(name) > 1}
    assert all(parameters.values[name] == dict(reversed(pairs))[name] for name in names)


@pytest.mark.covers("R-5")
@pytest.mark.parametrize("raw", [b"a=1&a=1", b"a=1&a=2", b"a=&a=", b"a&a", b"a=1&%61=1", b"a=1&a"])
def test_the_same_name_in_another_spelling_is_a_repetition(raw: bytes) -> None:
    parameters = parse_parameters(raw)
    assert parameters.repeated == {"a"}
    with pytest.raises(InvalidRequest, match="a"):
        parameters.refuse_repeated()


@pytest.mark.parametrize("raw", [b"", b"a", b"a=", b"&&", b"b=1"])
def test_a_parameter_without_a_value_is_omitted(raw: bytes) -> None:
    parameters = parse_parameters(raw)
    assert parameters.get("a") is None
    with pytest.raises(InvalidRequest, match="a"):
        parameters.require("a")


def test_a_semicolon_separates_nothing() -> None:
    assert parse_parameters(b"a=1;b=2").values == {"a": "1;b=2"}


@pytest.mark.covers("R-81", "CV-27")
def test_too_many_fields_are_refused() -> None:
    assert len(parse_parameters(b"&".join(b"f%d=" % n for n in range(MOST_FIELDS))).values) == 64
    for raw in (b"&".join(b"f%d=" % n for n in range(MOST_FIELDS + 1)), b"&" * MOST_FIELDS):
        with pytest.raises(InvalidRequest):
            parse_parameters(raw)


@pytest.mark.covers("R-82", "CV-27")
def test_a_value_that_is_too_long_is_refused_in_no_time() -> None:
    assert parse_parameters(b"a=" + b"x" * LONGEST_VALUE).get("a") == "x" * LONGEST_VALUE
    started = time.process_time()
    for raw in (b"a=" + b"x" * (LONGEST_VALUE + 1), b"scope=" + b"a+" * 25_000, b"a=" * 25_000):
        with pytest.raises(InvalidRequest):
            parse_parameters(raw)
    assert time.process_time() - started < 0.15


@pytest.mark.parametrize(
    "raw", [b"a=\xff", b"a=%ff", b"a=%c3", b"a=%ed%a0%80", b"%80=a", b"a=%c0%af", "a=é".encode()]
)
def test_bytes_that_are_no_utf8_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_parameters(raw)


@pytest.mark.covers("R-65")
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200))
def test_the_refusal_of_a_repetition_is_short_printable_ascii(name: str) -> None:
    raw = f"{quote_plus(name)}=1&{quote_plus(name)}=2".encode()
    with pytest.raises(InvalidRequest) as refusal:
        parse_parameters(raw).refuse_repeated()
    description = refusal.value.description
    assert description.isascii()
    assert description.isprintable()
    assert not set(description) & set('"\\')
    assert len(description) < 200


def test_parameters_say_nothing_that_was_not_sent() -> None:
    nothing = Parameters(values={}, repeated=frozenset())
    nothing.refuse_repeated()
    assert nothing.get("client_id") is None
