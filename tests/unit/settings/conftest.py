"""Fixtures: read a fragment of a configuration, completed by what every file must have."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from idp.settings import ConfigurationInvalid, Problem, Settings, parse

_REST = {
    "issuer": "issuer: https://id.example.com",
    "storage": "storage: {type: memory}",
    "web": "web: {http: ':5556'}",
    "oauth2": "oauth2: {grantTypes: [authorization_code, refresh_token, client_credentials]}",
}

NOTHING: Mapping[str, str] = {}

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]


def _completed(fragment: str) -> str:
    rest = (line for key, line in _REST.items() if f"\n{key}:" not in f"\n{fragment}")
    return "\n".join([fragment.strip("\n"), *rest])


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return the settings of a completed fragment, whose own lines are the first ones."""

    def read(fragment: str, environ: Mapping[str, str] = NOTHING) -> Settings:
        return parse(_completed(fragment), environ=environ, directory=tmp_path)

    return read


@pytest.fixture
def refuse(read: Read) -> Refuse:
    """Return the problems of a completed fragment, of which there must be some."""

    def refuse(fragment: str, environ: Mapping[str, str] = NOTHING) -> tuple[Problem, ...]:
        with pytest.raises(ConfigurationInvalid) as caught:
            read(fragment, environ)
        return caught.value.problems

    return refuse


@pytest.fixture
def refuse_text(tmp_path: Path) -> Refuse:
    """Return the problems of a whole text."""

    def refuse_text(text: str) -> tuple[Problem, ...]:
        with pytest.raises(ConfigurationInvalid) as caught:
            parse(text, environ=NOTHING, directory=tmp_path)
        return caught.value.problems

    return refuse_text
