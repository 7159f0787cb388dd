"""`idp client`: which applications registered themselves, and ending that.

Those of the configuration and of `OIDCClient` objects are not here: whoever wrote them removes them
there. Removing a registration ends what the application has, at every replica within a second.
"""

from collections.abc import Sequence
from functools import partial

from idp.commands.console import OK, Console
from idp.commands.documents import Listing, each_ended, removed
from idp.commands.targets import Store, Target, open_store
from storage.base import Document
from storage.kinds import REGISTERED_CLIENTS

_LISTING = Listing(
    name="client_id",
    headings=("CLIENT ID", "NAME", "METHOD", "REDIRECT URIS"),
    columns=("client_name", "auth_method", "redirect_uris"),
)


async def scan(console: Console, target: Target, *, style: str) -> int:
    """Print the registered clients, as a table or in `style` "json"."""
    async with open_store(target, console) as store:
        found = await _found(store)
    nothing = f"No client has registered itself in {store.where}."
    _LISTING.show(console, found, style=style, nothing=nothing)
    return OK


async def remove(console: Console, target: Target, client_ids: Sequence[str]) -> int:
    """End registrations. Fails if one is not there, after ending the others."""
    async with open_store(target, console) as store:

        def missing(client_id: str) -> str:
            return (
                f"No client `{client_id}` has registered itself in {store.where}. `idp client"
                " list` shows those that have; one of the configuration or of an OIDCClient is"
                " removed there"
            )

        end = partial(removed, store, REGISTERED_CLIENTS.name)
        return await each_ended(console, client_ids, end, done="removed", missing=missing)


async def _found(store: Store) -> list[Document]:
    found = [document async for document in store.backend.scan(REGISTERED_CLIENTS.name, {})]
    return sorted(found, key=_order)


def _order(document: Document) -> tuple[str, str]:
    return document.columns.get("client_name", ""), document.name
