"""Lists and watches: a complete list, then every change after it, and a new list after any gap.

The API server ends every watch from time to time; that is no gap, the next one goes on where it
ended. Everything else is one: a connection that broke, an answer that failed, a version that is too
old, silence. Then nothing is known for certain, not even that the store is the same as before.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from storage.base import StorageError
from storage.kubernetes.api import CALL_SECONDS, ApiServer
from storage.kubernetes.errors import Expired

PAGE = 500

_SHORTEST_WATCH_SECONDS = 40
_LONGEST_WATCH_SECONDS = 55
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 3.0
_GOOD_AFTER_SECONDS = 10.0
_MOST_RESTARTS = 5

_log = logging.getLogger("storage")

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a list has now, complete: whoever holds more forgets it."""

    objects: Sequence[dict[str, Any]]
    version: str


@dataclass(frozen=True, slots=True)
class Event:
    """One change after a snapshot; a deletion carries the last state of the object."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: dict[str, Any]

    @property
    def gone(self) -> bool:
        """Return whether the object was deleted."""
        return self.type == "DELETED"


@dataclass(slots=True)
class Position:
    """How far a watch has come: the version to go on from, of an event or a bookmark."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Lists and watches one collection. All but the first two fields are handed in for tests.

    `on_contact` hears the monotonic time of every sign of life: what was listed or watched is as
    old as the last one. `query` may hold selectors. What `keeps` refuses is left out of snapshots,
    page by page, and let through as events.
    """

    api: ApiServer
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    on_contact: Callable[[float], None] = lambda _at: None
    keeps: Callable[[Mapping[str, Any]], bool] = lambda _object: True
    monotonic: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    random_bytes: Callable[[int], bytes] = secrets.token_bytes

    async def follow(self) -> AsyncIterator[Snapshot | Event]:
        """Yield a Snapshot, then Events, for ever; after any gap a new Snapshot."""
        position, failures = Position(""), 0
        while True:
            began_at = self.monotonic()
            try:
                snapshot = await self.snapshot()
                self._compare(snapshot.version, position.version)
                position = Position(snapshot.version)
                yield snapshot
                async with aclosing(self.events(position)) as events:
                    async for event in events:
                        yield event
            except StorageError as error:
                self._note_end(error, failures)
            if self.monotonic() - began_at > _GOOD_AFTER_SECONDS:
                failures = 0
            await self.sleep(self._pause(failures))
            failures += 1

    async def snapshot(self) -> Snapshot:
        """Return the whole list, page by page; a list that breaks off is begun anew.

        Raises StorageUnavailable when it cannot be had, Forbidden when we may not list.
        """
        for _ in range(_MOST_RESTARTS):
            objects: list[dict[str, Any]] = []
            try:
                async for page in pages(self.api, self.path, self.query):
                    self.on_contact(self.monotonic())
                    objects += filter(self.keeps, page.objects)
                    version = page.version
            except Expired:
                continue  # the rest of the list is too old: what we have does not belong to it
            return Snapshot(objects, version)
        raise Expired(f"GET {self.path}: the list was outdated before its end, again and again")

    async def lasting(self, version: str) -> AsyncGenerator[Event, None]:
        """Yield what changed after a version, for ever, through outages.

        Nothing is yielded while the server is away; afterwards it goes on where it was. Raises
        Expired when that is not possible and changes may have been missed.
        """
        position, failures = Position(version), 0
        while True:
            began_at = self.monotonic()
            try:
                if failures:
                    await self._check_still_there(position.version)
                async with aclosing(self.events(position)) as events:
                    async for event in events:
                        yield event
            except Expired:
                raise
            except StorageError as error:
                self._note_end(error, failures)
            if self.monotonic() - began_at > _GOOD_AFTER_SECONDS:
                failures = 0
            await self.sleep(self._pause(failures))
            failures += 1

    async def events(self, position: Position) -> AsyncGenerator[Event, None]:
        """Yield what changed after a position, and move it on, until something fails.

        Raises StorageUnavailable; Expired when changes may have been missed already.
        """
        while True:
            began_at, alive = self.monotonic(), False
            async with aclosing(self._one_watch(position.version)) as watched:
                async for seen in watched:
                    self.on_contact(self.monotonic())
                    position.version, alive = _version(seen["object"]) or position.version, True
                    if seen.get("type") in ("ADDED", "MODIFIED", "DELETED"):
                        yield Event(cast(Any, seen["type"]), seen["object"])
            if not alive:
                await self._check_still_there(position.version)
            if self.monotonic() - began_at < 1:
                await self.sleep(self._pause(2))  # something on the way ends them at once

    async def _check_still_there(self, version: str) -> None:
        """Raise Expired when the store has gone back behind a version.

        Asked for a version to come, the API server says nothing and waits, without a bookmark.
        """
        async with aclosing(pages(self.api, self.path, self.query, limit=1)) as listed:
            async for page in listed:
                if _number(page.version) < _number(version):
                    raise Expired(f"watch {self.path}: the store has gone back; list again")
                self.on_contact(self.monotonic())
                return

    def _one_watch(self, version: str) -> AsyncGenerator[dict[str, Any], None]:
        # An idle server sends a bookmark before it ends a watch, else once a minute: with less
        # than a minute, silence of a minute is never the server's.
        spread = _LONGEST_WATCH_SECONDS - _SHORTEST_WATCH_SECONDS
        seconds = _SHORTEST_WATCH_SECONDS + self.random_bytes(1)[0] * spread // 256
        query = {
            **self.query,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        return self.api.watch(self.path, query=query)

    def _compare(self, version: str, before: str) -> None:
        """Say when the store has gone back, as one does that was restored from a backup."""
        if _number(version) < _number(before):
            extra = {"path": self.path, "version": version, "seen_before": before}
            _log.warning("store_went_back", extra=extra)

    def _note_end(self, error: StorageError, failures: int) -> None:
        level = logging.DEBUG if failures else logging.INFO
        _log.log(level, "store_watch_ended", extra={"path": self.path, "problem": str(error)})

    def _pause(self, failures: int) -> float:
        longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 16))
        return longest * (1 + int.from_bytes(self.random_bytes(2), "big") / 2**16) / 2


def follow(
    api: ApiServer,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    on_contact: Callable[[float], None] = lambda _at: None,
    keeps: Callable[[Mapping[str, Any]], bool] = lambda _object: True,
) -> AsyncIterator[Snapshot | Event]:
    """Yield a complete Snapshot of a collection, then every Event after it, for ever.

    After any gap comes a new Snapshot, complete: what is not in it is gone, also if no Event said
    so. While the server is away nothing is yielded and nothing raised; keep what you have. It ends
    only by cancellation, or `aclose` of the iterator. Objects are plain JSON as the server sent
    them, written by anybody: check everything. `on_contact` is told the monotonic time of every
    sign of life (pages, events, bookmarks), the latest of which says how old your knowledge is.
    Snapshots are of what `keeps` wants.
    """
    follower = Follower(api=api, path=path, query=query or {}, on_contact=on_contact, keeps=keeps)
    return follower.follow()


async def pages(
    api: ApiServer,
    path: str,
    query: Mapping[str, str],
    *,
    limit: int = PAGE,
    deadline: float = CALL_SECONDS,
) -> AsyncGenerator[Snapshot, None]:
    """Yield a list page by page, each a Snapshot of its part. Raises Expired in the middle."""
    more = ""
    while True:
        asked = {**query, "limit": str(limit), **({"continue": more} if more else {})}
        page = await api.call("GET", path, query=asked, deadline=deadline)
        metadata, items = page.get("metadata"), page.get("items")
        metadata = metadata if isinstance(metadata, dict) else {}
        items = items if isinstance(items, list) else []
        found = [item for item in items if isinstance(item, dict)]
        yield Snapshot(found, str(metadata.get("resourceVersion") or ""))
        more = str(metadata.get("continue") or "")
        if not more:
            return


def _version(found: Mapping[str, Any]) -> str:
    metadata = found.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() else 0
