"""What objects say of people: who is locked, and before when whose logins count no more."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from connectors.local import LocalUser
from idp.clock import Clock
from idp.oauth.standing import UserStanding
from idp.oauth.subject import subject
from idp.objects.live import LiveStandings
from idp.objects.user_states import UserState
from idp.objects.users import USER_ID, is_locked, signed_out_at
from idp.objects.verdicts import Change, Entry

T = TypeVar("T")

_Said = tuple[str, UserStanding]
"""Of whom something is said, by `sub`, and what."""


class StandingsOf(Protocol[T]):
    """Passes on what objects of a kind say of people."""

    def hear(self, changes: Sequence[Change[T]]) -> Iterator[tuple[str, datetime]]:
        """Take in changes; yield whose logins from before which instant count no more from now."""
        ...


class StandingsOfStates:
    """Passes on what a `UserState` says, for as long as it is there."""

    def __init__(self, standings: LiveStandings) -> None:
        self._standings = standings

    def hear(self, changes: Sequence[Change[UserState]]) -> Iterator[tuple[str, datetime]]:
        """Do so."""
        for change in changes:
            said = _of_state(change.new)
            _say(self._standings, ("user-states", change.name), said)
            yield from _sign_out(said, _of_state(change.old))


class StandingsOfUsers:
    """Passes on what a `LocalUser` says, also one that is not fit to sign anybody in.

    Whoever has no object any more is signed out at that instant: nothing of theirs counts, and
    nothing counts again once somebody writes an object for the same person.
    """

    def __init__(self, standings: LiveStandings, *, connector_id: str, clock: Clock) -> None:
        self._standings = standings
        self._connector_id = connector_id
        self._clock = clock

    def hear(self, changes: Sequence[Change[LocalUser]]) -> Iterator[tuple[str, datetime]]:
        """Do so."""
        for change in changes:
            old, new = self._sub(change.old), self._sub(change.new)
            said = self._of_user(change.new)
            _say(self._standings, ("local-users", change.name), said)
            yield from _sign_out(said, self._of_user(change.old))
            if old is not None and old != new:
                now = self._clock()
                self._standings.say(("deleted-users", old), old, UserStanding(not_before=now))
                yield old, now

    def _of_user(self, entry: Entry[LocalUser] | None) -> _Said | None:
        sub = self._sub(entry)
        return None if entry is None or sub is None else (sub, _standing(entry))

    def _sub(self, entry: Entry[LocalUser] | None) -> str | None:
        user_id = None if entry is None else _user_id(entry)
        return None if user_id is None else subject(user_id, self._connector_id)


def _of_state(entry: Entry[UserState] | None) -> _Said | None:
    said = None if entry is None else entry.served
    return None if said is None else (said.sub, said.standing)


def _standing(entry: Entry[LocalUser]) -> UserStanding:
    if is_locked(entry.written):
        return UserStanding(locked=True)
    return UserStanding(not_before=signed_out_at(entry.written))


def _user_id(entry: Entry[LocalUser]) -> str | None:
    lost = {rival.claim for rival in entry.rivals}
    ids = (claim for claim in entry.claims if claim.what == USER_ID and claim not in lost)
    return next((claim.value for claim in ids), None)


def _say(standings: LiveStandings, source: tuple[str, str], said: _Said | None) -> None:
    if said is None:
        standings.unsay(source)
    else:
        standings.say(source, *said)


def _sign_out(new: _Said | None, old: _Said | None) -> Iterator[tuple[str, datetime]]:
    """Yield who was signed out by a change, and before when their logins count no more."""
    if new is None or new[1].not_before is None:
        return
    if old is None or (old[0], old[1].not_before) != (new[0], new[1].not_before):
        yield new[0], new[1].not_before
