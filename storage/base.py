"""The port of a store and its errors.

A backend knows nothing of records: it keeps documents (a name, a few columns that people and
selectors may see, one sealed body) of several kinds, and changes them only conditionally. What a
record is and how it is sealed is decided once for all backends, in `storage.collection`.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a backend keeps. `version` is the backend's own, opaque, "" before it is stored."""

    name: str
    columns: Mapping[str, str]
    sealed: str = field(repr=False)
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A document was written (`gone` false) or deleted.

    `sealed` is the body of one that was deleted, "" where the store does not tell, or it was none.
    """

    name: str
    columns: Mapping[str, str]
    gone: bool
    sealed: str = field(default="", repr=False)


class Backend(Protocol):
    """A place for documents.

    Every method raises StorageUnavailable when the store cannot be asked or does not answer in
    time; after that a write may or may not have been done, but never half.
    """

    @property
    def place(self) -> str:
        """Return what is authenticated with every sealed body beside kind, name and issuer.

        For Kubernetes the API group and namespace, so that a copied object does not open elsewhere.
        """
        ...

    async def read(self, kind: str, name: str) -> Document:
        """Return the newest version. Raises NotFound."""
        ...

    async def create(self, kind: str, document: Document) -> Document:
        """Store a new document; of several callers one wins. Raises AlreadyExists."""
        ...

    async def replace(self, kind: str, document: Document) -> Document:
        """Store over exactly `document.version`. Raises Conflict or NotFound."""
        ...

    async def remove(self, kind: str, name: str) -> None:
        """Delete; of several callers one wins, the others get NotFound."""
        ...

    def scan(self, kind: str, where: Mapping[str, str]) -> AsyncIterator[Document]:
        """Yield the documents whose columns equal `where`, page by page, in order of name."""
        ...

    async def expired(self, kind: str, before: str, limit: int) -> list[str]:
        """Return at most `limit` names whose `expires` column sorts before `before`."""
        ...

    def watch(self, kind: str) -> AsyncIterator[Change]:
        """Yield changes from now on, of every process that shares the store, within a second.

        "Now" is the call, not the first step: who calls `watch` and then reads misses nothing in
        between. Raises StorageUnavailable when changes may have been missed: whoever watches starts
        again and re-reads what it must know.
        """
        ...

    async def close(self) -> None:
        """Let go of files, threads and connections. Calling it twice is fine."""
        ...


class Sealer(Protocol):
    """Seals the bodies of documents."""

    def seal(self, purpose: str, plaintext: bytes, *, context: bytes) -> str:
        """Return sealed text; the same purpose and context are needed to open it."""
        ...

    def open(self, purpose: str, sealed: str, *, context: bytes) -> bytes:
        """Return the plaintext. Raises ValueError for anything that was not sealed so by us.

        SealKeyUnknown, a ValueError, if it names a key that this process does not have (yet).
        """
        ...


class SealKeyUnknown(ValueError):
    """What a `Sealer` raises for a text whose key it does not have; says nothing about the text."""


class StorageError(Exception):
    """Base of everything that a store may raise."""


class NotFound(StorageError):
    """No document of that kind has that name."""


class AlreadyExists(StorageError):
    """The name is taken."""


class Conflict(StorageError):
    """The document was changed since it was read."""


class StorageUnavailable(StorageError):
    """The store cannot be asked just now; says nothing about any document.

    `retry_after` are the seconds after which the store itself wants to be asked again, if it said.
    """

    retry_after: float | None = None


class Unreadable(StorageError):
    """A document does not open: foreign seal, tampered, or of a version we do not know."""


class SealUnknown(Unreadable):
    """A document is sealed with a key that this process does not have.

    It may be in order all the same: the key may be on its way here, or have been removed too early.
    """
