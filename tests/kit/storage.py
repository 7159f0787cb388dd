"""A sealer for tests, and a backend that fails, dawdles or loses answers on demand."""

import asyncio
import base64
import secrets
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.base import Backend, Change, Document, StorageUnavailable
from storage.kinds import KEY_RINGS

Verb = Literal["read", "create", "replace", "remove", "scan", "expired", "watch"]


class AesSealer:
    """AES-GCM as a `storage.base.Sealer`."""

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes."""
        self._cipher = AESGCM(key)

    def seal(self, purpose: str, plaintext: bytes, *, context: bytes) -> str:
        """Return nonce and ciphertext in base64."""
        nonce = secrets.token_bytes(12)
        sealed = self._cipher.encrypt(nonce, plaintext, _bound(purpose, context))
        return base64.urlsafe_b64encode(nonce + sealed).decode("ascii")

    def open(self, purpose: str, sealed: str, *, context: bytes) -> bytes:
        """Return the plaintext. Raises ValueError."""
        raw = base64.b64decode(sealed.encode("ascii"), altchars=b"-_", validate=True)
        try:
            return self._cipher.decrypt(raw[:12], raw[12:], _bound(purpose, context))
        except InvalidTag as error:
            raise ValueError("does not open") from error


def _bound(purpose: str, context: bytes) -> bytes:
    return purpose.encode() + b"\0" + context


@dataclass(frozen=True, slots=True)
class Fails:
    """The call raises `error` and does nothing."""

    error: Exception = field(default_factory=lambda: StorageUnavailable("a fault of the test"))


@dataclass(frozen=True, slots=True)
class LosesAnswer:
    """The call is done, and then raises StorageUnavailable all the same."""


@dataclass(frozen=True, slots=True)
class Waits:
    """The call is done after so many seconds."""

    seconds: float


Fault = Fails | LosesAnswer | Waits


@dataclass(slots=True)
class Faults:
    """What goes wrong next, by verb: first what `next` queued, then what `always` set, then none.

    `calls` counts every call by verb, those that failed as well.
    """

    calls: dict[Verb, int] = field(default_factory=lambda: defaultdict(int))
    _queued: dict[Verb, deque[Fault | None]] = field(default_factory=lambda: defaultdict(deque))
    _standing: dict[Verb, Fault] = field(default_factory=dict)

    def next(self, verb: Verb, *faults: Fault | None) -> None:
        """Let the next calls of a verb meet these faults in turn; None lets one call through."""
        self._queued[verb].extend(faults)

    def always(self, verb: Verb, fault: Fault) -> None:
        """Let every call of a verb meet a fault until `clear`."""
        self._standing[verb] = fault

    def clear(self) -> None:
        """Let everything through again."""
        self._queued.clear()
        self._standing.clear()

    def take(self, verb: Verb) -> Fault | None:
        """Count a call and return the fault that it meets."""
        self.calls[verb] += 1
        if self._queued[verb]:
            return self._queued[verb].popleft()
        return self._standing.get(verb)

    @property
    def writes(self) -> int:
        """Return how often a write was asked for."""
        return self.calls["create"] + self.calls["replace"] + self.calls["remove"]


class FlakyBackend:
    """A backend over `inner` that meets the faults of a test.

    Reading and replacing documents of the `spared` kinds meets none and is not counted: a provider
    looks after its signing keys every half minute, whatever a test asks of it at that moment.
    """

    def __init__(
        self, inner: Backend, faults: Faults, *, spared: Collection[str] = (KEY_RINGS.name,)
    ) -> None:
        """Wrap a backend."""
        self._inner = inner
        self._faults = faults
        self._spared = spared

    @property
    def place(self) -> str:
        """Return the inner backend's."""
        return self._inner.place

    async def read(self, kind: str, name: str) -> Document:
        """Read, or fail."""
        if kind in self._spared:
            return await self._inner.read(kind, name)
        after = await self._meet("read")
        document = await self._inner.read(kind, name)
        after()
        return document

    async def create(self, kind: str, document: Document) -> Document:
        """Create, or fail."""
        after = await self._meet("create")
        stored = await self._inner.create(kind, document)
        after()
        return stored

    async def replace(self, kind: str, document: Document) -> Document:
        """Replace, or fail."""
        if kind in self._spared:
            return await self._inner.replace(kind, document)
        after = await self._meet("replace")
        stored = await self._inner.replace(kind, document)
        after()
        return stored

    async def remove(self, kind: str, name: str) -> None:
        """Remove, or fail."""
        after = await self._meet("remove")
        await self._inner.remove(kind, name)
        after()

    async def scan(self, kind: str, where: Mapping[str, str]) -> AsyncIterator[Document]:
        """Scan, or fail at the first step, or (LosesAnswer) after the first document."""
        after = await self._meet("scan")
        async for document in self._inner.scan(kind, where):
            yield document
            after()

    async def expired(self, kind: str, before: str, limit: int) -> list[str]:
        """Ask, or fail."""
        after = await self._meet("expired")
        names = await self._inner.expired(kind, before, limit)
        after()
        return names

    def watch(self, kind: str) -> AsyncIterator[Change]:
        """Watch; fail at the first step, or (LosesAnswer) after the first change."""
        return self._watch(self._inner.watch(kind))

    async def close(self) -> None:
        """Close the inner backend."""
        await self._inner.close()

    async def _watch(self, changes: AsyncIterator[Change]) -> AsyncIterator[Change]:
        after = await self._meet("watch")
        async for change in changes:
            yield change
            after()

    async def _meet(self, verb: Verb) -> "_Aftermath":
        fault = self._faults.take(verb)
        match fault:
            case Fails(error):
                raise error
            case Waits(seconds):
                await asyncio.sleep(seconds)
        return _Aftermath(fault)


@dataclass(frozen=True, slots=True)
class _Aftermath:
    """What happens once the inner backend has answered."""

    fault: Fault | None

    def __call__(self) -> None:
        if isinstance(self.fault, LosesAnswer):
            raise StorageUnavailable("the answer was lost by the test")
