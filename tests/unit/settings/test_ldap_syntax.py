"""Names and filters of LDAP: what every directory takes, and what is refused before it is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.settings.ldap_syntax import (
    check_attribute,
    check_base_dn,
    check_filter,
    check_stored_attribute,
)


@pytest.mark.spec("RFC 4515", "4")
@pytest.mark.parametrize(
    "text",
    [
        "(cn=Babs Jensen)",
        "(!(cn=Tim Howes))",
        "(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))",
        "(o=univ*of*mich*)",
        "(seeAlso=)",
        "(cn:caseExactMatch:=Fred Flintstone)",
        "(cn:=Betty Rubble)",
        "(sn:dn:2.4.6.8.10:=Barney Rubble)",
        "(o:dn:=Ace Industry)",
        "(:1.2.3:=Wilma Flintstone)",
        "(:DN:2.4.6.8.10:=Dino)".replace("DN", "dn"),
        r"(o=Parens R Us \28for all your parenthetical needs\29)",
        r"(cn=*\2A*)",
        r"(filename=C:\5cMyFile)",
        "(sn=Lučić)",
        "(memberOf:1.2.840.113556.1.4.1941:=cn=staff,dc=example,dc=com)",
        "(userAccountControl:1.2.840.113556.1.4.803:=2)",
        "(&(objectCategory=person)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
        "(uidNumber>=1000)",
        "(createTimestamp<=20300101000000Z)",
        "(givenName~=jon)",
        "(cn;lang-de=Müller)",
        " (& (a=b)\n   ( | (c=d) (e=f) ) ) ",
        "(a=b=c<d>e)",
    ],
)
def test_filters_are_taken_as_they_stand(text: str) -> None:
    assert check_filter(text) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("objectClass=person", "write it in parentheses, such as `(objectClass=person)`"),
        ("", "write it in parentheses"),
        ("(objectClass=person", "character 20: expected ')'"),
        ("(&(a=b)(c=d)", "character 13: expected ')'"),
        ("(a=b))", "character 6: the filter ends here"),
        ("(a=b)(c=d)", "character 6: the filter ends here; put several into (&...) or (|...)"),
        ("(a)", "character 2: expected attribute=value"),
        ("()", "character 2: expected attribute=value"),
        ("(=b)", "expected attribute=value"),
        ("(a b=c)", "expected attribute=value"),
        ("(&)", "character 3: a filter begins with a parenthesis"),
        ("(|a=b)", "a filter begins with a parenthesis"),
        ("(!(a=b)(c=d))", "character 8: expected ')'"),
        ("(!)", "a filter begins with a parenthesis"),
        (r"(a=b\zz)", r"in a value ( ) * \ are written \28 \29 \2a \5c"),
        ("(a=(b))", "character 4: expected ')'"),
        ("(a=b\0)", "expected ')'"),
        ("(!" * 40 + "(a=b)" + ")" * 40, "the filter is nested too deeply"),
        ("(a=" + "b" * 9000 + ")", "a filter has at most 8192 characters"),
    ],
)
def test_what_is_no_filter_is_told_where_it_breaks(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="is no LDAP filter") as caught:
        check_filter(text)
    assert hint in str(caught.value)


@given(st.text(alphabet="()&|!=*\\ab2:~<> ", max_size=30))
def test_any_text_is_a_filter_or_is_refused_with_a_sentence(text: str) -> None:
    try:
        check_filter(text)
    except ValueError:
        return
    # What is taken can be joined with another: nothing in it reaches beyond its parentheses.
    assert check_filter(f"(&{text}(uid=jane))")
    assert text.count("(") == text.count(")") > 0


@pytest.mark.parametrize(
    "name",
    [
        "uid",
        "sAMAccountName",
        "cn;lang-de",
        "2.5.4.3",
        "x-y",
        "userCertificate;binary",
        "DN",
        "a_b",
    ],
)
def test_names_of_attributes(name: str) -> None:
    assert check_attribute(name) == name


@pytest.mark.parametrize(
    "name", ["", "1", "ma il", "mail)", "a=b", "é", "uid,mail", "*", "a;", "-a"]
)
def test_what_no_attribute_can_be_called(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of an attribute"):
        check_attribute(name)


def test_a_matching_rule_of_active_directory_is_told_what_does_the_same() -> None:
    with pytest.raises(ValueError, match="for groups in groups `recursionGroupAttr`"):
        check_stored_attribute("member:1.2.840.113556.1.4.1941:")


@pytest.mark.parametrize("name", ["dn", "Dn", "dN"])
def test_the_name_of_the_entry_is_written_in_capitals(name: str) -> None:
    with pytest.raises(ValueError, match="the entry's own name is written `DN`"):
        check_attribute(name)


def test_nobody_can_search_for_the_name_of_the_entry() -> None:
    with pytest.raises(ValueError, match="that a directory can search for"):
        check_stored_attribute("DN")
    assert check_stored_attribute("uid") == "uid"


@pytest.mark.parametrize(
    "dn", ["dc=example,dc=com", "OU = People, O=Example\\, Inc.", "o=x", "<GUID=0123>", "2.5.4.3=a"]
)
def test_where_a_search_begins(dn: str) -> None:
    assert check_base_dn(dn) == dn


@pytest.mark.parametrize("dn", ["example.com", "people", "=x", "ldap://x/dc=example"])
def test_what_is_the_name_of_no_entry(dn: str) -> None:
    with pytest.raises(ValueError, match="write for example `ou=people,dc=example,dc=com`"):
        check_base_dn(dn)
