"""What answers to a bind mean, and what entries say of their accounts."""

from datetime import UTC, datetime

import pytest

from connectors.base import (
    AccessRefused,
    AccountLocked,
    BadCredentials,
    ConnectorError,
    ConnectorUnavailable,
)
from connectors.ldap.accounts import Verdict, barred, error_for, locked, verdict_of
from connectors.ldap.errors import ValueUnreadable
from connectors.ldap.operations import Entry, PasswordPolicy, Result

NOW = datetime(2026, 11, 30, tzinfo=UTC)
AD = "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {}, v4563"


def answer(code: int, diagnostic: str = "", policy: PasswordPolicy | None = None) -> Result:
    return Result(code=code, name="", diagnostic=diagnostic, policy=policy or PasswordPolicy())


def entry(**attributes: bytes) -> Entry:
    found = {name.replace("_", "-").lower(): (value,) for name, value in attributes.items()}
    return Entry(dn="cn=x", attributes=found)


def test_success_is_right() -> None:
    assert verdict_of(answer(0)) is Verdict.RIGHT
    assert verdict_of(answer(0, policy=PasswordPolicy(grace=2))) is Verdict.RIGHT
    assert verdict_of(answer(0, policy=PasswordPolicy(expires_in=60))) is Verdict.RIGHT


@pytest.mark.covers("L-16")
@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        ("52e", Verdict.WRONG),
        ("525", Verdict.WRONG),
        ("530", Verdict.NOT_NOW),
        ("531", Verdict.NOT_NOW),
        ("532", Verdict.PASSWORD_EXPIRED),
        ("533", Verdict.DISABLED),
        ("701", Verdict.EXPIRED),
        ("773", Verdict.MUST_CHANGE),
        ("775", Verdict.LOCKED),
        ("52E", Verdict.WRONG),
        ("999", Verdict.WRONG),
    ],
)
def test_numbers_of_active_directory(data: str, verdict: Verdict) -> None:
    assert verdict_of(answer(49, AD.format(data))) is verdict


@pytest.mark.covers("L-16")
@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (answer(49), Verdict.WRONG),
        (answer(49, policy=PasswordPolicy(error=0)), Verdict.PASSWORD_EXPIRED),
        (answer(49, policy=PasswordPolicy(error=1)), Verdict.LOCKED),
        (answer(49, policy=PasswordPolicy(error=99)), Verdict.WRONG),
        (answer(0, policy=PasswordPolicy(error=2)), Verdict.MUST_CHANGE),
        (answer(19, "Exceed password retry limit. Please try later."), Verdict.LOCKED),
        (answer(53, "Account inactivated. Contact system administrator."), Verdict.LOCKED),
        (answer(48), Verdict.WRONG),
        (answer(32), Verdict.WRONG),
    ],
)
def test_other_directories(result: Result, verdict: Verdict) -> None:
    assert verdict_of(result) is verdict


@pytest.mark.covers("L-9")
@pytest.mark.parametrize("code", [1, 2, 3, 4, 7, 8, 10, 11, 13, 50, 51, 52, 53, 80, 4096, -5])
def test_what_judges_no_password_is_no_wrong_password(code: int) -> None:
    verdict = verdict_of(answer(code))
    assert verdict is Verdict.UNCLEAR
    assert isinstance(error_for(verdict), ConnectorUnavailable)


@pytest.mark.covers("L-16", "R-66")
@pytest.mark.parametrize(
    ("verdict", "error"),
    [
        (Verdict.WRONG, BadCredentials),
        (Verdict.LOCKED, BadCredentials),
        (Verdict.DISABLED, AccountLocked),
        (Verdict.EXPIRED, AccountLocked),
        (Verdict.PASSWORD_EXPIRED, AccessRefused),
        (Verdict.MUST_CHANGE, AccessRefused),
        (Verdict.NOT_NOW, AccessRefused),
    ],
)
def test_only_who_knows_the_password_hears_of_the_account(
    verdict: Verdict, error: type[ConnectorError]
) -> None:
    assert type(error_for(verdict)) is error


def test_every_verdict_but_right_has_an_error() -> None:
    for verdict in set(Verdict) - {Verdict.RIGHT}:
        assert str(error_for(verdict))


@pytest.mark.parametrize(
    ("attributes", "verdict"),
    [
        ({}, None),
        ({"userAccountControl": b"512"}, None),
        ({"userAccountControl": b"514"}, Verdict.DISABLED),
        ({"nsAccountLock": b"TRUE"}, Verdict.DISABLED),
        ({"nsAccountLock": b"false"}, None),
        ({"accountExpires": b"0"}, None),
        ({"accountExpires": b"9223372036854775807"}, None),
        ({"accountExpires": b"9223372036854775806"}, None),
        ({"accountExpires": b"132000000000000000"}, Verdict.EXPIRED),
        ({"accountExpires": b"140000000000000000"}, None),
        ({"krbPrincipalExpiration": b"20260101000000Z"}, Verdict.EXPIRED),
        ({"krbPrincipalExpiration": b"20380101000000Z"}, None),
    ],
)
def test_what_bars_an_account(attributes: dict[str, bytes], verdict: Verdict | None) -> None:
    assert barred(entry(**attributes), NOW) is verdict


@pytest.mark.parametrize(
    ("attributes", "is_locked"),
    [
        ({}, False),
        ({"msDS_User_Account_Control_Computed": b"16"}, True),
        ({"msDS_User_Account_Control_Computed": b"8388608"}, False),
        ({"pwdAccountLockedTime": b"000001010000Z"}, True),
        ({"pwdAccountLockedTime": b"20261130000000Z"}, True),
        ({"lockoutTime": b"132000000000000000"}, False),
    ],
)
def test_what_locks_an_account(attributes: dict[str, bytes], is_locked: bool) -> None:  # noqa: FBT001
    assert locked(entry(**attributes)) is is_locked


@pytest.mark.covers("L-14")
@pytest.mark.parametrize(
    "attributes",
    [
        {"userAccountControl": b"many"},
        {"accountExpires": b"\xff\xff"},
        {"accountExpires": b"9" * 5000},
        {"krbPrincipalExpiration": b"soon"},
        {"krbPrincipalExpiration": b"\xff"},
    ],
)
def test_nonsense_is_not_taken_for_a_good_account(attributes: dict[str, bytes]) -> None:
    with pytest.raises(ValueUnreadable):
        barred(entry(**attributes), NOW)
