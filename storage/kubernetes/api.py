"""The door to the API server: every request goes through it, with a deadline, and comes back.

It repeats what may be repeated, waits where the server asks for it, and says in our own words what
went wrong. It knows nothing of documents.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from storage.base import StorageError
from storage.kubernetes.access import Access
from storage.kubernetes.connections import (
    CONNECT_SECONDS,
    LARGEST_ANSWER,
    Connections,
    NoAnswer,
)
from storage.kubernetes.errors import Forbidden, Unavailable
from storage.kubernetes.patience import (
    MOST_ATTEMPTS,
    Denials,
    ExtraRequests,
    Reachability,
    pause,
)
from storage.kubernetes.resources import STATE_GROUP
from storage.kubernetes.wire import (
    JSON,
    Body,
    Request,
    event,
    is_too_large,
    lines,
    meaning,
    refusal,
    request,
)

CALL_SECONDS = 3.0
SILENCE_SECONDS = 60.0
LONGEST_WAIT_ASKED = 2.0
SHORTEST_CALL = 0.1
"""Who has waited in the queue and has less left than this sends nothing: no answer can come."""

_JSON_PATCH = "application/json-patch+json"


class Tries:
    """What became of the attempts of one call: hand one in to read it afterwards.

    `unknown` counts attempts that may have been done although we were not told so. After those,
    AlreadyExists, Conflict and NotFound may be the echo of our own write.
    """

    def __init__(self) -> None:
        self.made = 0
        self.unknown = 0
        self.waited = False
        self.renewed = False


class _Again(Exception):
    """An attempt failed in a way that another one may not; `after` are the seconds to wait."""

    def __init__(self, error: StorageError, after: float | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.after = after


class ApiServer:
    """The API server of one cluster, as one of its users; one per process.

    It may be used from several event loops and threads; each gets connections of its own.
    """

    def __init__(
        self,
        access: Access,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Connect to nothing yet; `open_api_server` is the usual way in."""
        self.namespace = access.namespace
        self._access = access
        self._monotonic = monotonic
        self._random_bytes = random_bytes
        self._closed = False
        self._reachability = Reachability(monotonic)
        self._denials = Denials(monotonic)
        self._extra = ExtraRequests()
        self._by_loop: dict[asyncio.AbstractEventLoop, Connections] = {}

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        deadline: float = CALL_SECONDS,
        tries: Tries | None = None,
    ) -> dict[str, Any]:
        """Return the object that the server answers, within `deadline` seconds in all.

        What failed is tried again: every request but a JSON Patch must bear being done twice, as
        do conditional ones and those that name their object. Raises NotFound, AlreadyExists,
        Conflict, Invalid, Expired, Forbidden, TooLarge, and Unavailable for all else.
        """
        asked = request(
            method, path, body=body, query=query, content_type=content_type, accept=accept
        )
        give_up_at = self._monotonic() + deadline
        connections = self._connections()
        tries = tries or Tries()
        if not asked.is_write:
            return await self._persist(connections, asked, give_up_at, tries)
        if connections.writes.locked():
            await self._queue(connections, asked, give_up_at)
        else:
            await connections.writes.acquire()
        try:
            return await self._persist(connections, asked, give_up_at, tries)
        finally:
            connections.writes.release()

    async def watch(
        self,
        path: str,
        *,
        query: Mapping[str, str],
        accept: str = JSON,
        silence: float = SILENCE_SECONDS,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of one watch, bookmarks and unknown types too, until the server ends it.

        Raises Expired when the version asked for is too old, whether as status or as event;
        Unavailable when nothing came for `silence` seconds, or the connection broke off.
        """
        asked = request("GET", path, query={**query, "watch": "true"}, accept=accept)
        what = f"watch {path}"
        self._check(asked, what)
        connections = self._connections()
        try:
            async with connections.stream(asked, within=CALL_SECONDS, silence=silence) as (
                answer,
                pieces,
            ):
                self._reachability.answered()
                if answer.status >= 300:
                    error = refusal(asked, answer)
                    self._note(asked, error)
                    if answer.status == 401:
                        await self._renew(connections)
                    raise error
                async for text in lines(pieces, limit=LARGEST_ANSWER):
                    yield event(text, what)
        except NoAnswer as failure:
            self._reachability.failed(failure.problem)
            if failure.untrusted:
                await self._renew(connections)
            raise Unavailable(f"{what}: {failure.problem}") from failure
        except TimeoutError:
            raise Unavailable(f"{what}: no answer within {CALL_SECONDS:g} s") from None

    async def close(self) -> None:
        """End all calls and watches and let go of connections; calling it twice is fine."""
        self._closed = True
        here = asyncio.get_running_loop()
        for loop, connections in list(self._by_loop.items()):
            if loop is here:
                await connections.close()
            else:
                connections.close_from_elsewhere()
        self._by_loop.clear()

    def _connections(self) -> Connections:
        if self._closed:
            raise Unavailable("the store is closed")
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            for ended in [other for other in self._by_loop if other.is_closed()]:
                self._by_loop.pop(ended, None)
            found = self._by_loop[loop] = Connections(self._access)
        return found

    async def _queue(self, connections: Connections, asked: Request, give_up_at: float) -> None:
        try:
            async with asyncio.timeout(give_up_at - SHORTEST_CALL - self._monotonic()):
                await connections.writes.acquire()
        except TimeoutError:
            raise Unavailable(
                f"{asked.method} {asked.path}: the API server is slow: earlier writes still wait",
                retry_after=1.0,
            ) from None

    async def _persist(
        self, connections: Connections, asked: Request, give_up_at: float, tries: Tries
    ) -> dict[str, Any]:
        """Attempt until there is an answer that counts, or no time for another attempt."""
        what = f"{asked.method} {asked.path}"
        self._extra.earn()
        while True:
            self._check(asked, what)
            tries.made += 1
            try:
                return await self._attempt(connections, asked, give_up_at, tries)
            except _Again as again:
                error, after = again.error, again.after
            if after is None:
                after = pause(tries.made - 1, self._random_bytes)
            if tries.made >= MOST_ATTEMPTS or self._monotonic() + after >= give_up_at:
                raise error
            await asyncio.sleep(after)

    async def _attempt(
        self, connections: Connections, asked: Request, give_up_at: float, tries: Tries
    ) -> dict[str, Any]:
        remaining = max(0.001, give_up_at - self._monotonic())
        try:
            answer = await connections.send(asked, within=remaining)
        except NoAnswer as failure:
            raise await self._unanswered(connections, asked, failure, tries) from failure
        self._reachability.answered()
        if answer.status < 300:
            return meaning(asked, answer)
        error = refusal(asked, answer)
        if answer.status >= 500 and not is_too_large(answer):
            tries.unknown += 1
            if asked.content_type != _JSON_PATCH:
                raise _Again(error)
        elif answer.status == 429 and (after := self._wait_asked(error, tries)) is not None:
            raise _Again(error, after=after)
        elif answer.status == 401 and not tries.renewed:
            tries.renewed = True
            await self._renew(connections)
            raise _Again(error, after=0.0)
        self._note(asked, error)
        raise error

    async def _unanswered(
        self, connections: Connections, asked: Request, failure: NoAnswer, tries: Tries
    ) -> Exception:
        """Return what to raise after an attempt that came to nothing."""
        error = Unavailable(f"{asked.method} {asked.path}: {failure.problem}")
        if self._closed:
            return error
        self._reachability.failed(failure.problem)
        tries.unknown += failure.maybe_done
        if failure.untrusted and not tries.renewed:
            tries.renewed = True
            await self._renew(connections)
        if failure.maybe_done and asked.content_type == _JSON_PATCH:
            return error
        return _Again(error)

    async def _renew(self, connections: Connections) -> None:
        """Read credentials anew: another authority may let us in again at once."""
        if await connections.renew(within=CONNECT_SECONDS):
            self._reachability.answered()

    def _wait_asked(self, error: StorageError, tries: Tries) -> float | None:
        """Return how long to wait before the one more attempt that a 429 allows, if it does."""
        after = error.retry_after if isinstance(error, Unavailable) else None
        if after is None or after > LONGEST_WAIT_ASKED or tries.waited or not self._extra.take():
            return None
        tries.waited = True
        return after

    def _note(self, asked: Request, error: StorageError) -> None:
        if isinstance(error, Forbidden):
            key = "" if error.status == 401 else _denial(asked)
            self._denials.note(key, asked.subject, error)

    def _check(self, asked: Request, what: str) -> None:
        """Raise at once what the server would only say again."""
        self._reachability.check(what)
        self._denials.check(_denial(asked))


def open_api_server(access: Access) -> ApiServer:
    """Return the door; nothing is connected before the first call."""
    return ApiServer(access)


def _denial(asked: Request) -> str:
    """Return what a refusal holds for: in our own group for a whole resource, else for one path."""
    own = asked.path.startswith(f"/apis/{STATE_GROUP}/")
    return asked.subject if own else f"{asked.method} {asked.path}"
