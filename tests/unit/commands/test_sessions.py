"""`idp session` on an SQLite file: what is shown, what is ended, what is refused."""

import json

import pytest

from tests.unit.commands.conftest import Database, Keyboard, idp


def test_sessions_stand_in_aligned_columns_by_user(database: Database) -> None:
    database.session("b2", user="jane", client="grafana")
    database.session("a1", user="zoë")
    database.session("c3", user="jane", client="kubernetes")
    ran = idp("session", "list", "--config", database.config)
    assert ran.status == 0
    heading, *rows = ran.out.splitlines()
    assert heading.split() == ["NAME", "USER", "CLIENT", "CONNECTOR", "LAST", "USED", "EXPIRES"]
    assert [row.split()[0] for row in rows] == ["b2", "c3", "a1"]
    assert {row.index("local") for row in rows} == {heading.index("CONNECTOR")}


def test_ended_sessions_are_none(database: Database) -> None:
    database.session("a1", ended="true")
    ran = idp("session", "list", "--config", database.config)
    assert (ran.status, ran.out) == (0, "")
    assert "There is no session in" in ran.err


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--user", "jane"], ["a", "b"]),
        (["--client", "grafana"], ["b", "c"]),
        (["--connector", "ldap"], ["c"]),
        (["--user", "jane", "--client", "grafana"], ["b"]),
    ],
)
def test_sessions_are_chosen_by_columns(
    database: Database, arguments: list[str], names: list[str]
) -> None:
    database.session("a", user="jane", client="kubernetes")
    database.session("b", user="jane", client="grafana")
    database.session("c", user="ann", client="grafana", connector="ldap")
    ran = idp("session", "list", "--config", database.config, *arguments, "-o", "json")
    assert sorted(one["name"] for one in json.loads(ran.out)) == names


def test_json_has_every_column_and_is_a_list_even_of_nothing(database: Database) -> None:
    assert json.loads(idp("session", "list", "--config", database.config, "-o", "json").out) == []
    database.session("a1", user="zoë")
    (found,) = json.loads(idp("session", "list", "--config", database.config, "-o", "json").out)
    assert found == {
        "name": "a1",
        "user": "zoë",
        "client": "kubernetes",
        "connector": "local",
        "last_used": "2026-01-01T12:00:00Z",
        "expires": "2026-02-01T12:00:00Z",
    }


@pytest.mark.covers("R-90")
@pytest.mark.parametrize("style", ["table", "json"])
def test_a_name_cannot_play_with_the_terminal(database: Database, style: str) -> None:
    database.session("a1", user="eve\x1b[2J\x9b31m\nroot  \u202etoor\x00\ud800")
    ran = idp("session", "list", "--config", database.config, "-o", style)
    assert ran.status == 0
    assert all(letter.isprintable() or letter == "\n" for letter in ran.out)
    if style == "table":
        assert len(ran.out.splitlines()) == 2


@pytest.mark.covers("R-90")
def test_messages_do_not_play_with_the_terminal_either(database: Database) -> None:
    ran = idp("session", "revoke", "--config", database.config, "\x1b[2Jx", "--user", "")
    assert ran.status == 1
    assert "\x1b" not in ran.err


def test_revoking_by_name_deletes_that_one(database: Database) -> None:
    database.session("a1")
    database.session("b2")
    ran = idp("session", "revoke", "a1", "a1", "--config", database.config)
    assert (ran.status, ran.out) == (0, "revoked a1\n")
    assert database.names("refresh-grants") == ["b2"]


def test_revoking_the_login_that_began_a_session_takes_the_others_with_it(
    database: Database,
) -> None:
    database.session("a1", session="a1")
    database.session("b2", session="a1")
    database.session("c3", session="c3")
    assert idp("session", "revoke", "--config", database.config, "b2").status == 0
    assert database.names("refresh-grants") == ["a1", "c3"]
    database.session("b2", session="a1")
    assert idp("session", "revoke", "--config", database.config, "a1").status == 0
    assert database.names("refresh-grants") == ["c3"]


@pytest.mark.parametrize("name", ["nobody", "", "../signing-keys", "A1", "a" * 300, "a/b"])
def test_a_name_that_is_not_there_fails_after_the_others_are_ended(
    database: Database, name: str
) -> None:
    database.session("a1")
    ran = idp("session", "revoke", name, "a1", "--config", database.config)
    assert (ran.status, ran.out) == (1, "revoked a1\n")
    assert "There is no session `" in ran.err
    assert "`idp session list` shows them" in ran.err


def test_all_of_a_user_are_ended_at_once(database: Database) -> None:
    for name in ("a", "b", "c"):
        database.session(name, user="ann" if name == "c" else "jane")
    ran = idp("session", "revoke", "--user", "jane", "--yes", "--config", database.config)
    assert (ran.status, ran.out) == (0, "revoked a\nrevoked b\n")
    assert database.names("refresh-grants") == ["c"]


def test_without_a_terminal_nobody_is_asked_and_nothing_ended(database: Database) -> None:
    database.session("a")
    ran = idp("session", "revoke", "--user", "jane", "--config", database.config)
    assert ran.status == 2
    assert "say --yes" in ran.err
    assert database.names("refresh-grants") == ["a"]


@pytest.mark.parametrize(("typed", "left"), [("yes\n", []), ("n\n", ["a"]), ("", ["a"])])
def test_somebody_at_a_terminal_is_shown_them_and_asked(
    database: Database, typed: str, left: list[str]
) -> None:
    database.session("a")
    arguments = ("session", "revoke", "--user", "jane", "--config", database.config)
    ran = idp(*arguments, stdin=Keyboard(typed))
    assert "kubernetes" in ran.out
    assert "End 1 session?" in ran.err
    assert ran.status == (1 if left else 0)
    assert database.names("refresh-grants") == left


def test_a_name_at_two_connectors_may_be_two_people(database: Database) -> None:
    database.session("a", connector="ldap")
    database.session("b", connector="local")
    arguments = ("session", "revoke", "--user", "jane", "--yes", "--config", database.config)
    ran = idp(*arguments)
    assert ran.status == 2
    assert "ldap, local. Say which one with --connector" in ran.err
    assert idp(*arguments, "--connector", "ldap").out == "revoked a\n"
    assert database.names("refresh-grants") == ["b"]


def test_revoking_a_user_without_sessions_fails(database: Database) -> None:
    ran = idp("session", "revoke", "--user", "jane", "--yes", "--config", database.config)
    assert ran.status == 1
    assert "There is no session with user `jane` in" in ran.err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "Say which sessions"),
        (["--client", "grafana"], "Say which sessions"),
        (["a", "--user", "jane"], "not both"),
    ],
)
def test_it_must_be_clear_what_is_revoked(arguments: list[str], hint: str) -> None:
    ran = idp("session", "revoke", *arguments)
    assert ran.status == 2
    assert hint in ran.err
