"""What the contract asks of a backend's tests, and the records that it works with."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from storage.base import Backend
from storage.collection import Collection
from storage.kinds import GRANTS, KEY_RINGS
from storage.records import Grant, KeyRing, RefreshState, RegisteredClient, SigningKey
from tests.kit.storage import AesSealer

Opener = Callable[[], AbstractAsyncContextManager[Backend]]
"""Opens a handle on the store of a test; closes it again."""

KEY = bytes(range(32))
ISSUER = "https://idp.example.org"
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Harness(Protocol):
    """One empty store per test."""

    @property
    def durable(self) -> bool:
        """Return whether the store outlives its process."""
        ...

    @property
    def elsewhere(self) -> Opener | None:
        """Return `open` for another process (it can be pickled); None if there is no other."""
        ...

    def open(self) -> AbstractAsyncContextManager[Backend]:
        """Open a handle on the store; several may be open at a time."""
        ...

    async def dump(self) -> bytes:
        """Return the store as a thief would find it, with all handles closed."""
        ...


def grants(backend: Backend, *, key: bytes = KEY, issuer: str = ISSUER) -> Collection[Grant]:
    """Return the grants of a store."""
    return Collection(backend=backend, kind=GRANTS, sealer=AesSealer(key), issuer=issuer)


def rings(backend: Backend, *, key: bytes = KEY, issuer: str = ISSUER) -> Collection[KeyRing]:
    """Return the key rings of a store."""
    return Collection(backend=backend, kind=KEY_RINGS, sealer=AesSealer(key), issuer=issuer)


def grant(name: str = "g1", **changes: Any) -> Grant:
    """Return a grant with something in every field, bar what happens to it after the login."""
    return replace(
        Grant(
            name=name,
            client_id="kubectl",
            connector_id="ldap",
            user_id="cn=jane",
            username="Jane Doe",
            preferred_username="jane",
            email="jane@example.org",
            email_verified=True,
            groups=("admins", "developers"),
            connector_data='{"dn": "cn=jane"}',
            scopes=("openid", "offline_access"),
            nonce="n-0S6",
            redirect_uri="http://localhost:8000",
            code_challenge="c" * 43,
            seed=bytes(range(200, 232)),
            created_at=NOW,
            authenticated_at=NOW - timedelta(seconds=1),
            code_expires_at=NOW + timedelta(seconds=60),
            expires_at=NOW + timedelta(days=30),
            claims=(("department", ("engineering", "research")), ("address.locality", ("Köln",))),
            asked_for_id_token=("department",),
            asked_for_userinfo=("address",),
        ),
        **changes,
    )


def registered_client(name: str = "c1", **changes: Any) -> RegisteredClient:
    """Return a client that registered itself."""
    metadata = {
        "client_name": "Wiki",
        "redirect_uris": ["https://wiki.example.org/cb", "https://wiki.example.org/other"],
        "token_endpoint_auth_method": "client_secret_basic",
    }
    client = RegisteredClient(
        name=name,
        metadata=json.dumps(metadata),
        secret_hash=bytes(range(32)),
        token_hash=bytes(range(32, 64)),
        issued_at=NOW,
    )
    return replace(client, **changes)


def signing_key(kid: str = "k1", **changes: Any) -> SigningKey:
    """Return a signing key that has only been announced."""
    key = SigningKey(
        kid=kid,
        alg="RS256",
        public_jwk='{"kty":"RSA"}',
        private_jwk='{"kty":"RSA","d":"secret"}',
        created_at=NOW,
    )
    return replace(key, **changes)


def ring(*keys: SigningKey, name: str = "ring") -> KeyRing:
    """Return a key ring."""
    return KeyRing(name=name, keys=keys)


def refreshed(record: Grant) -> Grant:
    """Return the grant one refresh later: the change that races count."""
    if record.refresh is None:
        return replace(record, refresh=RefreshState(generation=1, last_used_at=NOW))
    return replace(
        record, refresh=replace(record.refresh, generation=record.refresh.generation + 1)
    )


def generation(record: Grant) -> int:
    """Return how often `refreshed` was applied."""
    return record.refresh.generation if record.refresh else 0
