"""The section `registration`: off unless asked for, with tokens where tokens are wanted."""

from collections.abc import Callable

import pytest

from idp.settings import Problem, Settings

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]

TOKEN = "an-initial-access-token"

pytestmark = pytest.mark.covers("R-105")


def test_it_is_off_by_default(read: Read) -> None:
    assert read("").registration.mode == "off"
    assert read("registration:\n").registration.mode == "off"
    assert read("registration: {mode: off}").registration.mode == "off"


def test_tokens_are_secrets(read: Read) -> None:
    settings = read(f"registration: {{mode: token, initialAccessTokens: [{TOKEN}]}}")
    assert settings.registration.max_clients == 1000
    (token,) = settings.registration.initial_access_tokens
    assert token.get_secret_value() == TOKEN
    assert TOKEN not in repr(settings)
    assert settings.warnings == ()


def test_tokens_may_come_from_the_environment(read: Read) -> None:
    fragment = 'registration: {mode: token, initialAccessTokens: ["${env:TOKEN}"]}'
    settings = read(fragment, {"TOKEN": TOKEN})
    assert settings.registration.initial_access_tokens[0].get_secret_value() == TOKEN


@pytest.mark.parametrize(
    ("fragment", "path", "message"),
    [
        ("mode: token", "registration.initialAccessTokens", "is required with `mode: token`"),
        (
            f"mode: open, initialAccessTokens: [{TOKEN}]",
            "registration.initialAccessTokens",
            "is for `mode: token`",
        ),
        ("mode: on", "registration.mode", "is not one of off, token, open"),
        (
            "mode: token, initialAccessTokens: ['two words']",
            "registration.initialAccessTokens[0]",
            "the value must be made of letters, digits",
        ),
        ("mode: open, maxClients: 0", "registration.maxClients", "from 1 to 10000"),
        ("mode: open, maxClients: 10001", "registration.maxClients", "from 1 to 10000"),
        ("mode: open, maxclients: 5", "registration.maxclients", "did you mean `maxClients`?"),
    ],
)
def test_mistakes_are_told_with_their_remedy(
    refuse: Refuse, fragment: str, path: str, message: str
) -> None:
    (problem,) = refuse(f"registration: {{{fragment}}}")
    assert problem.path == path
    assert message in problem.message
    assert "two words" not in str(problem)


@pytest.mark.parametrize(
    ("fragment", "said"),
    [
        ("mode: open", "lets anybody write clients"),
        (f"initialAccessTokens: [{TOKEN}]", "has no effect with `mode: off`"),
        ("mode: token, initialAccessTokens: [short]", "is shorter than 16 characters"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(read: Read, fragment: str, said: str) -> None:
    (warning,) = read(f"registration: {{{fragment}}}").warnings
    assert said in warning.message
