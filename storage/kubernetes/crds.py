"""The definitions of our resources: for people to apply, to look whether they are served, to apply.

They are YAML files beside this module, one for each kind and named as the definition is. Nothing
here parses them: `kubectl apply` and the API server take the text as it stands.

By default the server only looks whether all are served, which needs no more rights than it has
anyway. With `crdHandling: ensure` it applies them itself, and then needs the verbs get, create and
patch on `customresourcedefinitions` of these names.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import repeat
from typing import Any, Protocol

from storage.base import NotFound, StorageError, StorageUnavailable
from storage.kubernetes.errors import Forbidden, Unavailable
from storage.kubernetes.resources import VERSION
from storage.kubernetes.wire import JSON, Body

REVISION = "kube-idp.dev/revision"
"""The annotation by which an older server knows that a definition has fields that it has not."""

_FIELD_MANAGER = "kube-idp"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_REVISION_LINE = re.compile(rf'^    {re.escape(REVISION)}: "([0-9]+)"$', re.MULTILINE)
_BETWEEN_LOOKS = 0.1
_NOT_SERVED = 404


class CrdsMissing(StorageError):
    """Some of our resources are not served; the text names each and says how to mend it."""

    def __init__(self, names: Sequence[str], *, details: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        super().__init__(
            "; ".join(
                [
                    f"the API server does not serve {', '.join(names)}",
                    *details,
                    "run `idp crds | kubectl apply --server-side -f -`,"
                    " or set `crdHandling: ensure` in storage.config",
                ]
            )
        )


class Door(Protocol):
    """The part of `storage.kubernetes.api.ApiServer` that is used here."""

    @property
    def namespace(self) -> str:
        """Return the namespace that the server works in."""
        ...

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> dict[str, Any]:
        """Return the decoded answer."""
        ...


@dataclass(frozen=True, slots=True)
class Manifest:
    """One definition. `name` is plural and group, as `oidcclients.kube-idp.dev`."""

    name: str
    text: str

    @property
    def revision(self) -> int:
        """Return how many times fields were added. Raises ValueError if the file does not say."""
        found = _REVISION_LINE.search(self.text)
        if found is None:
            raise ValueError(f"{self.name}.yaml has no annotation {REVISION}")
        return int(found[1])

    def path(self, namespace: str) -> str:
        """Return where the objects of a namespace are listed."""
        plural, _, group = self.name.partition(".")
        return f"/apis/{group}/{VERSION}/namespaces/{namespace}/{plural}"


@cache
def manifests() -> tuple[Manifest, ...]:
    """Return all definitions, in order of name."""
    folder = files("storage.kubernetes") / "crds"
    found = [
        Manifest(entry.name.removesuffix(".yaml"), entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    ]
    return tuple(sorted(found, key=lambda manifest: manifest.name))


def text() -> str:
    """Return all definitions as one YAML stream, with their comments."""
    return "---\n".join(manifest.text for manifest in manifests())


async def missing(api: Door) -> list[str]:
    """Return the names of the definitions that are not served, by asking for one object of each.

    Raises Forbidden where we may not even list, StorageUnavailable when the server does not answer.
    """
    wanted = await _loaded()
    served = await asyncio.gather(*(_is_served(api, manifest) for manifest in wanted))
    return [
        manifest.name for manifest, is_there in zip(wanted, served, strict=True) if not is_there
    ]


async def require(api: Door) -> None:
    """Raise CrdsMissing unless all are served; otherwise as `missing`."""
    names = await missing(api)
    if names:
        raise CrdsMissing(names)


async def ensure(api: Door, *, within: float = 30.0) -> None:
    """Apply every definition that is absent or not newer than ours, and wait until all are served.

    Of two versions of the server that start in turn the older leaves what the newer has applied: an
    older schema drops the fields that it does not know from what people wrote. Raises CrdsMissing
    if some are not served after `within` seconds, Forbidden, Invalid, StorageUnavailable.
    """
    wanted = await _loaded()
    try:
        for manifest in wanted:
            if await _applied_revision(api, manifest) <= manifest.revision:
                await _apply(api, manifest)
    except Forbidden as error:
        raise Forbidden(
            f"{error}; `crdHandling: ensure` needs the verbs get, create and patch on"
            " customresourcedefinitions.apiextensions.k8s.io in a ClusterRole; without them set"
            " `crdHandling: check` and run `idp crds | kubectl apply --server-side -f -`",
            status=error.status,
        ) from error
    await _wait_until_served(api, [manifest.name for manifest in wanted], within=within)


async def _loaded() -> tuple[Manifest, ...]:
    """Return all definitions; the files are read in a thread, the first time."""
    return await asyncio.to_thread(manifests)


async def _is_served(api: Door, manifest: Manifest) -> bool:
    try:
        await api.call("GET", manifest.path(api.namespace), query={"limit": "1"})
    except Unavailable as error:
        if error.status == _NOT_SERVED:
            return False
        raise
    return True


async def _applied_revision(api: Door, manifest: Manifest) -> int:
    try:
        definition = await api.call("GET", f"{_DEFINITIONS}/{manifest.name}")
    except NotFound:
        return 0
    annotations = definition.get("metadata", {}).get("annotations") or {}
    revision = annotations.get(REVISION, "")
    return int(revision) if re.fullmatch(r"[0-9]{1,9}", revision) else 0


async def _apply(api: Door, manifest: Manifest) -> None:
    # Forced: what kubectl or Helm applied before is ours to change from now on.
    await api.call(
        "PATCH",
        f"{_DEFINITIONS}/{manifest.name}",
        body=manifest.text,
        query={"fieldManager": _FIELD_MANAGER, "force": "true"},
        content_type="application/apply-patch+yaml",
    )


async def _wait_until_served(api: Door, names: list[str], *, within: float) -> None:
    try:
        async with asyncio.timeout(within):
            for pause in repeat(_BETWEEN_LOOKS):
                names = await _still_missing(api, names)
                if not names:
                    return
                await asyncio.sleep(pause)
    except TimeoutError:
        raise CrdsMissing(names, details=await _complaints(api, names)) from None


async def _still_missing(api: Door, names: list[str]) -> list[str]:
    """Return the names not served; as before while the API server is busy with a changed one."""
    try:
        return await missing(api)
    except Forbidden:
        raise
    except StorageUnavailable:
        return names


async def _complaints(api: Door, names: Sequence[str]) -> list[str]:
    """Return what the API server itself says of definitions that it does not serve."""
    found: list[str] = []
    for name in names:
        definition = await api.call("GET", f"{_DEFINITIONS}/{name}")
        found.extend(
            f"{name}: {condition.get('message', '')}"
            for condition in definition.get("status", {}).get("conditions", [])
            if condition.get("type") == "NamesAccepted" and condition.get("status") == "False"
        )
    return found
