"""What is special about local users: Dex's claims, equal cost for all, a list that is checked."""

import asyncio
from dataclasses import replace

import pytest

from connectors.base import (
    AccountLocked,
    BadCredentials,
    Identity,
    IdentityGone,
    PasswordConnector,
    Refreshable,
    TellsClaims,
)
from connectors.local import LocalConnector, LocalUser, LocalUsers
from connectors.passwords import UnusableHash, hash_kind
from idp.login.usernames import canonical
from tests.kit.connectors import CountingVerifier, cheap_hash

ALICE = LocalUser(
    email="Alice@Example.com",
    password_hash=cheap_hash("correct horse"),
    user_id="1",
    username="alice",
    groups=("admins",),
)


def connector_of(
    *users: LocalUser, verifier: CountingVerifier | None = None
) -> tuple[LocalConnector, CountingVerifier]:
    verifier = verifier or CountingVerifier()
    listed = LocalUsers.of(users, canonical=canonical)
    return LocalConnector(users=lambda: listed, verify=verifier.verify), verifier


def login(connector: LocalConnector, username: str, password: str = "correct horse") -> Identity:
    return asyncio.run(connector.login(username, password))


def test_it_is_a_password_connector_that_can_be_asked_again() -> None:
    connector, _ = connector_of()
    assert isinstance(connector, PasswordConnector)
    assert isinstance(connector, Refreshable)
    assert isinstance(connector, TellsClaims)
    assert connector.username_prompt == "Email address"


@pytest.mark.spec("Dex", "staticPasswords")
@pytest.mark.parametrize(
    ("username", "name", "shown"),
    [("alice", "", "alice"), ("alice", "Alice L.", "Alice L."), ("", "", "")],
)
def test_the_claims_are_those_of_dex(username: str, name: str, shown: str) -> None:
    connector, _ = connector_of(replace(ALICE, username=username, name=name))
    assert login(connector, "alice@example.com") == Identity(
        user_id="1",
        username=shown,
        preferred_username="",
        email="Alice@Example.com",
        email_verified=True,
        groups=("admins",),
    )


def test_what_else_is_known_is_said_at_login_and_at_refresh() -> None:
    claims = (("department", ("r", "d")), ("address.locality", ("Köln",)))
    bob = replace(ALICE, email="bob@example.com", user_id="2", claims=(("badge", ("7",)),))
    connector, _ = connector_of(replace(ALICE, claims=claims), bob)
    identity = login(connector, "alice@example.com")
    assert identity.claims == claims
    changed, _ = connector_of(replace(ALICE, claims=(("department", ("x",)),)))
    assert asyncio.run(changed.refresh(identity)).claims == (("department", ("x",)),)
    assert connector.claim_names == {"department", "address.locality", "badge"}
    assert connector_of()[0].claim_names == frozenset()


@pytest.mark.spec("Dex", "staticPasswords")
def test_an_address_that_is_not_verified_is_said_to_be_so() -> None:
    connector, _ = connector_of(replace(ALICE, email_verified=False, preferred_username="al"))
    identity = login(connector, "alice@example.com")
    assert (identity.email_verified, identity.preferred_username) == (False, "al")


@pytest.mark.covers("R-68", "CV-25")
@pytest.mark.parametrize(
    "typed", ["alice@example.com", "ALICE@EXAMPLE.COM ", "ａｌｉｃｅ＠ｅｘａｍｐｌｅ．ｃｏｍ"]
)
def test_all_spellings_of_an_address_are_one_user(typed: str) -> None:
    connector, _ = connector_of(ALICE)
    assert login(connector, typed).user_id == "1"


@pytest.mark.covers("R-67", "CV-6")
@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice@example.com", "wrong"),
        ("nobody@example.com", "wrong"),
        ("a\u00adlice@example.com", "wrong"),
        ("alice@example.com", ""),
        ("nobody@example.com", ""),
        ("alice@example.com", "x" * 5000),
        ("nobody@example.com", "x" * 5000),
    ],
)
def test_every_failure_costs_one_hash_of_the_same_kind(username: str, password: str) -> None:
    connector, verifier = connector_of(ALICE)
    with pytest.raises(BadCredentials):
        login(connector, username, password)
    assert [hash_kind(checked) for checked in verifier.checked] == [hash_kind(ALICE.password_hash)]


def test_the_dummy_hash_has_no_password() -> None:
    class Lenient(CountingVerifier):
        async def verify(self, password: str, password_hash: str) -> None:
            self.checked.append(password_hash)

    connector, _ = connector_of(verifier=Lenient())
    with pytest.raises(BadCredentials):
        login(connector, "nobody@example.com")


def test_nobody_signs_in_to_an_empty_list() -> None:
    connector, verifier = connector_of()
    with pytest.raises(BadCredentials):
        login(connector, "alice@example.com")
    assert len(verifier.checked) == 1


def test_a_refresh_follows_a_changed_address() -> None:
    connector, _ = connector_of(replace(ALICE, email="alice@new.example"))
    identity = asyncio.run(connector.refresh(Identity(user_id="1", email="alice@example.com")))
    assert identity.email == "alice@new.example"


@pytest.mark.covers("R-69", "CV-25")
def test_an_address_that_went_to_somebody_else_brings_nobody_back() -> None:
    connector, _ = connector_of(replace(ALICE, user_id="2"))
    with pytest.raises(IdentityGone):
        asyncio.run(connector.refresh(Identity(user_id="1", email="alice@example.com")))


@pytest.mark.covers("R-68")
@pytest.mark.parametrize("email", ["alice@example.com", "ALICE@EXAMPLE.COM", "ａlice@example.com"])
def test_two_users_with_one_address_are_refused(email: str) -> None:
    with pytest.raises(ValueError, match="two local users have the e-mail address"):
        connector_of(ALICE, replace(ALICE, email=email, user_id="2"))


@pytest.mark.covers("R-69")
def test_two_users_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same user id"):
        connector_of(ALICE, replace(ALICE, email="bob@example.com"))


def test_a_user_without_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="no user id"):
        connector_of(replace(ALICE, user_id=""))


@pytest.mark.parametrize("email", ["", "a\u200blice@example.com", "a" * 300])
def test_an_address_that_nobody_can_type_is_refused(email: str) -> None:
    with pytest.raises(ValueError, match="no address to sign in with"):
        connector_of(replace(ALICE, email=email))


def test_a_hash_that_cannot_be_checked_is_refused_before_anyone_signs_in() -> None:
    with pytest.raises(UnusableHash):
        connector_of(replace(ALICE, password_hash="plain text"))


def test_only_who_knows_the_password_hears_that_an_account_is_locked() -> None:
    connector, verifier = connector_of(replace(ALICE, locked=True))
    with pytest.raises(AccountLocked):
        login(connector, "alice@example.com")
    with pytest.raises(BadCredentials):
        login(connector, "alice@example.com", "wrong")
    assert verifier.checked == [ALICE.password_hash] * 2


def test_a_locked_account_is_not_refreshed() -> None:
    connector, _ = connector_of(replace(ALICE, locked=True))
    with pytest.raises(IdentityGone):
        asyncio.run(connector.refresh(Identity(user_id="1")))


def test_hashes_do_not_show() -> None:
    assert "argon2" not in repr(ALICE)
    assert "argon2" not in repr(LocalUsers.of([ALICE], canonical=canonical))
