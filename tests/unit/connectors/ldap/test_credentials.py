"""Names and passwords that are nobody's are refused before anything is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import BadCredentials
from connectors.ldap.credentials import name_octets, password_octets

NOBODYS = [
    "",
    " ",
    "\u00ad",
    "\u00ad\u00ad",
    "\ufeff",
    "\u00a0",
    "\u3000",
    "\u200b\u2060",
    "\u034f",
    "\ufe0f",
    "\u1806",
    "\t\n",
    "\0",
    "right\0",
    "\ud800",
]


@pytest.mark.covers("L-10", "CV-23")
@pytest.mark.parametrize("text", NOBODYS, ids=ascii)
def test_what_a_directory_may_take_for_nothing_is_refused(text: str) -> None:
    for octets in (name_octets, password_octets):
        with pytest.raises(BadCredentials):
            octets(text)


@pytest.mark.covers("L-10")
@pytest.mark.parametrize("password", ["a\u00adb", "pass word", "ｆｕｌｌ", "é", "e\u0301", " x "])
def test_passwords_are_sent_as_they_were_typed(password: str) -> None:
    assert password_octets(password) == password.encode()


@pytest.mark.covers("L-11", "R-76")
@pytest.mark.parametrize("length", [1025, 65536])
def test_what_is_longer_than_any_name_or_password_is_refused(length: int) -> None:
    for octets in (name_octets, password_octets):
        with pytest.raises(BadCredentials):
            octets("a" * length)


@given(text=st.text(min_size=12).map(lambda text: f"hunter2{text}\0"))
def test_a_refusal_never_repeats_the_text(text: str) -> None:
    with pytest.raises(BadCredentials) as refused:
        password_octets(text)
    assert "hunter2" not in str(refused.value)
