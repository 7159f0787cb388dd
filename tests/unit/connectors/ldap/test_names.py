"""Names that are a trap find nobody; names that only look like one sign in."""

import ast
import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.base import BadCredentials
from tests.kit.directory_tree import (
    COMMA,
    MUELLER,
    NIHON,
    O_NEIL,
    PEOPLE,
    STAR,
    STRANGELY_NAMED,
    DirectoryPerson,
)
from tests.kit.hostile_directory.server import HostileDirectory
from tests.unit.connectors.ldap.world import (
    GROUPS,
    USERS,
    binds_of_people,
    config_of,
    honest,
    host_of,
    searches,
    world,
)
from tests.vectors.hostile_names import HOSTILE_NAMES

SOURCES = Path(__file__).parents[4] / "connectors" / "ldap"


@pytest.fixture
def directory() -> Iterator[HostileDirectory]:
    with honest() as running:
        yield running


def test_there_are_three_hundred_of_them() -> None:
    assert len(HOSTILE_NAMES) >= 300
    assert not {person.uid for person in PEOPLE} & set(HOSTILE_NAMES)


@pytest.mark.covers("L-11", "CV-22")
def test_hostile_names_find_nobody(directory: HostileDirectory) -> None:
    users = replace(USERS, username_attrs=("uid", "mail"))
    passwords = [person.password for person in PEOPLE]
    with world(config_of(host_of(directory), user_search=users)) as here:

        async def try_all() -> list[str]:
            found = []
            for number, name in enumerate(HOSTILE_NAMES):
                try:
                    await here.connector.login(name, passwords[number % len(passwords)])
                except BadCredentials:
                    continue
                found.append(name)
            return found

        assert asyncio.run(try_all()) == []
        assert here.events == {}
    # Nobody was found, so nobody's password was tried.
    assert binds_of_people(directory.seen().requests) == []


@pytest.mark.covers("L-13")
@pytest.mark.parametrize("who", [O_NEIL, MUELLER, STAR, NIHON, COMMA], ids=lambda who: who.uid)
def test_people_of_strange_names_sign_in_as_themselves(
    directory: HostileDirectory, who: DirectoryPerson
) -> None:
    with world(config_of(host_of(directory))) as here:
        identity = here.login(who)
        assert (identity.user_id, identity.username) == (who.uid, who.cn)
        assert here.refresh(identity) == identity
    assert [each.dn for each in binds_of_people(directory.seen().requests)] == [who.dn]


@pytest.mark.covers("L-12")
@pytest.mark.parametrize("who", STRANGELY_NAMED, ids=lambda who: who.uid)
def test_a_dn_from_an_entry_is_asked_for_as_it_is(
    directory: HostileDirectory, who: DirectoryPerson
) -> None:
    nested = replace(GROUPS.matchers[0], recursion_group_attr="member")
    groups = replace(GROUPS, matchers=(nested,))
    with world(config_of(host_of(directory), group_search=groups)) as here:
        assert "staff" in here.login(who).groups
    asked = [each.asked for each in searches(directory.seen().requests)]
    values = [part.content for each in asked for part in each.children]
    assert who.dn.encode() in values


@pytest.mark.covers("L-12")
def test_no_text_is_put_together_for_a_filter_or_a_dn() -> None:
    """A search is given values: no f-string, no sum of texts, no format, no filter unread."""
    for source in SOURCES.glob("*.py"):
        for call in ast.walk(ast.parse(source.read_text("utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = ast.unparse(call.func).rpartition(".")[2]
            if name == "Written":
                assert source.name == "filters.py", "only its reader makes a written filter"
            if name not in ("Search", "Equals", "written", "search", "bind", "prove", "find"):
                continue
            arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
            texts = [
                ast.unparse(part)
                for argument in arguments
                for part in ast.walk(argument)
                if isinstance(part, ast.JoinedStr | ast.BinOp)
                or (isinstance(part, ast.Attribute) and part.attr in ("format", "join"))
            ]
            assert texts == [], f"{source.name}:{call.lineno}"


@pytest.mark.covers("L-10", "CV-23")
@pytest.mark.parametrize(
    "password", ["", "\0", "\u00ad", "\u00ad\u00ad", "\ufeff", "\u00a0", " ", "\u200b", "x\0"]
)
def test_no_password_that_may_be_empty_is_sent(directory: HostileDirectory, password: str) -> None:
    with world(config_of(host_of(directory))) as here, pytest.raises(BadCredentials):
        here.login_as("alice", password)
    assert directory.seen().requests == []


@pytest.mark.covers("L-10")
def test_passwords_are_sent_octet_by_octet(directory: HostileDirectory) -> None:
    typed = ["a\u00adb", "Pass word ", "ｆｕｌｌ", "e\u0301", "x" * 1024]
    with world(config_of(host_of(directory))) as here:
        for password in typed:
            with pytest.raises(BadCredentials):
                here.login_as("alice", password)
    sent = binds_of_people(directory.seen().requests)
    assert [each.password for each in sent] == [password.encode() for password in typed]
    assert all(each.mechanism == "simple" for each in sent)
