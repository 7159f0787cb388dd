"""base64url: one text for one value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.keys import base64url

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=100))
def test_what_is_encoded_decodes(data: bytes) -> None:
    assert base64url.decode(base64url.encode(data)) == data


@given(st.text(alphabet=ALPHABET, max_size=12))
def test_each_value_has_one_text(text: str) -> None:
    try:
        data = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(data) == text


@pytest.mark.covers("CV-34")
@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AB",
        "AAB",
        "AA==",
        "AA=",
        "AA\n",
        " AA",
        "A A",
        "+/AA",
        "ÄÖ",
        "\ud800",
        "AA.A",
        "=",
        "AAAA=",
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(text)
