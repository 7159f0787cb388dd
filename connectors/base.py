"""The ports of a connector: what the provider asks of a source of users, and how it may answer.

A connector implements `PasswordConnector` or `RedirectConnector`, `Refreshable` when it can say
later whether a person it once signed in still exists, and `TellsClaims` when it knows more of
people than the fields of `Identity`. There is no base class: the ports are protocols, told apart by
`isinstance`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person as a connector knows them.

    `user_id` is the connector's own immutable id and never the name that was typed; together with
    the connector's id it becomes `sub`. `connector_data` is the connector's private note to itself
    for `refresh`; the provider stores it sealed and never reads it. `claims` is whatever else the
    connector knows, by the names of claims; `address.locality` is a member of `address`. One value
    is a text in a token, several are a list.
    """

    user_id: str
    username: str = ""
    preferred_username: str = ""
    email: str = ""
    email_verified: bool = False
    groups: tuple[str, ...] = ()
    connector_data: str = ""
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Where a redirect connector sends the browser, and what it wants to be reminded of."""

    url: str
    memory: str


@runtime_checkable
class PasswordConnector(Protocol):
    """A connector that checks a name and a password typed on our own page."""

    @property
    def username_prompt(self) -> str:
        """Return the label of the name field, for example "Email address"."""
        ...

    async def login(self, username: str, password: str) -> Identity:
        """Return who signs in.

        Raises BadCredentials for an unknown name and a wrong password alike, AccessRefused when the
        password was right but the person may not come in, ConnectorUnavailable when nobody can say.
        """
        ...


@runtime_checkable
class RedirectConnector(Protocol):
    """A connector that signs people in on somebody else's page."""

    async def depart(self, *, callback_uri: str, state: str) -> Departure:
        """Return the address to send the browser to. Raises ConnectorUnavailable."""
        ...

    async def arrive(self, *, parameters: Mapping[str, str], memory: str) -> Identity:
        """Return who came back with these callback parameters.

        Raises BadCredentials, AccessRefused or ConnectorUnavailable.
        """
        ...


@runtime_checkable
class Refreshable(Protocol):
    """A connector that can be asked again about a person, at every refresh."""

    async def refresh(self, identity: Identity) -> Identity:
        """Return the person as they are now. Raises IdentityGone or ConnectorUnavailable."""
        ...


@runtime_checkable
class Probed(Protocol):
    """A connector that can be asked whether its source of users answers."""

    async def probe(self) -> None:
        """Return if it does. Raises ConnectorUnavailable, whose text is told to administrators."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A connector that holds connections."""

    def close(self) -> None:
        """Take nothing more, and let go of connections as soon as nobody needs them.

        Whoever is being signed in at that moment is signed in to the end.
        """
        ...


@runtime_checkable
class TellsClaims(Protocol):
    """A connector that may say more of a person than an identity's own fields."""

    @property
    def claim_names(self) -> Collection[str]:
        """Return the names that `Identity.claims` may have now: discovery promises no others."""
        ...


Connector = PasswordConnector | RedirectConnector


class ConnectorError(Exception):
    """Base of everything a connector may raise; the text is for the log, not for a page."""


class BadCredentials(ConnectorError):
    """Unknown name, wrong password, or whatever else the source does not tell apart from them.

    `user_id` is that of the person whose password it was not, where the source knows. It is for
    counting tries, which one person's several names must not multiply; nobody is ever told.
    """

    def __init__(self, text: str = "", *, user_id: str = "") -> None:
        super().__init__(text)
        self.user_id = user_id


class AccessRefused(ConnectorError):
    """The credentials were right and the person still may not sign in."""


class AccountLocked(AccessRefused):
    """The credentials were right and an administrator has locked the account."""


class ConnectorUnavailable(ConnectorError):
    """The source of users cannot be asked just now; says nothing about the person."""


class IdentityGone(ConnectorError):
    """The person was deleted, disabled or replaced since they signed in."""
