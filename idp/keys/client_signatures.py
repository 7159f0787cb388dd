"""What clients sign, checked with the keys that they registered, wherever those are."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from idp.keys.client_jwt import ClientJwt, read_client_jwt
from idp.keys.client_keys import ClientKey, read_key_set
from idp.keys.compact import read_compact
from idp.keys.errors import TokenKeyUnknown, TokenSignatureBad
from idp.keys.remote_key_sets import RemoteKeySets
from idp.oauth.client import Client


@dataclass(frozen=True, slots=True)
class ClientSignatures:
    """Reads JWTs of clients: assertions, request objects."""

    remote: RemoteKeySets

    async def read(self, text: str, client: Client, *, algorithms: Collection[str]) -> ClientJwt:
        """Return the content of a JWT that the client signed.

        Raises TokenInvalid, and KeySetUnavailable where the client's keys cannot be fetched.
        Nothing is fetched for a text that no key could have signed.
        """
        if client.keys.jwks:
            return read_client_jwt(text, _inline(client.keys.jwks), algorithms=algorithms)
        if not client.keys.jwks_uri:
            raise TokenKeyUnknown("the client has no registered keys")
        if read_compact(text).alg not in algorithms:
            raise TokenSignatureBad
        keys = await self.remote.keys(client.keys.jwks_uri)
        try:
            return read_client_jwt(text, keys, algorithms=algorithms)
        except (TokenKeyUnknown, TokenSignatureBad):
            newer = await self.remote.newer_keys(client.keys.jwks_uri)
            if newer is keys:
                raise
        return read_client_jwt(text, newer, algorithms=algorithms)


@lru_cache(maxsize=256)
def _inline(jwks: str) -> tuple[ClientKey, ...]:
    return read_key_set(jwks)
