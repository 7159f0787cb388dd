"""What a directory's answer to a password means, and what an entry says of its account.

Directories refuse accounts in dialects: result codes (RFC 4511), numbers in the diagnostic message
of Active Directory, the password policy control, attributes. Here is decided what each comes to.
"""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from connectors.base import (
    AccessRefused,
    AccountLocked,
    BadCredentials,
    ConnectorError,
    ConnectorUnavailable,
)
from connectors.ldap.errors import ValueUnreadable
from connectors.ldap.operations import Entry, Result

SUCCESS, CONSTRAINT_VIOLATION, UNWILLING = 0, 19, 53
INVALID_DN, INAPPROPRIATE, INVALID_CREDENTIALS, NO_SUCH_OBJECT = 34, 48, 49, 32

STANDING_ATTRIBUTES = (
    "userAccountControl",
    "msDS-User-Account-Control-Computed",
    "accountExpires",
    "pwdAccountLockedTime",
    "nsAccountLock",
    "krbPrincipalExpiration",
)
"""Where directories write that an account is out; asked for with every person."""

_AD_DATA = re.compile(r"\bdata ([0-9a-fA-F]{3,4})\b")
_DISABLED_FLAG = 0x2
_LOCKED_FLAG = 0x10
_NEVER = frozenset({0, 2**63 - 1})
_WINDOWS_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


class Verdict(StrEnum):
    """What became of a login, as the log names it."""

    RIGHT = "right"
    WRONG = "wrong_password"
    LOCKED = "account_locked"
    DISABLED = "account_disabled"
    EXPIRED = "account_expired"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105 - not a password
    MUST_CHANGE = "password_must_change"
    NOT_NOW = "logon_not_permitted"
    UNCLEAR = "no_answer"


_AD_VERDICTS = {
    "525": Verdict.WRONG,
    "52e": Verdict.WRONG,
    "530": Verdict.NOT_NOW,
    "531": Verdict.NOT_NOW,
    "532": Verdict.PASSWORD_EXPIRED,
    "533": Verdict.DISABLED,
    "701": Verdict.EXPIRED,
    "773": Verdict.MUST_CHANGE,
    "775": Verdict.LOCKED,
}
"""Active Directory says all but 525, 52e and 775 only to who has given the right password."""

_POLICY_VERDICTS = {0: Verdict.PASSWORD_EXPIRED, 1: Verdict.LOCKED, 2: Verdict.MUST_CHANGE}

_ERRORS: dict[Verdict, tuple[type[ConnectorError], str]] = {
    Verdict.WRONG: (BadCredentials, "the password is wrong"),
    # A locked account is not told apart from a wrong password: directories say "locked" to anyone.
    Verdict.LOCKED: (BadCredentials, "the directory has locked the account"),
    Verdict.DISABLED: (AccountLocked, "the account is disabled in the directory"),
    Verdict.EXPIRED: (AccountLocked, "the account has expired in the directory"),
    Verdict.PASSWORD_EXPIRED: (AccessRefused, "the password has expired"),
    Verdict.MUST_CHANGE: (AccessRefused, "the password has to be changed before it may be used"),
    Verdict.NOT_NOW: (AccessRefused, "the account may not be used at this time or from here"),
    Verdict.UNCLEAR: (ConnectorUnavailable, "the directory did not judge the password"),
}


def verdict_of(result: Result) -> Verdict:
    """Return what the answer to a person's bind means."""
    if result.code == SUCCESS:
        # Bound, but for nothing else than changing the password.
        return Verdict.MUST_CHANGE if result.policy.error == 2 else Verdict.RIGHT
    if result.code == INVALID_CREDENTIALS:
        if (data := _AD_DATA.search(result.diagnostic)) is not None:
            return _AD_VERDICTS.get(data[1].lower(), Verdict.WRONG)
        return _POLICY_VERDICTS.get(_said(result), Verdict.WRONG)
    if result.code == CONSTRAINT_VIOLATION:
        return Verdict.LOCKED
    if result.code == UNWILLING and "inactivated" in result.diagnostic.lower():
        # 389 Directory Server, of accounts with nsAccountLock; older ones say it to anyone.
        return Verdict.LOCKED
    if result.code in (NO_SUCH_OBJECT, INAPPROPRIATE, INVALID_DN):
        # The entry went away, or has no password.
        return Verdict.WRONG
    return Verdict.UNCLEAR


def error_for(verdict: Verdict) -> ConnectorError:
    """Return what to raise for a login that did not go well. RIGHT has none and is a KeyError."""
    error, text = _ERRORS[verdict]
    return error(text)


def barred(entry: Entry, now: datetime) -> Verdict | None:
    """Return why an account is out although its password may be right, None when it is not.

    That is what lasts: disabled or expired. Raises ValueUnreadable.
    """
    if _number(entry, "userAccountControl") & _DISABLED_FLAG:
        return Verdict.DISABLED
    if entry.first("nsAccountLock").lower() == b"true":
        return Verdict.DISABLED
    expires = _number(entry, "accountExpires")
    if expires not in _NEVER and _windows_time(expires) <= now:
        return Verdict.EXPIRED
    principal_expires = _time(entry, "krbPrincipalExpiration")
    if principal_expires is not None and principal_expires <= now:
        return Verdict.EXPIRED
    return None


def locked(entry: Entry) -> bool:
    """Tell whether an entry says that too many wrong passwords locked it.

    At a login the bind says so. `lockoutTime` of Active Directory stays when the lock has run out,
    so the computed flag counts instead.
    """
    computed = _number(entry, "msDS-User-Account-Control-Computed")
    return bool(computed & _LOCKED_FLAG or entry.first("pwdAccountLockedTime"))


def _said(result: Result) -> int:
    return -1 if result.policy.error is None else result.policy.error


def _number(entry: Entry, attribute: str) -> int:
    value = entry.first(attribute)
    try:
        return int(value) if value else 0
    except ValueError:
        raise ValueUnreadable(f"{attribute} of {entry.dn!r} is no number") from None


def _windows_time(ticks: int) -> datetime:
    """Return the time of a count of 100 ns since 1601."""
    try:
        return _WINDOWS_EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _time(entry: Entry, attribute: str) -> datetime | None:
    """Return a time as directories write it (RFC 4517 section 3.3.13), None for none."""
    value = entry.first(attribute).decode("ascii", "replace")
    if not value:
        return None
    try:
        return datetime.strptime(value, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueUnreadable(f"{attribute} of {entry.dn!r} is no time") from None
