"""The port of what people write: clients, users, connectors, and what their status answers.

State (`storage.base`) is written by the server and sealed. What stands here is written by people,
with kubectl or GitOps, in plain text; the server only reads it, and says in `status` and events
what it thinks of it. Only stores that people can write to have such objects.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

ObjectKind = Literal["oidc-clients", "local-users", "identity-connectors", "user-states"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenObject:
    """One object as somebody wrote it. `spec` and `status` are plain JSON, nothing is checked.

    `generation` counts changes of `spec`; `uid` tells an object from a later one of the same name.
    """

    kind: ObjectKind
    name: str
    uid: str
    generation: int
    created_at: datetime
    spec: Mapping[str, Any] = field(repr=False)
    status: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything of a kind that there is now: whoever holds more forgets it."""

    objects: Sequence[WrittenObject]


@dataclass(frozen=True, slots=True)
class Put:
    """An object is new or was changed."""

    object: WrittenObject


@dataclass(frozen=True, slots=True)
class Gone:
    """An object was deleted."""

    name: str
    uid: str


ObjectNews = Listed | Put | Gone

Matters = Callable[[Mapping[str, Any]], bool]
"""Tells by its `spec` whether an object is to be held at all."""


def everything(_: Mapping[str, Any]) -> bool:
    """Return True: every object of the kind matters."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvent:
    """Something to tell whoever describes an object; `reason` is CamelCase, `note` a sentence."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


class WrittenObjects(Protocol):
    """Reads what people wrote and answers it.

    Everything raises StorageUnavailable when the store cannot be asked.
    """

    def follow(self, kind: ObjectKind, matters: Matters = everything) -> AsyncIterator[ObjectNews]:
        """Yield a `Listed` first, then changes within a second, for ever.

        What does not matter is as if it were not there: left out of lists while they are read, so
        that it never lies in memory, and `Gone` once it is changed.

        After a gap another `Listed` comes, complete: nothing is yielded of a list that broke off.
        The iterator itself retries with back-off while the store is away; it ends only by
        cancellation. An object that cannot even be read as JSON object is left out.
        """
        ...

    async def write_status(self, written: WrittenObject, status: Mapping[str, Any]) -> None:
        """Replace the status of exactly this version. Raises Conflict or NotFound."""
        ...

    async def tell(self, written: WrittenObject, event: ObjectEvent) -> None:
        """Attach an event to an object."""
        ...

    async def secret(self, name: str) -> Mapping[str, bytes]:
        """Return the entries of a Secret. Raises NotFound, or SecretForbidden."""
        ...

    async def create_secret(
        self, owner: WrittenObject, name: str, entries: Mapping[str, bytes]
    ) -> None:
        """Create a Secret that goes when its owner does. Raises AlreadyExists, SecretForbidden."""
        ...


class SecretForbidden(Exception):
    """The server has no right to that Secret; names the rule that is missing, not its contents."""


class Leadership(Protocol):
    """Of several replicas one is the leader, for background work that needs only one."""

    def leads(self) -> bool:
        """Return whether this process leads now, by its own clock and with a margin."""
        ...

    async def run(self) -> None:
        """Try to lead, and renew, until cancelled; then give it up."""
        ...
