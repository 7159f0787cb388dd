"""The section `sessions`: on where it is given, Dex's keys, and what is wrong with them."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from idp.settings import Problem, Settings

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]


def test_sessions_are_off_unless_somebody_asks_for_them(read: Read) -> None:
    assert not read("").sessions.enabled
    assert not read("sessions:").sessions.enabled
    assert read("sessions: {enabled: true}").sessions.enabled
    assert read("sessions: {absoluteLifetime: 12h}").sessions.enabled
    assert not read("sessions: {enabled: false, absoluteLifetime: 12h}").sessions.enabled


def test_defaults_are_those_of_dex(read: Read) -> None:
    sessions = read("sessions: {enabled: true}").sessions
    assert sessions.absolute_lifetime == timedelta(hours=24)
    assert sessions.valid_if_not_used_for == timedelta(hours=1)
    assert sessions.remember_me_checked_by_default
    assert sessions.sso_shared_with_default == "none"


def test_disuse_can_be_allowed(read: Read) -> None:
    assert read("sessions: {validIfNotUsedFor: '0'}").sessions.valid_if_not_used_for is None


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("absoluteLifetime: '0'", "absoluteLifetime"),
        ("absoluteLifetime: 9000h", "absoluteLifetime"),
        ("absoluteLifetime: 1500ms", "absoluteLifetime"),
        ("ssoSharedWithDefault: some", "ssoSharedWithDefault"),
        ("cookieName: 'a b'", "cookieName"),
        ("cookieName: 'a;b'", "cookieName"),
        ("cookieName: __Host-mine", "cookieName"),
        ("rememberMe: true", "rememberMe"),
    ],
)
def test_what_cannot_be_meant_is_refused(refuse: Refuse, given: str, key: str) -> None:
    (problem,) = refuse(f"sessions: {{{given}}}")
    assert str(problem.path) == f"sessions.{key}"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("cookieEncryptionKey: 0123456789abcdef", "nothing but a reference"),
        ("validIfNotUsedFor: 48h", "longer than `absoluteLifetime`"),
    ],
)
def test_what_has_no_effect_is_said_and_no_secret_shown(read: Read, given: str, words: str) -> None:
    (warning,) = read(f"sessions: {{{given}}}").warnings
    assert words in str(warning)
    assert "0123456789abcdef" not in str(warning)
