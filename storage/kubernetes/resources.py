"""Where objects of each kind are, and how a document becomes an object and back.

Columns are string fields of `spec`, by names that people read in YAML; columns that we do not know
pass through under their own name, as far as the schema keeps them. Some are labels too, so that
the server can select by them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from storage.base import Document

STATE_GROUP = "state.kube-idp.dev"
GROUP = "kube-idp.dev"
VERSION = "v1beta1"

DAY_LABEL = "kube-idp.dev/expires-day"
ENDED_LABEL = "kube-idp.dev/ended"

REQUESTS = {
    "request/rotate": "kube-idp.dev/rotate",
    "request/reseal": "kube-idp.dev/reseal",
}
"""Columns that people write, as annotations; they stay when we write the object."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T)")
_LONGEST = 1024
_LONGEST_OTHER = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One custom resource. `fields` are the columns whose field has another name.

    `longest` are the most characters of a column, where that is not the common limit. `selectable`
    are the columns that the server may select by.
    """

    group: str
    plural: str
    kind: str
    fields: Mapping[str, str] = field(default_factory=dict)
    longest: Mapping[str, int] = field(default_factory=dict)
    selectable: frozenset[str] = frozenset()
    has_labels: bool = False

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of the collection in a namespace, or of one object."""
        collection = (
            f"/apis/{self.group}/{VERSION}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        )
        return f"{collection}/{quote(name, safe='')}" if name else collection

    def shown(self, column: str, value: str) -> str:
        """Return a column's value as the schema holds it: cut when it is too long."""
        return value[: self.longest.get(column, _LONGEST_OTHER)]

    def object(self, namespace: str, document: Document) -> dict[str, Any]:
        """Return the object to write for a document."""
        metadata: dict[str, Any] = {
            "name": document.name,
            "namespace": namespace,
            # Who last wrote which field is of no use in state, and is half of a small object.
            "managedFields": [{}],
        }
        if document.version:
            metadata["resourceVersion"] = document.version
        labels = _labels(document.columns) if self.has_labels else {}
        if labels:
            metadata["labels"] = labels
        requests = {
            annotation: document.columns[column]
            for column, annotation in REQUESTS.items()
            if column in document.columns
        }
        if requests:
            metadata["annotations"] = requests
        spec = {
            self.fields.get(column, column): self.shown(column, value)
            for column, value in document.columns.items()
            if column not in REQUESTS and column != "sealed"
        }
        return {
            "apiVersion": f"{self.group}/{VERSION}",
            "kind": self.kind,
            "metadata": metadata,
            "spec": {**spec, "sealed": document.sealed},
        }

    def document(self, found: Mapping[str, Any]) -> Document | None:
        """Return the document of an object, None if it has no name or is being deleted.

        People can write objects by hand: whatever is not as it should be is left out, and a body
        that is none opens for nobody.
        """
        metadata = _mapping(found.get("metadata"))
        name, version = metadata.get("name"), metadata.get("resourceVersion")
        if not isinstance(name, str) or metadata.get("deletionTimestamp") is not None:
            return None
        sealed = _mapping(found.get("spec")).get("sealed")
        return Document(
            name=name,
            columns=self.columns(found),
            sealed=sealed if isinstance(sealed, str) else "",
            version=version if isinstance(version, str) else "",
        )

    def columns(self, found: Mapping[str, Any]) -> dict[str, str]:
        """Return the columns of an object."""
        by_field = {name: column for column, name in self.fields.items()}
        columns = {
            by_field.get(name, name): value
            for name, value in _mapping(found.get("spec")).items()
            if isinstance(value, str) and name != "sealed"
        }
        columns.update(_requests(_mapping(found.get("metadata"))))
        return columns


GRANTS = Resource(
    group=STATE_GROUP,
    plural="refreshgrants",
    kind="RefreshGrant",
    fields={"client": "clientID", "last_used": "lastUsed"},
    longest={"user": _LONGEST, "client": _LONGEST, "connector": _LONGEST},
    selectable=frozenset({"user", "client", "connector"}),
    has_labels=True,
)
KEY_RINGS = Resource(
    group=STATE_GROUP,
    plural="signingkeyrings",
    kind="SigningKeyRing",
    fields={"last_rotation": "lastRotation"},
    longest={"signing": _LONGEST, "next": _LONGEST, "keys": 65_536, "last_rotation": 4096},
)
STATE = {"refresh-grants": GRANTS, "signing-keys": KEY_RINGS}
"""The resources of the kinds of `storage.kinds`."""


def _labels(columns: Mapping[str, str]) -> dict[str, str]:
    labels = {}
    if day := _DAY.match(columns.get("expires", "")):
        labels[DAY_LABEL] = day.group()
    if columns.get("ended") == "true":
        labels[ENDED_LABEL] = "true"
    return labels


def _requests(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    annotations = _mapping(metadata.get("annotations"))
    for column, annotation in REQUESTS.items():
        if isinstance(value := annotations.get(annotation), str):
            yield column, value


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
