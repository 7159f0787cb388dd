"""How names and filters of LDAP are written (RFC 4512, RFC 4515), checked before they are sent.

Texts of errors continue a sentence that begins with the value.
"""

import re

from connectors.ldap.config import DN
from connectors.ldap.filters import FilterRefused, is_attribute, written

_DESCRIPTION = r"(?:[A-Za-z][A-Za-z0-9_-]*|[0-9]+(?:\.[0-9]+)+)"
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
    if not is_attribute(text):
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
    """Return a filter unchanged (RFC 4515 section 3). Raises ValueError."""
    if not text.lstrip().startswith("("):
        raise ValueError(
            "is no LDAP filter; write it in parentheses, such as `(objectClass=person)`"
        )
    try:
        written(text)
    except FilterRefused as refused:
        raise ValueError(f"is no LDAP filter: {refused.problem}") from None
    return text
