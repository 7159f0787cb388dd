"""Every endpoint with each parameter missing, twice, huge, wrong, misplaced: never a 5xx.

The table is in `endpoint_table.py`. A route that has no row there fails the first test.
"""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

from idp.app.web import renderer_of
from idp.metrics import Metrics
from idp.settings import parse
from idp.web.cors import Cors
from idp.web.forms import LARGEST_FORM
from idp.web.routes import Endpoints, SessionEndpoints, web_routes
from tests.kit.provider import ISSUER, ProviderUnderTest, base_config, provider_under_test
from tests.kit.requests_sent import JSON, Mistake
from tests.spec.endpoint_table import TABLE, Row

ROWS = pytest.mark.parametrize("row", TABLE, ids=[row.id for row in TABLE])
CELLS = [(row, name) for row in TABLE for name in row.parameters]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "PROPFIND", "X")
_CHALLENGE = re.compile(r'error="([a-z_]+)"')
_DAY = 86_400

T = TypeVar("T")


def config() -> dict[str, Any]:
    # Keys that sign in no time: thousands of requests follow.
    signer = {"type": "local", "config": {"algorithm": "ES256"}}
    return {**base_config(), "signer": signer, "registration": {"mode": "open"}}


@pytest.fixture(scope="module")
def forgetful() -> Iterator[ProviderUnderTest]:
    with provider_under_test(config()) as provider:
        yield provider


@pytest.fixture(scope="module")
def remembering() -> Iterator[ProviderUnderTest]:
    with provider_under_test({**config(), "sessions": {"enabled": True}}) as provider:
        yield provider


@pytest.fixture
def provider(
    row: Row, forgetful: ProviderUnderTest, remembering: ProviderUnderTest
) -> ProviderUnderTest:
    """Return the provider of a row after a day of rest, so that nobody is throttled."""
    provider = remembering if row.with_sessions else forgetful
    provider.clock.turn(_DAY)
    return provider


def outcome(response: httpx.Response) -> str:
    """Return what a request came to, in the words of the table."""
    status = response.status_code
    location = response.headers.get("location")
    if location is not None:
        return f"{status} {_way(location)}"
    challenge = _CHALLENGE.search(response.headers.get("www-authenticate", ""))
    if challenge is not None:
        return f"{status} {challenge[1]}"
    if response.headers.get("content-type", "").startswith("text/html"):
        return f"{status} {'form' if '<form' in response.text else 'page'}"
    if response.headers.get("content-type") == "application/json" and status >= 400:
        return f"{status} {response.json().get('error', '')}".strip()
    return f"{status} ok" if status < 400 else str(status)


def _way(location: str) -> str:
    if location.startswith("/"):
        return "onward"
    answer = dict(re.findall(r"[?&#]([a-z_]+)=([^&]*)", location))
    return f"client {answer.get('error', 'ok')}"


async def _nothing(_: Request) -> Response:
    return Response()


def _all_of(kind: type[T], **others: object) -> T:
    """Return endpoints that all answer nothing."""
    return kind(**{field.name: _nothing for field in fields(cast(Any, kind))} | others)


@cache
def served_routes() -> frozenset[tuple[str, str]]:
    """Return method and path of everything that the web listener serves."""
    settings = parse(json.dumps(base_config()), environ={}, directory=Path.cwd())
    routes = web_routes(
        _all_of(Endpoints, sessions=_all_of(SessionEndpoints)),
        base_path="",
        renderer=renderer_of(settings, Metrics(CollectorRegistry())),
        cors=Cors(frozenset()),
    )
    found = {(method, route.path) for route in routes for method in route.methods or ()}
    return frozenset(each for each in found if each[0] not in ("HEAD", "OPTIONS"))


def test_every_route_has_its_row() -> None:
    assert {row.route for row in TABLE} == served_routes()


@ROWS
def test_a_good_request_is_answered(provider: ProviderUnderTest, row: Row) -> None:
    assert outcome(row.good(provider).send(provider.browser)) == row.outcome


@pytest.mark.covers("R-1", "R-5", "R-17", "R-81", "CV-9", "CV-27", "CV-36", "I-6")
@pytest.mark.spec("RFC 6749", "3.1")
@pytest.mark.parametrize(("row", "name"), CELLS, ids=[f"{row.id}, {name}" for row, name in CELLS])
def test_each_mistake_has_its_answer(
    provider: ProviderUnderTest, caplog: pytest.LogCaptureFixture, row: Row, name: str
) -> None:
    expected = row.parameters[name]
    for mistake in get_args(Mistake):
        for place in count():
            # What is good once is made anew for each try, in a world without memory of the last.
            provider.clock.turn(_DAY)
            tries = list(row.good(provider).with_mistake(name, mistake))
            response = tries[place].send(provider.browser)
            assert outcome(response) == getattr(expected, mistake), (mistake, place)
            assert "a=b" not in response.headers.get("set-cookie", "")
            if place + 1 == len(tries):
                break
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@ROWS
@pytest.mark.covers("R-17", "R-87", "CV-9")
def test_every_other_method_is_refused(provider: ProviderUnderTest, row: Row) -> None:
    sent = row.good(provider)
    allowed = {method for method, path in served_routes() if path == row.route[1]}
    for method in METHODS:
        response = replace(sent, method=method).send(provider.browser)
        if method in allowed or (method == "HEAD" and "GET" in allowed):
            continue
        if method == "OPTIONS" and response.status_code == 204:
            continue
        assert response.status_code == 405, method
        assert set(response.headers["allow"].split(", ")) >= allowed
        assert response.headers["cache-control"] == "no-store"


@ROWS
@pytest.mark.covers("R-17", "R-81", "CV-27", "CV-36")
def test_every_other_body_is_refused(provider: ProviderUnderTest, row: Row) -> None:
    if row.route[0] != "POST":
        return
    path = row.good(provider).path
    bodies = {
        "application/json": b'{"a": 1}',
        "multipart/form-data; boundary=x": b'--x\r\ncontent-disposition: form-data; name="a"\r\n',
        "text/plain": b"a=b",
        "application/x-www-form-urlencoded": b"a=%ff&" + b"&=" * 100,
    }
    bodies[JSON] = b"{" if row.media_type == JSON else bodies[JSON]
    for media_type, body in bodies.items():
        headers = {"content-type": media_type, "origin": ISSUER}
        response = provider.browser.post(path, content=body, headers=headers)
        assert response.status_code == 400, media_type
    headers = {"content-type": row.media_type, "origin": ISSUER}
    large = b"a=" + b"b" * LARGEST_FORM
    response = provider.browser.post(path, content=large, headers=headers)
    assert response.status_code == 413
