"""Go's durations, read strictly."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("90s", 90),
        ("24h", 86400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5m", 30),
        ("1.s", 1),
        ("300ms", 0.3),
        ("1h0m0.000001s", 3600.000001),
        ("5us", 0.000005),
        ("5µs", 0.000005),
        ("5μs", 0.000005),
        ("3000ns", 0.000003),
        ("2540400h10m10s", 2540400 * 3600 + 610),
    ],
)
def test_durations_mean_what_they_mean_in_go(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "is not a duration"),
        ("s", "is not a duration"),
        (".s", "is not a duration"),
        ("1", "has no unit; write for example 1s, 1m or 1h"),
        ("1h30", "has no unit"),
        ("-5s", "is negative"),
        ("+5s", "is not a duration"),
        ("30d", "is in days, which Go's durations do not know; 30 days are 720h"),
        ("5 s", "has no unit"),
        (" 5s", "is not a duration"),
        ("5s ", "is not a duration"),
        ("5S", "has no unit"),
        ("5parsecs", "has an unknown unit; the units are ms, s, m and h"),
        ("1ns", "is finer than a microsecond"),
        ("2562048h", "is longer than any duration can be"),
        ("9" * 70 + "h", "is too long"),
        ("1e3s", "has an unknown unit"),
        ("١s", "is not a duration"),
        ("1h-5m", "is not a duration"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_way_out(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        parse_duration(text)


@given(st.text(alphabet="0123456789.hmsuµnd-+ e", max_size=80))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) <= duration <= timedelta(days=293 * 366)


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_parts_add_up(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s{milliseconds}ms") == timedelta(
        hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
    )
