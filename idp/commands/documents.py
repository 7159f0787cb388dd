"""What commands about documents of the store have in common: showing them, and removing them."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from idp.commands.console import FAILED, OK, Console
from idp.commands.targets import Store
from storage.base import Document, NotFound
from storage.collection import is_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """How documents of a kind are shown: name and `columns` below `headings`.

    `name` is what the name of a document is called in JSON.
    """

    name: str
    headings: Sequence[str]
    columns: Sequence[str]

    def show(
        self, console: Console, found: Sequence[Document], *, style: str, nothing: str
    ) -> None:
        """Print documents, as a table or in `style` "json"; for a table of none say `nothing`."""
        if style == "json":
            console.say(json.dumps([self._members(document) for document in found], indent=2))
        elif found:
            self.table(console, found)
        else:
            console.complain(nothing)

    def table(self, console: Console, found: Iterable[Document]) -> None:
        """Print documents as a table."""
        rows = ([document.name, *self._values(document)] for document in found)
        console.show(self.headings, rows)

    def _members(self, document: Document) -> dict[str, str]:
        values = zip(self.columns, self._values(document), strict=True)
        return {self.name: document.name, **dict(values)}

    def _values(self, document: Document) -> list[str]:
        return [document.columns.get(key, "") for key in self.columns]


async def removed(store: Store, kind: str, name: str) -> bool:
    """Remove a document; return whether there was one of this name."""
    if not is_name(name):
        return False
    try:
        await store.backend.remove(kind, name)
    except NotFound:
        return False
    return True


async def each_ended(
    console: Console,
    names: Sequence[str],
    end: Callable[[str], Awaitable[bool]],
    *,
    done: str,
    missing: Callable[[str], str],
) -> int:
    """End what has these names, once each, and say `done` of it.

    Fails if one is `missing`, which is told in these words, after ending the others.
    """
    status = OK
    for name in dict.fromkeys(names):
        if await end(name):
            console.say(f"{done} {name}")
        else:
            console.complain(missing(name))
            status = FAILED
    return status
