"""What every password connector must do, whatever it asks; a subclass brings a directory.

    class TestLdap(PasswordConnectorContract):
        def directory(self) -> Directory: ...

A directory is one connector together with the means to change what it asks.
"""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol

import pytest

from connectors.base import (
    BadCredentials,
    ConnectorError,
    Identity,
    IdentityGone,
    PasswordConnector,
    Refreshable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody in a directory: what they type, and what the connector must say of them."""

    username: str
    password: str
    identity: Identity


class Directory(Protocol):
    """A connector, and the list of people behind it as an administrator changes it."""

    @property
    def connector(self) -> PasswordConnector:
        """Return the connector under test; the same one after every change."""
        ...

    def put(self, person: Person) -> None:
        """Add a person, or change the one who has this `identity.user_id`."""
        ...

    def remove(self, user_id: str) -> None:
        """Remove a person."""
        ...


ALICE = Person(
    username="alice@example.com",
    password="correct horse",
    identity=Identity(
        user_id="7f6b3a52-0000-4000-8000-000000000001",
        username="Alice Liddell",
        preferred_username="alice",
        email="alice@example.com",
        email_verified=True,
        groups=("admins", "developers"),
    ),
)
BOB = Person(
    username="bob@example.com",
    password="battery staple",
    identity=Identity(
        user_id="7f6b3a52-0000-4000-8000-000000000002",
        username="Bob",
        preferred_username="bob",
        email="bob@example.com",
        email_verified=True,
    ),
)

HOSTILE_NAMES = [
    "",
    " ",
    "nobody@example.com",
    "*",
    "alice*",
    "alice@example.com)(uid=*",
    "alice@example.com\\",
    "alice@example.com\x00",
    "a\u00adlice@example.com",
    "' OR ''='",
    "\ud800",
    "a" * 100_000,
]
HOSTILE_PASSWORDS = [
    "",
    " ",
    "correct horse ",
    "correct hors",
    "Correct horse",
    "correct horse\x00",
    "correct horse\x00more",
    "\x00",
    "\ud800",
    "a" * 1025,
    "é" * 513,
    "a" * 1_000_000,
]


def beginning(text: str) -> str:
    """Return a short name for a test case."""
    return ascii(text)[:40]


class PasswordConnectorContract(ABC):
    """The tests; each one starts with a directory of Alice and Bob."""

    @abstractmethod
    def directory(self) -> Directory:
        """Return a fresh and empty directory."""

    @pytest.fixture
    def people(self) -> Directory:
        directory = self.directory()
        directory.put(ALICE)
        directory.put(BOB)
        return directory

    def test_the_right_password_tells_who_it_is(self, people: Directory) -> None:
        for person in (ALICE, BOB):
            identity = asyncio.run(people.connector.login(person.username, person.password))
            assert without_data(identity) == person.identity

    def test_the_name_field_has_a_label(self, people: Directory) -> None:
        assert people.connector.username_prompt

    @pytest.mark.covers("R-68")
    @pytest.mark.parametrize(
        "typed", ["ALICE@EXAMPLE.COM", "Alice@Example.com", " alice@example.com "]
    )
    def test_case_and_spaces_of_the_name_do_not_matter(self, people: Directory, typed: str) -> None:
        identity = asyncio.run(people.connector.login(typed, ALICE.password))
        assert without_data(identity) == ALICE.identity

    @pytest.mark.covers("R-66")
    @pytest.mark.parametrize("username", HOSTILE_NAMES, ids=beginning)
    def test_a_name_that_nobody_has_is_bad_credentials(
        self, people: Directory, username: str
    ) -> None:
        with pytest.raises(BadCredentials):
            asyncio.run(people.connector.login(username, ALICE.password))

    @pytest.mark.covers("R-66", "R-76")
    @pytest.mark.parametrize("password", HOSTILE_PASSWORDS, ids=beginning)
    def test_a_wrong_password_is_bad_credentials(self, people: Directory, password: str) -> None:
        with pytest.raises(BadCredentials):
            asyncio.run(people.connector.login(ALICE.username, password))

    @pytest.mark.covers("R-66")
    def test_the_password_of_another_is_bad_credentials(self, people: Directory) -> None:
        with pytest.raises(BadCredentials):
            asyncio.run(people.connector.login(ALICE.username, BOB.password))

    @pytest.mark.covers("R-65")
    @pytest.mark.parametrize("username", ["alice@example.com", "nobody@example.com"])
    def test_no_error_repeats_the_password(self, people: Directory, username: str) -> None:
        with pytest.raises(ConnectorError) as failure:
            asyncio.run(people.connector.login(username, "hunter2-typed"))
        assert "hunter2" not in str(failure.value)

    def test_a_changed_password_counts_at_once(self, people: Directory) -> None:
        people.put(replace(ALICE, password="a new one"))
        asyncio.run(people.connector.login(ALICE.username, "a new one"))
        with pytest.raises(BadCredentials):
            asyncio.run(people.connector.login(ALICE.username, ALICE.password))

    def test_a_refresh_changes_nothing_when_nothing_changed(self, people: Directory) -> None:
        before = signed_in(people, ALICE)
        assert asyncio.run(refreshable(people).refresh(before)) == before

    def test_a_refresh_brings_the_groups_and_names_of_now(self, people: Directory) -> None:
        before = signed_in(people, ALICE)
        now = replace(
            ALICE.identity, username="Alice Hargreaves", preferred_username="al", groups=("staff",)
        )
        people.put(replace(ALICE, identity=now))
        assert without_data(asyncio.run(refreshable(people).refresh(before))) == now

    def test_a_removed_person_is_gone(self, people: Directory) -> None:
        before = signed_in(people, ALICE)
        people.remove(ALICE.identity.user_id)
        with pytest.raises(IdentityGone):
            asyncio.run(refreshable(people).refresh(before))
        with pytest.raises(BadCredentials):
            asyncio.run(people.connector.login(ALICE.username, ALICE.password))

    @pytest.mark.covers("R-69", "CV-25")
    def test_a_replaced_person_is_gone(self, people: Directory) -> None:
        before = signed_in(people, ALICE)
        people.remove(ALICE.identity.user_id)
        people.put(replace(ALICE, identity=replace(ALICE.identity, user_id="somebody-else")))
        with pytest.raises(IdentityGone):
            asyncio.run(refreshable(people).refresh(before))

    def test_twenty_people_sign_in_at_once(self, people: Directory) -> None:
        async def all_at_once() -> list[Identity]:
            tries = [
                people.connector.login(person.username, person.password)
                for person in (ALICE, BOB) * 10
            ]
            return await asyncio.gather(*tries)

        identities = asyncio.run(all_at_once())
        assert [without_data(each) for each in identities] == [ALICE.identity, BOB.identity] * 10


def signed_in(people: Directory, person: Person) -> Identity:
    return asyncio.run(people.connector.login(person.username, person.password))


def refreshable(people: Directory) -> Refreshable:
    assert isinstance(people.connector, Refreshable)
    return people.connector


def without_data(identity: Identity) -> Identity:
    """Drop the connector's note to itself, which only the connector knows."""
    return replace(identity, connector_data="")
