"""The Secret of the sealing keys, on a real API server, with the rights that the chart gives."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from storage.base import Conflict, NotFound, StorageUnavailable, Unreadable
from storage.kubernetes.access import from_kube_config
from storage.kubernetes.api import open_api_server
from storage.kubernetes.errors import Forbidden
from storage.kubernetes.sealing_secret import SealingSecret
from tests.kit.servers.fault_proxy import FaultProxy
from tests.kit.servers.faults import LosesAnswers
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import KubernetesStore, kubernetes_store

pytestmark = [pytest.mark.servers, pytest.mark.anyio]

NAME = "kube-idp-sealing-keys"


def rules(*verbs: str) -> list[Mapping[str, Any]]:
    return [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [NAME],
            "verbs": list(verbs),
        }
    ]


@pytest.fixture(scope="module")
def proxy(kube: KubeApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    directory = tmp_path_factory.mktemp("proxy")
    with FaultProxy(kube.url, upstream_ca=kube.ca, directory=directory) as running:
        yield running


@pytest.fixture
def store(kube: KubeApiServer, proxy: FaultProxy, tmp_path: Path) -> KubernetesStore:
    """Return a namespace whose account may do with this one Secret what the chart allows."""
    return kubernetes_store(
        kube, directory=tmp_path, rules=rules("get", "create", "patch"), proxy=proxy
    )


@contextlib.asynccontextmanager
async def sealing_secret(store: KubernetesStore, name: str = NAME) -> AsyncIterator[SealingSecret]:
    api = open_api_server(await from_kube_config(store.kubeconfig))
    try:
        yield SealingSecret(api=api, random_bytes=secrets.token_bytes, name=name)
    finally:
        await api.close()


def put(store: KubernetesStore, **members: object) -> None:
    """Write the Secret as an administrator does."""
    metadata = {"name": NAME, "labels": {"team": "platform"}}
    store.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **members})


def stored(store: KubernetesStore) -> Mapping[str, Any]:
    return store.kubectl("get", "secret", NAME, "-o", "json").document()


async def _create_and_read(secret: SealingSecret) -> str:
    await secret.create_if_absent("text")
    return (await secret.read())[0]


async def test_a_secret_that_is_not_there_is_not_found(store: KubernetesStore) -> None:
    async with sealing_secret(store) as secret:
        with pytest.raises(NotFound):
            await secret.read()


@pytest.mark.covers("K-10")
async def test_of_eight_that_start_at_once_one_wins_and_all_read_its_text(
    store: KubernetesStore,
) -> None:
    async def start(number: int) -> str:
        async with sealing_secret(store) as secret:
            await secret.create_if_absent(f"text of {number} ключ")
            text, _ = await secret.read()
            return text

    texts = await asyncio.gather(*[start(number) for number in range(8)])
    assert len(set(texts)) == 1
    assert texts[0] in {f"text of {number} ключ" for number in range(8)}


@pytest.mark.covers("K-6")
@pytest.mark.parametrize("by", ["reset", "silence"])
async def test_a_first_text_whose_answer_was_lost_is_not_replaced_by_a_second(
    store: KubernetesStore, proxy: FaultProxy, by: Any
) -> None:
    async with sealing_secret(store) as secret:
        # A reset is tried again; silence costs the deadline.
        with proxy.meeting(LosesAnswers(by=by, count=1)), contextlib.suppress(StorageUnavailable):
            await secret.create_if_absent("first")
        await secret.create_if_absent("second")
        assert (await secret.read())[0] == "first"


async def test_a_text_is_replaced_over_its_version_only(store: KubernetesStore) -> None:
    async with sealing_secret(store) as secret:
        await secret.create_if_absent("first")
        text, version = await secret.read()
        assert text == "first"
        await secret.replace("second", version)
        with pytest.raises(Conflict):
            await secret.replace("third", version)
        text, newer = await secret.read()
        assert text == "second"
        assert newer != version
        await secret.create_if_absent("fourth")
        assert (await secret.read())[0] == "second"


@pytest.mark.covers("K-10")
async def test_of_eight_that_replace_at_once_one_wins(store: KubernetesStore) -> None:
    async with sealing_secret(store) as secret:
        await secret.create_if_absent("first")
        _, version = await secret.read()

        async def replace(number: int) -> int | None:
            with contextlib.suppress(Conflict):
                await secret.replace(f"second of {number}", version)
                return number
            return None

        winners = [w for w in await asyncio.gather(*map(replace, range(8))) if w is not None]
        assert len(winners) == 1
        assert (await secret.read())[0] == f"second of {winners[0]}"


@pytest.mark.covers("K-6")
async def test_a_replacement_whose_answer_was_lost_is_known_as_our_own(
    store: KubernetesStore, proxy: FaultProxy
) -> None:
    async with sealing_secret(store) as secret:
        await secret.create_if_absent("first")
        _, version = await secret.read()
        with proxy.meeting(LosesAnswers(count=1)):
            await secret.replace("second", version)
        assert (await secret.read())[0] == "second"


async def test_a_secret_that_was_deleted_is_not_made_anew_by_replacing(
    store: KubernetesStore,
) -> None:
    async with sealing_secret(store) as secret:
        await secret.create_if_absent("first")
        _, version = await secret.read()
        store.kubectl("delete", "secret", NAME).check()
        with pytest.raises(NotFound):
            await secret.replace("second", version)
        assert store.kubectl("get", "secret", NAME).status


async def test_an_empty_secret_that_somebody_made_is_filled_and_keeps_its_labels(
    store: KubernetesStore,
) -> None:
    put(store)
    async with sealing_secret(store) as secret:
        with pytest.raises(NotFound, match="is empty"):
            await secret.read()
        await secret.create_if_absent("first")
        assert (await secret.read())[0] == "first"
    assert stored(store)["metadata"]["labels"] == {"team": "platform"}


async def test_keys_that_an_administrator_wrote_stay(store: KubernetesStore) -> None:
    put(store, stringData={"keys": "of the administrator", "note": "other"})
    async with sealing_secret(store) as secret:
        await secret.create_if_absent("ours")
        text, version = await secret.read()
        assert text == "of the administrator"
        await secret.replace("rotated", version)
    assert set(stored(store)["data"]) == {"keys", "note"}


@pytest.mark.parametrize("data", [{"password": "aHVudGVy"}, {"keys": "/yBodW50ZXI="}])
async def test_a_secret_of_something_else_is_refused_without_showing_it(
    store: KubernetesStore, data: Mapping[str, str]
) -> None:
    put(store, data=data)
    async with sealing_secret(store) as secret:
        with pytest.raises(Unreadable, match="keys") as caught:
            await secret.read()
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.covers("R-95")
@pytest.mark.parametrize("missing", ["get", "create", "patch"])
async def test_each_verb_is_needed_and_the_error_is_the_rule_to_add(
    store: KubernetesStore, missing: str
) -> None:
    store.set_rules(rules(*({"get", "create", "patch"} - {missing})))
    async with sealing_secret(store) as secret:
        with pytest.raises(Forbidden) as caught:
            await _create_and_read(secret)
    assert f"resourceNames: [{NAME}], verbs: [get, create, patch]" in str(caught.value)
    assert f"{store.namespace}/{NAME}" in str(caught.value)


@pytest.mark.covers("R-95")
async def test_the_rights_reach_no_other_secret(store: KubernetesStore) -> None:
    store.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}})
    async with sealing_secret(store, "other") as secret:
        with pytest.raises(Forbidden):
            await secret.read()
        with pytest.raises(Forbidden):
            await secret.create_if_absent("text")


@pytest.mark.covers("R-90")
async def test_no_text_is_in_an_error_or_a_log_line(
    store: KubernetesStore, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    canary = secrets.token_hex(16)
    async with sealing_secret(store) as secret:
        await secret.create_if_absent(canary)
        with pytest.raises(Conflict) as caught:
            await secret.replace(canary + "x", "1")
        store.kubectl("patch", "secret", NAME, "-p", json.dumps({"immutable": True})).check()
        _, version = await secret.read()
        with pytest.raises(Exception, match=r".") as refused:
            await secret.replace(canary + "y", version)
    for text in (str(caught.value), str(refused.value), repr(secret), caplog.text):
        assert canary not in text
