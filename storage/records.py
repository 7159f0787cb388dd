"""The records that the provider keeps, as values.

A record is immutable; a change is a new value. Fields that this version does not know stay in
`unknown` and are written back as they came, so that versions of the server can run side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One signing key and where it stands in its life.

    It is announced when created, signs from `signs_from` until `retired_at`, and leaves the
    published set at `drops_at`. `private_jwk` is JSON text, empty once the key has retired.
    """

    kid: str
    alg: str
    public_jwk: str
    private_jwk: str = field(repr=False)
    created_at: datetime
    signs_from: datetime | None = None
    retired_at: datetime | None = None
    drops_at: datetime | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedKey:
    """A signing key that an emergency removed; until `until` no older ring brings it back."""

    kid: str
    until: datetime
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealing:
    """Sealing everything anew, on its way.

    `request` is what asked for it. `clean_at` is since when nothing is left that an older key
    sealed, None while something is.
    """

    request: str
    begun_at: datetime
    clean_at: datetime | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """All signing keys of an issuer in one record, so that a rotation is one conditional write.

    `revision` grows with every write, so that an older ring from a backup is known as such.
    `rotates_at` is when the next key is planned to sign. `answered_rotate` and `answered_reseal`
    are the last requests of people that were carried out.
    """

    name: str
    keys: tuple[SigningKey, ...]
    revision: int = 0
    rotates_at: datetime | None = None
    revoked: tuple[RevokedKey, ...] = ()
    answered_rotate: str = ""
    answered_reseal: str = ""
    resealing: Resealing | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshState:
    """The refresh token of a grant.

    `generation` is the only one that may still be spent. `spent` lists, oldest first, pairs of the
    second (since 1970) at which generations were spent and the highest one spent in that second;
    pairs older than the grace window are dropped when the next one is added. `ends_at` is when the
    session ends that the token must not outlive, None where it may.
    """

    generation: int
    last_used_at: datetime
    spent: tuple[tuple[int, int], ...] = ()
    ends_at: datetime | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """The single sign-on of one browser, kept in the grant that began it.

    `authenticated_at`, `acr` and `amr` are of the last time that the person proved who they are,
    and `clients` those for which they did. Of the references that were handed to the browser only
    that of `generation` counts. `ended_at` marks a session that was ended before `ends_at`.
    """

    authenticated_at: datetime
    ends_at: datetime
    clients: tuple[str, ...]
    acr: str = ""
    amr: tuple[str, ...] = ()
    generation: int = 1
    ended_at: datetime | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One login of one person with one client on one device: code, claims and refresh token.

    The seed never leaves the sealed part: the code and every refresh token are computed from it, so
    none of them is stored. `expires_at` is when the record may be swept away. `ended_at` marks a
    revoked grant, which stays as a tombstone until then. `claims` is what the connector said of the
    person besides, as pairs of a claim's name and its values; the client asked for the claims in
    `asked_for_id_token` and `asked_for_userinfo` by name, whatever the scopes.

    `session` names the grant that began the browser's session, "" where there is none; that grant
    has the `session_state`. `acr` and `amr` say how the person signed in (OIDC Core section 2), and
    `device` with what, in words such as "Firefox on Linux", "" where nobody knows.
    """

    name: str
    client_id: str
    connector_id: str
    user_id: str
    username: str
    preferred_username: str
    email: str
    email_verified: bool
    groups: tuple[str, ...]
    connector_data: str = field(repr=False)
    scopes: tuple[str, ...]
    nonce: str
    redirect_uri: str
    code_challenge: str
    seed: bytes = field(repr=False)
    created_at: datetime
    authenticated_at: datetime
    code_expires_at: datetime
    expires_at: datetime
    code_spent_at: datetime | None = None
    refresh: RefreshState | None = None
    ended_at: datetime | None = None
    session: str = ""
    session_state: SessionState | None = None
    acr: str = ""
    amr: tuple[str, ...] = ()
    device: str = ""
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()
    asked_for_id_token: tuple[str, ...] = ()
    asked_for_userinfo: tuple[str, ...] = ()
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedAssertion:
    """That a client has used an assertion, which it may once. The name stands for client and `jti`.

    Nobody reads it: that it is there is all. After `expires_at` the assertion is worth nothing, and
    the record may be swept away.
    """

    name: str
    client_id: str
    expires_at: datetime
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What one person allowed one client, once and for all.

    `scopes` are those of the request, audiences among them, and `claims` those asked for by name.
    """

    client_id: str
    scopes: tuple[str, ...]
    claims: tuple[str, ...] = ()
    granted_at: datetime
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserState:
    """What is kept of one person of one connector, whatever they are signed in to.

    It is made with their first consent. `user` is a name for those who read lists. An administrator
    may have written more into the columns: who is locked, and since when logins count.
    """

    name: str
    connector_id: str
    user_id: str
    user: str = ""
    consents: tuple[Consent, ...] = ()
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClient:
    """A client that registered itself; its name is the client id.

    `metadata` is JSON text of what it is registered with (RFC 7591 section 2). Of its secret and of
    the token that it changes its registration with there are hashes only; `secret_hash` is empty
    for a client without a secret.
    """

    name: str
    metadata: str
    secret_hash: bytes = field(repr=False)
    token_hash: bytes = field(repr=False)
    issued_at: datetime
    unknown: Mapping[str, Any] = field(default_factory=dict)
