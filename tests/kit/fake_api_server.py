"""An API server in this process that keeps objects like a real one and fails on demand.

For faults that a real one cannot be made to show at will. It knows no schema, no rights, and only
the calls that `storage.kubernetes` makes.
"""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from storage.kubernetes.access import Access, Credentials


@dataclass(frozen=True, slots=True)
class Says:
    """Answer this instead of doing anything; `text` is the message of the Status."""

    status: int
    text: str = "a fault of the test"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Resets:
    """Break the connection, before the request is done or (`done`) after it."""

    done: bool = False


@dataclass(frozen=True, slots=True)
class Waits:
    """Do it so many seconds later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Streams:
    """Answer a watch with these pieces as they are, a little apart; then end or break it."""

    pieces: tuple[bytes, ...]
    breaks: bool = False
    hangs: bool = False


Fault = Says | Resets | Waits | Streams | None


@dataclass(eq=False)
class FakeApiServer:
    """Entering starts it. `faults` meet the next requests in turn, `choose` all others.

    `seen` are the requests so far, as (method, path and query, authorization).
    """

    tls: ssl.SSLContext | None = None
    faults: deque[Fault] = field(default_factory=deque)
    choose: Callable[[web.Request], Fault] = lambda _: None
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    version: int = 100
    page: int = 500
    port: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections and break those there are; objects stay."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def credentials(self) -> Credentials:
        """Return how to reach it over plain http."""
        return Credentials(server=f"http://127.0.0.1:{self.port}", authorization="Bearer one")

    def access(self, read: Callable[[], Credentials] | None = None) -> Access:
        """Return an access, whose credentials are read anew by `read`."""
        credentials = read() if read else self.credentials
        return Access(
            namespace="ns", credentials=credentials, read=read or (lambda: self.credentials)
        )

    def count(self, method: str) -> int:
        """Return how many requests of a method came."""
        return sum(1 for seen, _, _ in self.seen if seen == method)

    def put(self, path: str, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Store an object as somebody else does."""
        return self._store(path, dict(stored), "MODIFIED" if path in self.objects else "ADDED")

    def delete(self, path: str) -> None:
        """Delete an object as somebody else does."""
        self._record(path, "DELETED", self.objects.pop(path))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        self.seen.append((request.method, request.path_qs, authorization))
        fault = self.faults.popleft() if self.faults else self.choose(request)
        body = await request.read()
        match fault:
            case Says(status, text, headers, raw):
                answer = status_object(status, text)
                data = json.dumps(answer).encode() if raw is None else raw
                return web.Response(status=status, body=data, headers=dict(headers))
            case Resets(done=False):
                return _broken(request)
            case Waits(seconds):
                await asyncio.sleep(seconds)
            case Streams():
                return await _stream(request, fault)
        answered = await self._do(request, json.loads(body) if body else {})
        return _broken(request) if isinstance(fault, Resets) else answered

    async def _do(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        path = request.path
        match request.method:
            case "GET" if "watch" in request.query:
                return await self._watch(request)
            case "GET" if _is_collection(path):
                return self._list(request)
            case "GET" if path in self.objects:
                return web.json_response(self.objects[path])
            case "POST":
                path = f"{path}/{body['metadata']['name']}"
                if path in self.objects:
                    return _refused(409, "already exists", "AlreadyExists")
                return web.json_response(self._store(path, body, "ADDED"), status=201)
            case "PUT" if path in self.objects:
                held = self.objects[path]["metadata"]["resourceVersion"]
                if body["metadata"].get("resourceVersion") != held:
                    return _refused(409, "the object has been modified", "Conflict")
                return web.json_response(self._store(path, body, "MODIFIED"))
            case "PATCH" if path in self.objects:
                held = self.objects[path]["metadata"]["resourceVersion"]
                if body["metadata"].get("resourceVersion", held) != held:
                    return _refused(409, "the object has been modified", "Conflict")
                merged = _merged(self.objects[path], body)
                return web.json_response(self._store(path, merged, "MODIFIED"))
            case "DELETE" if path in self.objects:
                self.delete(path)
                return web.json_response({"kind": "Status", "status": "Success"})
        name = path.rpartition("/")[2]
        return _refused(404, f"{name!r} not found", "NotFound", {"name": name})

    def _list(self, request: web.Request) -> web.Response:
        items = [
            self.objects[path]
            for path in sorted(self.objects)
            if path.rpartition("/")[0] == request.path
        ]
        begin = int(request.query.get("continue", "0"))
        end = begin + min(int(request.query.get("limit", "500")), self.page)
        metadata = {"resourceVersion": str(self.version)}
        if end < len(items):
            metadata["continue"] = str(end)
        return web.json_response({"metadata": metadata, "items": items[begin:end]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        after = int(request.query["resourceVersion"])
        while True:
            self._news.clear()
            for path, version, event in list(self.events):
                if version > after and path == request.path:
                    after = version
                    await response.write(json.dumps(event).encode() + b"\n")
            await self._news.wait()

    def _store(self, path: str, stored: dict[str, Any], kind: str) -> dict[str, Any]:
        metadata = {**stored["metadata"], "resourceVersion": str(self.version + 1)}
        metadata.pop("managedFields", None)
        self.objects[path] = {**stored, "metadata": metadata}
        self._record(path, kind, self.objects[path])
        return self.objects[path]

    def _record(self, path: str, kind: str, held: dict[str, Any]) -> None:
        self.version += 1
        metadata = {**held["metadata"], "resourceVersion": str(self.version)}
        event = {"type": kind, "object": {**held, "metadata": metadata}}
        self.events.append((path.rpartition("/")[0], self.version, event))
        self._news.set()


def status_object(code: int, text: str, reason: str = "") -> dict[str, Any]:
    """Return a Status as the API server words refusals."""
    return {"kind": "Status", "code": code, "reason": reason, "message": text}


def line(kind: str, version: int, name: str = "a", **more: Any) -> bytes:
    """Return a line of a watch."""
    metadata = {"name": name, "resourceVersion": str(version)}
    event = {"type": kind, "object": {"metadata": metadata, **more}}
    return json.dumps(event).encode() + b"\n"


def _refused(
    code: int, text: str, reason: str, details: Mapping[str, Any] | None = None
) -> web.Response:
    return web.json_response(
        {**status_object(code, text, reason), "details": details or {}}, status=code
    )


def _broken(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _stream(request: web.Request, fault: Streams) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in fault.pieces:
        await response.write(piece)
        await asyncio.sleep(0.01)
    if fault.hangs:
        await asyncio.sleep(30)
    if fault.breaks and request.transport is not None:
        request.transport.abort()
    return response


def _merged(held: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document after a JSON merge patch (RFC 7396) that removes nothing."""
    merged = dict(held)
    for name, value in patch.items():
        is_object = isinstance(value, Mapping) and isinstance(held.get(name), Mapping)
        merged[name] = _merged(held[name], value) if is_object else value
    return merged


def _is_collection(path: str) -> bool:
    return len(path.strip("/").split("/")) % 2 == 0
