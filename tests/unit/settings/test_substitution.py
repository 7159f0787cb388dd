"""Values from the environment and from files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from idp.settings import Problem, Settings

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]
HASH = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"


def _name(read: Read, text: str, environ: dict[str, str] | None = None) -> str:
    return read(f"frontend: {{issuer: '{text}'}}", environ or {}).frontend.issuer


@pytest.mark.parametrize(
    "text", ["$", "$5", "$VAR", "${VAR}", "$$", "${", "${}", "${vault:a}", HASH]
)
def test_a_plain_dollar_stays(read: Read, text: str) -> None:
    assert _name(read, text, {"VAR": "changed"}) == text


def test_variables_are_replaced_anywhere_and_only_once(read: Read) -> None:
    environ = {"A": "${env:B}", "B": "b"}
    assert _name(read, "x${env:B}y${env:A}z", environ) == "xby${env:B}z"


def test_values_of_other_types_may_come_from_variables(read: Read) -> None:
    settings = read(
        "throttle: {replicas: '${env:N}'}\nexpiry: {idTokens: '${env:T}'}\n"
        "staticClients: [{id: a, public: '${env:P}', redirectURIs: ['https://${env:H}/cb']}]",
        {"N": "3", "T": "5m", "P": "true", "H": "app.example"},
    )
    assert settings.throttle.replicas == 3
    assert settings.expiry.id_tokens.total_seconds() == 300
    assert settings.static_clients[0].public
    assert settings.static_clients[0].redirect_uris == ("https://app.example/cb",)


def test_files_are_relative_to_the_configuration_and_lose_their_last_line_break(
    read: Read, tmp_path: Path
) -> None:
    (tmp_path / "name").write_text("Example & Co.\r\n")
    (tmp_path / "two").write_text("two\n\n")
    assert _name(read, "${file:name}") == "Example & Co."
    assert _name(read, f"${{file:{tmp_path}/name}}!") == "Example & Co.!"
    assert _name(read, "${file:./two}x") == "two\nx"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("${env:ABSENT}", "the environment variable `ABSENT` is not set"),
        ("${env:}", "the environment variable is not set"),
        ("${env:A", "`${env:` is not closed by a `}`"),
        ("${file:}", "`${file:}` names no file"),
        ("${file:absent}", "the file `absent` cannot be used: No such file or directory"),
        ("${file:.}", "the file `.` cannot be used: Is a directory"),
        ("${file:/dev/zero}", "the file `/dev/zero` cannot be used: it is larger than 1 MiB"),
        ("${file:binary}", "the file `binary` cannot be used: it is not UTF-8 text (line 1)"),
        ("${file:nul}", "the value contains a control character"),
        ("${env:NUL}", "the value contains a control character"),
    ],
)
def test_what_cannot_be_had_is_one_problem_that_names_it(
    refuse: Refuse, tmp_path: Path, value: str, hint: str
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "nul").write_bytes(b"a\0b")
    (problem,) = refuse(f"issuer: '{value}'", {"NUL": "a\x1bb"})
    assert (problem.path, problem.line) == ("issuer", 1)
    assert problem.message == hint


def test_keys_may_name_variables(read: Read) -> None:
    settings = read(
        "staticClients: [{idEnv: I, secretEnv: S}]\nenablePasswordDB: true\n"
        "staticPasswords: [{email: a@example.com, hashFromEnv: H, userID: '1'}]",
        {"I": "app", "S": "0123456789abcdef", "H": HASH},
    )
    client, person = settings.static_clients[0], settings.static_passwords[0]
    assert client.id == client.name == "app"
    assert client.secret is not None
    assert client.secret.get_secret_value() == "0123456789abcdef"
    assert person.hash.get_secret_value() == HASH


@pytest.mark.parametrize(
    ("client", "key", "hint"),
    [
        ("{id: a, secretEnv: ABSENT}", "secretEnv", "the environment variable `ABSENT` is not set"),
        ("{idEnv: ABSENT, public: true}", "idEnv", "the environment variable `ABSENT` is not set"),
        ("{id: a, secretEnv: EMPTY}", "secretEnv", "the environment variable `EMPTY` is empty"),
        ("{id: a, secretEnv: [X]}", "secretEnv", "must be the name of an environment variable"),
        ("{id: a, secretEnv: X, secret: y}", "secretEnv", "give `secret` or `secretEnv`, not both"),
        ("{id: a, idEnv: X, public: true}", "idEnv", "give `id` or `idEnv`, not both"),
        (
            "{id: a, secretEnv: 'hunter2 hunter2'}",
            "secretEnv",
            "the environment variable is not set",
        ),
    ],
)
def test_a_named_variable_that_cannot_be_had_is_told_at_the_key_that_names_it(
    refuse: Refuse, client: str, key: str, hint: str
) -> None:
    (problem,) = refuse(f"\nstaticClients:\n- {client}", {"EMPTY": ""})
    assert (problem.path, problem.line) == (f"staticClients[0].{key}", 2)
    assert problem.message == hint


def test_a_wrong_value_from_a_variable_is_not_shown(refuse: Refuse) -> None:
    (problem,) = refuse("issuer: '${env:X}'", {"X": "ftp://hunter2.example"})
    assert problem.message == "the value must begin with https:// in lower case"


def test_a_wrong_id_from_a_variable_is_told_at_the_key_that_names_it(refuse: Refuse) -> None:
    (problem,) = refuse("staticClients: [{idEnv: X, public: true}]", {"X": "Müller"})
    assert problem.path == "staticClients[0].idEnv"
    assert problem.message.startswith("the value must be at most 255 printable ASCII")


def test_dex_expansion_in_config_blocks_is_warned_of(read: Read) -> None:
    settings = read("storage: {type: sqlite3, config: {file: $HOME/idp.db}}")
    (warning,) = settings.warnings
    assert warning.path == "storage.config.file"
    assert "write `${env:NAME}`" in warning.message
