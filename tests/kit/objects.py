"""What people write, in memory: objects, Secrets, status, events, and a store that goes away."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from idp.settings.client_rules import ClientTerms
from storage.base import AlreadyExists, Conflict, NotFound, StorageUnavailable
from storage.objects import (
    Gone,
    Listed,
    Matters,
    ObjectEvent,
    ObjectKind,
    ObjectNews,
    Put,
    SecretForbidden,
    WrittenObject,
    everything,
)

TERMS = ClientTerms(algorithms=("RS256", "ES256"), longest_tokens=timedelta(hours=1))
"""What the provider of a test has to offer to clients."""

FIRST_CREATED_AT = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)


def written(kind: ObjectKind, name: str, spec: Mapping[str, Any], **more: Any) -> WrittenObject:
    """Return an object as a store would give it."""
    values: dict[str, Any] = {
        "uid": f"uid-{name}", "generation": 1, "created_at": FIRST_CREATED_AT, "version": "1",
    }  # fmt: skip
    return WrittenObject(kind=kind, name=name, spec=spec, **{**values, **more})


@dataclass(slots=True)
class HandLeadership:
    """Leads or does not, as the test says."""

    leading: bool = True

    def leads(self) -> bool:
        """Return what the test said."""
        return self.leading

    async def run(self) -> None:
        """Do nothing, for ever."""
        await asyncio.Event().wait()


@dataclass(slots=True)
class FakeObjects:
    """A `storage.objects.WrittenObjects` that keeps its promises.

    Every object that is applied is a second younger than the one before. `away` makes every call
    fail and holds news back; followers get a new list when it is over. `writes` are names whose
    status was written, `told` the events, `reads` the Secrets that were asked for.
    """

    objects: dict[tuple[ObjectKind, str], WrittenObject] = field(default_factory=dict)
    secrets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    may_create: bool = True
    away: bool = False
    writes: list[str] = field(default_factory=list)
    told: list[tuple[str, ObjectEvent]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    write_faults: list[Exception] = field(default_factory=list)
    _followers: list[tuple[ObjectKind, asyncio.Queue[ObjectNews]]] = field(default_factory=list)
    _count: int = 0

    def apply(self, kind: ObjectKind, name: str, spec: Mapping[str, Any]) -> WrittenObject:
        """Write an object as `kubectl apply` does."""
        self._count += 1
        known = self.objects.get((kind, name))
        if known is None:
            new = written(
                kind,
                name,
                spec,
                uid=f"uid-{self._count:04}",
                created_at=FIRST_CREATED_AT + timedelta(seconds=self._count),
                version=str(self._count),
            )
        else:
            generation = known.generation + (known.spec != spec)
            new = replace(known, spec=spec, generation=generation, version=str(self._count))
        self._keep(new)
        return new

    def delete(self, kind: ObjectKind, name: str) -> None:
        """Delete an object, and the Secrets that go with it only when a test removes them."""
        gone = self.objects.pop((kind, name))
        self._publish(kind, Gone(name, gone.uid))

    def scribble(self, kind: ObjectKind, name: str, status: Mapping[str, Any]) -> None:
        """Write a status as somebody else."""
        self._count += 1
        known = self.objects[kind, name]
        self._keep(replace(known, status=status, version=str(self._count)))

    def annotate(self, kind: ObjectKind, name: str, annotations: Mapping[str, str]) -> None:
        """Replace the annotations as `kubectl annotate` does."""
        self._count += 1
        known = self.objects[kind, name]
        self._keep(replace(known, annotations=annotations, version=str(self._count)))

    def come_back(self) -> None:
        """End an absence: whoever follows gets a new list."""
        self.away = False
        for kind, queue in self._followers:
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(self._listed(kind))

    def status(self, kind: ObjectKind, name: str) -> dict[str, Any]:
        """Return the conditions by type, beside the other members of the status."""
        status = dict(self.objects[kind, name].status)
        conditions = {each["type"]: each for each in status.pop("conditions", [])}
        return {**status, **conditions}

    async def follow(
        self, kind: ObjectKind, matters: Matters = everything
    ) -> AsyncIterator[ObjectNews]:
        """Yield a list, then what happens."""
        queue: asyncio.Queue[ObjectNews] = asyncio.Queue()
        self._followers.append((kind, queue))
        if not self.away:
            queue.put_nowait(self._listed(kind))
        try:
            while True:
                yield _mattering(await queue.get(), matters)
        finally:
            self._followers.remove((kind, queue))

    async def write_status(self, written: WrittenObject, status: Mapping[str, Any]) -> None:
        """Replace the status of exactly this version."""
        self._reach()
        if self.write_faults:
            raise self.write_faults.pop(0)
        known = self.objects.get((written.kind, written.name))
        if known is None or known.uid != written.uid:
            raise NotFound(written.name)
        if known.version != written.version:
            raise Conflict(written.name)
        self.writes.append(written.name)
        self.scribble(written.kind, written.name, status)

    async def tell(self, written: WrittenObject, event: ObjectEvent) -> None:
        """Keep an event."""
        self._reach()
        self.told.append((written.name, event))

    async def secret(self, name: str) -> Mapping[str, bytes]:
        """Return the entries of a Secret."""
        self._reach()
        self.reads.append(name)
        if name in self.forbidden:
            raise SecretForbidden(f"Secret {name}: list it in `rbac.secretNames`")
        if name not in self.secrets:
            raise NotFound(name)
        return dict(self.secrets[name])

    async def create_secret(
        self, owner: WrittenObject, name: str, entries: Mapping[str, bytes]
    ) -> None:
        """Create a Secret."""
        self._reach()
        if not self.may_create:
            raise SecretForbidden("create on secrets is not allowed")
        if name in self.secrets:
            raise AlreadyExists(name)
        self.secrets[name] = dict(entries)

    def _keep(self, new: WrittenObject) -> None:
        self.objects[new.kind, new.name] = new
        self._publish(new.kind, Put(new))

    def _publish(self, kind: ObjectKind, news: ObjectNews) -> None:
        for followed, queue in self._followers:
            if followed == kind and not self.away:
                queue.put_nowait(news)

    def _listed(self, kind: ObjectKind) -> Listed:
        return Listed([each for (other, _), each in self.objects.items() if other == kind])

    def _reach(self) -> None:
        if self.away:
            raise StorageUnavailable("the store of the test is away")


def _mattering(news: ObjectNews, matters: Matters) -> ObjectNews:
    """Return news without what does not matter."""
    match news:
        case Listed(objects):
            return Listed([each for each in objects if matters(each.spec)])
        case Put(each) if not matters(each.spec):
            return Gone(each.name, each.uid)
        case _:
            return news
