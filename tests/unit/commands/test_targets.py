"""Where commands work, and what is said where they cannot."""

from pathlib import Path

import pytest

from tests.unit.commands.conftest import Database, configuration, idp

_LIST = ("session", "list")


def test_a_store_in_memory_cannot_be_talked_to(tmp_path: Path) -> None:
    ran = idp(*_LIST, "--config", configuration(tmp_path, "{type: memory}"))
    assert ran.status == 2
    assert "there is nothing to talk to" in ran.err


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "idp.db"
    config = configuration(tmp_path, f"{{type: sqlite3, config: {{file: {file}}}}}")
    ran = idp(*_LIST, "--config", config)
    assert ran.status == 1
    assert f"there is no {file}" in ran.err
    assert not file.exists()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "idp.db"
    file.write_text("not a database at all, but rather long " * 50)
    config = configuration(tmp_path, f"{{type: sqlite3, config: {{file: {file}}}}}")
    ran = idp(*_LIST, "--config", config)
    assert ran.status == 1
    assert f"storage.config.file: {file}: it is no SQLite database" in ran.err


def test_problems_of_a_configuration_are_all_told(tmp_path: Path) -> None:
    ran = idp(*_LIST, "--config", configuration(tmp_path, "{type: floppy}\nisuer: x"))
    assert ran.status == 2
    assert "storage.type" in ran.err
    assert "did you mean `issuer`?" in ran.err
    assert "2 problems" in ran.err


@pytest.mark.parametrize("more", [["--namespace", "login"], ["--kubeconfig", "kubeconfig"]])
def test_a_configuration_and_a_kubeconfig_are_one_too_many(
    database: Database, more: list[str]
) -> None:
    ran = idp(*_LIST, "--config", database.config, *more)
    assert ran.status == 2
    assert "Give either the server's configuration, or" in ran.err


def test_without_a_kubeconfig_it_says_where_it_looked(tmp_path: Path) -> None:
    ran = idp(*_LIST, environ={"HOME": str(tmp_path)})
    assert ran.status == 2
    assert f"looked for {tmp_path}/.kube/config" in ran.err
    ran = idp(*_LIST, environ={"HOME": str(tmp_path), "KUBECONFIG": f"{tmp_path}/a:{tmp_path}/b"})
    assert f"looked for {tmp_path}/a, {tmp_path}/b" in ran.err


def test_several_kubeconfigs_are_not_guessed_among(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("{}")
    ran = idp(*_LIST, environ={"KUBECONFIG": f"{tmp_path}/a:{tmp_path}/b"})
    assert ran.status == 2
    assert "say which one with --kubeconfig" in ran.err


@pytest.mark.parametrize("command", ["lock", "unlock"])
def test_users_are_locked_in_a_cluster_only(database: Database, command: str) -> None:
    ran = idp("user", command, "--connector", "local", "u-1", "--config", database.config)
    assert ran.status == 2
    assert "this needs `storage.type: kubernetes`" in ran.err
