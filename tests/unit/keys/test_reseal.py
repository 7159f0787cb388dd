"""What comes next in replacing the sealing key: the rule alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from idp.keys.reseal import (
    ResealPace,
    Situation,
    Step,
    begun,
    clean,
    finished,
    new_key,
    next_step,
)
from idp.keys.seal import SealingKey
from storage.records import KeyRing, Resealing

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PACE = ResealPace(keep_old_for=35 * MINUTE)
OLD = SealingKey(b"o" * 32)
NEW = SealingKey(b"n" * 32, seals_from=NOW + 2 * MINUTE)
RING = KeyRing(name="keys", keys=())
ASKED = Resealing(request="now", begun_at=NOW)


def step(
    *,
    resealing: Resealing | None = ASKED,
    answered: str = "",
    request: str = "now",
    keys: tuple[SealingKey, ...] = (OLD, NEW),
    writable: bool = True,
    seals_with: SealingKey = NEW,
    after: timedelta = 4 * MINUTE,
) -> Step:
    at = Situation(
        ring=replace(RING, resealing=resealing, answered_reseal=answered),
        request=request,
        keys=keys,
        writable=writable,
        seals_with=seals_with.id,
        now=NOW + after,
    )
    return next_step(at, PACE)


def test_it_begins_when_somebody_asks_for_something_new() -> None:
    assert step(resealing=None, request="") is Step.REST
    assert step(resealing=None, request="now") is Step.BEGIN
    assert step(resealing=None, request="now", answered="now") is Step.REST
    assert step(resealing=None, request="again", answered="now") is Step.BEGIN


def test_what_was_begun_goes_on_whatever_is_asked_meanwhile() -> None:
    for request in ("", "now", "again"):
        assert step(request=request) is Step.REWRITE


def test_a_key_is_added_once_and_only_where_the_server_may() -> None:
    assert step(keys=(OLD,), seals_with=OLD) is Step.ADD_KEY
    older = replace(NEW, seals_from=NOW - MINUTE)
    assert step(keys=(OLD, older), seals_with=older) is Step.ADD_KEY
    assert step(keys=(OLD, older), seals_with=older, writable=False) is Step.REWRITE
    assert step(keys=(OLD,), seals_with=OLD, writable=False) is Step.NEED_KEY


def test_the_key_that_is_added_is_known_as_such_by_leaders_with_any_clock() -> None:
    for clock in (NOW, NOW - 5 * MINUTE, NOW + 5 * MINUTE):
        key = new_key(b"x" * 32, ASKED, PACE, clock)
        assert key.seals_from is not None
        assert key.seals_from >= clock + PACE.opens_first
        assert key.seals_from.microsecond == 0
        assert step(keys=(OLD, key), seals_with=OLD) is Step.WAIT


def test_nothing_is_rewritten_before_every_replica_seals_with_the_new_key() -> None:
    assert step(seals_with=OLD, after=MINUTE) is Step.WAIT
    assert step(after=3 * MINUTE) is Step.WAIT
    assert step(after=4 * MINUTE) is Step.REWRITE
    first = replace(NEW, seals_from=None)
    assert step(keys=(first, OLD), seals_with=first, writable=False, after=MINUTE) is Step.REWRITE


def test_old_keys_go_when_browsers_hold_nothing_of_theirs_any_more() -> None:
    nothing_left = replace(ASKED, clean_at=NOW + 5 * MINUTE)
    assert step(resealing=nothing_left, after=39 * MINUTE) is Step.WAIT
    assert step(resealing=nothing_left, after=40 * MINUTE) is Step.REMOVE_KEYS


@pytest.mark.covers("K-12")
def test_a_clock_that_is_set_back_only_makes_it_wait() -> None:
    nothing_left = replace(ASKED, clean_at=NOW + 5 * MINUTE)
    assert step(resealing=nothing_left, after=-60 * MINUTE) is Step.WAIT


def test_each_note_is_made_once() -> None:
    ring = begun(RING, "now", NOW)
    assert ring.resealing == ASKED
    assert begun(ring, "again", NOW) is ring
    assert begun(replace(RING, answered_reseal="now"), "now", NOW).resealing is None
    noted = clean(ring, ASKED, NOW)
    assert noted.resealing == replace(ASKED, clean_at=NOW)
    assert clean(noted, ASKED, NOW + MINUTE) is noted, "another leader was quicker"
    assert finished(noted, ASKED) is noted
    done = finished(noted, replace(ASKED, clean_at=NOW))
    assert (done.resealing, done.answered_reseal) == (None, "now")
