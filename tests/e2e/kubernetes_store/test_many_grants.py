"""Tens of thousands of logins in the store make a start neither slow nor large."""

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import JANE, kubernetes_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.process import free_port
from tests.kit.sizes import sized
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]

_GRANTS = sized(ci=2_000, full=20_000)
_SETTLE_SECONDS = 2.0
_STARTS = 2
_MOST_STARTS = 10


@dataclass(frozen=True, slots=True)
class _Start:
    """What a start took."""

    seconds: float
    megabytes: float

    def is_like(self, alone: "_Start") -> bool:
        """Tell whether it took hardly more than with an empty store."""
        is_quick = self.seconds < 1.5 * alone.seconds + 0.3
        return is_quick and self.megabytes < 1.1 * alone.megabytes + 3

    def or_better(self, other: "_Start") -> "_Start":
        """Return the least of both: neighbours make single ones slower, never quicker."""
        return _Start(min(self.seconds, other.seconds), min(self.megabytes, other.megabytes))


@pytest.fixture(scope="module")
def telemetry() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority,
    store: KubernetesStore,
    telemetry: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[IdpProcess]:
    directory = tmp_path_factory.mktemp("provider")
    overrides = {"telemetry": {"http": telemetry}}
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


def test_start_with_many_grants_is_as_quick_and_as_small_as_with_none(
    provider: IdpProcess, party: RelyingParty, store: KubernetesStore, telemetry: str
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    (grant,) = store.grants()
    alone = _best_start(provider, telemetry)

    _copy(store, grant, count=_GRANTS)
    among_many = _best_start(provider, telemetry)
    # What is slower by itself is so each time; what neighbours hold up is not.
    for _ in range(_MOST_STARTS - _STARTS):
        if among_many.is_like(alone):
            break
        among_many = among_many.or_better(_start(provider, telemetry))

    print(f"alone: {alone}, with {_GRANTS} grants: {among_many}")
    assert among_many.is_like(alone), f"alone: {alone}, with {_GRANTS} grants: {among_many}"
    with provider.client() as http:
        assert kubernetes_party(http, provider.issuer).refresh(tokens.refresh_token).id_token


def _best_start(provider: IdpProcess, telemetry: str) -> _Start:
    """Return the best of a few starts."""
    return reduce(_Start.or_better, [_start(provider, telemetry) for _ in range(_STARTS)])


def _start(provider: IdpProcess, telemetry: str) -> _Start:
    provider.kill()
    began = time.monotonic()
    provider.launch()
    eventually(lambda: _is_ready(telemetry), within=60)
    seconds = time.monotonic() - began
    time.sleep(_SETTLE_SECONDS)
    return _Start(seconds, _resident_megabytes(provider.pid))


def _is_ready(telemetry: str) -> bool:
    try:
        url = f"http://{telemetry}/healthz/ready"
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def _copy(store: KubernetesStore, grant: Mapping[str, Any], *, count: int) -> None:
    """Fill the store with copies of a grant, which differ by their names."""
    kept = {name: grant["metadata"].get(name, {}) for name in ("labels", "annotations")}
    path = f"/apis/state.kube-idp.dev/v1beta1/namespaces/{store.namespace}/refreshgrants"
    with store.kube.client(store.kube.admin_token) as http, ThreadPoolExecutor(8) as threads:

        def create(number: int) -> None:
            copy = {
                "apiVersion": grant["apiVersion"],
                "kind": grant["kind"],
                "metadata": {**kept, "name": f"copy-{number}"},
                "spec": grant["spec"],
            }
            http.post(path, json=copy).raise_for_status()

        list(threads.map(create, range(count)))
