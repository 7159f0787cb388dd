"""Filters are values; what people write is read strictly; text is for showing."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ldap.filters import (
    AllOf,
    AnyOf,
    Equals,
    Filter,
    FilterRefused,
    Written,
    escaped,
    is_attribute,
    matching,
    text_of,
    written,
)
from connectors.ldap.messages import encoded
from tests.kit.hostile_directory.ber import read
from tests.kit.hostile_directory.filters import filter_text

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from ldap3.operation.search import compile_filter, parse_filter
    from ldap3.utils.asn1 import encode


@pytest.mark.parametrize(
    "text",
    [
        "(objectClass=person)",
        "(&(objectClass=person)(!(a=b)))",
        "(|(a=b)(c=d)(e=f))",
        "(cn=*)",
        "(cn=a*b*c)",
        "(cn=*b)",
        r"(cn=a\2ab\28c\29\5c)",
        "(cn=日本)",
        "(a>=5)",
        "(a<=5)",
        "(a~=b)",
        "(a=)",
        "(1.2.840=x)",
        "(cn;lang-de=x)",
        "(userAccountControl:1.2.840.113556.1.4.803:=2)",
        "(o:dn:=Ace)",
        "(:caseExactMatch:=x)",
        "(:dn:2.4.6:=x)",
    ],
)
def test_a_filter_is_kept_as_it_is_written(text: str) -> None:
    assert written(text) == Written(text)


def test_white_space_between_the_parts_is_left_out() -> None:
    text = """
        (&
          (objectClass=person)
          (! (a = b) )
        )"""
    with pytest.raises(FilterRefused):
        written(text)
    assert written(text.replace("a = b", "a=b")) == Written("(&(objectClass=person)(!(a=b)))")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "character 1 of '': a filter begins with a parenthesis"),
        ("a=b", "a filter begins with a parenthesis"),
        ("()", "expected attribute=value"),
        ("(a)", "expected attribute=value"),
        ("(=b)", "expected attribute=value"),
        ("(a b=c)", "expected attribute=value"),
        ("(a=b", "character 5 of '(a=b': expected ')'"),
        ("(a=b))", "the filter ends here"),
        ("(a=b)(c=d)", r"character 6 of '(a=b)(c=d)': the filter ends here"),
        ("(a=(b))", "expected ')'"),
        (r"(a=\zz)", "expected ')'"),
        ("(a=\0)", "expected ')'"),
        ("(&)", "a filter begins with a parenthesis"),
        ("(&(a=b)x)", "expected ')'"),
        ("(!(a=b)(c=d))", "character 8"),
        ("(!)", "a filter begins with a parenthesis"),
        ("(a:=)b", "the filter ends here"),
        ("(" * 40 + "a=b" + ")" * 40, "expected attribute=value"),
        ("(!" * 40 + "(a=b)" + ")" * 40, "nested too deeply"),
        ("(a=" + "b" * 9000 + ")", "at most 8192 characters"),
    ],
)
def test_what_is_no_filter_is_refused_with_the_place(text: str, problem: str) -> None:
    with pytest.raises(FilterRefused) as refused:
        written(text)
    assert problem in str(refused.value)


@pytest.mark.parametrize("name", ["cn", "objectClass", "2.5.4.3", "msDS-X", "cn;lang-de", "a_b"])
def test_names_of_attributes(name: str) -> None:
    assert is_attribute(name)


@pytest.mark.parametrize("name", ["", "1", "a b", "a=b", "a)(b", "é", "cn;", "-a", "cn\n"])
def test_what_is_no_name_of_an_attribute(name: str) -> None:
    assert not is_attribute(name)


def test_several_names_are_any_of_and_the_written_filter_holds_besides() -> None:
    names = [Equals("uid", b"a"), Equals("mail", b"a")]
    assert text_of(matching(names, also=None)) == "(|(uid=a)(mail=a))"
    assert text_of(matching(names[:1], also=None)) == "(uid=a)"
    assert text_of(matching(names, also=written("(x=y)"))) == "(&(x=y)(|(uid=a)(mail=a)))"


@pytest.mark.covers("L-11", "CV-22")
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"*", r"\2a"),
        (b"a)(uid=*", r"a\29\28uid=\2a"),
        (b"a\\b\0c", r"a\5cb\00c"),
        (b"\xff\xfe", r"\ff\fe"),
        ("日本".encode(), "日本"),
        (b"line\nbreak\x7f", r"line\0abreak\7f"),
    ],
)
def test_values_are_escaped_where_they_are_shown(value: bytes, shown: str) -> None:
    assert escaped(value) == shown


@pytest.mark.covers("L-11", "CV-22")
@given(value=st.binary(max_size=200))
def test_a_value_reaches_the_wire_octet_by_octet(value: bytes) -> None:
    sent = read(encoded(Equals("uid", value)))
    assert [part.content for part in sent.children] == [b"uid", value]


@pytest.mark.covers("L-12")
@given(value=st.binary(max_size=50))
def test_the_shown_text_means_the_same_to_another_reader(value: bytes) -> None:
    asked = AllOf((AnyOf((Equals("a", value), Equals("b", b"x"))), Equals("c", value)))
    parsed = parse_filter(text_of(asked), None, True, True, None, False)  # noqa: FBT003
    # ldap3 strips what looks like white space at the ends of a value; directories do as well.
    if value == value.strip(b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0"):
        assert encode(compile_filter(parsed.elements[0])) == encoded(asked)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters='()*\\\0"'), min_size=1)
_SIMPLE: st.SearchStrategy[str] = st.builds(
    "({}{}{})".format,
    st.sampled_from(["cn", "2.5.4.3", "a-b"]),
    st.sampled_from(["=", ">=", "<=", "~="]),
    _TEXT.map(str.strip).filter(bool),
)
_FILTERS = st.recursive(
    _SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(&{''.join(parts)})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(|{''.join(parts)})"),
        inner.map(lambda part: f"(!{part})"),
    ),
    max_leaves=6,
)


@given(text=_FILTERS)
def test_a_written_filter_is_sent_as_it_was_meant(text: str) -> None:
    asked: Filter = written(text)
    assert written(filter_text(read(encoded(asked)))) == asked
