"""Who may say which claim: one table, tried with everything that a source of users might say."""

import pytest

from idp.oauth.claim_names import (
    ADDRESS_MEMBERS,
    OF_IDENTITY,
    OURS,
    STANDARD,
    check_name,
    claim_of,
    may_be_asked,
    may_be_set,
    scope_of,
)

FURTHER = sorted(set(STANDARD) - OF_IDENTITY)


@pytest.mark.spec("OIDC Core", "2")
@pytest.mark.parametrize(
    "name",
    ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "acr", "amr", "azp",
     "sid", "at_hash", "c_hash", "groups", "federated_claims", "scope", "client_id", "grant", "cnf",
     "act", "events", "_claim_names", "_claim_sources", "name", "preferred_username", "email",
     "email_verified"],
)  # fmt: skip
def test_what_the_provider_says_nobody_else_may(name: str) -> None:
    """In any capitals: decoders of Go take `Groups` for `groups`."""
    for spelling in (name, name.upper(), name.title()):
        assert not may_be_set(spelling)
        with pytest.raises(ValueError, match="cannot be set"):
            check_name(spelling)


@pytest.mark.parametrize("name", [*FURTHER[1:], "department", "https://example.com/badge", "x_1"])
def test_anything_else_may_be_said(name: str) -> None:
    assert name != "address"
    assert check_name(name) == name
    assert may_be_asked(name)


@pytest.mark.spec("OIDC Core", "5.1.1")
def test_an_address_is_said_by_its_members() -> None:
    for member in ADDRESS_MEMBERS:
        assert may_be_set(f"address.{member}")
        assert claim_of(f"address.{member}") == "address"
        assert not may_be_asked(f"address.{member}")
    for wrong in ("address", "Address"):
        with pytest.raises(ValueError, match=r"address\.street_address"):
            check_name(wrong)
    for wrong in ("address.", "address.town", "address.locality.x"):
        with pytest.raises(ValueError, match="no member of address"):
            check_name(wrong)
    assert may_be_asked("address")


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a\n", "é", "\u212aind", ".x", "-x", "x" * 129, 'a"b', "a\\b", "a#b"]
)
def test_other_names_are_none(name: str) -> None:
    assert not may_be_set(name)
    assert not may_be_asked(name)


def test_no_claim_is_of_two_owners() -> None:
    assert not OURS & OF_IDENTITY
    assert not OURS & set(STANDARD)
    assert not any(may_be_asked(name) for name in (*OURS, "sub"))


@pytest.mark.spec("OIDC Core", "5.4")
def test_the_scopes_are_those_of_the_specification() -> None:
    scopes: dict[str, set[str]] = {}
    for claim in (*STANDARD, "department"):
        scopes.setdefault(scope_of(claim), set()).add(claim)
    assert scopes == {
        "profile": {"name", "family_name", "given_name", "middle_name", "nickname",
                    "preferred_username", "profile", "picture", "website", "gender", "birthdate",
                    "zoneinfo", "locale", "updated_at", "department"},
        "email": {"email", "email_verified"},
        "address": {"address"},
        "phone": {"phone_number", "phone_number_verified"},
    }  # fmt: skip
