"""Registering, reading, replacing and removing a client (RFC 7591 section 3, RFC 7592 section 2).

A registration costs one write. Reading it back costs a look, changing or removing it one more
write; a wrong registration access token costs nothing, as the hash of the right one is in memory.
"""

import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from idp.clock import Clock, epoch_seconds
from idp.grants.base import key_is_away
from idp.grants.lookup import LookupBudget
from idp.keys import base64url
from idp.log import AuditLog
from idp.oauth.client import secret_hash
from idp.oauth.errors import InvalidRequest, InvalidToken, TooManyAttempts
from idp.registration.clients import members_of, needs_secret
from idp.registration.live import RegisteredClients
from idp.registration.metadata import Members, RegistrationTerms, read_metadata
from storage.base import NotFound, SealUnknown, Unreadable
from storage.collection import Collection, Stored, log_unreadable
from storage.records import RegisteredClient

TOKEN_PREFIX: Final = "kia_"  # noqa: S105 - what registration access tokens begin with
_CLIENT_ID = re.compile(r"[0-9a-f]{32}")
_FULL: Final = timedelta(hours=1)
_OURS: Final = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
"""What a client may not send back when it replaces its registration (RFC 7592 section 2.2)."""


def _no_entry() -> InvalidToken:
    """Return the one answer to unknown client, foreign token and wrong token."""
    return InvalidToken(
        "The registration access token is not this client's, or the client is gone."
    )


def _matches(text: str, digest: bytes) -> bool:
    return bool(digest) and hmac.compare_digest(secret_hash(text), digest)


@dataclass(slots=True)
class Cap:
    """How many clients there may be, counting those that this process is writing.

    Of several replicas each knows what it heard of: in one second there may be a few too many.
    """

    most: int
    pending: int = 0

    @contextmanager
    def place(self, taken: int) -> Iterator[None]:
        """Keep a place while a client is written. Raises TooManyAttempts when there is none."""
        if taken + self.pending >= self.most:
            raise TooManyAttempts(
                "This provider has as many registered clients as its operator allows. Ask the"
                " operator to remove some.",
                _FULL,
            )
        self.pending += 1
        try:
            yield
        finally:
            self.pending -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """The registrations of clients. `address` is where the endpoint is.

    `budget` pays for looking a client up that this process has not heard of.
    """

    collection: Collection[RegisteredClient]
    live: RegisteredClients
    terms: RegistrationTerms
    address: str
    cap: Cap
    budget: LookupBudget
    random: Callable[[int], bytes]
    clock: Clock
    audit: AuditLog

    async def register(self, sent: Mapping[str, Any]) -> Members:
        """Store a new client and return its answer, with the secret that is never shown again.

        Raises InvalidRedirectUri, InvalidClientMetadata and their like, TooManyAttempts when there
        are as many as may be, StorageUnavailable.
        """
        members = read_metadata(sent, self.terms)
        name, token = self.random(16).hex(), TOKEN_PREFIX + self._secret()
        secret = self._secret() if needs_secret(members) else ""
        record = RegisteredClient(
            name=name,
            metadata=_written(members),
            secret_hash=secret_hash(secret) if secret else b"",
            token_hash=secret_hash(token),
            issued_at=self.clock(),
        )
        with self.cap.place(len(self.live.names)):
            await self.collection.create(record)
            self.live.put(record)
        self.audit("client_registered", client=name)
        return self._answer(record, token, secret)

    async def read(self, client_id: str, token: str) -> Members:
        """Return what a client is registered with. Raises InvalidToken, StorageUnavailable."""
        stored = await self._authorized(client_id, token)
        return self._answer(stored.record, token, "")

    async def replace(self, client_id: str, token: str, sent: Mapping[str, Any]) -> Members:
        """Register a client anew under its id: what is not sent is its default again.

        A secret is made when one is needed and there is none, and told once. Raises as `register`,
        InvalidToken, and InvalidRequest for what is not the client's to choose.
        """
        stored = await self._authorized(client_id, token)
        members = read_metadata(_own_members(stored.record, sent), self.terms)
        fresh = self._secret() if needs_secret(members) else ""

        def change(record: RegisteredClient) -> RegisteredClient:
            kept = record.secret_hash or (secret_hash(fresh) if fresh else b"")
            digest = kept if fresh else b""
            return replace(record, metadata=_written(members), secret_hash=digest)

        try:
            updated = await self.collection.update(stored, change)
        except NotFound:
            raise _no_entry() from None
        self.live.put(updated.record)
        self.audit("client_changed", client=client_id)
        secret = fresh if fresh and _matches(fresh, updated.record.secret_hash) else ""
        return self._answer(updated.record, token, secret)

    async def remove(self, client_id: str, token: str) -> None:
        """End a client, and with it all that it has. Raises InvalidToken, StorageUnavailable."""
        await self._authorized(client_id, token)
        try:
            await self.collection.delete(client_id)
        except NotFound:
            raise _no_entry() from None
        self.live.drop(client_id)
        self.audit("client_removed", client=client_id)

    async def _authorized(self, client_id: str, token: str) -> Stored[RegisteredClient]:
        """Return the newest record of a client whose token was shown (RFC 7592 section 2)."""
        if _CLIENT_ID.fullmatch(client_id) is None or not token.startswith(TOKEN_PREFIX):
            raise _no_entry()
        known = self.live.record(client_id)
        if known is None:
            return await self._looked_up(client_id, token)
        if not _matches(token, known.token_hash):
            raise _no_entry()
        return await self._stored(client_id, token)

    async def _looked_up(self, client_id: str, token: str) -> Stored[RegisteredClient]:
        """Return a client that was registered elsewhere a moment ago, if it was."""
        attempt = self.budget()
        try:
            stored = await self._stored(client_id, token)
        except InvalidToken:
            attempt.failed()
            raise
        except BaseException:
            attempt.unknown()
            raise
        attempt.succeeded()
        return stored

    async def _stored(self, client_id: str, token: str) -> Stored[RegisteredClient]:
        try:
            stored = await self.collection.get(client_id)
        except SealUnknown as error:
            raise key_is_away(error) from error
        except Unreadable as error:
            log_unreadable(error)
            raise _no_entry() from None
        except NotFound:
            raise _no_entry() from None
        if not _matches(token, stored.record.token_hash):
            raise _no_entry()
        return stored

    def _secret(self) -> str:
        return base64url.encode(self.random(32))

    def _answer(self, record: RegisteredClient, token: str, secret: str) -> Members:
        """Return the answer of RFC 7591 section 3.2.1; a secret is in it only when it is new."""
        answer: Members = {
            "client_id": record.name,
            "client_id_issued_at": epoch_seconds(record.issued_at),
            "registration_access_token": token,
            "registration_client_uri": f"{self.address}/{record.name}",
            **members_of(record),
        }
        if secret:
            answer |= {"client_secret": secret, "client_secret_expires_at": 0}
        return answer


def _own_members(record: RegisteredClient, sent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a client says of itself in a replacement. Raises InvalidRequest."""
    for name in _OURS:
        if name in sent:
            raise InvalidRequest(f"{name} is not the client's to send (RFC 7592 section 2.2).")
    if sent.get("client_id") != record.name:
        raise InvalidRequest("client_id must be sent, and be the one of this registration.")
    secret = sent.get("client_secret")
    if secret is not None and not (
        isinstance(secret, str) and _matches(secret, record.secret_hash)
    ):
        raise InvalidRequest("client_secret is not the one that was issued. Leave it out.")
    return {name: sent[name] for name in sent if name not in ("client_id", "client_secret")}


def _written(members: Members) -> str:
    return json.dumps(members, separators=(",", ":"), sort_keys=True)
