"""The proxy itself: it carries everything when all is well, and fails as it is told to."""

import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.kit.servers.fault_proxy import FaultProxy
from tests.kit.servers.faults import (
    BlackHole,
    LosesAnswers,
    Refuses,
    SaysGone,
    Stumbles,
    Throttles,
)
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def http(proxy: FaultProxy, kube_with_crds: KubeApiServer) -> Iterator[httpx.Client]:
    """Yield the administrator on the way through the proxy."""
    with _client(proxy, kube_with_crds) as client:
        yield client


def _client(proxy: FaultProxy, kube: KubeApiServer) -> httpx.Client:
    return httpx.Client(
        base_url=proxy.url,
        verify=ssl.create_default_context(cafile=proxy.ca_file),
        headers={"Authorization": f"Bearer {kube.admin_token}"},
        trust_env=False,
        timeout=30,
    )


def test_requests_and_watches_pass_and_are_counted(
    proxy: FaultProxy, http: httpx.Client, kube_with_crds: KubeApiServer
) -> None:
    before = proxy.asked["POST", _MAPS]
    with _Watch(_client(proxy, kube_with_crds)) as watch:
        assert http.post(_MAPS, json=_map("passed")).status_code == 201
        eventually(lambda: any("passed" in line for line in watch.lines), within=30)
        proxy.cut_watches()
        watch.ended.wait(30)

    assert watch.ended.is_set()
    assert proxy.asked["POST", _MAPS] == before + 1
    assert proxy.asked["watch", _MAPS] >= 1


def test_watch_can_be_told_that_it_has_expired(
    proxy: FaultProxy, kube_with_crds: KubeApiServer
) -> None:
    with _Watch(_client(proxy, kube_with_crds)) as watch:
        eventually(lambda: bool(watch.lines), within=30)
        proxy.expire_watches()
        watch.ended.wait(30)

    assert '"code": 410' in watch.lines[-1]


def test_refused_and_mute(proxy: FaultProxy, http: httpx.Client) -> None:
    http.get(_MAPS).raise_for_status()
    with proxy.meeting(Refuses()), pytest.raises(httpx.ConnectError):
        http.get(_MAPS)
    http.get(_MAPS).raise_for_status()
    with proxy.meeting(BlackHole()):
        with pytest.raises(httpx.ReadTimeout):
            http.get(_MAPS, timeout=1)
        with pytest.raises(httpx.ConnectTimeout):
            http.get(_MAPS, timeout=1)
    http.get(_MAPS).raise_for_status()


def test_answers_that_are_errors(proxy: FaultProxy, http: httpx.Client) -> None:
    with proxy.meeting(Throttles(retry_after=7)):
        throttled = http.get(_MAPS)
    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "7")
    with proxy.meeting(Stumbles(share=0.5)):
        statuses = [http.get(_MAPS).status_code for _ in range(60)]
    assert 15 < statuses.count(200) < 45
    assert set(statuses) <= {200, 500, 502, 503, 504}
    with proxy.meeting(SaysGone()):
        assert http.get(f"{_MAPS}?watch=1&resourceVersion=5").status_code == 410
        assert http.get(_MAPS).status_code == 200


def test_lost_answer_was_a_write_that_was_done(proxy: FaultProxy, http: httpx.Client) -> None:
    with proxy.meeting(LosesAnswers(count=1)), pytest.raises(httpx.RemoteProtocolError):
        http.post(_MAPS, json=_map("reset"))
    assert http.post(_MAPS, json=_map("reset")).status_code == 409
    with proxy.meeting(LosesAnswers(by="silence")), pytest.raises(httpx.ReadTimeout):
        http.post(_MAPS, json=_map("silence"), timeout=3)
    assert http.get(f"{_MAPS}/silence").status_code == 200


class _Watch:
    """A watch in a thread."""

    def __init__(self, http: httpx.Client) -> None:
        self.lines: list[str] = []
        self.ended = threading.Event()
        self._http = http
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        self._http.close()

    def _run(self) -> None:
        try:
            with self._http.stream("GET", f"{_MAPS}?watch=1", timeout=60) as answer:
                for line in answer.iter_lines():
                    self.lines.append(line)
        except httpx.RemoteProtocolError:
            pass  # it was cut
        finally:
            self.ended.set()


def _map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
