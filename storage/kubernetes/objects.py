"""What people write, read from the cluster and answered there: status, Events, Secrets."""

import base64
import contextlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any, cast

from storage.base import AlreadyExists, NotFound
from storage.kubernetes.api import ApiServer, Tries
from storage.kubernetes.errors import Forbidden
from storage.kubernetes.object_events import EventRate, event_body
from storage.kubernetes.object_json import (
    UnusableMetadata,
    is_going,
    merge_patch,
    read_object,
    spec_of,
)
from storage.kubernetes.resources import GROUP, STATE_GROUP, VERSION, Resource
from storage.kubernetes.watch import Event, Snapshot, follow
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

_log = logging.getLogger("storage")

_MANAGER = {"fieldManager": "kube-idp"}
_MERGE = "application/merge-patch+json"
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME = 253
_REMEMBERED = 1000

_READ_RULE = (
    "the server may not read it: list the name in `rbac.secretNames` of the chart, or add the rule"
    ' {{apiGroups: [""], resources: [secrets], resourceNames: [{0}], verbs: [get]}} to the'
    " server's Role in namespace {1}"
)
_CREATE_RULE = (
    "the server may not create it: set the chart's `rbac.generateClientSecrets`, which also lets it"
    ' read them, or add the rule {{apiGroups: [""], resources: [secrets], verbs: [create]}} to the'
    " server's Role in namespace {1}"
)


_RESOURCES: Mapping[ObjectKind, Resource] = {
    "oidc-clients": Resource(group=GROUP, plural="oidcclients", kind="OIDCClient"),
    "local-users": Resource(group=GROUP, plural="localusers", kind="LocalUser"),
    "identity-connectors": Resource(
        group=GROUP, plural="identityconnectors", kind="IdentityConnector"
    ),
    "user-states": Resource(group=STATE_GROUP, plural="userstates", kind="UserState"),
}


class KubernetesObjects:
    """`storage.objects.WrittenObjects` over custom resources of one namespace."""

    def __init__(
        self,
        api: ApiServer,
        *,
        identity: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        on_contact: Callable[[ObjectKind], None] = lambda _kind: None,
    ) -> None:
        """`identity` names this replica in Events, `clock` dates them.

        `on_contact` hears of every sign of life of the store, also when nothing has changed: what
        is known of a kind is as old as the last one.
        """
        self._api = api
        self._identity = identity
        self._clock = clock
        self._on_contact = on_contact
        self._rate = EventRate(monotonic)
        self._left_out: set[str] = set()

    async def follow(
        self, kind: ObjectKind, matters: Matters = everything
    ) -> AsyncIterator[ObjectNews]:
        """Yield a `Listed` first, then changes. What is being deleted counts as gone at once."""
        path = _RESOURCES[kind].path(self._api.namespace)

        def keeps(raw: Mapping[str, Any]) -> bool:
            return matters(spec_of(raw))

        stream = follow(self._api, path, on_contact=lambda _at: self._on_contact(kind), keeps=keeps)
        going: set[str] = set()
        async with contextlib.aclosing(cast("AsyncGenerator[Any]", stream)):
            async for news in stream:
                if isinstance(news, Snapshot):
                    there = [(self._read(kind, raw), is_going(raw)) for raw in news.objects]
                    going = {written.uid for written, goes in there if written and goes}
                    yield Listed([written for written, goes in there if written and not goes])
                elif (written := self._read(kind, news.object)) is not None:
                    change = _change(news, written, going)
                    if isinstance(change, Put) and not keeps(news.object):
                        change = Gone(written.name, written.uid)
                    if change is not None:
                        yield change

    async def write_status(self, written: WrittenObject, status: Mapping[str, Any]) -> None:
        """Replace the status of exactly this version. Raises Conflict or NotFound."""
        # The version alone will do: it is counted over the whole cluster, so that a later object of
        # the same name has another. (A foreign uid in a patch of a status is ignored.)
        body = {
            "metadata": {"resourceVersion": written.version},
            "status": merge_patch(written.status, status),
        }
        path = _RESOURCES[written.kind].path(self._api.namespace, written.name) + "/status"
        await self._api.call("PATCH", path, body=body, query=_MANAGER, content_type=_MERGE)

    async def tell(self, written: WrittenObject, event: ObjectEvent) -> None:
        """Attach an event to an object; one too many, or told already, is left out."""
        if not self._rate.allows(written, event):
            return
        body = event_body(
            written,
            event,
            owner=_reference(written),
            namespace=self._api.namespace,
            instance=self._identity,
            at=self._clock(),
        )
        with contextlib.suppress(AlreadyExists):
            await self._api.call("POST", self._core("events"), body=body, query=_MANAGER)

    async def secret(self, name: str) -> Mapping[str, bytes]:
        """Return the entries of a Secret. Raises NotFound, or SecretForbidden."""
        if len(name) > _LONGEST_NAME or not _SUBDOMAIN.fullmatch(name):
            # Names come from people; one that is no name must not become part of a path.
            raise NotFound(f"{name[:80]!r} is not the name of a Secret")
        try:
            secret = await self._api.call("GET", f"{self._core('secrets')}/{name}")
        except Forbidden as error:
            raise self._secret_forbidden(error, _READ_RULE, name) from error
        return {
            entry: base64.b64decode(octets) for entry, octets in (secret.get("data") or {}).items()
        }

    async def create_secret(
        self, owner: WrittenObject, name: str, entries: Mapping[str, bytes]
    ) -> None:
        """Create a Secret that goes when its owner does. Raises AlreadyExists, SecretForbidden."""
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": self._api.namespace,
                "labels": {"app.kubernetes.io/managed-by": "kube-idp"},
                "ownerReferences": [_reference(owner)],
            },
            "data": {
                entry: base64.b64encode(octets).decode("ascii") for entry, octets in entries.items()
            },
        }
        tries = Tries()
        try:
            await self._api.call(
                "POST", self._core("secrets"), body=body, query=_MANAGER, tries=tries
            )
        except Forbidden as error:
            raise self._secret_forbidden(error, _CREATE_RULE, name) from error
        except AlreadyExists:
            if not tries.unknown or not await self._holds(name, entries):
                raise

    async def _holds(self, name: str, entries: Mapping[str, bytes]) -> bool:
        """Return whether an earlier attempt of ours, whose answer was lost, made this Secret."""
        try:
            return await self.secret(name) == dict(entries)
        except (SecretForbidden, NotFound):
            return False

    def _read(self, kind: ObjectKind, document: Mapping[str, Any]) -> WrittenObject | None:
        """Return the object, or None for one without usable metadata, which is logged once."""
        try:
            return read_object(kind, document)
        except UnusableMetadata as error:
            self._leave_out(kind, document, str(error))
            return None

    def _leave_out(self, kind: ObjectKind, document: Mapping[str, Any], problem: str) -> None:
        metadata = document.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        told = f"{kind}/{str(name)[:_LONGEST_NAME]}: {problem}"
        if told not in self._left_out and len(self._left_out) < _REMEMBERED:
            self._left_out.add(told)
            _log.warning("object_left_out", extra={"problem": told})

    def _secret_forbidden(
        self, error: Forbidden, rule: str, name: str
    ) -> SecretForbidden | Forbidden:
        """Return what to raise; a 401 says nothing about rules and stays what it is."""
        if error.status == 401:
            return error
        namespace = self._api.namespace
        return SecretForbidden(f"Secret {namespace}/{name}: " + rule.format(name, namespace))

    def _core(self, plural: str) -> str:
        return f"/api/v1/namespaces/{self._api.namespace}/{plural}"


def _reference(written: WrittenObject) -> dict[str, str]:
    """Return how another object in the namespace refers to this one."""
    resource = _RESOURCES[written.kind]
    return {
        "apiVersion": f"{resource.group}/{VERSION}",
        "kind": resource.kind,
        "name": written.name,
        "uid": written.uid,
    }


def _change(news: Event, written: WrittenObject, going: set[str]) -> ObjectNews | None:
    """Return what an event says; an object that waits for a finalizer is gone once, not twice."""
    if news.gone:
        if written.uid in going:
            going.discard(written.uid)
            return None
    elif is_going(news.object):
        if written.uid in going:
            return None
        going.add(written.uid)
    else:
        return Put(written)
    return Gone(written.name, written.uid)
