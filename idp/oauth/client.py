"""What a client is: an application that people sign in to, or that signs in itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


def secret_hash(secret: str) -> bytes:
    """Return what is kept of a client secret.

    SHA-256 is enough for secrets of 256 random bits, and keeps a slow password hash out of every
    token request. What a person chose as a secret is no weaker for it in memory.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client. `secret_hashes` is empty for a public client, and only for one."""

    id: str
    name: str
    secret_hashes: tuple[bytes, ...] = field(default=(), repr=False)
    redirect_uris: tuple[str, ...] = ()
    trusted_peers: frozenset[str] = frozenset()
    credentials_groups: tuple[str, ...] = ()

    @property
    def is_public(self) -> bool:
        """Return whether the client cannot keep a secret (RFC 6749 section 2.1)."""
        return not self.secret_hashes


Clients = Mapping[str, Client]
"""All clients by id."""
