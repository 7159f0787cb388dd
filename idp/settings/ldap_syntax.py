"""How names and filters of LDAP are written (RFC 4512, RFC 4515), checked before they are sent.

Texts of errors continue a sentence that begins with the value.
"""

import re

from connectors.ldap.config import DN

DEEPEST_FILTER = 32
"""Levels of a filter; a real one has three."""

_DESCRIPTION = r"(?:[A-Za-z][A-Za-z0-9_-]*|[0-9]+(?:\.[0-9]+)+)"
_ATTRIBUTE = rf"{_DESCRIPTION}(?:;[A-Za-z0-9-]+)*"
_VALUE = r"(?:[^()\\\x00]|\\[0-9A-Fa-f]{2})*"
_PLAIN_ATTRIBUTE = re.compile(_ATTRIBUTE)
_TEST = re.compile(
    rf"(?:{_ATTRIBUTE}(?:[~<>]?=|(?::dn)?(?::{_DESCRIPTION})?:=)|(?::dn)?:{_DESCRIPTION}:=){_VALUE}"
)
_OPERATOR = re.compile(r"[&|!]")
_GAP = re.compile(r"\s*")
_FIRST_RDN = re.compile(rf"\s*{_DESCRIPTION}\s*=")


def check_attribute(text: str) -> str:
    """Return the name of an attribute unchanged. Raises ValueError."""
    if text != DN and text.lower() == DN.lower():
        raise ValueError(f"is no attribute; the entry's own name is written `{DN}`, in capitals")
    if ":" in text:
        raise ValueError(
            "names a matching rule, which is not served; name the attribute alone, and for groups"
            " in groups `recursionGroupAttr`"
        )
    if not _PLAIN_ATTRIBUTE.fullmatch(text):
        raise ValueError(
            "cannot be the name of an attribute; names are made of letters, digits and `-`, such as"
            " `uid` or `sAMAccountName`"
        )
    return text


def check_stored_attribute(text: str) -> str:
    """Return the name of an attribute that can be searched for. Raises ValueError."""
    if check_attribute(text) == DN:
        raise ValueError("is no attribute that a directory can search for; name one that it stores")
    return text


def check_base_dn(text: str) -> str:
    """Return where a search begins unchanged. Raises ValueError.

    Only the beginning is looked at: directories differ in what they take.
    """
    if not _FIRST_RDN.match(text) and not text.startswith("<"):
        raise ValueError(
            "is not the name of an entry (a DN); write for example `ou=people,dc=example,dc=com`"
        )
    return text


def check_filter(text: str) -> str:
    """Return a filter unchanged (RFC 4515 section 3). Raises ValueError.

    White space between the parts, which many files have and the RFC does not know, is let through.
    """
    start = _past_gap(text, 0)
    if text[start : start + 1] != "(":
        raise ValueError(
            "is no LDAP filter; write it in parentheses, such as `(objectClass=person)`"
        )
    end = _past_gap(text, _past_filter(text, start, 0))
    if end < len(text):
        raise ValueError(
            "is more than one LDAP filter, or has a `)` too many; several are joined by `(&(…)(…))`"
        )
    return text


def _past_filter(text: str, start: int, depth: int) -> int:
    """Return where the filter that begins at `start` has ended."""
    if depth == DEEPEST_FILTER:
        raise ValueError(f"nests more than {DEEPEST_FILTER} levels deep")
    at = _past_gap(text, start + 1)
    operator = _OPERATOR.match(text, at)
    if operator is None:
        test = _TEST.match(text, at)
        if test is None:
            raise ValueError(
                f"is no LDAP filter: in it `{text[at : at + 20]}` is no comparison such as"
                " `objectClass=person`"
            )
        return _past_end(text, test.end())
    return _past_end(text, _past_operands(text, at + 1, operator[0], depth))


def _past_operands(text: str, at: int, operator: str, depth: int) -> int:
    count = 0
    at = _past_gap(text, at)
    while text[at : at + 1] == "(":
        at = _past_gap(text, _past_filter(text, at, depth + 1))
        count += 1
    if operator == "!" and count != 1:
        raise ValueError("is no LDAP filter: `!` negates exactly one filter in parentheses")
    if not count:
        raise ValueError(f"is no LDAP filter: `{operator}` joins filters in parentheses")
    return at


def _past_end(text: str, at: int) -> int:
    if text[at : at + 1] == ")":
        return at + 1
    if at >= len(text):
        raise ValueError("is no LDAP filter: a `)` is missing at its end")
    raise ValueError(
        f"is no LDAP filter: `{text[at : at + 20]}` stands where a `)` is expected; parentheses and"
        r" backslashes in a value are written `\28`, `\29` and `\5c`"
    )


def _past_gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return at if found is None else found.end()
