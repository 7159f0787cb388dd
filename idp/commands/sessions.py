"""`idp session`: who is signed in where, and ending that.

A session is a `RefreshGrant`: one login of one person with one client on one device. Deleting it
ends it, at every replica within a second. The first login of a browser with single sign-on takes
those with it that came of it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from idp.commands.console import OK, CommandFailed, CommandUnusable, Console
from idp.commands.documents import Listing, each_ended, removed
from idp.commands.targets import Store, Target, open_store
from storage.base import Document, NotFound
from storage.kinds import GRANTS

_LISTING = Listing(
    name="name",
    headings=("NAME", "USER", "CLIENT", "CONNECTOR", "LAST USED", "EXPIRES"),
    columns=("user", "client", "connector", "last_used", "expires"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which sessions are meant: those that have all of what is not empty."""

    user: str = ""
    client: str = ""
    connector: str = ""

    def columns(self) -> dict[str, str]:
        """Return the columns by which they are found."""
        wanted = {"user": self.user, "client": self.client, "connector": self.connector}
        return {column: value for column, value in wanted.items() if value}

    def __str__(self) -> str:
        """Return words that go behind "session"."""
        words = (f" with {column} `{value}`" for column, value in self.columns().items())
        return " and".join(words)


async def scan(console: Console, target: Target, chosen: Chosen, *, style: str) -> int:
    """Print the sessions, as a table or in `style` "json". Those that have ended are left out."""
    async with open_store(target, console) as store:
        found = await _found(store, chosen)
    nothing = f"There is no session{chosen} in {store.where}."
    _LISTING.show(console, found, style=style, nothing=nothing)
    return OK


async def revoke(console: Console, target: Target, names: Sequence[str]) -> int:
    """End the sessions of these names. Fails if one is not there, after ending the others."""
    async with open_store(target, console) as store:

        def missing(name: str) -> str:
            return f"There is no session `{name}` in {store.where}. `idp session list` shows them"

        end = partial(_ended, store)
        return await each_ended(console, names, end, done="revoked", missing=missing)


async def revoke_chosen(console: Console, target: Target, chosen: Chosen, *, agreed: str) -> int:
    """End all sessions of a user; asks before it does, unless `agreed` is "yes".

    Raises CommandUnusable when people of several connectors have that name and none is chosen.
    """
    async with open_store(target, console) as store:
        found = await _found(store, chosen)
        if not found:
            raise CommandFailed(
                f"There is no session{chosen} in {store.where}. `idp session list` shows them"
            )
        connectors = sorted({document.columns.get("connector", "") for document in found})
        if len(connectors) > 1:
            raise CommandUnusable(
                f"`{chosen.user}` is signed in through several connectors, which may be different"
                f" people: {', '.join(connectors)}. Say which one with --connector"
            )
        if agreed != "yes":
            _ask(console, found)
        for document in found:
            if await _ended(store, document.name):
                console.say(f"revoked {document.name}")
    return OK


async def _found(store: Store, chosen: Chosen) -> list[Document]:
    found = [
        document
        async for document in store.backend.scan(GRANTS.name, chosen.columns())
        if not document.columns.get("ended")
    ]
    return sorted(found, key=_row_order)


def _row_order(document: Document) -> tuple[str, ...]:
    by = ("user", "client", "connector", "last_used")
    return tuple(document.columns.get(key, "") for key in by)


async def _ended(store: Store, name: str) -> bool:
    """End a session; return whether there was one."""
    if not await removed(store, GRANTS.name, name):
        return False
    await _end_followers(store, name)
    return True


async def _end_followers(store: Store, session: str) -> None:
    """Delete the logins that came of a session, for the case that no server sees its end."""
    followers = [
        document.name async for document in store.backend.scan(GRANTS.name, {"session": session})
    ]
    for name in followers:
        with suppress(NotFound):
            await store.backend.remove(GRANTS.name, name)


def _ask(console: Console, found: Sequence[Document]) -> None:
    """Raise CommandUnusable unless somebody at a terminal agrees."""
    if not console.stdin.isatty():
        raise CommandUnusable(
            f"This ends {_counted(found)}. Nobody is at the terminal to agree: say --yes"
        )
    _LISTING.table(console, found)
    console.complain(f"End {_counted(found)}? Type yes:")
    if console.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandFailed("Nothing was revoked.")


def _counted(found: Sequence[Document]) -> str:
    return f"{len(found)} session{'s' if len(found) > 1 else ''}"
