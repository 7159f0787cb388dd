"""Which objects about people have to be held in memory: those that say something."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.standing import UserStanding
from idp.objects.user_states import judge_user_state, says_something
from tests.kit.objects import written

ABOUT = {"connector": "ldap", "userID": "7"}

_JSON = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.just({}), st.just([]), st.just("true")
)
_SPECS = st.fixed_dictionaries(
    {"connector": st.one_of(st.just("ldap"), _JSON), "userID": st.one_of(st.just("7"), _JSON)},
    optional={
        "locked": _JSON,
        "notBefore": st.one_of(_JSON, st.just("2026-01-31T12:00:00Z")),
        "user": st.text(),
        "sealed": st.text(),
        "ofANewerServer": _JSON,
    },
)


@pytest.mark.covers("I-3")
@given(spec=_SPECS)
def test_nothing_that_keeps_somebody_out_or_is_wrong_is_left_out(spec: dict[str, Any]) -> None:
    judged = judge_user_state(written("user-states", "alice", spec))
    is_good = judged.value is not None and judged.value.standing == UserStanding()
    if judged.problems or not is_good:
        assert says_something(spec)


@pytest.mark.parametrize(
    "spec",
    [
        ABOUT,
        {**ABOUT, "sealed": "x", "user": "jane"},
        {**ABOUT, "locked": False},
        {**ABOUT, "locked": None, "notBefore": ""},
    ],
)
def test_what_holds_consents_only_is_left_out(spec: dict[str, Any]) -> None:
    assert not says_something(spec)


@pytest.mark.parametrize(
    "spec",
    [
        {**ABOUT, "locked": True},
        {**ABOUT, "locked": 0},
        {**ABOUT, "locked": "false"},
        {**ABOUT, "notBefore": "yesterday"},
        {"connector": "ldap"},
        {"userID": "7", "sealed": "x"},
        {"connector": 1, "userID": "7"},
    ],
)
def test_whatever_says_more_or_is_broken_is_held(spec: dict[str, Any]) -> None:
    assert says_something(spec)
