"""`idp keys`: the signing keys, and what the server is asked to do with them.

The keys are sealed, and the command has no sealing key: it shows what the server wrote beside them
for people, and leaves requests that a running server answers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from idp.commands.console import OK, CommandFailed, Console
from idp.commands.targets import Store, Target, open_store
from storage.base import Document, NotFound
from storage.kinds import KEY_RINGS

Manner = Literal["routine", "emergency"]

RING = "signing-keys"
_HEADINGS = ("KID", "ALG", "STATE", "SINCE", "UNTIL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a server's answer, in seconds; 0 is not at all."""

    wait_for: float = 30.0
    look_every: float = 0.5
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


async def scan(console: Console, target: Target) -> int:
    """Print the published keys, and when the next one will sign."""
    async with open_store(target, console) as store:
        ring = await _ring(store)
    rows = [_row(line) for line in ring.columns.get("keys", "").splitlines() if line.strip()]
    if not rows:
        raise CommandFailed(
            f"The server has not yet written for people which keys are in {store.where}. It does"
            " so at the next rotation: `idp keys rotate` asks for one"
        )
    console.show(_HEADINGS, rows)
    _tell(console, ring)
    return OK


async def rotate(
    console: Console,
    target: Target,
    manner: Manner,
    patience: Patience,
) -> int:
    """Ask for a rotation, wait for the answer and print it."""
    asked = f"{manner} {_written(console.clock())}"
    async with open_store(target, console) as store:
        await _ring(store)
        await store.request(KEY_RINGS.name, RING, "rotate", asked)
        if not patience.wait_for:
            console.say(f"Asked for: {asked}. `idp keys list` shows what comes of it.")
            return OK
        ring = await _answered(store, asked, patience)
    _tell(console, ring)
    return OK


async def reseal(console: Console, target: Target) -> int:
    """Ask the server to seal everything anew with another sealing key."""
    async with open_store(target, console) as store:
        await _ring(store)
        await store.request(KEY_RINGS.name, RING, "reseal", _written(console.clock()))
    console.say(
        "Asked for. In the background the server adds a sealing key (or takes the newest, where it"
        " may not add one), seals all records with it, and lets go of the old ones. Its log says"
        " `reseal_finished` at the end, and `reseal_needs_key` if you have to add one."
    )
    return OK


async def _ring(store: Store) -> Document:
    try:
        return await store.backend.read(KEY_RINGS.name, RING)
    except NotFound:
        raise CommandFailed(
            f"There are no signing keys in {store.where}: the server has never been started there."
            " If it runs in another namespace, say which with --namespace"
        ) from None


async def _answered(store: Store, asked: str, patience: Patience) -> Document:
    waited = 0.0
    while True:
        ring = await _ring(store)
        if asked in ring.columns.get("last_rotation", ""):
            return ring
        if waited >= patience.wait_for:
            raise CommandFailed(
                f"No server has answered within {patience.wait_for:g} s: is one running? The"
                f" request `{asked}` stands; the next server that runs in {store.where} answers it"
            )
        await patience.sleep(patience.look_every)
        waited += patience.look_every


def _row(line: str) -> list[str]:
    """Return the cells of "KID ALG STATE since T until T"; a line of another form is one cell."""
    match line.split():
        case [kid, alg, state, "since", since, "until", until]:
            return [kid, alg, state, since, until]
        case [kid, alg, state, "since", since]:
            return [kid, alg, state, since, ""]
        case [kid, alg, state]:
            return [kid, alg, state, "", ""]
    return [line, "", "", "", ""]


def _tell(console: Console, ring: Document) -> None:
    """Print what the server says of past and future; "last_rotation" ends with our request."""
    told = {name: ring.columns.get(name, "") for name in ("signing", "next", "last_rotation")}
    at = ring.columns.get("rotates", "") or "a time that is not planned yet"
    for text in (
        told["signing"] and f"Signing: {told['signing']}",
        told["next"] and f"Next: {told['next']}, signs from {at}",
        told["last_rotation"] and f"Last rotation: {told['last_rotation']}",
    ):
        if text:
            console.say(text)


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
