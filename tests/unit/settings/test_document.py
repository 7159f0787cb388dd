"""YAML as text: what cannot be read at all, and what is read narrowly."""

from collections.abc import Callable
from pathlib import Path

import pytest

from idp.settings import ConfigurationInvalid, Problem, Settings, load

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("", 1, "the file is empty"),
        ("# only a comment\n\n", 1, "the file is empty"),
        ("~", 1, "the file is empty"),
        ("\n- issuer\n", 2, "the file must be a mapping of keys"),
        ("issuer", 1, "the file must be a mapping of keys"),
        ("[]", 1, "the file must be a mapping of keys"),
        ("issuer: a\nweb: {http: 1\n", 3, "not valid YAML"),
        ("issuer: a\n b: c\n", 2, "put values that contain `: ` in quotes"),
        ("issuer: a\nweb:\n\thttp: x\n", 3, "indent with spaces"),
        ("issuer: a\n---\nissuer: b\n", 2, "not valid YAML"),
        ("issuer: a\nweb: *other\n", 2, "begins with `*` is an alias; put it in quotes"),
        ("a: &x 1\nb: &x 2\n", 2, "this anchor (`&name`) was given before"),
        ("issuer: a\nweb: '\x00'\n", 2, "contains a control character"),
        ('issuer: "\\UFFFFFFFF"', 1, "the file is not valid YAML"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: 1", 1, "the file is not valid YAML"),
        ("[" * 100_000, 1, "nests more than 32 levels deep"),
        ("{a: " * 5_000, 1, "nests more than 32 levels deep"),
        ("- " * 5_000, 1, "nests more than 32 levels deep"),
        ("a: &a [*a]", 1, "nests more than 32 levels deep, aliases followed"),
        ("a: &a {b: *a}", 1, "nests more than 32 levels deep, aliases followed"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(
    refuse_text: Refuse, text: str, line: int, hint: str
) -> None:
    (problem,) = refuse_text(text)
    assert (problem.path, problem.line) == ("", line)
    assert hint in problem.message


def test_an_alias_bomb_is_one_problem(refuse_text: Refuse) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    (problem,) = refuse_text(bomb)
    assert "more than 100000 values, aliases followed" in problem.message


@pytest.mark.servers
def test_too_many_values_are_one_problem(refuse_text: Refuse) -> None:
    (problem,) = refuse_text("a: [" + "1," * 100_100 + "]")
    assert "more than 100000 values" in problem.message


def test_the_file_itself_may_be_missing_unreadable_or_no_text(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"issuer: a\nname: M\xfcller\n")
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * (1024 * 1024 + 1))
    for path, hint in [
        (tmp_path / "absent.yaml", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (latin, "it is not UTF-8 text (line 2)"),
        (huge, "it is larger than 1 MiB"),
        (Path("nul\0byte"), "null byte"),
        (Path("half\udcff"), "No such file"),
    ]:
        with pytest.raises(ConfigurationInvalid) as caught:
            load(path, environ={})
        (problem,) = caught.value.problems
        assert problem.line == 0
        assert problem.message.startswith("the file `")
        assert hint in problem.message
        str(caught.value).encode()


def test_utf16_is_told_from_text(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("issuer: https://id.example.com", encoding="utf-16")
    with pytest.raises(ConfigurationInvalid, match="not UTF-8"):
        load(path, environ={})


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    text = (
        "issuer: https://id.example.com\r\nstorage: {type: memory}\r\nweb: {http: ':1'}\r\n"
        "oauth2: {grantTypes: [client_credentials]}\r\n"
    )
    path.write_bytes(text.encode("utf-8-sig"))
    assert load(path, environ={}).issuer == "https://id.example.com"


def test_json_indented_with_tabs_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        '{\n\t"issuer": "https:\\/\\/id.example.com",\n\t"storage": {"type": "memory"},\n'
        '\t"web": {\n\t\t"http": ":5556"\n\t},\n\t"frontend": {"issuer": "\\ud83d\\ude00"},\n'
        '\t"oauth2": {"grantTypes": ["client_credentials"]}\n}\n'
    )
    settings = load(path, environ={})
    assert (settings.issuer, settings.frontend.issuer) == ("https://id.example.com", "😀")


def test_a_key_given_twice_is_refused_with_both_lines(refuse: Refuse) -> None:
    (problem,) = refuse("logger:\n  level: info\n  format: json\n  level: debug\n")
    assert (problem.path, problem.line) == ("logger.level", 2)
    assert problem.message == "this key is given again in line 4; keep one of them"


@pytest.mark.parametrize(
    ("fragment", "path", "hint"),
    [
        ("frontend: {issuer: !secret x}", "frontend.issuer", "YAML tag; put it in quotes"),
        ("frontend: {issuer: !!binary aGk=}", "frontend.issuer", "this YAML tag is not read"),
        ("frontend: !!set {a, b}", "frontend", "YAML tag"),
        ("frontend: !x [a]", "frontend", "YAML tag"),
        (
            'frontend: {issuer: "a\\0b"}',
            "frontend.issuer",
            "the value contains a control character",
        ),
        ('frontend: {issuer: "a\\ud800"}', "frontend.issuer", "half a surrogate pair"),
        ("a: &a {x: 1}\nfrontend: {<<: *a}", 'frontend["<<"]', "merge keys are not read"),
        ("frontend: {[a]: b}", "frontend", "the key in line 1 is not plain text"),
        ("frontend: {? {a: b} : c}", "frontend", "the key in line 1 is not plain text"),
        ('frontend: {"a\\ud800": b}', "frontend", "the key in line 1 is not plain text"),
    ],
)
def test_yaml_beyond_plain_values_is_refused(
    refuse: Refuse, fragment: str, path: str, hint: str
) -> None:
    (problem,) = (one for one in refuse(fragment) if one.path != "a")
    assert problem.path == path
    assert hint in problem.message


@pytest.mark.parametrize(
    "text", ["0123", "1_000", "0x1F", "1e3", "1.20", "2026-11-21", "no", "12:30:45", "=", "-0"]
)
def test_text_that_yaml_would_change_stays_as_typed(read: Read, text: str) -> None:
    assert read(f"frontend: {{issuer: {text}}}").frontend.issuer == text


def test_a_whole_number_is_taken_for_text_where_text_is_wanted(read: Read) -> None:
    client = read("staticClients: [{id: 42, secret: 1234567890123456}]").static_clients[0]
    assert client.id == "42"
    assert client.secret is not None
    assert client.secret.get_secret_value() == "1234567890123456"


def test_true_is_not_taken_for_text(refuse: Refuse) -> None:
    (problem,) = refuse("frontend: {issuer: true}")
    assert problem.message == "must be text, but is true or false; put it in quotes"


def test_what_is_null_or_empty_counts_as_not_given(read: Read) -> None:
    settings = read(
        "connectors:\nfrontend: {issuer: '', logoURL: }\nlogger: ~\nstaticClients: []\nweb:\n"
        "  http: ':1'\n  tlsCert: ''\n"
    )
    assert settings.frontend.issuer == "kube-idp"
    assert settings.web.tls_cert is None


def test_an_empty_item_of_a_list_is_refused(refuse: Refuse) -> None:
    (first, second) = refuse("logger: {excludeFields: [a, null, '']}")
    assert first.path == "logger.excludeFields[1]"
    assert first.message == "must be text, but is empty"
    assert second.path == "logger.excludeFields[2]"
    assert second.message == "the value is empty"


def test_anchors_and_aliases_are_followed(read: Read) -> None:
    settings = read(
        "staticClients:\n- {id: a, public: true, redirectURIs: &uris ['https://a.example/cb']}\n"
        "- {id: b, public: true, redirectURIs: *uris}\n"
    )
    assert settings.static_clients[0].redirect_uris == settings.static_clients[1].redirect_uris
