"""`idp client` on an SQLite file: who registered, and ending that."""

import json

import pytest

from tests.unit.commands.conftest import Database, idp

KIND = "registered-clients"


def put(database: Database, client_id: str, **columns: str) -> None:
    usual = {
        "client_name": "Wiki",
        "auth_method": "none",
        "redirect_uris": "https://wiki.example.com/callback",
    }
    database.put(KIND, client_id, **{**usual, **columns})


def test_clients_stand_in_aligned_columns_by_name(database: Database) -> None:
    put(database, "c1", client_name="Wiki")
    put(database, "c2", client_name="Chat", auth_method="client_secret_basic")
    ran = idp("client", "list", "--config", database.config)
    heading, *rows = ran.out.splitlines()
    assert ran.status == 0
    assert heading.split() == ["CLIENT", "ID", "NAME", "METHOD", "REDIRECT", "URIS"]
    assert [row.split()[:3] for row in rows] == [
        ["c2", "Chat", "client_secret_basic"],
        ["c1", "Wiki", "none"],
    ]


def test_json_has_every_column_and_is_a_list_even_of_nothing(database: Database) -> None:
    arguments = ("client", "list", "--config", database.config, "-o", "json")
    assert json.loads(idp(*arguments).out) == []
    put(database, "c1")
    assert json.loads(idp(*arguments).out) == [
        {
            "client_id": "c1",
            "client_name": "Wiki",
            "auth_method": "none",
            "redirect_uris": "https://wiki.example.com/callback",
        }
    ]


def test_an_empty_table_says_where_it_looked(database: Database) -> None:
    ran = idp("client", "list", "--config", database.config)
    assert (ran.status, ran.out) == (0, "")
    assert f"No client has registered itself in {database.file}." in ran.err


@pytest.mark.covers("R-90")
def test_a_name_that_an_application_chose_cannot_play_with_the_terminal(database: Database) -> None:
    put(database, "c1", client_name="\x1b[2JWiki\nroot", redirect_uris="\u202ehttps://x")
    ran = idp("client", "list", "--config", database.config)
    assert len(ran.out.splitlines()) == 2
    assert all(letter.isprintable() or letter == "\n" for letter in ran.out)


@pytest.mark.covers("R-105")
def test_removing_deletes_those_that_are_there_and_fails_for_the_others(
    database: Database,
) -> None:
    for client_id in ("c1", "c2", "c3"):
        put(database, client_id)
    ran = idp("client", "remove", "--config", database.config, "c1", "nobody", "c2", "c1", "A/b")
    assert ran.status == 1
    assert ran.out.splitlines() == ["removed c1", "removed c2"]
    assert "No client `nobody` has registered itself" in ran.err
    assert "No client `A/b`" in ran.err
    assert "`idp client list`" in ran.err
    assert database.names(KIND) == ["c3"]


def test_nothing_to_remove_is_wrong_usage(database: Database) -> None:
    with pytest.raises(SystemExit) as ended:
        idp("client", "remove", "--config", database.config)
    assert ended.value.code == 2
