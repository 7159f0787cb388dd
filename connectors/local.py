"""The connector for the users that the provider itself lists, known by their e-mail address.

Dex calls it its password database; what it says of a person is what Dex says, so that tokens keep
their claims.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from connectors.base import AccountLocked, BadCredentials, Identity, IdentityGone
from connectors.passwords import dummy_hash_like, hash_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalUser:
    """One person, from `staticPasswords` or an object. `name` stands before `username` in claims.

    `claims` is what else is said of them, as `Identity` has it. Nobody gets in who is `locked`.
    """

    email: str
    password_hash: str = field(repr=False)
    user_id: str
    username: str = ""
    name: str = ""
    preferred_username: str = ""
    email_verified: bool = True
    groups: tuple[str, ...] = ()
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()
    locked: bool = False


@dataclass(frozen=True, slots=True)
class LocalUsers:
    """All local users of one moment, ready to be looked up, never changed.

    Made with `of`; with `indexed` by who keeps the indexes and has checked every user.
    """

    _by_email: dict[str, LocalUser]
    _by_user_id: dict[str, LocalUser]
    _canonical: Callable[[str], str]
    dummy_hash: str = field(repr=False)
    claim_names: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        users: Iterable[LocalUser],
        *,
        canonical: Callable[[str], str],
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> Self:
        """Index users by the canonical form of their e-mail address and by their id.

        `canonical` raises ValueError for what can be nobody's name. Raises ValueError when an
        address or an id is missing or belongs to two users, and UnusableHash, which is one.
        """
        by_email: dict[str, LocalUser] = {}
        by_user_id: dict[str, LocalUser] = {}
        for user in users:
            name = _checked(user, canonical)
            if name in by_email:
                raise ValueError(f"two local users have the e-mail address {user.email!r}")
            if user.user_id in by_user_id:
                raise ValueError(
                    f"{by_user_id[user.user_id].email!r} and {user.email!r} have the same user id: "
                    "no client could tell them apart; give one of them another"
                )
            by_email[name] = by_user_id[user.user_id] = user
        dummy_hash = dummy_hash_like((u.password_hash for u in by_email.values()), random=random)
        names = frozenset(name for user in by_email.values() for name, _ in user.claims)
        return cls(by_email, by_user_id, canonical, dummy_hash, names)

    @classmethod
    def indexed(
        cls,
        *,
        by_email: dict[str, LocalUser],
        by_user_id: dict[str, LocalUser],
        canonical: Callable[[str], str],
        dummy_hash: str,
        claim_names: frozenset[str],
    ) -> Self:
        """Take indexes as they are: the canonical addresses and the ids of the same users.

        `claim_names` are all names of their claims.
        """
        return cls(by_email, by_user_id, canonical, dummy_hash, claim_names)

    def with_email(self, email: str) -> LocalUser | None:
        """Return the user who has this address, however it is written."""
        try:
            return self._by_email.get(self._canonical(email))
        except ValueError:
            return None

    def with_user_id(self, user_id: str) -> LocalUser | None:
        """Return the user who has this id."""
        return self._by_user_id.get(user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalConnector:
    """Signs in local users; `users` is asked anew each time, so that a changed list counts at once.

    `verify` is `PasswordHasher.verify` or one like it.
    """

    users: Callable[[], LocalUsers]
    verify: Callable[[str, str], Awaitable[None]]

    @property
    def username_prompt(self) -> str:
        """Return the label of the name field."""
        return "Email address"

    @property
    def claim_names(self) -> frozenset[str]:
        """Return what may be said of some user beyond the fields of an identity."""
        return self.users().claim_names

    async def login(self, username: str, password: str) -> Identity:
        """Return who signs in. An unknown address costs the same hash as a known one.

        That an account is locked is told only to who knows its password. Raises BadCredentials,
        AccountLocked, ConnectorUnavailable when too many are signing in.
        """
        users = self.users()
        user = users.with_email(username)
        await self.verify(password, users.dummy_hash if user is None else user.password_hash)
        if user is None:
            raise BadCredentials("no local user has this e-mail address")
        if user.locked:
            raise AccountLocked("the local user is locked")
        return _identity(user)

    async def refresh(self, identity: Identity) -> Identity:
        """Return the person as the list has them now, found by their id.

        Raises IdentityGone when the id is no longer there, also if somebody else has the address,
        and when the person is locked.
        """
        user = self.users().with_user_id(identity.user_id)
        if user is None:
            raise IdentityGone("no local user has this id any more")
        if user.locked:
            raise IdentityGone("the local user is locked")
        return _identity(user)


def _checked(user: LocalUser, canonical: Callable[[str], str]) -> str:
    hash_kind(user.password_hash)
    if not user.user_id:
        raise ValueError(f"the local user {user.email!r} has no user id")
    try:
        return canonical(user.email)
    except ValueError as refusal:
        raise ValueError(f"{user.email!r} is no address to sign in with: {refusal}") from refusal


def _identity(user: LocalUser) -> Identity:
    return Identity(
        user_id=user.user_id,
        username=user.name or user.username,
        preferred_username=user.preferred_username,
        email=user.email,
        email_verified=user.email_verified,
        groups=user.groups,
        claims=user.claims,
    )
