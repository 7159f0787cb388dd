"""Leadership by a Lease on a real API server, with the rights that the chart gives.

How it behaves under faults is in `test_kubernetes_lease_election`, where time is simulated.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.kubernetes.access import from_kube_config
from storage.kubernetes.api import ApiServer, open_api_server
from storage.kubernetes.lease import KubernetesLeadership
from storage.kubernetes.lease_object import LeaseObject
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import KubernetesStore, kubernetes_store
from tests.kit.servers.rbac import Rule
from tests.kit.waiting import Stopwatch

pytestmark = [pytest.mark.servers, pytest.mark.anyio]

GROUP = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
RULES: list[Rule] = [
    {**GROUP, "verbs": ["create"]},
    {**GROUP, "verbs": ["get", "update"], "resourceNames": ["kube-idp"]},
]


@pytest.fixture
def store(kube: KubeApiServer, tmp_path: Path) -> KubernetesStore:
    return kubernetes_store(kube, directory=tmp_path, rules=RULES)


@dataclass(slots=True)
class Replica:
    """A process as far as leading goes, with a door of its own."""

    api: ApiServer
    leadership: KubernetesLeadership
    task: asyncio.Task[None]

    def leads(self) -> bool:
        return self.leadership.leads()

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def die(self) -> None:
        """Fall silent, as a killed process does."""
        await self.api.close()


@contextlib.asynccontextmanager
async def replica(
    store: KubernetesStore, name: str, *, skew: timedelta = timedelta(0)
) -> AsyncIterator[Replica]:
    api = open_api_server(await from_kube_config(store.kubeconfig))
    leadership = KubernetesLeadership(
        LeaseObject(api),
        identity=name,
        clock=lambda: datetime.now(UTC) + skew,
        monotonic=time.monotonic,
        sleep=asyncio.sleep,
        random_bytes=secrets.token_bytes,
    )
    running = Replica(api, leadership, asyncio.create_task(leadership.run()))
    try:
        yield running
    finally:
        await running.stop()
        await api.close()


async def until(condition: Callable[[], bool], *, within: float) -> None:
    """Return once a condition is true; fails after so many seconds of a `Stopwatch`."""
    with Stopwatch() as watch:
        while not condition():
            assert watch.seconds < within
            await asyncio.sleep(0.02)


def lease(store: KubernetesStore) -> Mapping[str, Any]:
    return store.kubectl("get", "lease", "kube-idp", "-o", "json").document()


async def test_one_of_two_leads_and_hands_over_within_a_second(store: KubernetesStore) -> None:
    async with replica(store, "one") as one:
        await until(one.leads, within=3)
        async with replica(store, "two", skew=timedelta(hours=-5)) as two:
            await asyncio.sleep(1.5)
            assert not two.leads()
            assert lease(store)["spec"]["holderIdentity"] == "one"
            await one.stop()
            assert not one.leads()
            await until(two.leads, within=3)
            spec = lease(store)["spec"]
            assert spec["holderIdentity"] == "two"
            assert spec["leaseDurationSeconds"] == 15
            # 0 when it was made, 1 when it was taken over.
            assert spec["leaseTransitions"] == 1
    assert lease(store)["spec"].get("holderIdentity", "") == ""


async def test_a_leader_that_dies_is_followed_within_17_seconds(store: KubernetesStore) -> None:
    async with replica(store, "one") as one, replica(store, "two") as two:
        await until(lambda: one.leads() or two.leads(), within=3)
        first, second = (one, two) if one.leads() else (two, one)
        await asyncio.sleep(1)
        await first.die()
        await until(second.leads, within=17)
        assert not first.leads()


async def test_what_others_wrote_on_the_lease_stays(store: KubernetesStore) -> None:
    labels = {"team": "platform"}
    store.apply(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "kube-idp", "labels": labels},
        }
    )
    async with replica(store, "one") as one:
        await until(one.leads, within=3)
    assert lease(store)["metadata"]["labels"] == labels


@pytest.mark.covers("R-95")
@pytest.mark.parametrize("missing", ["create", "get", "update"])
async def test_each_verb_is_needed(
    store: KubernetesStore, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    if missing == "update":
        store.kubectl("create", "-f", "-", stdin=_EMPTY_LEASE).check()
    rules = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if verb != missing]} for rule in RULES
    ]
    store.set_rules([rule for rule in rules if rule["verbs"]])
    async with replica(store, "one") as one:
        await asyncio.sleep(1.5)
        assert not one.leads()
    assert "lease_unreachable" in caplog.messages


_EMPTY_LEASE = (
    '{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "kube-idp"}}'
)
