"""What an LDAP connector is told: plain values, read and checked by whoever takes them from people.

The meaning of every value is that of Dex's key of the same name, where Dex has one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Security = Literal["ldaps", "starttls", "plain"]
"""TLS from the first byte, TLS before anything is said, or none."""

Scope = Literal["sub", "one"]
"""The whole tree below a base DN, or only the entries right below it."""

DN = "DN"
"""The name of an attribute that means the entry's own name; every entry has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One server of the directory. Several say the same and stand in for each other, in order."""

    name: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose certificates count, and which one we show. PEM data wins over a file.

    Neither means the system's authorities. Files are read again for each new connection. With
    `skips_verification` nothing is checked, which an operator must have asked for in so many words.
    """

    ca_file: str = ""
    ca_data: str = ""
    certificate_file: str = ""
    key_file: str = ""
    certificate_data: str = field(default="", repr=False)
    key_data: str = field(default="", repr=False)
    skips_verification: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSearch:
    """Where people are, by which attributes they sign in, and which attributes tell of them.

    `filter` is an LDAP filter (RFC 4515) that must hold besides, "" for none. An attribute that is
    "" is not asked for; one that is named must be there. `email_suffix` makes the address of the
    mapped name instead of an attribute. `claims` are further claims by name, each from an
    attribute, and may be missing on an entry.
    """

    base_dn: str
    filter: str = ""
    scope: Scope = "sub"
    username_attrs: tuple[str, ...]
    id_attr: str = "uid"
    email_attr: str = "mail"
    name_attr: str = ""
    preferred_username_attr: str = ""
    email_suffix: str = ""
    claims: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMatcher:
    """A group has a person whose `user_attr` stands in its `group_attr`.

    With `recursion_group_attr`, a group also has the members of groups whose DN stands in that
    attribute of it.
    """

    user_attr: str
    group_attr: str
    recursion_group_attr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSearch:
    """Where groups are, and which attribute names them in tokens."""

    base_dn: str
    filter: str = ""
    scope: Scope = "sub"
    name_attr: str
    matchers: tuple[UserMatcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapConfig:
    """One directory. `bind_password` is read at each bind, so that a new password counts at once.

    `bind_password` raises OSError or ValueError, with a text for the operator, where there is
    nothing to read. An empty `bind_dn` means that searches are anonymous. Without `group_search`
    nobody has groups.
    """

    hosts: tuple[Host, ...]
    security: Security = "ldaps"
    trust: Trust = field(default_factory=Trust)
    bind_dn: str = ""
    bind_password: Callable[[], str] = field(default=str, repr=False)
    username_prompt: str = "Username"
    user_search: UserSearch
    group_search: GroupSearch | None = None
