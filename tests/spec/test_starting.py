"""A provider listens before it has read its store, and says so."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from prometheus_client import CollectorRegistry

from idp.app import Provider, Surroundings
from idp.settings import parse
from tests.kit.clock import HandClock
from tests.kit.provider import ISSUER, KeyShelf, base_config


@contextmanager
def unopened() -> Iterator[tuple[Provider, BlockingPortal]]:
    """Return a provider that has been put together and not opened."""
    settings = parse(json.dumps(base_config()), environ={}, directory=Path.cwd())
    registry = CollectorRegistry()
    outside = Surroundings(
        clock=HandClock(), random=bytes, registry=registry, exposed=registry, new_key=KeyShelf()
    )
    with start_blocking_portal("asyncio") as portal:
        provider = Provider(settings, outside)
        try:
            yield provider, portal
        finally:
            portal.call(provider.close)


def ask(
    portal: BlockingPortal, app: object, method: str, path: str, **options: Any
) -> httpx.Response:
    """Return the answer of an ASGI application."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=cast(Any, app))
        async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
            return await client.request(method, path, **options)

    return portal.call(send)


@pytest.mark.covers("P-5")
def test_a_provider_that_is_starting_is_live_and_not_ready() -> None:
    with unopened() as (provider, portal):
        assert ask(portal, provider.telemetry, "GET", "/healthz/live").status_code == 200
        ready = ask(portal, provider.telemetry, "GET", "/healthz/ready")
        assert (ready.status_code, ready.json()) == (503, {"provider": "starting"})
        portal.call(provider.open)
        assert ask(portal, provider.telemetry, "GET", "/healthz/ready").status_code == 200


@pytest.mark.covers("P-5")
@pytest.mark.parametrize("path", ["/keys", "/.well-known/openid-configuration", "/token", "/auth"])
def test_programs_hear_503_and_when_to_come_back(path: str) -> None:
    with unopened() as (provider, portal):
        answer = ask(portal, provider.web, "POST" if path == "/token" else "GET", path)
        assert answer.status_code == 503
        assert answer.json()["error"] == "temporarily_unavailable"
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["cache-control"] == "no-store"


def test_people_get_a_page_and_the_same_request_works_once_the_store_is_read() -> None:
    with unopened() as (provider, portal):
        people = {"accept": "text/html,application/xhtml+xml"}
        page = ask(portal, provider.web, "GET", "/", headers=people)
        assert page.status_code == 503
        assert "The provider is starting" in page.text
        portal.call(provider.open)
        assert ask(portal, provider.web, "GET", "/", headers=people).status_code == 200


def test_a_provider_that_leaves_while_it_starts_never_becomes_ready() -> None:
    with unopened() as (provider, portal):
        provider.readiness.leaving()
        portal.call(provider.open)
        assert provider.readiness.check() == "draining"
