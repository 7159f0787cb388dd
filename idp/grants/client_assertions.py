"""Client authentication by assertion: signature, claims, and that it is used once.

That is known on every replica by a record that is created if it is absent: one write, made only for
a client that has proved to hold its key.
"""

import logging
from collections.abc import Collection as Texts
from dataclasses import dataclass
from hashlib import sha256

from idp.clock import Clock
from idp.grants.base import retry_after
from idp.keys.client_jwt import ClientJwt
from idp.keys.client_keys import CLIENT_ALGORITHMS
from idp.keys.client_signatures import ClientSignatures
from idp.keys.compact import read_compact
from idp.keys.errors import TokenInvalid
from idp.keys.remote_key_sets import KeySetUnavailable
from idp.log import AuditLog, log_event
from idp.oauth.client import PRIVATE_KEY_JWT, Client, Clients
from idp.oauth.client_assertion import (
    ClientAssertion,
    GoodAssertion,
    check_assertion,
    client_id_in,
)
from idp.oauth.client_auth import refusal
from idp.oauth.errors import InvalidClient, TemporarilyUnavailable
from storage.base import AlreadyExists, StorageUnavailable
from storage.collection import Collection
from storage.records import UsedAssertion

_log = logging.getLogger("idp.grants")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAssertions:
    """Proves clients by what they sign. `audiences` are the issuer and its token endpoint."""

    clients: Clients
    signatures: ClientSignatures
    used: Collection[UsedAssertion]
    audiences: Texts[str]
    clock: Clock
    audit: AuditLog

    async def prove(self, presented: ClientAssertion) -> Client:
        """Return the client that made an assertion.

        Raises InvalidClient, and TemporarilyUnavailable while nobody can tell whether the assertion
        was used before.
        """
        client = self._claimed(presented)
        if client is None:
            self.audit("client_authentication_failed", client="unknown")
            raise refusal()
        try:
            await self._check(presented.text, client)
        except InvalidClient:
            self.audit("client_authentication_failed", client=client.id)
            raise
        return client

    async def _check(self, text: str, client: Client) -> None:
        jwt = await self._signed(text, client)
        good = check_assertion(
            jwt.header,
            jwt.claims,
            client_id=client.id,
            audiences=self.audiences,
            now=self.clock(),
        )
        await self._use(client, good)

    def _claimed(self, presented: ClientAssertion) -> Client | None:
        """Return the client that an assertion speaks of, which is nothing proved yet."""
        try:
            client_id = client_id_in(read_compact(presented.text).payload)
        except TokenInvalid:
            return None
        client = self.clients.get(client_id)
        if client is None or client.auth_method != PRIVATE_KEY_JWT:
            return None
        return client if presented.client_id in (None, client_id) else None

    async def _signed(self, text: str, client: Client) -> ClientJwt:
        algorithms = (client.keys.auth_alg,) if client.keys.auth_alg else CLIENT_ALGORITHMS
        try:
            return await self.signatures.read(text, client, algorithms=algorithms)
        except TokenInvalid:
            raise refusal() from None
        except KeySetUnavailable as error:
            # What the provider can reach is for its operator to know, and not for whoever asks.
            log_event(
                _log,
                logging.WARNING,
                "client_keys_unavailable",
                client=client.id,
                problem=str(error),
            )
            raise refusal() from None

    async def _use(self, client: Client, good: GoodAssertion) -> None:
        record = UsedAssertion(
            name=_name(client.id, good.jti), client_id=client.id, expires_at=good.expires_at
        )
        try:
            await self.used.create(record)
        except AlreadyExists:
            raise InvalidClient("The assertion was used before. Make another one.") from None
        except StorageUnavailable as error:
            raise TemporarilyUnavailable(
                "The provider's store does not answer. Make another assertion and try again.",
                retry_after(error),
            ) from error


def _name(client_id: str, jti: str) -> str:
    """Return the name of the record of an assertion: the same for the same one, on any replica."""
    digest = sha256(f"{len(client_id)}:{client_id}{jti}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
