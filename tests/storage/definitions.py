"""A cluster with our definitions, and objects to try on it."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

from storage.kubernetes import crds
from storage.kubernetes.access import from_kube_config
from storage.kubernetes.api import ApiServer, open_api_server
from storage.kubernetes.resources import VERSION
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import Answer

T = TypeVar("T")

HASH = "$2a$10$33EMT0cVYVlPy6WAMCLsceLYjWhuHpbz5yuZxu/GAFj03J9Lytjuy"

_MARK = "Tried-"
_RULES_NOT_RUN = "<nil>"
"""The field of the remark that rules were left out because the schema is broken already."""

_GROUPS = {
    "OIDCClient": "kube-idp.dev",
    "LocalUser": "kube-idp.dev",
    "IdentityConnector": "kube-idp.dev",
    "RefreshGrant": "state.kube-idp.dev",
    "RegisteredClient": "state.kube-idp.dev",
    "SigningKeyRing": "state.kube-idp.dev",
    "UsedAssertion": "state.kube-idp.dev",
    "UserState": "state.kube-idp.dev",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that the API server does not like about an object."""

    field: str
    message: str


def written(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as somebody writes it."""
    return {
        "apiVersion": f"{_GROUPS[kind]}/{VERSION}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def definition(name: str) -> dict[str, Any]:
    """Return one of our definitions, to be changed."""
    (text,) = (manifest.text for manifest in crds.manifests() if manifest.name == name)
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def spec_schema(of: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `spec` of a definition."""
    (version,) = of["spec"]["versions"]
    fields: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return fields


def wait_until(is_so: Callable[[], bool]) -> None:
    """Ask until it is so: what a definition changes is seen a little later."""
    for _ in range(200):
        if is_so():
            return
        time.sleep(0.1)
    raise TimeoutError("not within 20 s")


@dataclass(frozen=True, slots=True)
class Definitions:
    """An API server on which the definitions are applied, and a namespace to try them in."""

    kube: KubeApiServer
    namespace: str = "default"

    def run(
        self, task: Callable[[ApiServer], Awaitable[T]], *, kubeconfig: Path | None = None
    ) -> T:
        """Run a task with a door to the server, as the administrator unless told otherwise."""

        async def main() -> T:
            access = await from_kube_config(kubeconfig or self.kube.admin_kubeconfig)
            api = open_api_server(access)
            try:
                return await task(api)
            finally:
                await api.close()

        return asyncio.run(main())

    def apply(self, changed: Mapping[str, Any]) -> None:
        """Put another definition in place of ours, and wait until it counts.

        It gets a column by which one can see that.
        """
        marked = deepcopy(dict(changed))
        column = {"name": _MARK + secrets.token_hex(4), "type": "string", "jsonPath": ".kind"}
        marked["spec"]["versions"][0]["additionalPrinterColumns"].append(column)
        text = yaml.safe_dump(marked)
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
        wait_until(lambda: column["name"] in self._columns(changed["metadata"]["name"]))

    def restore(self) -> None:
        """Put ours in place of whatever there is, and wait until they count."""
        for manifest in crds.manifests():
            self.kube.kubectl("annotate", "crd", manifest.name, f"{crds.REVISION}-")
        self.run(crds.ensure)
        for manifest in crds.manifests():
            wait_until(partial(self._is_ours, manifest.name))

    def _is_ours(self, name: str) -> bool:
        return not [column for column in self._columns(name) if column.startswith(_MARK)]

    def _columns(self, name: str) -> list[str]:
        plural, _, group = name.partition(".")
        table = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
        with self._client() as client:
            answer = client.get(f"/apis/{group}/{VERSION}/{plural}?limit=1", headers=table)
        return [column["name"] for column in answer.json().get("columnDefinitions", ())]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Return what a command prints that succeeds."""
        return self.kube.kubectl("-n", self.namespace, *arguments, stdin=stdin).check()

    def explain(self, field: str) -> str:
        """Return what kubectl explains, which it cannot for a moment after the definition came."""
        wait_until(lambda: self.kube.kubectl("explain", field).status == 0)
        return self.kubectl("explain", field)

    def refused(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Return the answer to a command that fails."""
        answer = self.kube.kubectl("-n", self.namespace, *arguments, stdin=stdin)
        assert answer.status != 0, answer
        return answer

    def create(self, item: Mapping[str, Any]) -> None:
        """Store an object, in place of one of that name."""
        with self._client() as client:
            client.delete(f"{self._path(item)}/{item['metadata']['name']}")
            answer = client.post(self._path(item), json=item)
        assert answer.status_code == 201, answer.text

    def read(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object as it is now."""
        with self._client() as client:
            answer = client.get(f"{self._path(item)}/{item['metadata']['name']}")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def replace(self, item: Mapping[str, Any]) -> None:
        """Write an object that was read."""
        with self._client() as client:
            path = f"{self._path(item)}/{item['metadata']['name']}"
            client.put(path, json=item).raise_for_status()

    def answer_status(self, item: Mapping[str, Any], status: Mapping[str, Any]) -> list[Cause]:
        """Write the status as the server does; return what is wrong with it."""
        with self._client() as client:
            path = f"{self._path(item)}/{item['metadata']['name']}/status"
            return _causes(_merge(client, path, {"status": status}))

    def change(self, item: Mapping[str, Any], spec: Mapping[str, Any] | None) -> list[Cause]:
        """Merge into the spec of a stored object; return what the server does not like."""
        with self._client() as client:
            path = f"{self._path(item)}/{item['metadata']['name']}"
            return _causes(_merge(client, path, {"spec": spec}))

    def judge(self, item: Mapping[str, Any]) -> list[Cause]:
        """Return what is wrong with an object, without storing it."""
        return self.judge_named({**item, "metadata": {"generateName": "judged-"}})

    def judge_named(self, item: Mapping[str, Any]) -> list[Cause]:
        """Return the same of an object whose name matters, and which is not there yet."""
        with self._client() as client:
            return _causes(client.post(self._path(item), params={"dryRun": "All"}, json=item))

    def _client(self) -> httpx.Client:
        return self.kube.client(self.kube.admin_token)

    def _path(self, item: Mapping[str, Any]) -> str:
        return f"/apis/{item['apiVersion']}/namespaces/{self.namespace}/{item['kind'].lower()}s"


def _merge(client: httpx.Client, path: str, change: Mapping[str, Any]) -> httpx.Response:
    merge = {"Content-Type": "application/merge-patch+json"}
    return client.patch(path, json=change, headers=merge)


def _causes(answer: httpx.Response) -> list[Cause]:
    if answer.status_code != 422:
        answer.raise_for_status()
        return []
    causes: Sequence[Mapping[str, str]] = answer.json()["details"]["causes"]
    return [
        Cause(cause["field"], _sentence(cause["message"]))
        for cause in causes
        if cause["field"] != _RULES_NOT_RUN
    ]


def _sentence(message: str) -> str:
    """Cut off what stands before our sentence; the server writes a type for the value."""
    for opening in ('Invalid value: "string": ', 'Invalid value: "object": '):
        message = message.removeprefix(opening)
    return message
