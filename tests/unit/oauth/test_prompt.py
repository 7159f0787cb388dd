"""`prompt` and `max_age` say what OIDC Core lets them say, or the request is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.errors import InvalidRequest
from idp.oauth.prompt import CONSENT, LOGIN, NONE, SELECT_ACCOUNT, read_max_age, read_prompt

ALL = {NONE, LOGIN, CONSENT, SELECT_ACCOUNT}


@pytest.mark.covers("R-7")
@given(st.lists(st.sampled_from(sorted(ALL)), max_size=6))
def test_known_prompts_are_read_and_none_stands_alone(words: list[str]) -> None:
    try:
        assert read_prompt(" ".join(words), None) == set(words)
    except InvalidRequest:
        assert NONE in words
        assert len(set(words)) > 1


@pytest.mark.covers("R-7", "CV-9")
@given(st.text(max_size=30))
def test_any_text_is_prompts_or_invalid_request(text: str) -> None:
    try:
        assert read_prompt(text, None) <= ALL
    except InvalidRequest:
        assert text.strip(" ")


@pytest.mark.covers("R-7", "CV-9")
@pytest.mark.parametrize(
    "text", ["None", "LOGIN", "login,consent", "login\tconsent", "login\n", "create", "x", "none x"]
)
def test_an_unknown_prompt_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_prompt(text, None)


@pytest.mark.covers("R-7")
@pytest.mark.parametrize("text", ["none login", "login none", "none consent", "none none login"])
def test_none_with_another_prompt_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_prompt(text, None)


@pytest.mark.parametrize(
    ("approval_prompt", "prompts"), [("force", {CONSENT}), ("auto", set()), ("x", set())]
)
def test_the_older_spelling_of_consent_is_understood(
    approval_prompt: str, prompts: set[str]
) -> None:
    assert read_prompt(None, approval_prompt) == prompts


@pytest.mark.covers("R-7")
def test_the_older_spelling_never_weakens_none() -> None:
    assert read_prompt("none", "force") == {NONE}


@pytest.mark.covers("R-8")
@pytest.mark.parametrize(
    "text",
    ["-1", "-0", "+1", "1.0", "1e3", " 1", "1 ", "1\n", "0x10", "1_000", "", "٣", "１", "NaN",
     "inf", "9" * 10, "9" * 10_000, "null", "true", "²"],
)  # fmt: skip
def test_a_max_age_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_max_age(text)


@pytest.mark.covers("R-8")
@given(st.integers(0, 999_999_999))
def test_a_max_age_in_seconds_is_read(seconds: int) -> None:
    assert read_max_age(str(seconds)) == seconds


def test_no_max_age_is_none() -> None:
    assert read_max_age(None) is None


@pytest.mark.covers("R-8", "CV-36")
@given(st.text(max_size=20))
def test_any_text_is_a_max_age_or_invalid_request(text: str) -> None:
    try:
        assert read_max_age(text) == int(text)
    except InvalidRequest:
        assert not (text.isascii() and text.isdigit() and len(text) < 10)
