"""What people write, read and answered on a real API server, with the rights of the chart."""

import asyncio
import base64
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from idp.clock import system_clock
from storage.base import AlreadyExists, Conflict, NotFound, StorageUnavailable
from storage.kubernetes.access import from_kube_config
from storage.kubernetes.api import open_api_server
from storage.kubernetes.objects import KubernetesObjects
from storage.objects import (
    Gone,
    Listed,
    Matters,
    ObjectEvent,
    ObjectKind,
    ObjectNews,
    Put,
    SecretForbidden,
    WrittenObject,
    everything,
)
from tests.kit.servers.fault_proxy import FaultProxy
from tests.kit.servers.faults import LosesAnswers, Refuses
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import KubernetesStore, kubernetes_store
from tests.kit.servers.rbac import Rule
from tests.kit.waiting import Stopwatch

pytestmark = [pytest.mark.servers, pytest.mark.anyio, pytest.mark.usefixtures("crds")]

KINDS = ["oidcclients", "localusers", "identityconnectors"]
BASE: list[Rule] = [
    {"apiGroups": ["kube-idp.dev"], "resources": KINDS, "verbs": ["list", "watch"]},
    {
        "apiGroups": ["kube-idp.dev"],
        "resources": [f"{kind}/status" for kind in KINDS],
        "verbs": ["patch"],
    },
    {
        "apiGroups": ["state.kube-idp.dev"],
        "resources": ["userstates"],
        "verbs": ["list", "watch"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]
SECRETS = {"apiGroups": [""], "resources": ["secrets"]}
READ_SECRET: Rule = {**SECRETS, "resourceNames": ["argo-secret"], "verbs": ["get"]}
CREATE_SECRETS: Rule = {**SECRETS, "verbs": ["create"]}

READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Served",
    "message": "people can sign in",
    "lastTransitionTime": "2026-01-01T12:00:00Z",
}


@pytest.fixture(scope="module")
def proxy(kube: KubeApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    directory = tmp_path_factory.mktemp("proxy")
    with FaultProxy(kube.url, upstream_ca=kube.ca, directory=directory) as running:
        yield running


@pytest.fixture
def store(kube: KubeApiServer, proxy: FaultProxy, tmp_path: Path) -> KubernetesStore:
    return kubernetes_store(kube, directory=tmp_path, rules=BASE, proxy=proxy)


@contextlib.asynccontextmanager
async def objects_of(
    store: KubernetesStore, contacts: list[ObjectKind] | None = None
) -> AsyncIterator[KubernetesObjects]:
    api = open_api_server(await from_kube_config(store.kubeconfig))
    heard: list[ObjectKind] = [] if contacts is None else contacts
    try:
        yield KubernetesObjects(
            api,
            identity="pod-1",
            clock=system_clock,
            monotonic=time.monotonic,
            on_contact=heard.append,
        )
    finally:
        await api.close()


@dataclass(slots=True)
class Follower:
    """Collects the news of a kind."""

    news: asyncio.Queue[ObjectNews]
    task: asyncio.Task[None]

    async def next(self, *, within: float = 1.0) -> ObjectNews:
        """Return the next news; fails after so many seconds of a `Stopwatch`."""
        with Stopwatch() as watch:
            while self.news.empty():
                assert watch.seconds < within
                await asyncio.sleep(0.005)
        return self.news.get_nowait()

    async def put(self) -> WrittenObject:
        news = await self.next()
        assert isinstance(news, Put)
        return news.object

    async def listed(self, *, within: float = 3.0) -> list[WrittenObject]:
        news = await self.next(within=within)
        assert isinstance(news, Listed)
        return list(news.objects)


@contextlib.asynccontextmanager
async def following(
    objects: KubernetesObjects, kind: ObjectKind, matters: Matters = everything
) -> AsyncIterator[Follower]:
    queue: asyncio.Queue[ObjectNews] = asyncio.Queue()

    async def collect() -> None:
        async for news in objects.follow(kind, matters):
            queue.put_nowait(news)

    task = asyncio.create_task(collect())
    try:
        yield Follower(queue, task)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def only(objects: KubernetesObjects, kind: ObjectKind = "oidc-clients") -> WrittenObject:
    """Return the one object that there is."""
    async with following(objects, kind) as follower:
        (written,) = await follower.listed()
        return written


def client(object_name: str = "argo", /, **spec: object) -> Mapping[str, object]:
    return {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": "OIDCClient",
        "metadata": {"name": object_name},
        "spec": {
            "clientID": object_name,
            "public": True,
            "redirectURIs": ["https://a.example/"],
            **spec,
        },
    }


def stored(store: KubernetesStore, name: str = "argo") -> dict[str, Any]:
    return store.kubectl("get", "oidcclient", name, "-o", "json").document()


async def test_all_that_is_there_comes_first_then_each_change_within_a_second(
    store: KubernetesStore,
) -> None:
    store.apply(client("one"), client("two"))
    async with objects_of(store) as objects, following(objects, "oidc-clients") as follower:
        first = await follower.listed()
        assert [written.name for written in first] == ["one", "two"]
        store.apply(client("three", name="Three"))
        made = await follower.put()
        assert (made.name, made.generation, made.kind) == ("three", 1, "oidc-clients")
        assert made.spec["name"] == "Three"
        assert abs((datetime.now(UTC) - made.created_at).total_seconds()) < 60
        store.apply(client("three", name="Drei"))
        changed = await follower.put()
        assert (changed.generation, changed.uid) == (2, made.uid)
        assert changed.spec["name"] == "Drei"
        store.kubectl("delete", "oidcclient", "three", "--wait=false").check()
        assert await follower.next() == Gone("three", made.uid)


async def test_what_does_not_matter_is_as_if_it_were_not_there(store: KubernetesStore) -> None:
    """It comes when it begins to matter, and goes when it ends."""

    def is_named(spec: Mapping[str, Any]) -> bool:
        return "name" in spec

    store.apply(client("one", name="One"), client("two"))
    async with (
        objects_of(store) as objects,
        following(objects, "oidc-clients", is_named) as follower,
    ):
        (one,) = await follower.listed()
        assert one.name == "one"
        store.apply(client("two", name="Two"))
        two = await follower.put()
        assert two.spec["name"] == "Two"
        store.apply(client("two"))
        assert await follower.next() == Gone("two", two.uid)
        store.kubectl("delete", "oidcclient", "two", "--wait=false").check()
        assert await follower.next() == Gone("two", two.uid)


async def test_every_kind_is_followed(store: KubernetesStore) -> None:
    store.apply(
        {
            "apiVersion": "kube-idp.dev/v1beta1",
            "kind": "LocalUser",
            "metadata": {"name": "jane"},
            "spec": {"email": "jane@example.com", "passwordHashRef": {"name": "jane"}},
        },
        {
            "apiVersion": "state.kube-idp.dev/v1beta1",
            "kind": "UserState",
            "metadata": {"name": "joe", "annotations": {"why": "left"}},
            "spec": {"connector": "ldap", "userID": "joe", "locked": True},
        },
    )
    async with objects_of(store) as objects:
        assert (await only(objects, "local-users")).spec["email"] == "jane@example.com"
        state = await only(objects, "user-states")
        assert state.spec["locked"] is True
        assert state.annotations["why"] == "left"


async def test_what_waits_for_a_finalizer_is_gone_at_once_and_only_once(
    store: KubernetesStore,
) -> None:
    held = {"name": "argo", "finalizers": ["example.com/held"]}
    store.apply({**client(), "metadata": held})
    async with objects_of(store) as objects, following(objects, "oidc-clients") as follower:
        (written,) = await follower.listed()
        store.kubectl("delete", "oidcclient", "argo", "--wait=false").check()
        assert await follower.next() == Gone("argo", written.uid)
        async with following(objects, "oidc-clients") as another:
            assert await another.listed() == []
            store.kubectl("annotate", "oidcclient", "argo", "note=dying").check()
            free = '{"metadata": {"finalizers": null}}'
            store.kubectl("patch", "oidcclient", "argo", "--type=merge", "-p", free).check()
            store.apply(client("next"))
            for each in (follower, another):
                assert (await each.put()).name == "next"


@pytest.mark.covers("K-8")
async def test_after_a_version_that_is_too_old_everything_is_listed_again(
    store: KubernetesStore, proxy: FaultProxy
) -> None:
    store.apply(client("one"), client("two"))
    contacts: list[ObjectKind] = []
    async with (
        objects_of(store, contacts) as objects,
        following(objects, "oidc-clients") as follower,
    ):
        assert len(await follower.listed()) == 2
        await asyncio.sleep(0.2)
        heard = len(contacts)
        proxy.expire_watches()
        store.kubectl("delete", "oidcclient", "one", "--wait=false").check()
        names: set[str] = {"one", "two"}
        while "one" in names:
            news = await follower.next()
            if isinstance(news, Listed):
                names = {written.name for written in news.objects}
            elif isinstance(news, Gone):
                names.discard(news.name)
        assert names == {"two"}
        assert contacts[heard:]
        assert set(contacts) == {"oidc-clients"}


@pytest.mark.covers("K-1")
async def test_an_outage_is_sat_out_and_what_happened_in_it_is_seen(
    store: KubernetesStore, proxy: FaultProxy
) -> None:
    store.apply(client("one"), client("two"))
    async with objects_of(store) as objects, following(objects, "oidc-clients") as follower:
        assert len(await follower.listed()) == 2
        with proxy.meeting(Refuses()):
            await asyncio.sleep(0.5)
            store.kubectl("delete", "oidcclient", "one").check()
            await asyncio.sleep(1.5)
            assert follower.news.empty()
        assert [written.name for written in await follower.listed(within=5)] == ["two"]


async def test_a_status_is_replaced_whole_and_leaves_the_spec_alone(
    store: KubernetesStore,
) -> None:
    store.apply(client())
    async with objects_of(store) as objects, following(objects, "oidc-clients") as follower:
        (written,) = await follower.listed()
        spec = stored(store)["spec"]
        first = {"observedGeneration": 1, "conditions": [READY], "secretName": "made"}
        await objects.write_status(written, first)
        answered = await follower.put()
        assert answered.status == first == stored(store)["status"]
        second = {"observedGeneration": 1, "conditions": [{**READY, "status": "False"}]}
        await objects.write_status(answered, second)
        assert (await follower.put()).status == second == stored(store)["status"]
        after = stored(store)
        assert after["spec"] == spec
        assert after["metadata"]["generation"] == 1


async def test_only_the_version_that_was_judged_gets_the_status(store: KubernetesStore) -> None:
    store.apply(client())
    status = {"observedGeneration": 1, "conditions": [READY]}
    async with objects_of(store) as objects:
        written = await only(objects)
        store.apply(client(name="Other"))
        with pytest.raises(Conflict):
            await objects.write_status(written, status)
        store.kubectl("delete", "oidcclient", "argo").check()
        with pytest.raises(NotFound):
            await objects.write_status(written, status)
        store.apply(client())
        with pytest.raises(Conflict):
            await objects.write_status(written, status)
        assert "status" not in stored(store)


async def test_events_are_shown_by_kubectl_describe(store: KubernetesStore) -> None:
    store.apply(client())
    async with objects_of(store) as objects:
        written = await only(objects)
        note = "Secret argo does not exist: create it"
        missing = ObjectEvent(type="Warning", reason="SecretMissing", note=note)
        await objects.tell(written, missing)
        async with objects_of(store) as replica:  # that became the leader meanwhile
            await replica.tell(written, missing)
        shown = store.kubectl("describe", "oidcclient", "argo").check()
        assert shown.count(note) == 1
        line = next(line for line in shown.splitlines() if note in line)
        assert line.split()[:2] == ["Warning", "SecretMissing"]
        assert "kube-idp" in line
        assert store.kubectl("get", "events", "-o", "name").check().count("event/") == 1


async def test_one_object_cannot_flood_the_events(store: KubernetesStore) -> None:
    store.apply(client())
    async with objects_of(store) as objects:
        written = await only(objects)
        for number in range(30):
            event = ObjectEvent(type="Normal", reason="Served", note=f"ready {number}")
            await objects.tell(written, event)
        assert store.kubectl("get", "events", "-o", "name").check().count("event/") == 5


async def test_an_event_of_a_name_of_any_length_is_taken(store: KubernetesStore) -> None:
    name = ".".join(["a" * 50] * 4) + "." + "b" * 49
    store.apply(client(name, clientID="argo"))
    async with objects_of(store) as objects:
        event = ObjectEvent(type="Normal", reason="Served", note="x" * 5000)
        await objects.tell(await only(objects), event)
    assert "event/" in store.kubectl("get", "events", "-o", "name").check()


async def test_a_secret_is_read_where_the_role_lists_its_name(store: KubernetesStore) -> None:
    store.set_rules([*BASE, READ_SECRET])
    octets = b"\x00\xff secret"
    data = {"clientSecret": base64.b64encode(octets).decode()}
    async with objects_of(store) as objects:
        with pytest.raises(NotFound):
            await objects.secret("argo-secret")
        store.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argo-secret"}},
        )
        assert await objects.secret("argo-secret") == {}
        store.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "argo-secret"},
                "data": data,
            },
        )
        assert await objects.secret("argo-secret") == {"clientSecret": octets}


@pytest.mark.covers("R-95")
async def test_a_secret_that_is_not_listed_is_refused_with_the_rule_to_add(
    store: KubernetesStore,
) -> None:
    async with objects_of(store) as objects:
        for _ in range(2):  # the second refusal comes from memory
            with pytest.raises(SecretForbidden) as caught:
                await objects.secret("argo-secret")
            said = str(caught.value)
            assert "resourceNames: [argo-secret], verbs: [get]" in said
            assert "rbac.secretNames" in said
            assert store.namespace in said


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../configmaps/x", "a/b", "a?watch=1", "a%2fb", "A", "a b", "é", "a" * 254],
)
async def test_what_is_no_name_never_becomes_part_of_a_path(
    store: KubernetesStore, proxy: FaultProxy, name: str
) -> None:
    async with objects_of(store) as objects:
        asked = sum(proxy.asked.values())
        with pytest.raises(NotFound):
            await objects.secret(name)
        assert sum(proxy.asked.values()) == asked


async def test_a_secret_that_was_made_goes_with_its_owner(store: KubernetesStore) -> None:
    store.set_rules([*BASE, CREATE_SECRETS])
    store.apply(client())
    async with objects_of(store) as objects:
        written = await only(objects)
        await objects.create_secret(written, "argo-secret", {"clientSecret": b"\xffmade"})
        with pytest.raises(AlreadyExists):
            await objects.create_secret(written, "argo-secret", {"clientSecret": b"other"})
    made = store.kubectl("get", "secret", "argo-secret", "-o", "json").document()
    assert made["data"] == {"clientSecret": base64.b64encode(b"\xffmade").decode()}
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    (owner,) = metadata["ownerReferences"]
    assert owner == {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": "OIDCClient",
        "name": "argo",
        "uid": written.uid,
    }


@pytest.mark.covers("R-95")
async def test_making_a_secret_without_the_right_names_the_rule(store: KubernetesStore) -> None:
    store.apply(client())
    async with objects_of(store) as objects:
        with pytest.raises(SecretForbidden, match=r"verbs: \[create\]") as caught:
            await objects.create_secret(await only(objects), "argo-secret", {"a": b"canary"})
    assert "canary" not in str(caught.value)
    assert base64.b64encode(b"canary").decode() not in str(caught.value)


@pytest.mark.covers("K-6")
async def test_a_secret_whose_answer_was_lost_is_known_as_our_own(
    store: KubernetesStore, proxy: FaultProxy
) -> None:
    store.set_rules([*BASE, READ_SECRET, CREATE_SECRETS])
    store.apply(client())
    async with objects_of(store) as objects:
        written = await only(objects)
        with proxy.meeting(LosesAnswers(count=1)):
            await objects.create_secret(written, "argo-secret", {"clientSecret": b"made"})
        assert await objects.secret("argo-secret") == {"clientSecret": b"made"}
        # What cannot be read may be anybody's.
        with proxy.meeting(LosesAnswers(count=1)), pytest.raises(AlreadyExists):
            await objects.create_secret(written, "not-listed", {"clientSecret": b"made"})


async def test_without_the_server_everything_says_so_in_time(
    store: KubernetesStore, proxy: FaultProxy
) -> None:
    store.apply(client())
    event = ObjectEvent(type="Normal", reason="Served", note="ready")
    async with objects_of(store) as objects:
        written = await only(objects)
        with proxy.meeting(Refuses()):
            for ask in (
                objects.write_status(written, {}),
                objects.tell(written, event),
                objects.secret("argo-secret"),
                objects.create_secret(written, "argo-secret", {}),
            ):
                with Stopwatch() as watch:
                    with pytest.raises(StorageUnavailable):
                        await ask
                    assert watch.seconds < 3.5


@pytest.mark.covers("K-10")
async def test_of_many_that_answer_one_version_one_wins(store: KubernetesStore) -> None:
    store.apply(client())
    async with objects_of(store) as objects:
        written = await only(objects)

        async def answer(number: int) -> int | None:
            with contextlib.suppress(Conflict):
                await objects.write_status(written, {"observedGeneration": number + 1})
                return number
            return None

        won = [each for each in await asyncio.gather(*map(answer, range(8))) if each is not None]
        assert len(won) == 1
        assert stored(store)["status"]["observedGeneration"] == won[0] + 1


async def test_a_forged_uid_reaches_no_other_object(store: KubernetesStore) -> None:
    store.apply(client())
    async with objects_of(store) as objects:
        written = replace(await only(objects), uid=secrets.token_hex(8))
        event = ObjectEvent(type="Normal", reason="Served", note="not about this one")
        await objects.tell(written, event)
    assert "not about this one" not in store.kubectl("describe", "oidcclient", "argo").check()
