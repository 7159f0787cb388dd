"""The storage port over custom resources: one object for each document, every write conditional."""

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

from storage.base import (
    AlreadyExists,
    Change,
    Conflict,
    Document,
    NotFound,
    StorageError,
)
from storage.kubernetes.api import CALL_SECONDS, ApiServer, Tries
from storage.kubernetes.changes import Changes
from storage.kubernetes.errors import Invalid, Unavailable
from storage.kubernetes.resources import STATE, STATE_GROUP, Resource
from storage.kubernetes.selection import Selection, expired_names
from storage.kubernetes.turns import SharedReads, Turns
from storage.kubernetes.watch import Follower
from storage.kubernetes.wire import JSON, MERGE_PATCH

READ_SECONDS = 1.5
LAST_LOOK_SECONDS = 0.3


class KubernetesBackend:
    """Documents in the custom resources of one namespace.

    It uses the door but does not own it: whoever opened the API server closes it afterwards.
    """

    def __init__(self, api: ApiServer, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Keep documents in the namespace of `api`; nothing is asked yet."""
        self._api = api
        self._monotonic = monotonic
        self._selection = Selection()
        self._turns = Turns()
        self._reads = SharedReads()
        self._watches: weakref.WeakSet[Changes] = weakref.WeakSet()
        self._beginning: set[asyncio.Future[None]] = set()
        self._closed = False

    @property
    def place(self) -> str:
        """Return group and namespace: an object that was copied elsewhere does not open."""
        return f"{STATE_GROUP}/{self._api.namespace}"

    async def read(self, kind: str, name: str) -> Document:
        """Return the newest version, by quorum. Raises NotFound."""
        resource = await self._resource(kind)
        return await self._reads.read(
            f"{kind}/{name}", lambda: self._read(resource, name, READ_SECONDS)
        )

    async def create(self, kind: str, document: Document) -> Document:
        """Store a new document. Raises AlreadyExists."""
        give_up_at = self._monotonic() + CALL_SECONDS
        return await self._write("POST", kind, replace(document, version=""), give_up_at)

    async def replace(self, kind: str, document: Document) -> Document:
        """Store over exactly `document.version`. Raises Conflict or NotFound."""
        if not document.version.isdigit() or int(document.version) == 0:
            # The API server knows no such version and would take it for "any".
            found = await self.read(kind, document.name)
            raise Conflict(f"{kind}/{found.name} was changed since it was read")
        give_up_at = self._monotonic() + CALL_SECONDS
        path = f"{kind}/{document.name}"
        async with self._turns.turn(path, document.version, within=CALL_SECONDS):
            return await self._write("PUT", kind, document, give_up_at)

    async def remove(self, kind: str, name: str) -> None:
        """Delete. Raises NotFound."""
        give_up_at = self._monotonic() + CALL_SECONDS
        resource = await self._resource(kind)
        tries = Tries()
        try:
            await self._api.call(
                "DELETE",
                resource.path(self._api.namespace, name),
                deadline=give_up_at - self._monotonic(),
                tries=tries,
            )
        except NotFound:
            if not tries.unknown:
                raise  # else it is our own deletion, whose answer was lost
        except (Conflict, Invalid) as error:
            raise Unavailable(str(error)) from error

    async def scan(self, kind: str, where: Mapping[str, str]) -> AsyncIterator[Document]:
        """Yield the documents whose columns equal `where`, in order of name."""
        resource = await self._resource(kind)
        path = resource.path(self._api.namespace)
        async for found in self._selection.objects(self._api, path, resource, where):
            document = resource.document(found)
            if document is not None:
                yield document

    async def expired(self, kind: str, before: str, limit: int) -> list[str]:
        """Return at most `limit` names whose `expires` column sorts before `before`."""
        resource = await self._resource(kind)
        path = resource.path(self._api.namespace)
        return await expired_names(self._api, path, resource, before=before, limit=limit)

    def watch(self, kind: str) -> AsyncIterator[Change]:
        """Yield changes from this call on. Raises StorageUnavailable when some may be missed.

        Whole objects are watched, 1.3 KB each. Rows of a table would be 0.6 KB, but hold only what
        the definition's printer columns happen to be, which is for people to change.
        """
        self._check_open()
        resource = STATE[kind]
        follower = Follower(api=self._api, path=resource.path(self._api.namespace))
        changes = Changes(follower, resource)
        self._watches.add(changes)
        # What is asked of this handle from now on comes after the beginning of the watch.
        self._beginning.add(changes.begun)
        changes.begun.add_done_callback(self._beginning.discard)
        return changes

    async def close(self) -> None:
        """End the watches and refuse calls; the API server stays open for others."""
        self._closed = True
        for changes in list(self._watches):
            await changes.end("the store is closed")

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")

    async def _resource(self, kind: str) -> Resource:
        """Return where a kind is, once watches that were called before have begun."""
        self._check_open()
        if self._beginning:
            here = asyncio.get_running_loop()
            begun = [future for future in self._beginning if future.get_loop() is here]
            if begun:
                await asyncio.wait(begun)
        return STATE[kind]

    async def _read(self, resource: Resource, name: str, within: float) -> Document:
        path = resource.path(self._api.namespace, name)
        document = resource.document(await self._api.call("GET", path, deadline=within))
        if document is None:
            raise NotFound(f"{resource.plural}/{name} is being deleted")
        return document

    async def _write(
        self, method: str, kind: str, document: Document, give_up_at: float
    ) -> Document:
        resource = await self._resource(kind)
        namespace = self._api.namespace
        name = document.name if method == "PUT" else ""
        merges = resource.is_shared and method == "PUT"
        tries = Tries()
        try:
            stored = await self._api.call(
                "PATCH" if merges else method,
                resource.path(namespace, name),
                body=resource.patch(document) if merges else resource.object(namespace, document),
                content_type=MERGE_PATCH if merges else JSON,
                deadline=give_up_at - self._monotonic(),
                tries=tries,
            )
        except (AlreadyExists, Conflict) as error:
            if not tries.unknown:
                raise
            return await self._written_before(resource, document, error)
        except Invalid as error:
            raise Unavailable(str(error)) from error
        return resource.document(stored) or replace(document, version="")

    async def _written_before(
        self, resource: Resource, document: Document, error: StorageError
    ) -> Document:
        """Return what is stored if an earlier attempt of ours, whose answer was lost, stored it.

        Each sealing has a nonce of its own, so equal bodies are one write. Else raises `error`.
        """
        try:
            found = await self._read(resource, document.name, LAST_LOOK_SECONDS)
        except NotFound:
            raise error from None
        if found.sealed != document.sealed:
            raise error
        return found
