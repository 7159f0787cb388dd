"""What people write, from an API server that sends what none should."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from aiohttp import web

from idp.clock import system_clock
from storage.base import StorageUnavailable
from storage.kubernetes.access import Access, Credentials
from storage.kubernetes.api import ApiServer, open_api_server
from storage.kubernetes.errors import Forbidden
from storage.kubernetes.lease_object import LeaseObject
from storage.kubernetes.objects import KubernetesObjects
from storage.kubernetes.sealing_secret import SealingSecret
from storage.objects import Gone, Listed, ObjectNews, Put

pytestmark = pytest.mark.anyio

GOOD = {
    "metadata": {
        "name": "good",
        "uid": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "resourceVersion": "7",
    },
    "spec": {"clientID": "good"},
}
BAD: Sequence[Any] = [
    {},
    {"metadata": None},
    {"metadata": {"name": "bad"}},
    {"metadata": {**GOOD["metadata"], "name": 7}},
    {"metadata": {**GOOD["metadata"], "creationTimestamp": "soon"}},
    "text",
    None,
]


@contextlib.asynccontextmanager
async def api_server(
    answer: Mapping[str, Any], events: Sequence[Mapping[str, Any]] = (), *, status: int = 200
) -> AsyncIterator[ApiServer]:
    """Answer every request with this, every watch with these events and then with silence."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response(answer, status=status)
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(json.dumps(event).encode() + b"\n")
        await asyncio.sleep(30)
        return response

    runner = web.ServerRunner(web.Server(handle, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0][:2]
    credentials = Credentials(server=f"http://127.0.0.1:{port}")
    api = open_api_server(
        Access(namespace="idp", credentials=credentials, read=lambda: credentials)
    )
    try:
        yield api
    finally:
        await api.close()
        await runner.cleanup()


def objects_over(api: ApiServer) -> KubernetesObjects:
    return KubernetesObjects(api, identity="pod", clock=system_clock, monotonic=time.monotonic)


async def news_of(objects: KubernetesObjects, count: int) -> list[ObjectNews]:
    found: list[ObjectNews] = []
    async with asyncio.timeout(5):
        async for news in objects.follow("oidc-clients"):
            found.append(news)
            if len(found) == count:
                break
    return found


@pytest.mark.covers("K-22")
async def test_objects_without_usable_metadata_are_left_out_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="storage")
    listed = {"metadata": {"resourceVersion": "9"}, "items": [*BAD, GOOD]}
    changed = {**GOOD, "spec": {"clientID": "changed"}}
    events = [
        *({"type": "MODIFIED", "object": bad} for bad in BAD if isinstance(bad, dict)),
        {"type": "SURPRISE", "object": GOOD},
        {"type": "MODIFIED", "object": changed},
        {"type": "DELETED", "object": changed},
    ]
    async with api_server(listed, events) as api:
        objects = objects_over(api)
        for _ in range(2):
            first, put, gone = await news_of(objects, 3)
            assert isinstance(first, Listed)
            assert [written.name for written in first.objects] == ["good"]
            assert isinstance(put, Put)
            assert put.object.spec == {"clientID": "changed"}
            assert gone == Gone("good", "1")
    problems = [vars(record)["problem"] for record in caplog.records]
    assert problems == [
        "oidc-clients/None: metadata.name is missing or not text",
        "oidc-clients/bad: metadata.uid is missing or not text",
        "oidc-clients/7: metadata.name is missing or not text",
        "oidc-clients/good: metadata.creationTimestamp is not a time",
    ]


async def test_what_is_neither_lease_nor_secret_is_an_error_of_the_store() -> None:
    async with api_server({}) as api:
        with pytest.raises(StorageUnavailable, match="no Lease"):
            await LeaseObject(api).read()
        secret = SealingSecret(api=api, random_bytes=bytes)
        with pytest.raises(Exception, match="is empty"):
            await secret.read()
        assert await objects_over(api).secret("any") == {}


@pytest.mark.covers("K-16")
async def test_a_server_that_does_not_know_us_is_not_taken_for_a_missing_rule() -> None:
    refusal = {"kind": "Status", "code": 401}
    async with api_server(refusal, status=401) as api:
        with pytest.raises(Forbidden, match="does not know us"):
            await SealingSecret(api=api, random_bytes=bytes).read()
    async with api_server(refusal, status=401) as api:
        with pytest.raises(Forbidden, match="does not know us"):
            await objects_over(api).secret("any")
