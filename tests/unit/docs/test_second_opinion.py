"""The page on the second opinion: every difference has a reason, and the page is current."""

import re

from tests.second_opinion.differences import PAGE, differences, page

_SOURCE = re.compile(r"(RFC \d{4}|OIDC Core|Multiple Response Types|RP-Initiated Logout), [\dB]")


def test_every_difference_names_its_specification() -> None:
    for each in differences():
        assert _SOURCE.match(each.why), each.why
        assert each.ours != each.theirs


def test_no_question_is_explained_twice() -> None:
    named = [(each.area, question) for each in differences() for question in each.questions]
    assert len(set(named)) == len(named)


def test_the_page_is_current() -> None:
    found = PAGE.read_text("utf-8")
    assert found == page(), "run `python -m tests.second_opinion.differences`"
