"""Where objects of each kind are, and how a document becomes an object and back.

Columns are string fields of `spec`, by names that people read in YAML; columns that we do not know
pass through under their own name, as far as the schema keeps them. Some are labels too, or instead,
so that the API server can select by them, whichever version of the schema is installed.
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
SESSION_LABEL = "kube-idp.dev/session"
SESSION_ENDED_LABEL = "kube-idp.dev/session-ended"
PERSON_LABEL = "kube-idp.dev/person"

REQUESTS = {
    "request/rotate": "kube-idp.dev/rotate",
    "request/reseal": "kube-idp.dev/reseal",
}
"""Columns that people write, as annotations; they stay when we write the object."""

# A value that is not empty (Kubernetes, "Labels and Selectors").
LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T)")
_LONGEST = 1024
_LONGEST_OTHER = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One custom resource. `fields` are the columns whose field has another name.

    `longest` are the most characters of a column, where that is not the common limit. `selectable`
    are the columns that the server may select by. `labels` are the columns that are labels and no
    fields; they are left out where they are empty, or no label could hold them. People write
    objects of a resource that `is_shared` too: what is theirs in one is left as it is.
    """

    group: str
    plural: str
    kind: str
    fields: Mapping[str, str] = field(default_factory=dict)
    longest: Mapping[str, int] = field(default_factory=dict)
    selectable: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    has_labels: bool = False
    is_shared: bool = False

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
        labels = self._labels(document.columns)
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
            if column not in REQUESTS and column not in self.labels and column != "sealed"
        }
        return {
            "apiVersion": f"{self.group}/{VERSION}",
            "kind": self.kind,
            "metadata": metadata,
            "spec": {**spec, "sealed": document.sealed},
        }

    def patch(self, document: Document) -> dict[str, Any]:
        """Return the JSON merge patch that writes a document over exactly its version."""
        return {
            "metadata": {"resourceVersion": document.version},
            "spec": self.object("", document)["spec"],
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
        return Document(
            name=name,
            columns=self.columns(found),
            sealed=self.sealed(found),
            version=version if isinstance(version, str) else "",
        )

    def sealed(self, found: Mapping[str, Any]) -> str:
        """Return the body of an object, "" if it has none."""
        sealed = _mapping(found.get("spec")).get("sealed")
        return sealed if isinstance(sealed, str) else ""

    def columns(self, found: Mapping[str, Any]) -> dict[str, str]:
        """Return the columns of an object."""
        by_field = {name: column for column, name in self.fields.items()}
        columns = {
            by_field.get(name, name): value
            for name, value in _mapping(found.get("spec")).items()
            if isinstance(value, str) and name != "sealed"
        }
        metadata = _mapping(found.get("metadata"))
        columns.update(_requests(metadata))
        labels = _mapping(metadata.get("labels"))
        for column, label in self.labels.items():
            if isinstance(value := labels.get(label), str) and value:
                columns[column] = value
        return columns

    def _labels(self, columns: Mapping[str, str]) -> dict[str, str]:
        labels = _common_labels(columns) if self.has_labels else {}
        for column, label in self.labels.items():
            if LABEL_VALUE.fullmatch(value := columns.get(column, "")):
                labels[label] = value
        return labels


GRANTS = Resource(
    group=STATE_GROUP,
    plural="refreshgrants",
    kind="RefreshGrant",
    fields={"client": "clientID", "last_used": "lastUsed"},
    longest={"user": _LONGEST, "client": _LONGEST, "connector": _LONGEST},
    selectable=frozenset({"user", "client", "connector"}),
    labels={
        "session": SESSION_LABEL,
        "session_ended": SESSION_ENDED_LABEL,
        "person": PERSON_LABEL,
    },
    has_labels=True,
)
KEY_RINGS = Resource(
    group=STATE_GROUP,
    plural="signingkeyrings",
    kind="SigningKeyRing",
    fields={"last_rotation": "lastRotation"},
    longest={"signing": _LONGEST, "next": _LONGEST, "keys": 65_536, "last_rotation": 4096},
)
USED_ASSERTIONS = Resource(
    group=STATE_GROUP,
    plural="usedassertions",
    kind="UsedAssertion",
    fields={"client": "clientID"},
    longest={"client": _LONGEST},
    has_labels=True,
)
USER_STATES = Resource(
    group=STATE_GROUP,
    plural="userstates",
    kind="UserState",
    fields={"user_id": "userID", "not_before": "notBefore"},
    longest={"user": _LONGEST, "user_id": _LONGEST, "connector": _LONGEST, "not_before": 64},
    is_shared=True,
)
REGISTERED_CLIENTS = Resource(
    group=STATE_GROUP,
    plural="registeredclients",
    kind="RegisteredClient",
    fields={
        "client_name": "clientName",
        "auth_method": "authMethod",
        "redirect_uris": "redirectURIs",
    },
    longest={"client_name": _LONGEST, "redirect_uris": 4096},
)
STATE = {
    "refresh-grants": GRANTS,
    "signing-keys": KEY_RINGS,
    "used-assertions": USED_ASSERTIONS,
    "user-states": USER_STATES,
    "registered-clients": REGISTERED_CLIENTS,
}
"""The resources of the kinds of `storage.kinds`."""


def _common_labels(columns: Mapping[str, str]) -> dict[str, str]:
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
