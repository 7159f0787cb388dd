"""The name of the object about a person."""

import re

from hypothesis import given
from hypothesis import strategies as st

from idp.commands.users import user_state_name


@given(st.text(), st.text())
def test_any_person_has_a_name_that_a_cluster_takes(connector: str, user_id: str) -> None:
    name = user_state_name(connector, user_id)
    assert re.fullmatch(r"[a-z2-7]{52}", name)
    assert name == user_state_name(connector, user_id)


def test_it_never_changes() -> None:
    expected = "ft63s6p3qimjwi4nd4tq5lcg7cyiffenioibhue2wr3u2uckr45q"
    assert user_state_name("local", "u-1") == expected
    assert user_state_name("a", "bc") != user_state_name("ab", "c")
    assert user_state_name('a", "b', "c") != user_state_name("a", 'b", "c')
