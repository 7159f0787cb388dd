"""What somebody asked of the API server, from its audit log."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kit.servers.kube_api_server import KubeApiServer

_PATIENCE_SECONDS = 10
# Who has answered may still have something to ask that nobody waits for.
_SETTLE_SECONDS = 0.3
_LABELS_OF_BACKGROUND = ("kube-idp.dev/expires-day", "kube-idp.dev/ended")
_READS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request: verb and resource as RBAC names them (`oidcclients/status`)."""

    verb: str
    resource: str
    name: str
    status: int
    user_agent: str
    query: Mapping[str, str]

    @property
    def is_write(self) -> bool:
        """Tell whether it asked for a change."""
        return self.verb not in _READS

    @property
    def is_background(self) -> bool:
        """Tell whether it belongs to no operation of anybody.

        These are watches, the lists before they begin (of grants only a page of one, for the
        version, and those that have ended), the lease and what its holder does (sweeping by the day
        of expiry, status, events), and the looks at both kinds of keys. Whether an operation causes
        one of these after all shows in `requests`, when it is repeated often enough.
        """
        if self.verb == "watch" or self.resource in ("leases", "events"):
            return True
        if self.resource.endswith("/status") or self.name == "kube-idp-sealing-keys":
            return True
        if self.verb == "get" and self.resource == "signingkeyrings":
            return True
        if self.verb != "list":
            return False
        if self.resource != "refreshgrants" or self.query.get("limit") == "1":
            return True
        return self.query.get("labelSelector", "").startswith(_LABELS_OF_BACKGROUND)

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name}: {self.status}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The requests of one stretch of time, in the order in which they were answered."""

    requests: list[ApiRequest] = field(default_factory=list)

    @property
    def of_operations(self) -> list[ApiRequest]:
        """Those that somebody's operation caused."""
        return [request for request in self.requests if not request.is_background]

    @property
    def writes(self) -> list[ApiRequest]:
        """Those of operations that asked for a change."""
        return [request for request in self.of_operations if request.is_write]

    @property
    def done(self) -> list[ApiRequest]:
        """The writes that were carried out: who lost a race got a 409."""
        return [request for request in self.writes if request.status < 300]

    def __str__(self) -> str:
        return ", ".join(str(request) for request in self.of_operations)


class ApiRequests:
    """Reads the requests of one user; the API server must keep an audit log."""

    def __init__(self, kube: KubeApiServer, *, user: str) -> None:
        """Take the name as the API server knows it, `system:serviceaccount:NAMESPACE:NAME`."""
        self._kube = kube
        self._user = user

    @contextmanager
    def recorded(self) -> Iterator[Recorded]:
        """Record what is asked inside the block; complete when the block has ended."""
        recorded = Recorded()
        start = self._mark(self._kube.audit_log.stat().st_size)
        yield recorded
        time.sleep(_SETTLE_SECONDS)
        end = self._mark(start)
        for event in self._answers_to(self._asked(start, end), start):
            if _is_counted(event):
                recorded.requests.append(_request(event))

    def _asked(self, start: int, end: int) -> set[str]:
        """Return what came in between two places: its line stands there before it is answered."""
        return {
            event["auditID"]
            for event in self._events(start, end)
            if event["stage"] == "RequestReceived" and event["user"]["username"] == self._user
        }

    def _answers_to(self, asked: set[str], start: int) -> list[Mapping[str, Any]]:
        """Return the further lines about requests, which may come after the answer itself."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            told = [
                event
                for event in self._events(start)
                if event["auditID"] in asked and event["stage"] != "RequestReceived"
            ]
            if {event["auditID"] for event in told} == asked:
                return told
            if time.monotonic() > deadline:
                raise TimeoutError("the audit log does not show all answers")
            time.sleep(0.02)

    def _events(self, start: int, end: int | None = None) -> list[Mapping[str, Any]]:
        """Return whole lines between places; the last one in the log may be half written."""
        with self._kube.audit_log.open("rb") as log:
            log.seek(start)
            text = log.read() if end is None else log.read(end - start)
        whole, _, _ = text.rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def _mark(self, start: int) -> int:
        """Ask something that stands in the log afterwards; return the place right behind it."""
        mark = uuid.uuid4().hex
        with self._kube.client(self._kube.admin_token) as client:
            client.get(f"/version?mark={mark}").raise_for_status()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with self._kube.audit_log.open("rb") as log:
                log.seek(start)
                found = log.read()
            at = found.find(mark.encode())
            end = found.find(b"\n", at)
            if at >= 0 and end >= 0:
                return start + end + 1
            time.sleep(0.02)
        raise TimeoutError(f"the audit log does not show /version?mark={mark}")


def _is_counted(event: Mapping[str, Any]) -> bool:
    # A watch has two lines; the first tells that it was asked for, also while it still runs.
    stage = "ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"
    return bool(event["stage"] == stage) and "objectRef" in event


def _request(event: Mapping[str, Any]) -> ApiRequest:
    about = event["objectRef"]
    subresource = about.get("subresource")
    query = parse_qs(urlsplit(event["requestURI"]).query)
    return ApiRequest(
        verb=event["verb"],
        resource=about["resource"] + (f"/{subresource}" if subresource else ""),
        name=about.get("name", ""),
        status=event.get("responseStatus", {}).get("code", 0),
        user_agent=event.get("userAgent", ""),
        query={name: values[0] for name, values in query.items()},
    )
