"""What one request of the API server costs us, through the door that the provider uses."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from storage.kubernetes.access import from_kube_config
from storage.kubernetes.api import ApiServer, open_api_server
from storage.kubernetes.resources import STATE_GROUP, VERSION

LIMIT_MS = 0.6
_COLLECTION = f"/apis/{STATE_GROUP}/{VERSION}/namespaces/default/refreshgrants"
_AT_ONCE = 16
_EACH = 50
_ROUNDS = 5
_SPEC = {"user": "jane@example.com", "client": "bench", "connector": "local", "sealed": "x" * 900}


def costs_of_calls(kubeconfig: Path) -> Iterator[tuple[str, float]]:
    """Yield kinds of requests and the milliseconds of CPU that one takes on our side."""
    yield from asyncio.run(_costs(kubeconfig)).items()


async def _costs(kubeconfig: Path) -> dict[str, float]:
    api = open_api_server(await from_kube_config(kubeconfig, namespace="default"))
    objects = [await _created(api, f"bench-{number}") for number in range(_AT_ONCE)]

    async def read(number: int) -> None:
        await api.call("GET", f"{_COLLECTION}/bench-{number}")

    async def write(number: int) -> None:
        objects[number] = await api.call(
            "PUT", f"{_COLLECTION}/bench-{number}", body=_changed(objects[number])
        )

    costs = {"read": await _cost(read), "conditional write": await _cost(write)}
    for number in range(_AT_ONCE):
        await api.call("DELETE", f"{_COLLECTION}/bench-{number}")
    await api.close()
    return costs


async def _created(api: ApiServer, name: str) -> dict[str, Any]:
    return await api.call(
        "POST",
        _COLLECTION,
        body={
            "apiVersion": f"{STATE_GROUP}/{VERSION}",
            "kind": "RefreshGrant",
            "metadata": {"name": name, "managedFields": [{}]},
            "spec": _SPEC,
        },
    )


def _changed(found: dict[str, Any]) -> dict[str, Any]:
    spec = found["spec"]
    return {**found, "spec": {**spec, "sealed": spec["sealed"][1:] + spec["sealed"][:1]}}


async def _cost(call: Callable[[int], Awaitable[None]]) -> float:
    """Return the milliseconds of CPU of one call: the median of a few rounds, many at a time."""

    async def repeat(number: int) -> None:
        for _ in range(_EACH):
            await call(number)

    rounds = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        await asyncio.gather(*(repeat(number) for number in range(_AT_ONCE)))
        rounds.append((time.process_time() - started) / (_AT_ONCE * _EACH))
    return median(rounds) * 1e3
