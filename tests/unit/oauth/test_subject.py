"""`sub` is Dex's encoding, and no two people share one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.subject import parse_subject, subject

KNOWN = "CiQwOGE4Njg0Yi1kYjg4LTRiNzMtOTBhOS0zY2QxNjYxZjU0NjYSBWxvY2Fs"

text = st.text(st.characters(codec="utf-8"), max_size=300)


@pytest.mark.spec("Dex", "sub")
def test_the_subject_of_dex_documentation_is_the_same_here() -> None:
    assert subject("08a8684b-db88-4b73-90a9-3cd1661f5466", "local") == KNOWN
    assert parse_subject(KNOWN) == ("08a8684b-db88-4b73-90a9-3cd1661f5466", "local")


def test_a_client_is_its_own_subject_without_a_connector() -> None:
    assert base64.urlsafe_b64decode(subject("app", "") + "=") == b"\x0a\x03app"


def test_empty_parts_are_left_out() -> None:
    assert subject("", "") == ""
    assert parse_subject(subject("", "ldap")) == ("", "ldap")


def test_a_length_over_127_takes_two_bytes() -> None:
    assert parse_subject(subject("u" * 300, "c" * 20_000)) == ("u" * 300, "c" * 20_000)


@given(text, text)
def test_parts_come_back_as_they_went_in(user_id: str, connector_id: str) -> None:
    assert parse_subject(subject(user_id, connector_id)) == (user_id, connector_id)


@pytest.mark.covers("R-69")
@given(st.tuples(text, text), st.tuples(text, text))
def test_no_two_people_share_a_subject(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (subject(*one) == subject(*other)) == (one == other)


@pytest.mark.covers("R-69")
def test_what_moves_between_user_and_connector_changes_the_subject() -> None:
    spellings = {subject("ab", "c"), subject("a", "bc"), subject("abc", ""), subject("", "abc")}
    assert len(spellings) == 4


def test_a_lone_surrogate_has_no_subject() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        subject("a\ud800", "local")


@pytest.mark.parametrize(
    "sub",
    [
        "a",
        "CiQ",
        "Cg",
        "Cv" + "_" * 20,
        KNOWN + "==",
        KNOWN[:-1],
        KNOWN + "AA",
        "Cg NhcHA",
        "CgNhcH+",
        "é",
        base64.urlsafe_b64encode(b"\x0a\x81\x00a").rstrip(b"=").decode(),
        base64.urlsafe_b64encode(b"\x12\x01c\x0a\x01a").rstrip(b"=").decode(),
        base64.urlsafe_b64encode(b"\x0a\x00").rstrip(b"=").decode(),
        base64.urlsafe_b64encode(b"\x0a\x01\xff").rstrip(b"=").decode(),
    ],
)
def test_what_we_did_not_write_is_no_subject(sub: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_subject(sub)


@given(st.text(max_size=60))
def test_any_text_is_a_subject_or_a_value_error(sub: str) -> None:
    try:
        parts = parse_subject(sub)
    except ValueError:
        return
    assert subject(*parts) == sub
