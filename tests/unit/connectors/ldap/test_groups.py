"""Groups, and groups of groups: few searches, circles, depth, and no part taken for the whole."""

from collections.abc import Iterable, Iterator, Sequence

import pytest

from connectors.base import ConnectorUnavailable
from connectors.ldap import groups
from connectors.ldap.config import DN, GroupSearch, UserMatcher
from connectors.ldap.errors import SearchRefused
from connectors.ldap.filters import Equals
from connectors.ldap.groups import Membership, groups_of
from connectors.ldap.operations import Entry

PERSON = Entry(
    dn="uid=a,dc=x", attributes={"uid": (b"a",), "memberof": (b"cn=g1,dc=x", b"cn=g2,dc=x")}
)


class Tree:
    """Groups by name with their members, and the searches that were made."""

    def __init__(self, members: dict[str, Sequence[str]]) -> None:
        self._members = members
        self.asked: list[list[Equals]] = []

    def find(self, members: Iterable[Equals]) -> Iterator[Entry]:
        batch = list(members)
        self.asked.append(batch)
        wanted = {each.value.decode() for each in batch}
        for name, found in self._members.items():
            if wanted & set(found):
                yield group(name)


def group(name: str) -> Entry:
    return Entry(dn=f"cn={name},dc=x", attributes={"cn": (name.encode(),)})


def search(*matchers: UserMatcher, name_attr: str = "cn") -> GroupSearch:
    return GroupSearch(base_dn="dc=x", name_attr=name_attr, matchers=matchers)


BY_DN = UserMatcher(user_attr=DN, group_attr="member")
BY_UID = UserMatcher(user_attr="uid", group_attr="memberUid")
NESTED = UserMatcher(user_attr=DN, group_attr="member", recursion_group_attr="member")


def test_flat_groups_cost_one_search_whatever_the_matchers() -> None:
    tree = Tree({"z": ["uid=a,dc=x"], "b": ["a"], "c": ["other"]})
    found = groups_of(PERSON, search(BY_DN, BY_UID), tree.find)
    assert found == Membership(names=("b", "z"))
    assert tree.asked == [[Equals("member", b"uid=a,dc=x"), Equals("memberUid", b"a")]]


def test_each_value_of_an_attribute_is_asked_for() -> None:
    tree = Tree({"x": ["cn=g1,dc=x"], "y": ["cn=g2,dc=x"]})
    matcher = UserMatcher(user_attr="memberOf", group_attr="entryDN")
    assert groups_of(PERSON, search(matcher), tree.find).names == ("x", "y")


def test_a_person_without_the_attribute_costs_no_search() -> None:
    tree = Tree({})
    matcher = UserMatcher(user_attr="nothing", group_attr="member")
    assert groups_of(PERSON, search(matcher), tree.find) == Membership(names=())
    assert tree.asked == []


def test_nested_groups_cost_a_search_a_level() -> None:
    tree = Tree(
        {
            "g1": ["uid=a,dc=x"],
            "g2": ["uid=a,dc=x"],
            "h1": ["cn=g1,dc=x"],
            "h2": ["cn=g2,dc=x", "cn=h1,dc=x"],
        }
    )
    found = groups_of(PERSON, search(NESTED), tree.find)
    assert found == Membership(names=("g1", "g2", "h1", "h2"))
    assert [len(batch) for batch in tree.asked] == [1, 2, 2]


def test_groups_found_by_one_matcher_are_not_followed_by_another() -> None:
    tree = Tree({"flat": ["a"], "above": ["cn=flat,dc=x"], "g": ["uid=a,dc=x"]})
    found = groups_of(PERSON, search(BY_UID, NESTED), tree.find)
    assert found.names == ("flat", "g")


@pytest.mark.covers("L-18")
def test_a_circle_ends() -> None:
    tree = Tree({"a": ["uid=a,dc=x", "cn=c,dc=x"], "b": ["cn=a,dc=x"], "c": ["cn=b,dc=x"]})
    assert groups_of(PERSON, search(NESTED), tree.find) == Membership(names=("a", "b", "c"))


@pytest.mark.covers("L-18")
def test_a_chain_of_a_hundred_ends_at_ten_and_says_so() -> None:
    chain = {f"g{n}": [f"cn=g{n - 1},dc=x"] for n in range(2, 101)}
    tree = Tree({"g1": ["uid=a,dc=x"], **chain})
    found = groups_of(PERSON, search(NESTED), tree.find)
    assert set(found.names) == {f"g{n}" for n in range(1, groups.DEEPEST + 1)}
    assert found.cut_short_by == "depth"
    assert len(tree.asked) == groups.DEEPEST + 1


@pytest.mark.covers("L-18")
def test_a_chain_of_ten_is_whole() -> None:
    chain = {f"g{n}": [f"cn=g{n - 1},dc=x"] for n in range(2, groups.DEEPEST + 1)}
    found = groups_of(PERSON, search(NESTED), Tree({"g1": ["uid=a,dc=x"], **chain}).find)
    assert (len(found.names), found.cut_short_by) == (groups.DEEPEST, "")


@pytest.mark.covers("L-18")
def test_more_groups_than_a_token_can_hold_are_cut_and_say_so() -> None:
    tree = Tree({f"g{n}": ["uid=a,dc=x"] for n in range(groups.MOST_GROUPS + 5)})
    found = groups_of(PERSON, search(NESTED), tree.find)
    assert (len(found.names), found.cut_short_by) == (groups.MOST_GROUPS, "count")


def test_a_wide_level_is_asked_for_in_filters_of_bounded_size() -> None:
    wide = {f"g{n}": ["uid=a,dc=x"] for n in range(120)}
    tree = Tree({**wide, "top": ["cn=g7,dc=x", "cn=g119,dc=x"]})
    found = groups_of(PERSON, search(NESTED), tree.find)
    assert len(found.names) == 121
    assert [len(batch) for batch in tree.asked] == [1, 50, 50, 20, 1]


def test_long_values_are_asked_for_in_several_filters() -> None:
    values = tuple(f"cn={n:05},{'x' * 5000}".encode() for n in range(7))
    person = Entry(dn="cn=p", attributes={"memberof": values})
    tree = Tree({})
    matcher = UserMatcher(user_attr="memberOf", group_attr="entryDN")
    groups_of(person, search(matcher), tree.find)
    assert [len(batch) for batch in tree.asked] == [3, 3, 1]


def test_groups_can_be_named_by_their_dn() -> None:
    tree = Tree({"g": ["uid=a,dc=x"]})
    assert groups_of(PERSON, search(BY_DN, name_attr=DN), tree.find).names == ("cn=g,dc=x",)


@pytest.mark.covers("L-9")
def test_a_group_without_a_name_leaves_no_part_of_the_list() -> None:
    def find(_: Iterable[Equals]) -> list[Entry]:
        return [group("g"), Entry(dn="cn=odd,dc=x", attributes={})]

    with pytest.raises(ConnectorUnavailable) as refused:
        groups_of(PERSON, search(BY_DN), find)
    assert isinstance(refused.value, SearchRefused)
    assert "cn=odd,dc=x" in str(refused.value)
    assert "groupSearch.nameAttr" in str(refused.value)
