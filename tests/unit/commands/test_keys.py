"""`idp keys` on an SQLite file: the table, and requests that a server answers."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from idp.commands.console import CommandFailed
from idp.commands.keys import Manner, Patience, rotate
from idp.commands.targets import Target
from storage.sqlite import SqliteBackend
from tests.unit.commands.conftest import Database, console, idp

_KEYS = (
    "k3 RS256 next since 2026-01-01T10:00:00Z until 2026-01-02T00:00:00Z\n"
    "k2 RS256 signing since 2026-01-01T06:00:00Z\n"
    "k1 ES256 retired since 2026-01-01T00:00:00Z until 2026-01-01T08:00:00Z\n"
)


def _ring(database: Database, **columns: str) -> None:
    usual = {"keys": _KEYS, "signing": "k2", "next": "k3", "rotates": "2026-01-01T12:00:00Z"}
    database.put("signing-keys", "signing-keys", **{**usual, **columns})


def _server(database: Database, answer: str) -> Callable[[float], "asyncio.Future[None]"]:
    """Return a way to wait, during which a server answers the request it finds."""

    async def wait(_: float) -> None:
        backend = await SqliteBackend.open(database.file)
        ring = await backend.read("signing-keys", "signing-keys")
        done = answer.format(request=ring.columns["request/rotate"])
        columns = {**ring.columns, "last_rotation": done}
        await backend.replace("signing-keys", replace(ring, columns=columns))
        await backend.close()

    return lambda seconds: asyncio.ensure_future(wait(seconds))


def _rotate(database: Database, manner: Manner, patience: Patience) -> str:
    terminal, out, _ = console()
    target = Target(config=Path(database.config))
    assert asyncio.run(rotate(terminal, target, manner, patience)) == 0
    return out.getvalue()


@pytest.mark.parametrize("how", [[], ["--config"]])
def test_keys_are_a_table_with_what_comes_next(database: Database, how: list[str]) -> None:
    _ring(database, last_rotation="2026-01-01T06:00:00Z; answered: routine x")
    ran = idp("keys", "list", *how, database.config)
    assert ran.status == 0
    heading, first, second, third, *rest = ran.out.splitlines()
    assert heading.split() == ["KID", "ALG", "STATE", "SINCE", "UNTIL"]
    assert first.split()[:3] == ["k3", "RS256", "next"]
    assert second.split() == ["k2", "RS256", "signing", "2026-01-01T06:00:00Z"]
    assert third.index("2026-01-01T08:00:00Z") == heading.index("UNTIL")
    assert rest == [
        "Signing: k2",
        "Next: k3, signs from 2026-01-01T12:00:00Z",
        "Last rotation: 2026-01-01T06:00:00Z; answered: routine x",
    ]


def test_a_line_that_is_not_understood_is_shown_as_it_is(database: Database) -> None:
    _ring(database, keys="k9 is of a newer version\n", next="")
    ran = idp("keys", "list", database.config)
    assert ran.out.splitlines()[1] == "k9 is of a newer version"


def test_keys_without_columns_say_how_to_get_them(database: Database) -> None:
    database.put("signing-keys", "signing-keys")
    ran = idp("keys", "list", database.config)
    assert ran.status == 1
    assert "`idp keys rotate` asks for one" in ran.err


@pytest.mark.parametrize("command", ["list", "rotate", "reseal"])
def test_a_store_without_keys_has_never_seen_a_server(database: Database, command: str) -> None:
    ran = idp("keys", command, database.config)
    assert ran.status == 1
    assert "There are no signing keys in" in ran.err


@pytest.mark.parametrize("manner", ["routine", "emergency"])
def test_a_request_for_a_rotation_is_left_beside_what_was_there(
    database: Database, manner: str
) -> None:
    _ring(database)
    before = database.read("signing-keys", "signing-keys")
    how = ["--emergency"] if manner == "emergency" else []
    ran = idp("keys", "rotate", "--no-wait", *how, database.config)
    assert ran.status == 0
    after = database.read("signing-keys", "signing-keys")
    request = after.columns["request/rotate"]
    assert re.fullmatch(rf"{manner} 2026-01-01T12:00:00.000000Z", request)
    assert after.columns == {**before.columns, "request/rotate": request}
    assert after.sealed == before.sealed
    assert request in ran.out


def test_the_answer_of_a_server_is_waited_for_and_told(database: Database) -> None:
    _ring(database)
    patience = Patience(sleep=_server(database, "2026-01-01T06:00:00Z; answered: {request}"))
    said = _rotate(database, "routine", patience)
    assert "; answered: routine 2026-01-01T12:00:00.000000Z\n" in said
    assert "Next: k3, signs from 2026-01-01T12:00:00Z" in said


def test_the_answer_to_an_earlier_request_is_not_taken_for_ours(database: Database) -> None:
    _ring(database, last_rotation="x; answered: routine 2025-12-31T12:00:00.000000Z")
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    with pytest.raises(CommandFailed, match="No server has answered within 30 s") as caught:
        _rotate(database, "routine", Patience(sleep=wait))
    assert sum(waited) == 30
    assert "The request `routine 2026-01-01T12:00:00.000000Z` stands" in str(caught.value)


def test_a_request_to_seal_anew_is_left(database: Database) -> None:
    _ring(database)
    assert idp("keys", "reseal", database.config).status == 0
    columns = database.read("signing-keys", "signing-keys").columns
    assert columns["request/reseal"] == "2026-01-01T12:00:00.000000Z"
    assert columns["keys"] == _KEYS


def test_a_configuration_named_twice_is_refused(database: Database) -> None:
    ran = idp("keys", "list", database.config, "--config", database.config)
    assert ran.status == 2
    assert "named twice" in ran.err
