"""`idp client`: which applications registered themselves, and ending that.

Those of the configuration and of `OIDCClient` objects are not here: whoever wrote them removes them
there. Removing a registration ends what the application has, at every replica within a second.
"""

import json
from collections.abc import Sequence

from idp.commands.console import FAILED, OK, Console
from idp.commands.targets import Store, Target, open_store
from storage.base import Document, NotFound
from storage.collection import is_name
from storage.kinds import REGISTERED_CLIENTS

_HEADINGS = ("CLIENT ID", "NAME", "METHOD", "REDIRECT URIS")
_COLUMNS = ("client_name", "auth_method", "redirect_uris")


async def scan(console: Console, target: Target, *, style: str) -> int:
    """Print the registered clients, as a table or in `style` "json"."""
    async with open_store(target, console) as store:
        found = await _found(store)
    if style == "json":
        console.say(json.dumps([_as_json(document) for document in found], indent=2))
    elif found:
        console.show(_HEADINGS, map(_row, found))
    else:
        console.complain(f"No client has registered itself in {store.where}.")
    return OK


async def remove(console: Console, target: Target, client_ids: Sequence[str]) -> int:
    """End registrations. Fails if one is not there, after ending the others."""
    status = OK
    async with open_store(target, console) as store:
        for client_id in dict.fromkeys(client_ids):
            if await _removed(store, client_id):
                console.say(f"removed {client_id}")
            else:
                console.complain(
                    f"No client `{client_id}` has registered itself in {store.where}. `idp client"
                    " list` shows those that have; one of the configuration or of an OIDCClient is"
                    " removed there"
                )
                status = FAILED
    return status


async def _found(store: Store) -> list[Document]:
    found = [document async for document in store.backend.scan(REGISTERED_CLIENTS.name, {})]
    return sorted(found, key=_order)


def _order(document: Document) -> tuple[str, str]:
    return document.columns.get("client_name", ""), document.name


async def _removed(store: Store, client_id: str) -> bool:
    """Remove a client; return whether there was one."""
    if not is_name(client_id):
        return False
    try:
        await store.backend.remove(REGISTERED_CLIENTS.name, client_id)
    except NotFound:
        return False
    return True


def _row(document: Document) -> list[str]:
    return [document.name, *(document.columns.get(key, "") for key in _COLUMNS)]


def _as_json(document: Document) -> dict[str, str]:
    return {
        "client_id": document.name,
        **{key: document.columns.get(key, "") for key in _COLUMNS},
    }
