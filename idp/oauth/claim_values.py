"""How claims look in a token: the types of OIDC Core section 5.1, made of texts.

Sources of users know texts only: a directory has nothing else.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from idp.oauth.claim_names import MEMBER_PREFIX, STANDARD, may_be_set

Value = str | int | bool | list[str] | dict[str, str]
"""A claim as it stands in JSON."""

_NUMBERS: Final = frozenset({"updated_at"})
_FLAGS: Final = frozenset({"phone_number_verified"})
_ONE_TEXT: Final = frozenset(STANDARD) - _NUMBERS - _FLAGS
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
# Generalized time (RFC 4517 section 3.3.13), as directories say when an entry was changed.
_GENERALIZED: Final = re.compile(r"([0-9]{14})(?:[.,][0-9]+)?Z")


def check_values(name: str, values: Iterable[str]) -> None:
    """Check that values are what a claim can be.

    Raises ValueError with a text that continues a sentence beginning with the claim.
    """
    found = tuple(values)
    if name in _NUMBERS and _number(found) is None:
        raise ValueError("must be a number of seconds since 1970")
    if name in _FLAGS and _flag(found) is None:
        raise ValueError("must be true or false")
    if len(found) > 1 and (name in _ONE_TEXT or name.startswith(MEMBER_PREFIX)):
        raise ValueError("can have one value only (OIDC Core section 5.1)")


def on_the_wire(claims: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, Value]:
    """Return what a source of users says of a person, by claim, in the types of the specification.

    What no source may say is left out, and so is what cannot be the claim that it is called.
    Standard claims are one text, the first where a directory has several.
    """
    known: dict[str, Value] = {}
    address: dict[str, str] = {}
    for name, values in claims:
        told = tuple(value for value in values if value)
        if not told or not may_be_set(name):
            continue
        if name.startswith(MEMBER_PREFIX):
            address[name.removeprefix(MEMBER_PREFIX)] = told[0]
            continue
        value = _value(name, told)
        if value is not None:
            known[name] = value
    if address:
        known["address"] = address
    return known


def _value(name: str, values: tuple[str, ...]) -> Value | None:
    if name in _NUMBERS:
        return _number(values)
    if name in _FLAGS:
        return _flag(values)
    if len(values) == 1 or name in _ONE_TEXT:
        return values[0]
    return list(values)


def _number(values: tuple[str, ...]) -> int | None:
    text = values[0] if values else ""
    if _SECONDS.fullmatch(text):
        return int(text)
    generalized = _GENERALIZED.fullmatch(text)
    if generalized is None:
        return None
    try:
        at = datetime.strptime(generalized[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(at.timestamp())


def _flag(values: tuple[str, ...]) -> bool | None:
    """Return a boolean; directories write it in capitals (RFC 4517 section 3.3.3)."""
    return {"true": True, "false": False}.get(values[0].lower()) if values else None
