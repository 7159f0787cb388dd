"""Requests to the API server, answers and events as values; and what they mean."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from storage.base import AlreadyExists, Conflict, NotFound, StorageError
from storage.kubernetes.errors import Expired, Forbidden, Invalid, TooLarge, Unavailable

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

Body = Mapping[str, Any] | Sequence[Any] | str
"""What a request carries: JSON values, or text that is encoded already."""

_LONGEST_QUOTE = 300
_SECONDS_WITHOUT_A_HINT = 1.0
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request before it is sent. `target` is path and query, `data` the encoded body."""

    method: str
    path: str
    target: str
    data: bytes | None = field(repr=False)
    content_type: str
    accept: str

    @property
    def subject(self) -> str:
        """Return verb and resource as a Role spells them, such as `update refreshgrants.GROUP`."""
        parts = self.path.strip("/").split("/")
        group = parts[1] if parts[0] == "apis" and len(parts) > 1 else ""
        rest = parts[3:] if group else parts[2:]
        if len(rest) > 2 and rest[0] == "namespaces":
            rest = rest[2:]
        plural, name, subresource = (*rest, "", "", "")[:3]
        resource = f"{plural}/{subresource}" if subresource else plural
        verb = _VERBS.get(self.method, self.method.lower())
        if self.method == "GET" and not name:
            verb = "watch" if "watch=" in self.target else "list"
        return f"{verb} {resource}.{group}" if group else f"{verb} {resource}"

    @property
    def is_write(self) -> bool:
        """Return whether it may change anything."""
        return self.method != "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; `retry_after` is the header as it was sent."""

    status: int
    retry_after: str = ""
    data: bytes = field(repr=False)


def request(
    method: str,
    path: str,
    *,
    body: Body | None = None,
    query: Mapping[str, str] | None = None,
    content_type: str = JSON,
    accept: str = JSON,
) -> Request:
    """Return a request, encoded once for all of its attempts."""
    text = body if body is None or isinstance(body, str) else _ENCODER.encode(body)
    return Request(
        method=method,
        path=path,
        target=f"{path}?{urlencode(query)}" if query else path,
        data=None if text is None else text.encode("utf-8"),
        content_type=content_type,
        accept=accept,
    )


def meaning(request: Request, answer: Answer) -> dict[str, Any]:
    """Return the object that was answered. Raises what `refusal` returns, and Unavailable."""
    if answer.status >= 300:
        raise refusal(request, answer)
    try:
        decoded = json.loads(answer.data)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise Unavailable(
            f"{request.method} {request.path}: the answer is no JSON object; check that the"
            " address is that of a Kubernetes API server and not of something in front of it",
            status=answer.status,
        )
    return decoded


def refusal(request: Request, answer: Answer) -> StorageError:
    """Return the error for an answer of 300 or more."""
    status = _status_object(answer)
    said = str(status.get("message") or "")[:_LONGEST_QUOTE]
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    what = f"{request.method} {request.path}"
    match answer.status:
        case 404:
            return _missing(request, details, what)
        case 409 if status.get("reason") == "AlreadyExists":
            return AlreadyExists(f"{what}: {said or 'exists already'}")
        case 409:
            return Conflict(f"{what}: was changed since it was read")
        case 401 | 403:
            return _denied(request, answer.status, said)
        case 410:
            return Expired(f"{what}: the version to go on from is too old; list again", status=410)
        case 422:
            causes = _causes(details)
            return Invalid(f"{what}: refused: {'; '.join(causes) or said}", causes=causes)
    if is_too_large(answer):
        return TooLarge(
            f"{what}: the object is larger than the API server or etcd takes (about 1.5 MiB);"
            " it holds too much, such as thousands of groups",
            status=answer.status,
        )
    return Unavailable(
        f"{what}: the API server answered {answer.status}{': ' if said else ''}{said}",
        status=answer.status,
        retry_after=wait_asked(answer, details),
    )


async def lines(pieces: AsyncIterator[bytes], *, limit: int) -> AsyncIterator[bytes]:
    """Yield whole lines of a stream that is cut anywhere. Raises Unavailable for one too long."""
    begun: list[bytes] = []
    size = 0
    async for piece in pieces:
        first, *more = piece.split(b"\n")
        begun.append(first)
        size += len(first)
        if size > limit:
            raise Unavailable(f"an event of the API server is larger than {limit} bytes")
        for following in more:
            line = b"".join(begun)
            begun, size = [following], len(following)
            if line.strip():
                yield line


def event(line: bytes, what: str) -> dict[str, Any]:
    """Return the event of a line. Raises Expired and Unavailable, also for an ERROR event."""
    try:
        decoded = json.loads(line)
    except ValueError:
        decoded = None
    held = decoded.get("object") if isinstance(decoded, dict) else None
    if not isinstance(decoded, dict) or not isinstance(held, dict):
        raise Unavailable(f"{what}: the API server sent a line that is no event")
    if decoded.get("type") != "ERROR":
        return decoded
    said = str(held.get("message") or "")[:_LONGEST_QUOTE]
    if held.get("code") == 410 or held.get("reason") in ("Expired", "Gone"):
        raise Expired(f"{what}: the version to go on from is too old: {said}", status=410)
    raise Unavailable(f"{what}: the API server ended it with an error: {said}")


def wait_asked(answer: Answer, details: Mapping[str, Any]) -> float | None:
    """Return the seconds to wait that an answer asks for; a 429 without a number asks for one."""
    for asked in (answer.retry_after, details.get("retryAfterSeconds")):
        if str(asked).isascii() and str(asked).isdigit():
            return float(asked or 0)
    return _SECONDS_WITHOUT_A_HINT if answer.status == 429 else None


def is_too_large(answer: Answer) -> bool:
    """Tell an object that never fits from a server that fails (both may be a 500)."""
    return answer.status == 413 or (
        answer.status >= 500
        and (b"request is too large" in answer.data or b"larger than max" in answer.data)
    )


def _missing(request: Request, details: Mapping[str, Any], what: str) -> StorageError:
    """Tell an object that is missing from a namespace or a whole resource that is."""
    wanted = request.path.rpartition("/")[2]
    if details.get("kind") == "namespaces" and wanted != details.get("name"):
        return Unavailable(
            f"{what}: the namespace {details.get('name')!r} does not exist: create it", status=404
        )
    if details.get("name"):
        return NotFound(f"{what}: does not exist")
    return Unavailable(
        f"{what}: the API server does not serve this resource; apply its definition with"
        " `idp crds | kubectl apply --server-side -f -`",
        status=404,
    )


def _denied(request: Request, status: int, said: str) -> Forbidden | Unavailable:
    verb, _, resource = request.subject.partition(" ")
    if status == 401:
        return Forbidden(
            f"{verb} {resource}: the API server does not know us (401): the token or client"
            " certificate has expired or is for another cluster; renew it",
            status=401,
        )
    if "quota" in said or "being terminated" in said:
        return Unavailable(f"{verb} {resource}: the API server refused (403): {said}", status=403)
    return Forbidden(
        f"{verb} {resource}: the API server forbids it (403): add that verb on that resource to"
        f" our Role. It said: {said}",
        status=403,
    )


def _causes(details: Mapping[str, Any]) -> list[str]:
    causes = details.get("causes")
    return [
        f"{cause.get('field', '')}: {str(cause.get('message', ''))[:_LONGEST_QUOTE]}"
        for cause in (causes if isinstance(causes, list) else [])
        if isinstance(cause, dict)
    ]


def _status_object(answer: Answer) -> dict[str, Any]:
    """Return the Status that came along; proxies on the way send anything."""
    try:
        decoded = json.loads(answer.data)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


_ENCODER = json.JSONEncoder(separators=(",", ":"))
