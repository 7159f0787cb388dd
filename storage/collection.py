"""Records over documents: written once, the same for every backend.

Here records are encoded, sealed and changed conditionally. A sealed body opens only in the same
place, as the same kind, under the same name and for the same issuer, so that a document that was
copied, swapped or edited is refused instead of believed.
"""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Generic, TypeVar

from storage.base import (
    Backend,
    Change,
    Conflict,
    Document,
    Sealer,
    SealKeyUnknown,
    SealUnknown,
    StorageError,
    StorageUnavailable,
    Unreadable,
)
from storage.fields import column_time
from storage.kinds import Kind, Record

R = TypeVar("R", bound=Record)

UPDATE_DEADLINE_SECONDS = 3.0
LAST_CALL_SECONDS = 0.4
"""For what is under way at the deadline, or a last look whether a write was done after all."""

FIRST_WINDOW_SECONDS = 0.01
WIDEST_WINDOW_SECONDS = 0.32

_ENCODER = json.JSONEncoder(separators=(",", ":"))

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])?")

_log = logging.getLogger("storage")


def log_unreadable(error: Unreadable) -> None:
    """Name a record that does not open in the log."""
    _log.error("record_unreadable", extra={"problem": str(error)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Generic[R]):
    """A record as it was read: with the version it had and the columns that were shown for it."""

    record: R
    version: str
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection(Generic[R]):
    """The records of one kind.

    Everything but the first four fields is handed in for tests. `on_unreadable` hears of records
    that `scan` had to leave out. Every method raises StorageUnavailable when the store cannot be
    asked, and ValueError for a name that no store could hold.
    """

    backend: Backend
    kind: Kind[R]
    sealer: Sealer
    issuer: str
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    random_bytes: Callable[[int], bytes] = secrets.token_bytes
    on_unreadable: Callable[[Unreadable], None] = log_unreadable

    async def get(self, name: str) -> Stored[R]:
        """Return the newest version. Raises NotFound, or Unreadable when it does not open."""
        return self._open(await self.backend.read(self.kind.name, _checked(name)))

    async def create(self, record: R) -> Stored[R]:
        """Store a new record; of several callers one wins. Raises AlreadyExists."""
        document = self._seal(record, columns={}, version="")
        stored = await self.backend.create(self.kind.name, document)
        return Stored(record=record, version=stored.version, columns=stored.columns)

    async def update(self, stored: Stored[R], change: Callable[[R], R]) -> Stored[R]:
        """Return the record after `change`, which may run again on what others wrote meanwhile.

        The first attempt works on `stored` without reading it again. When `change` returns the
        record it was given, nothing is written; what it raises passes through. A write whose answer
        was lost is looked for, and is a success if it is there. Raises NotFound, and
        StorageUnavailable when others were quicker, or the store slow, for three seconds.
        """
        give_up_at = self.monotonic() + UPDATE_DEADLINE_SECONDS
        deadline = asyncio.timeout(UPDATE_DEADLINE_SECONDS + LAST_CALL_SECONDS)
        try:
            async with deadline:
                return await self._update(stored, change, give_up_at)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise StorageUnavailable(
                f"{self.kind.name}/{stored.record.name}: the store took longer than"
                f" {UPDATE_DEADLINE_SECONDS:g} s; whether the change was made is not known"
            ) from error

    async def _update(
        self, stored: Stored[R], change: Callable[[R], R], give_up_at: float
    ) -> Stored[R]:
        name = stored.record.name
        attempt = 0
        while True:
            record = change(stored.record)
            if record is stored.record:
                return stored
            if record.name != name:
                raise ValueError(f"{self.kind.name}/{name}: a change may not rename a record")
            document = self._seal(record, columns=stored.columns, version=stored.version)
            try:
                written = await self.backend.replace(self.kind.name, document)
            except Conflict:
                await self._pause(name, attempt, give_up_at)
                attempt += 1
                stored = await self.get(name)
            except StorageUnavailable as error:
                written = await self._written_after_all(document, error)
                return Stored(record=record, version=written.version, columns=written.columns)
            else:
                return Stored(record=record, version=written.version, columns=written.columns)

    async def _written_after_all(self, document: Document, error: StorageUnavailable) -> Document:
        """Return what is stored if it is this very document: then only the answer was lost.

        Each sealing has a nonce of its own, so equal bodies are one attempt. Raises `error` when
        the write was not done, or nobody can tell.
        """
        try:
            found = await self.backend.read(self.kind.name, document.name)
        except StorageError:
            raise error from None
        if found.sealed != document.sealed:
            raise error
        return found

    async def reseal(self, document: Document) -> None:
        """Write a document of this kind again as it is, sealed with the key that seals now.

        The body is not decoded, so that one of a newer version survives. Raises Unreadable, and
        Conflict or NotFound when somebody else has changed it meanwhile.
        """
        sealed = self.sealer.seal(
            f"record:{self.kind.name}",
            self._plaintext(document),
            context=self._context(document.name),
        )
        await self.backend.replace(self.kind.name, replace(document, sealed=sealed))

    async def delete(self, name: str) -> None:
        """Delete; of several callers one wins, the others get NotFound."""
        await self.backend.remove(self.kind.name, _checked(name))

    async def scan(self, where: Mapping[str, str] | None = None) -> AsyncIterator[Stored[R]]:
        """Yield the records whose columns equal `where`, in order of name.

        Columns are not authenticated: check the record itself before deciding anything by them.
        Records that do not open are left out and reported to `on_unreadable`.
        """
        async for document in self.backend.scan(self.kind.name, where or {}):
            try:
                stored = self._open(document)
            except Unreadable as error:
                self.on_unreadable(error)
            else:
                yield stored

    async def expired(self, before: datetime, limit: int) -> list[str]:
        """Return at most `limit` names of records that expired before an instant."""
        return await self.backend.expired(self.kind.name, column_time(before), limit)

    def watch(self) -> AsyncIterator[Change]:
        """Yield changes from this call on, of every process, as `Backend.watch` does."""
        return self.backend.watch(self.kind.name)

    def deleted(self, change: Change) -> R | None:
        """Return the record whose deletion a watch told of, None where the store does not tell it.

        Raises Unreadable when it does not open.
        """
        if not change.gone or not change.sealed:
            return None
        document = Document(name=change.name, columns=change.columns, sealed=change.sealed)
        return self._open(document).record

    def _seal(self, record: R, *, columns: Mapping[str, str], version: str) -> Document:
        shown, body = self.kind.encode(record)
        name = _checked(record.name)
        sealed = self.sealer.seal(
            f"record:{self.kind.name}",
            _ENCODER.encode(body).encode("ascii"),
            context=self._context(name),
        )
        # Columns of a newer version are kept, as unknown fields of the body are.
        return Document(name=name, columns={**columns, **shown}, sealed=sealed, version=version)

    def _open(self, document: Document) -> Stored[R]:
        name = document.name
        if not document.sealed and self.kind.blank is not None:
            record = self.kind.blank(name, document.columns)
            return Stored(record=record, version=document.version, columns=document.columns)
        plaintext = self._plaintext(document)
        try:
            body = json.loads(plaintext)
        except ValueError as error:
            raise Unreadable(f"{self.kind.name}/{name}: the body is not JSON") from error
        record = self.kind.decode(name, body)
        return Stored(record=record, version=document.version, columns=document.columns)

    def _plaintext(self, document: Document) -> bytes:
        name = document.name
        where = f"{self.kind.name}/{name}"
        try:
            return self.sealer.open(
                f"record:{self.kind.name}", document.sealed, context=self._context(name)
            )
        except SealKeyUnknown as error:
            raise SealUnknown(
                f"{where} is sealed with a key that this server does not have; bring the sealing"
                " key back, or delete the record"
            ) from error
        except ValueError as error:
            raise Unreadable(
                f"{where} does not open: it belongs to another issuer, or was changed or copied"
                " here by hand. A store serves one issuer: choose another namespace or database if"
                f" something else than {self.issuer} is served from this one; else restore the"
                " record or its sealing key from a backup, or delete the record"
            ) from error

    def _context(self, name: str) -> bytes:
        return _whereabouts(self.backend.place, self.kind.name, self.issuer) + name.encode("ascii")

    async def _pause(self, name: str, attempt: int, give_up_at: float) -> None:
        """Wait a random part of a window that doubles, so that racers spread out."""
        window = min(WIDEST_WINDOW_SECONDS, FIRST_WINDOW_SECONDS * 2 ** min(attempt, 16))
        delay = window * int.from_bytes(self.random_bytes(4), "big") / 2**32
        if self.monotonic() + delay >= give_up_at:
            raise StorageUnavailable(
                f"{self.kind.name}/{name}: others changed it for {UPDATE_DEADLINE_SECONDS:g} s"
                " each time before we could; try again"
            )
        await self.sleep(delay)


@lru_cache(maxsize=64)
def _whereabouts(place: str, kind: str, issuer: str) -> bytes:
    """Return the part of the associated data that all records of a collection share.

    JSON keeps the parts apart whatever they contain; a name holds no line break.
    """
    return json.dumps([place, kind, issuer]).encode("ascii") + b"\n"


def is_name(name: str) -> bool:
    """Return whether every store can hold a record of this name (RFC 1123 section 2.1)."""
    return _NAME.fullmatch(name) is not None


def _checked(name: str) -> str:
    """Return a name that every store can hold. Raises ValueError."""
    if not is_name(name):
        raise ValueError(
            "a record's name is 1 to 253 of a-z, 0-9 and '-', and neither starts nor ends with '-'"
        )
    return name
