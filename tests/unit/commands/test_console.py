"""Tables stay aligned and lines stay lines, whatever people call themselves."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.commands.console import cell
from tests.unit.commands.conftest import console


def _places(text: str) -> int:
    return sum(
        2 if unicodedata.east_asian_width(letter) in "WF" else not unicodedata.combining(letter)
        for letter in text
    )


def test_columns_stay_aligned_behind_wide_and_combining_letters() -> None:
    terminal, out, _ = console()
    terminal.show(["NAME", "X"], [["日本", "1"], ["zoe\u0308", "2"], ["", "3"]])
    lines = out.getvalue().splitlines()
    assert {_places(line) for line in lines} == {8}
    assert [line[-1] for line in lines] == ["X", "1", "2", "3"]


@pytest.mark.covers("R-90")
@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=4))
def test_a_table_has_a_line_for_each_row_and_nothing_unprintable(rows: list[list[str]]) -> None:
    terminal, out, _ = console()
    terminal.show(["A", "B"], rows)
    text = out.getvalue()
    assert text.count("\n") == len(rows) + 1
    assert all(letter.isprintable() for letter in text.replace("\n", ""))


@pytest.mark.covers("R-90")
@given(st.text())
def test_a_message_holds_nothing_that_moves_a_cursor(text: str) -> None:
    terminal, _, err = console()
    terminal.complain(text)
    assert all(letter.isprintable() for letter in err.getvalue().replace("\n", ""))


def test_what_is_escaped_can_still_be_told_apart() -> None:
    assert cell("a\x1b[1m\n\u202e") == "a\\x1b[1m\\n\\u202e"
