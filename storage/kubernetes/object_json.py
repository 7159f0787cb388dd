"""Objects as the API server writes them, read into `WrittenObject`; pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from storage.objects import ObjectKind, WrittenObject


class UnusableMetadata(ValueError):
    """The API server sent an object without a usable name, uid, version or time."""


def read_object(kind: ObjectKind, document: Mapping[str, Any]) -> WrittenObject:
    """Return the object; a `spec` or `status` that is no JSON object counts as an empty one.

    Raises UnusableMetadata, which names the field.
    """
    metadata = _mapping(document.get("metadata"))
    generation = metadata.get("generation", 0)
    if type(generation) is not int:
        raise UnusableMetadata("metadata.generation is not a number")
    return WrittenObject(
        kind=kind,
        name=_text(metadata, "name"),
        uid=_text(metadata, "uid"),
        generation=generation,
        created_at=_instant(metadata, "creationTimestamp"),
        spec=_without_sealed(_mapping(document.get("spec"))),
        status=_mapping(document.get("status")),
        annotations=_texts(metadata.get("annotations")),
        version=_text(metadata, "resourceVersion"),
    )


def spec_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `spec` as it came, an empty one if it is no JSON object."""
    return _mapping(document.get("spec"))


def is_going(document: Mapping[str, Any]) -> bool:
    """Return whether somebody has deleted the object and only a finalizer still holds it."""
    return bool(_mapping(document.get("metadata")).get("deletionTimestamp"))


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON merge patch (RFC 7396) that turns `old` into `new`.

    A null in `new` means that the member is not there: a merge patch cannot say anything else.
    """
    patch: dict[str, Any] = {name: None for name in old if new.get(name) is None}
    for name, value in new.items():
        before = old.get(name)
        if value is None or value == before:
            continue
        if isinstance(value, Mapping):
            patch[name] = merge_patch(before if isinstance(before, Mapping) else {}, value)
        else:
            patch[name] = value
    return patch


def _without_sealed(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what people wrote: what the server sealed into it would lie in memory for nobody."""
    return {name: each for name, each in spec.items() if name != "sealed"}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name)
    if not isinstance(value, str) or not value:
        raise UnusableMetadata(f"metadata.{name} is missing or not text")
    return value


def _texts(value: object) -> dict[str, str]:
    return {name: text for name, text in _mapping(value).items() if isinstance(text, str)}


def _instant(metadata: Mapping[str, Any], name: str) -> datetime:
    try:
        instant = datetime.fromisoformat(_text(metadata, name))
    except ValueError as error:
        raise UnusableMetadata(f"metadata.{name} is not a time") from error
    if instant.tzinfo is None:
        raise UnusableMetadata(f"metadata.{name} has no zone")
    return instant
