"""Long attributes and long lists of groups: all of it, or nothing."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.base import ConnectorUnavailable
from connectors.ldap.config import UserMatcher
from connectors.ldap.errors import SearchRefused
from tests.kit.directory_tree import ALICE, GROUPS_BASE, DirectoryGroup, entries
from tests.kit.hostile_directory import answers
from tests.kit.hostile_directory.behaviours import Answers, HangsUp, Sends, Silence
from tests.kit.hostile_directory.requests import Request, Search
from tests.kit.hostile_directory.server import HostileDirectory
from tests.unit.connectors.ldap.world import (
    GROUPS,
    QUICK,
    USERS,
    config_of,
    honest,
    host_of,
    searches,
    world,
)

MANY = [f"cn=group-{number:04},{GROUPS_BASE}" for number in range(503)]
BY_MEMBER_OF = UserMatcher(user_attr="memberOf", group_attr="entryDN")
CLAIMS = replace(USERS, claims=(("phones", "telephoneNumber"),))
PHONES = [f"+49 {number}" for number in range(25)]


def has_pages(asked: Request | None) -> bool:
    return isinstance(asked, Search) and asked.page is not None


def is_later_page(asked: Request | None) -> bool:
    return isinstance(asked, Search) and asked.page is not None and asked.page.cookie != b""


def is_range(asked: Request | None) -> bool:
    return isinstance(asked, Search) and any("range=" in name for name in asked.attributes)


@pytest.fixture
def directory() -> Iterator[HostileDirectory]:
    """Yield a directory in which Alice is in 503 groups more, and has 25 telephones."""
    tree = [
        (dn, {**found, "telephoneNumber": PHONES} if dn == ALICE.dn else found)
        for dn, found in entries()
    ]
    groups = [
        DirectoryGroup(cn=dn.split(",")[0].removeprefix("cn="), members=[ALICE.dn]) for dn in MANY
    ]
    more = [(group.dn, group.attributes) for group in groups]
    with HostileDirectory([*tree, *more], values_at_most=10) as running:
        yield running


@pytest.mark.covers("L-9")
def test_groups_come_in_pages_of_500(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:
        assert len(here.login().groups) == 2 + len(MANY)
    pages = [each.page for each in searches(directory.seen().requests) if each.page]
    assert [page.size for page in pages] == [500, 500]
    assert [page.cookie != b"" for page in pages] == [False, True]


@pytest.mark.covers("L-9")
@pytest.mark.parametrize(
    "how",
    [
        Answers(result=4, entries=3),
        Answers(result=11),
        Answers(result=53),
        HangsUp(),
        pytest.param(Silence(), marks=pytest.mark.servers),
    ],
    ids=repr,
)
def test_a_missing_page_leaves_no_part_of_the_list(
    directory: HostileDirectory, how: Answers | HangsUp | Silence
) -> None:
    directory.tell("search", how, when=is_later_page)
    with (
        world(config_of(host_of(directory)), patience=QUICK) as here,
        pytest.raises(ConnectorUnavailable),
    ):
        here.login()


@pytest.mark.covers("L-3", "L-9")
def test_a_page_that_broke_off_is_asked_for_from_the_beginning(
    directory: HostileDirectory,
) -> None:
    with world(config_of(host_of(directory))) as here:
        identity = here.login()
        directory.tell("search", HangsUp(), times=1, when=is_later_page)
        directory.forget()
        assert here.refresh(identity) == identity
    cookies = [each.page.cookie for each in searches(directory.seen().requests) if each.page]
    assert [cookie != b"" for cookie in cookies] == [False, True, False, True]


@pytest.mark.covers("L-9", "L-14")
@pytest.mark.parametrize("text", ["", "x" * 500_000], ids=["empty pages", "large pages"])
def test_pages_without_an_end_are_given_up(text: str) -> None:
    def again(number: int) -> list[bytes]:
        entry = answers.message(number, answers.entry("cn=x", {"cn": [text]}))
        done = answers.result(answers.SEARCH_DONE, 0)
        return [entry, answers.message(number, done, [answers.paged(b"0")])]

    with honest() as directory:
        directory.tell("search", Sends(again), when=has_pages)
        with world(config_of(host_of(directory))) as here, pytest.raises(SearchRefused) as refused:
            here.login()
        pages = [each for each in directory.seen().requests if has_pages(each)]
    assert "narrow the filter" in str(refused.value)
    assert len(pages) == (9 if text else 100)


@pytest.mark.covers("L-9")
def test_attributes_that_come_in_ranges_are_whole(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory), user_search=CLAIMS)) as here:
        assert dict(here.login().claims) == {"phones": tuple(PHONES)}
    asked = [each for each in searches(directory.seen().requests) if is_range(each)]
    assert [(each.base, each.scope) for each in asked] == [(ALICE.dn, "base")] * 2


RANGES: dict[str, list[tuple[str, list[str]]]] = {
    "nothing": [("telephoneNumber", [])],
    "another attribute": [("mail;range=10-*", ["x"])],
    "a gap": [("telephoneNumber;range=11-*", ["x"])],
    "the same again": [("telephoneNumber;range=0-9", PHONES[:10])],
    "an empty range": [("telephoneNumber;range=10-19", [])],
    "two ranges": [
        ("telephoneNumber;range=10-11", ["x", "y"]),
        ("telephoneNumber;range=10-12", ["x", "y", "z"]),
    ],
}


@pytest.mark.covers("L-9", "L-14")
@pytest.mark.parametrize("what", RANGES)
def test_ranges_that_do_not_go_on_are_no_answer(directory: HostileDirectory, what: str) -> None:
    def make(number: int) -> list[bytes]:
        entry = answers.entry(ALICE.dn, dict(RANGES[what]))
        done = answers.result(answers.SEARCH_DONE, 0)
        return [answers.message(number, entry), answers.message(number, done)]

    directory.tell("search", Sends(make), when=is_range)
    with (
        world(config_of(host_of(directory), user_search=CLAIMS), patience=QUICK) as here,
        pytest.raises(ConnectorUnavailable),
    ):
        here.login()


@pytest.mark.covers("L-14")
def test_ranges_without_an_end_are_given_up(directory: HostileDirectory) -> None:
    firsts = itertools.count(10, 500)

    def make(number: int) -> list[bytes]:
        first = next(firsts)
        name = f"telephoneNumber;range={first}-{first + 499}"
        entry = answers.entry(ALICE.dn, {name: ["x"] * 500})
        done = answers.result(answers.SEARCH_DONE, 0)
        return [answers.message(number, entry), answers.message(number, done)]

    directory.tell("search", Sends(make), when=is_range)
    with (
        world(config_of(host_of(directory), user_search=CLAIMS)) as here,
        pytest.raises(ConnectorUnavailable, match="more than 5000 values"),
    ):
        here.login()


def test_a_user_attribute_of_many_values_finds_all_its_groups(
    directory: HostileDirectory,
) -> None:
    groups = replace(GROUPS, matchers=(BY_MEMBER_OF,))
    with world(config_of(host_of(directory), group_search=groups)) as here:
        assert here.login().groups == ()
