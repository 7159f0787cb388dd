"""What is due when."""

from hypothesis import given
from hypothesis import strategies as st

from idp.objects.schedule import AT_ONCE, Schedule


def test_what_waited_longest_comes_first_and_only_once() -> None:
    schedule: Schedule[str] = Schedule()
    for thing, at in (("b", 2.0), ("a", 1.0), ("d", 9.0), ("c", 3.0)):
        schedule.plan(thing, at)
    assert schedule.take_due(5, 2) == ["a", "b"]
    assert schedule.take_due(5, 2) == ["c"]
    assert schedule.take_due(5, 2) == []
    assert schedule.wait_for(5) == 4


def test_what_is_wanted_at_once_is_ahead_of_all() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.plan("old", 1.0)
    schedule.plan("new", AT_ONCE)
    assert schedule.wait_for(100) == 0
    assert schedule.take_due(100, 1) == ["new"]


def test_a_thing_may_be_hastened_and_dropped() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.plan("a", 5)
    schedule.hasten("a", 9)
    assert schedule.wait_for(0) == 5
    schedule.hasten("a", 2)
    assert schedule.wait_for(0) == 2
    schedule.drop("a")
    assert schedule.wait_for(0) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50)), max_size=200))
def test_of_many_times_the_last_counts(plans: list[tuple[str, int]]) -> None:
    schedule: Schedule[str] = Schedule()
    for thing, at in plans:
        schedule.plan(thing, at)
    last = dict(plans)
    due = schedule.take_due(100, 10)
    assert sorted(due) == sorted(last)
    assert [last[thing] for thing in due] == sorted(last.values())
    assert schedule.take_due(100, 10) == []
