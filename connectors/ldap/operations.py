"""What is asked of a directory and what it answers, as values without a trace of a library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from connectors.ldap.config import DN
from connectors.ldap.filters import ANYTHING, Filter

SearchScope = Literal["base", "one", "sub"]
"""The base entry alone, those right below it, or itself and all below it."""

NO_ATTRIBUTES = "1.1"
"""Asks for entries without attributes (RFC 4511 section 4.5.1.8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search. With a `page_size` it is asked for in pages; `most` is the size limit, 0 none."""

    base_dn: str
    scope: SearchScope
    filter: Filter = ANYTHING
    attributes: tuple[str, ...] = (NO_ATTRIBUTES,)
    most: int = 0
    page_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry: attributes by their names in lower case, values as they are."""

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]]

    def values(self, attribute: str) -> tuple[bytes, ...]:
        """Return the values of an attribute; of `DN`, the entry's own name."""
        if attribute == DN:
            return (self.dn.encode(),)
        return self.attributes.get(attribute.lower(), ())

    def first(self, attribute: str) -> bytes:
        """Return the first value of an attribute, empty when there is none."""
        values = self.values(attribute)
        return values[0] if values else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPolicy:
    """What a server says of a password beside the result (draft-behera-ldap-password-policy-10).

    `error` is 0 for an expired password, 1 for a locked account, 2 for a password that has to be
    changed first; `grace` counts the logins left with an expired password, and `expires_in` the
    seconds left of one that is not. None is nothing said.
    """

    error: int | None = None
    grace: int | None = None
    expires_in: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an operation ended: a result code of RFC 4511 appendix A and the server's own words."""

    code: int
    name: str
    diagnostic: str = ""
    policy: PasswordPolicy = field(default_factory=PasswordPolicy)
    cookie: bytes = b""

    def __str__(self) -> str:
        """Return code, name and diagnostic message."""
        said = f": {self.diagnostic}" if self.diagnostic else ""
        return f"result {self.code} ({self.name}){said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The answer to a search: entries, how it ended, how many references elsewhere it had.

    `size` counts the bytes of the answer.
    """

    entries: tuple[Entry, ...]
    result: Result
    references: int = 0
    size: int = 0
