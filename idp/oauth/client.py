"""What a client is: an application that people sign in to, or that signs in itself.

Everything an operator can say of one client is here as a value; what is not said is the provider's
own default, so that a client of name, secret and addresses is what it always was.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

AuthMethod = Literal["", "none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
"""`token_endpoint_auth_method` (OIDC Core section 9). "" is a secret, sent either way, or none."""

PRIVATE_KEY_JWT: Final = "private_key_jwt"

OfflineAccess = Literal["requested", "always", "never"]
"""Whether a login may be renewed: if `offline_access` is asked for, as if it was, or not at all."""

NO_END: Final = timedelta.max
"""The lifetime of a refresh token that never runs out."""

IdTokenClaims = Literal["all", "minimal"]
"""Whether claims of scopes are in the ID token as well as at userinfo, or at userinfo only."""


def secret_hash(secret: str) -> bytes:
    """Return what is kept of a client secret.

    SHA-256 is enough for secrets of 256 random bits, and keeps a slow password hash out of every
    token request. What a person chose as a secret is no weaker for it in memory.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a client may use; an empty set means whatever the provider has, as with Dex.

    `audiences` are ids of other clients; each of them must trust this one besides.
    """

    connectors: frozenset[str] = frozenset()
    grant_types: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    response_types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """How a client's tokens are made. None is the provider's default, "" its first algorithm.

    `userinfo_alg` is what its userinfo answers are signed with, "" for plain JSON. `refresh_idle`
    and `refresh_absolute` may be NO_END. `ends_with_session` is Dex's
    `refreshTokenLifetime: session`.
    """

    id_token_lifetime: timedelta | None = None
    access_token_lifetime: timedelta | None = None
    refresh_idle: timedelta | None = None
    refresh_absolute: timedelta | None = None
    id_token_alg: str = ""
    userinfo_alg: str = ""
    offline_access: OfflineAccess = "requested"
    ends_with_session: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutRules:
    """Where people and notices go when a session ends; "" is nowhere.

    OIDC RP-Initiated, Back-Channel and Front-Channel Logout, section 2 of each.
    """

    redirect_uris: tuple[str, ...] = ()
    backchannel_uri: str = ""
    backchannel_session_required: bool = False
    frontchannel_uri: str = ""
    frontchannel_session_required: bool = False

    @property
    def wants_notice(self) -> bool:
        """Return whether the client wants to be told when a session ends."""
        return bool(self.backchannel_uri or self.frontchannel_uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeys:
    """The public keys that a client signs with: JSON of a key set, or where it is; "" is none.

    `auth_alg` is what assertions are signed with, "" any algorithm that is served.
    """

    jwks: str = ""
    jwks_uri: str = ""
    auth_alg: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestObjectRules:
    """What a client's request objects must be (RFC 9101). "" is any algorithm that is served."""

    request_uris: tuple[str, ...] = ()
    signing_alg: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLinks:
    """What people are shown of a client, and where it wants logins to begin; "" is nothing."""

    logo_uri: str = ""
    tos_uri: str = ""
    policy_uri: str = ""
    initiate_login_uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """What a client is told of people: `idTokenClaims`, `groupsFilter`, `groupsPrefix`.

    `groups_filter` are names of groups, or beginnings of names with a `*` behind; none lets every
    group through. `groups_prefix` is put before the name of each group that is told.
    """

    id_token_claims: IdTokenClaims = "all"  # noqa: S105 - which claims, and no token
    groups_filter: tuple[str, ...] = ()
    groups_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client.

    `secret_hashes` has two entries while a secret is being replaced. `pkce_required` and
    `sso_shared_with` are None for the provider's default; the latter may hold "*", for everybody. A
    `disabled` client is in no mapping that requests look into. `default_max_age` is for requests
    that say none, in seconds. A client that `registered_itself` is known to no operator: nobody has
    checked its name, and people are asked before it learns theirs.
    """

    id: str
    name: str
    secret_hashes: tuple[bytes, ...] = field(default=(), repr=False)
    auth_method: AuthMethod = ""
    keys: ClientKeys = ClientKeys()
    redirect_uris: tuple[str, ...] = ()
    trusted_peers: frozenset[str] = frozenset()
    credentials_groups: tuple[str, ...] = ()
    disabled: bool = False
    allowed: Allowed = Allowed()
    claims: ClaimRules = ClaimRules()
    tokens: TokenRules = TokenRules()
    pkce_required: bool | None = None
    default_max_age: int | None = None
    skip_approval: bool = False
    sso_shared_with: frozenset[str] | None = None
    logout: LogoutRules = LogoutRules()
    request_objects: RequestObjectRules = RequestObjectRules()
    links: ClientLinks = ClientLinks()
    registered_itself: bool = False

    @property
    def is_public(self) -> bool:
        """Return whether the client cannot prove who it is (RFC 6749 section 2.1)."""
        return not self.secret_hashes and self.auth_method != PRIVATE_KEY_JWT


Clients = Mapping[str, Client]
"""All clients by id that are served."""


NO_RULES: Final = TokenRules()
"""Of a client of which nothing is said."""


def without_rules(_: str) -> TokenRules:
    """Return the rules of a client of which nothing is said."""
    return NO_RULES


def token_rules(clients: Clients) -> Callable[[str], TokenRules]:
    """Return what looks up the rules of a client by its id; one that is gone has none."""

    def rules(client_id: str) -> TokenRules:
        client = clients.get(client_id)
        return NO_RULES if client is None else client.tokens

    return rules


def served(clients: Iterable[Client]) -> dict[str, Client]:
    """Return those that are not switched off, by id."""
    return {client.id: client for client in clients if not client.disabled}
