"""Instants in words: near ones by their distance, far ones by their day."""

from datetime import UTC, datetime, timedelta

import pytest

from idp.web.moments import ago, ahead

NOW = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "past", "future"),
    [
        (timedelta(seconds=59), "just now", "within a minute"),
        (timedelta(seconds=-5), "just now", "within a minute"),
        (timedelta(minutes=1), "1 minute ago", "in 1 minute"),
        (timedelta(minutes=59, seconds=20), "59 minutes ago", "in 59 minutes"),
        (timedelta(hours=23, minutes=59, seconds=40), "23 hours ago", "in 1 day"),
        (timedelta(hours=23, minutes=59), "23 hours ago", "in 23 hours"),
        (timedelta(days=1), "1 day ago", "in 1 day"),
        (timedelta(days=29, hours=23), "29 days ago", "in 29 days"),
        (timedelta(days=30), "on 31 October 2026", "on 30 December 2026"),
    ],
)
def test_a_distance_is_told_in_its_largest_unit(span: timedelta, past: str, future: str) -> None:
    assert ago(NOW - span, NOW) == past
    assert ahead(NOW + span, NOW) == future
