"""The matrix of the specifications: every demand has its test, and the page is current."""

from collections import Counter
from collections.abc import Sequence

import pytest

from tests.kit.conformance import PAGE, MarkedTest, all_tests, page, specifications


@pytest.fixture(scope="module")
def tests() -> Sequence[MarkedTest]:
    return all_tests()


def test_every_demand_has_a_test_that_names_its_section(tests: Sequence[MarkedTest]) -> None:
    sections = {test.id: test.sections for test in tests}
    missing = [
        (specification.document, must.section, must.test)
        for specification in specifications()
        for must in specification.musts
        if (specification.document, must.section) not in sections.get(must.test, ())
    ]
    assert missing == []


def test_a_test_that_a_demand_names_is_one_test(tests: Sequence[MarkedTest]) -> None:
    names = Counter(test.id for test in tests)
    named = {must.test for each in specifications() for must in each.musts}
    assert [name for name in named if names[name] != 1] == []


def test_what_was_left_out_has_a_reason() -> None:
    for specification in specifications():
        assert specification.musts
        assert all(len(must.why_not) > 10 for must in specification.left_out)


def test_the_page_is_current(tests: Sequence[MarkedTest]) -> None:
    assert PAGE.read_text("utf-8") == page(tests), "run `python -m tests.kit.conformance`"
