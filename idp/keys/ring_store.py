"""The port through which the ring of an issuer is kept; `storage.collection` fits it."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol, TypeVar

from storage.base import Change
from storage.records import KeyRing


class StoredRing(Protocol):
    """A ring as it was read, with whatever its store needs to write over it."""

    @property
    def record(self) -> KeyRing:
        """Return the ring."""
        ...

    @property
    def columns(self) -> Mapping[str, str]:
        """Return what is shown beside it, people's requests among it."""
        ...


S = TypeVar("S", bound=StoredRing)


class RingCollection(Protocol[S]):
    """The part of `storage.collection.Collection` that is needed here."""

    async def get(self, name: str) -> S:
        """Return the newest version. Raises NotFound."""
        ...

    async def create(self, record: KeyRing) -> S:
        """Store a new ring. Raises AlreadyExists."""
        ...

    async def update(self, stored: S, change: Callable[[KeyRing], KeyRing]) -> S:
        """Write `change` of the newest version; it may run several times."""
        ...

    def watch(self) -> AsyncIterator[Change]:
        """Yield what was changed by whoever shares the store."""
        ...
