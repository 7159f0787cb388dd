"""The stores that the provider is measured on, each with what an operation may cost there."""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.provider import free_port
from tests.kit.install.binaries import find_binaries
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import install_crds

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A store: its section of the configuration, how often it was written to, and the limits.

    The provider on it listens on `port`, which is part of its issuer. Limits are CPU time of the
    provider, in RSA-2048 signatures. `kubeconfig` leads to the API server where there is one.
    """

    name: str
    section: Mapping[str, object]
    port: int
    writes: Callable[[], int]
    login: float
    refresh: float
    kubeconfig: Path | None = None


@contextmanager
def sqlite_store() -> Iterator[Store]:
    """A database file in a temporary directory."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "idp.db"
        yield Store(
            name="SQLite",
            section={"type": "sqlite3", "config": {"file": str(file)}},
            port=free_port(),
            writes=lambda: _changes_in(file),
            login=8,
            refresh=6,
        )


@contextmanager
def kubernetes_store() -> Iterator[Store]:
    """Custom resources of a real API server over etcd, without a disk to wait for."""
    binaries = find_binaries()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with (
            Etcd(binaries.etcd, directory=directory / "etcd") as etcd,
            KubeApiServer(
                binaries,
                etcd=etcd,
                ca=CertificateAuthority.create(),
                directory=directory / "kube",
                audit_level="Metadata",
            ) as kube,
        ):
            install_crds(kube)
            kubeconfig = str(kube.admin_kubeconfig)
            yield Store(
                name="Kubernetes",
                section={
                    "type": "kubernetes",
                    "config": {"kubeConfigFile": kubeconfig},
                },
                port=free_port(),
                writes=lambda: _writes_of_requests(directory / "kube" / "audit.log"),
                login=14,
                refresh=10,
                kubeconfig=kube.admin_kubeconfig,
            )


def _changes_in(database: Path) -> int:
    """Return the number of the store's newest change: it counts every write."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT coalesce(max(number), 0) FROM changes").fetchone()
    return int(row[0])


def _writes_of_requests(audit_log: Path) -> int:
    """Return how many writes reached our kinds; the Lease and statuses are not of requests."""
    with audit_log.open() as lines:
        events = map(json.loads, lines)
        return sum(
            event["stage"] == "ResponseComplete"
            and event["verb"] in _WRITES
            and event.get("objectRef", {}).get("apiGroup") == "state.kube-idp.dev"
            for event in events
        )
