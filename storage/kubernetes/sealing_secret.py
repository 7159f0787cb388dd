"""The one Secret that the server writes: the text of the sealing keys.

It is created by server-side apply, by name: a Role can limit that to this one Secret, which it
cannot do for a POST, and of several replicas that start at once exactly one wins.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from storage.base import Conflict, NotFound, Unreadable
from storage.kubernetes.api import ApiServer, Tries
from storage.kubernetes.errors import Forbidden

_ENTRY = "keys"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingSecret:
    """Reads and changes the Secret. Every method raises StorageUnavailable.

    A missing right is a `Forbidden` whose text is the rule that the Role needs.
    """

    api: ApiServer
    random_bytes: Callable[[int], bytes]
    name: str = "kube-idp-sealing-keys"

    async def read(self) -> tuple[str, str]:
        """Return text and version.

        Raises NotFound when there is no such Secret, or an empty one; Unreadable when it holds
        something else than keys of ours.
        """
        secret = await self._call("GET")
        metadata = secret.get("metadata") or {}
        return self._text(secret), str(metadata.get("resourceVersion") or "")

    async def create_if_absent(self, text: str) -> None:
        """Store the text unless there is one. Of several callers one's stands: read it afterwards.

        An empty Secret that somebody has made before (for its labels) is filled.
        """
        # A field manager for this call alone. If it were the process's own, a second call after a
        # lost answer would replace what the first has stored, and others may have sealed with that.
        manager = f"kube-idp-{self.random_bytes(8).hex()}"
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": self.api.namespace},
            "data": _data(text),
        }
        query = {"fieldManager": manager, "force": "false"}
        try:
            await self._call("PATCH", body=body, query=query, content_type=_APPLY)
        except Conflict:
            return  # another's text is there already, and stays

    async def replace(self, text: str, version: str) -> None:
        """Store the text over exactly this version. Raises Conflict or NotFound."""
        body = {"metadata": {"resourceVersion": version}, "data": _data(text)}
        query = {"fieldManager": "kube-idp"}
        tries = Tries()
        try:
            await self._call("PATCH", body=body, query=query, content_type=_MERGE, tries=tries)
        except Conflict:
            # It may be our own write that stands in our way, if its answer was lost.
            if not tries.unknown or (await self.read())[0] != text:
                raise

    async def _call(self, method: str, **request: Any) -> dict[str, Any]:
        namespace = self.api.namespace
        path = f"/api/v1/namespaces/{namespace}/secrets/{self.name}"
        try:
            return await self.api.call(method, path, **request)
        except Forbidden as error:
            if error.status == 401:
                raise
            raise Forbidden(
                f"Secret {namespace}/{self.name}: the server may not {_verb(method)} it. Its Role"
                f' in this namespace needs the rule {{apiGroups: [""], resources: [secrets],'
                f" resourceNames: [{self.name}], verbs: [get, create, patch]}}; or give the keys"
                " in a file, with `storage.config.keyFile`",
                status=error.status,
            ) from error

    def _text(self, secret: Mapping[str, Any]) -> str:
        where = f"Secret {self.api.namespace}/{self.name}"
        data = secret.get("data") or {}
        if not data:
            raise NotFound(f"{where} is empty")
        if _ENTRY not in data:
            raise Unreadable(
                f"{where} has no entry `{_ENTRY}`, but others: it seems to belong to something"
                " else. Name another Secret in `storage.config.keySecret`"
            )
        try:
            return base64.b64decode(data[_ENTRY], validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            # Without the cause: its text would show some of the key.
            raise Unreadable(
                f"{where}: the entry `{_ENTRY}` is not text ({type(error).__name__})"
            ) from None


def _verb(method: str) -> str:
    return {"GET": "get", "PATCH": "create or patch"}[method]


def _data(text: str) -> dict[str, str]:
    return {_ENTRY: base64.b64encode(text.encode("utf-8")).decode("ascii")}
