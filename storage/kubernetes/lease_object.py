"""The Lease on the wire (coordination.k8s.io/v1): read, created, and replaced by version.

Who may hold it, and for how long, is decided in `storage.kubernetes.lease`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from storage.base import StorageUnavailable
from storage.kubernetes.api import ApiServer

_GROUP_VERSION = "coordination.k8s.io/v1"
_MANAGER = {"fieldManager": "kube-idp"}
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What a Lease says. `holder` is "" when nobody holds it; `lifetime` is in seconds.

    The two times are the holder's own clock, for people who look: nothing is decided by them.
    `metadata` is what the object came with and goes back with, labels of others included.
    """

    holder: str
    lifetime: int
    acquired_at: datetime
    renewed_at: datetime
    transitions: int
    version: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class LeaseObject:
    """One Lease by name. Errors are those of `ApiServer.call`."""

    api: ApiServer
    name: str = "kube-idp"

    async def read(self) -> Lease:
        """Return the newest version. Raises NotFound."""
        return _read(await self.api.call("GET", f"{self._collection()}/{self.name}"))

    async def create(self, lease: Lease) -> Lease:
        """Create it; of several callers one wins. Raises AlreadyExists."""
        body = _write(lease, {"name": self.name, "namespace": self.api.namespace})
        return _read(await self.api.call("POST", self._collection(), body=body, query=_MANAGER))

    async def replace(self, lease: Lease) -> Lease:
        """Store over exactly `lease.version`. Raises Conflict or NotFound."""
        metadata = {**lease.metadata, "resourceVersion": lease.version}
        path = f"{self._collection()}/{self.name}"
        body = _write(lease, metadata)
        return _read(await self.api.call("PUT", path, body=body, query=_MANAGER))

    def _collection(self) -> str:
        return f"/apis/{_GROUP_VERSION}/namespaces/{self.api.namespace}/leases"


def _write(lease: Lease, metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": _GROUP_VERSION,
        "kind": "Lease",
        "metadata": dict(metadata),
        "spec": {
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": lease.lifetime,
            "acquireTime": _write_time(lease.acquired_at),
            "renewTime": _write_time(lease.renewed_at),
            "leaseTransitions": lease.transitions,
        },
    }


def _read(document: Mapping[str, Any]) -> Lease:
    """Read what the API server has checked; every field of the spec may be missing."""
    metadata = dict(document.get("metadata") or {})
    metadata.pop("managedFields", None)
    if not metadata.get("resourceVersion"):
        raise StorageUnavailable("the API server answered something that is no Lease")
    spec = document.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        lifetime=spec.get("leaseDurationSeconds") or 0,
        acquired_at=_read_time(spec.get("acquireTime")),
        renewed_at=_read_time(spec.get("renewTime")),
        transitions=spec.get("leaseTransitions") or 0,
        version=metadata["resourceVersion"],
        metadata=metadata,
    )


def _write_time(instant: datetime) -> str:
    """Return a MicroTime: always six digits and Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read_time(text: str | None) -> datetime:
    return datetime.fromisoformat(text) if text else _LONG_AGO
