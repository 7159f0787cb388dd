"""The name of the object about a person."""

import re

from hypothesis import given
from hypothesis import strategies as st

from storage.persons import person_key


@given(st.text(), st.text())
def test_any_person_has_a_name_that_a_cluster_takes(connector: str, user_id: str) -> None:
    name = person_key(connector, user_id)
    assert re.fullmatch(r"[a-z2-7]{52}", name)
    assert name == person_key(connector, user_id)


def test_it_never_changes() -> None:
    expected = "ft63s6p3qimjwi4nd4tq5lcg7cyiffenioibhue2wr3u2uckr45q"
    assert person_key("local", "u-1") == expected
    assert person_key("a", "bc") != person_key("ab", "c")
    assert person_key('a", "b', "c") != person_key("a", 'b", "c')
