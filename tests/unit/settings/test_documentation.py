"""docs/configuration.md names every key and every refusal, and its example works."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from idp.settings import KubernetesStorage, Section, Settings, SqliteStorage, parse
from idp.settings.ldap import LdapFile
from idp.settings.places import UNSERVED_SIGNERS, UNSERVED_STORAGE
from idp.settings.substitution import NAMED_BY

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
_LISTS = ("staticClients.", "staticPasswords.", "connectors.")


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _keys(model: type[Section], prefix: str = "") -> Iterator[str]:
    for field in model.model_fields.values():
        path = f"{prefix}{field.alias}"
        inner = [key for one in _sections(field.annotation) for key in _keys(one, f"{path}.")]
        yield from inner or [path]


def _unserved(model: type[Section]) -> Iterator[str]:
    yield from model.unserved
    for field in model.model_fields.values():
        for one in _sections(field.annotation):
            yield from _unserved(one)


def _as_documented(path: str) -> str:
    for prefix in _LISTS:
        path = path.removeprefix(prefix)
    return path


_STORAGE = {f"storage.config.{key}" for key in _keys(KubernetesStorage)}
_STORAGE |= {f"storage.config.{key}" for key in _keys(SqliteStorage)}
_LDAP = set(_keys(LdapFile))


@pytest.mark.parametrize("path", sorted(set(_keys(Settings)) | _STORAGE | _LDAP))
def test_every_key_has_a_row(path: str) -> None:
    rows = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("|")]
    assert any(f"`{_as_documented(path)}`" in row for row in rows)


@pytest.mark.parametrize("key", [key for named in NAMED_BY.values() for key in named])
def test_every_key_that_names_a_variable_has_a_row(key: str) -> None:
    assert f"or `{key}` |" in TEXT


@pytest.mark.parametrize(
    "key",
    sorted({*_unserved(Settings), *_unserved(LdapFile), *UNSERVED_STORAGE, *UNSERVED_SIGNERS}),
)
def test_every_key_of_dex_that_is_not_served_is_listed(key: str) -> None:
    section = TEXT.partition("## Keys of Dex that are not served yet")[2]
    assert re.search(rf"[`.]{key}`", section)


def test_the_example_works_without_a_warning() -> None:
    example = TEXT.partition("```yaml\n")[2].partition("```")[0]
    environ = {"ANN_HASH": "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"}
    assert parse(example, environ=environ, directory=Path()).warnings == ()
