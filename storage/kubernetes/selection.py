"""Which objects to ask the server for, so that no list is transferred to be thrown away.

The server selects by labels always, by fields where it offers that; what it cannot select by is
looked at here. In the end the columns decide, whatever the labels say.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import date, timedelta
from typing import Any

from storage.kubernetes.api import ApiServer
from storage.kubernetes.errors import Expired, Unavailable
from storage.kubernetes.resources import DAY_LABEL, ENDED_LABEL, LABEL_VALUE, Resource
from storage.kubernetes.watch import pages

RECENT_DAYS = 62
COMING_DAYS = 400
"""No grant lives longer; what says so all the same is looked at one by one."""

_LONGEST_SELECTED = 256
_MOST_RESTARTS = 5
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T)")


class Selection:
    """Lists objects by columns; remembers where the server does not select by fields."""

    def __init__(self) -> None:
        self._without_fields: set[str] = set()

    async def objects(
        self, api: ApiServer, path: str, resource: Resource, where: Mapping[str, str]
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the objects whose columns equal `where`, in order of name, each once."""
        query = self._query(resource, where)
        try:
            async for found in listed(api, path, query):
                if _matches(resource, found, where):
                    yield found
        except Unavailable as error:
            # Refused before anything was yielded: a bad selector never gives a first page.
            if error.status != 400 or "fieldSelector" not in query:
                raise
        else:
            return
        self._without_fields.add(resource.plural)
        async for found in self.objects(api, path, resource, where):
            yield found

    def _query(self, resource: Resource, where: Mapping[str, str]) -> dict[str, str]:
        query = {}
        labels = [
            f"{resource.labels[column]}={value}"
            for column, value in where.items()
            if column in resource.labels and LABEL_VALUE.fullmatch(value)
        ]
        if resource.has_labels and where.get("ended") in ("", "true"):
            labels.append(f"{ENDED_LABEL}=true" if where["ended"] else f"!{ENDED_LABEL}")
        if labels:
            query["labelSelector"] = ",".join(labels)
        fields = [
            f"spec.{resource.fields.get(column, column)}={_escaped(value)}"
            for column, value in where.items()
            if column in resource.selectable and 0 < len(value) <= _LONGEST_SELECTED
        ]
        if fields and resource.plural not in self._without_fields:
            query["fieldSelector"] = ",".join(fields)
        return query


async def expired_names(
    api: ApiServer, path: str, resource: Resource, *, before: str, limit: int
) -> list[str]:
    """Return at most `limit` names of objects whose `expires` sorts before `before`.

    First those of the last weeks by the label of their day, of which nearly all are due. If they
    are not enough, those of no such day and of none of the next year: old ones, and odd ones.
    """
    names: list[str] = []
    for query in _by_day(before) if resource.has_labels else [{}]:
        async with aclosing(listed(api, path, query)) as found:
            async for each in found:
                if len(names) >= limit:
                    return names
                document = resource.document(each)
                expires = document.columns.get("expires", "") if document else ""
                if document and expires and expires < before:
                    names.append(document.name)
    return names[:limit]


async def listed(
    api: ApiServer, path: str, query: Mapping[str, str]
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the objects of a list, page by page, in order of name and each once.

    Who reads slowly may find the list outdated: then the rest comes from a new one.
    """
    last = ""
    for restart in range(_MOST_RESTARTS):
        try:
            async with aclosing(pages(api, path, query)) as parts:
                async for page in parts:
                    for found in page.objects:
                        name = _name(found)
                        if name > last or not last:
                            last = name
                            yield found
        except Expired:
            if restart == _MOST_RESTARTS - 1:
                raise
        else:
            return


def _by_day(before: str) -> list[dict[str, str]]:
    found = _DAY.match(before)
    try:
        today = date.fromisoformat(found.group()) if found else None
        if today is None:
            return [{}]
        recent = [str(today - timedelta(days=ago)) for ago in range(RECENT_DAYS)]
        coming = [str(today + timedelta(days=ahead)) for ahead in range(1, COMING_DAYS)]
    except (ValueError, OverflowError):
        return [{}]
    return [
        {"labelSelector": f"{DAY_LABEL} in ({','.join(recent)})"},
        {"labelSelector": f"{DAY_LABEL} notin ({','.join(recent + coming)})"},
    ]


def _matches(resource: Resource, found: Mapping[str, Any], where: Mapping[str, str]) -> bool:
    columns = resource.columns(found)
    return all(columns.get(name) == resource.shown(name, where[name]) for name in where)


def _escaped(value: str) -> str:
    """Return a value for a field selector, whose own signs are escaped (apimachinery fields)."""
    return re.sub(r"([\\,=])", r"\\\1", value)


def _name(found: Mapping[str, Any]) -> str:
    metadata = found.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""
