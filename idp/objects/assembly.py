"""All parts put together: from what people write to what requests look into."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from connectors.local import LocalUser
from idp.clock import Clock
from idp.oauth.standing import UserStanding
from idp.oauth.subject import subject
from idp.objects.conditions import WORDS
from idp.objects.follower import ObjectFollower
from idp.objects.kinds import ObjectSettings, Rosters, rosters_of
from idp.objects.live import LiveClients, LiveStandings, LiveUsers
from idp.objects.live_connectors import ReachBook, WrittenConnectors
from idp.objects.reporting import report_refusals
from idp.objects.roster import Roster
from idp.objects.secret_maker import MakingPace, SecretMaker
from idp.objects.secret_shelf import SecretShelf, ShelfPace, want_secrets
from idp.objects.status_writer import ObjectRef, StatusWriter, WritingPace
from idp.objects.user_states import UserState
from idp.objects.users import USER_ID, is_locked, signed_out_at
from idp.objects.verdicts import Change, Entry, SecretNeed, State
from idp.tasks import Job
from storage.objects import Leadership, ObjectKind, WrittenObjects

T = TypeVar("T")

Speaks = Callable[[Entry[T]], tuple[str, UserStanding] | None]
"""Returns of whom an object speaks, by `sub`, and what it says; None for one that says nothing."""

_JUST_NOW = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectHooks:
    """Who counts: `on_counts` gets the objects of a kind by state, `on_news` hears of contact.

    `on_signed_out` is told of an instant before which logins of a `sub` count no more, once it is
    new.
    """

    on_counts: Callable[[ObjectKind, Mapping[State, int]], None] = lambda _kind, _counts: None
    on_news: Callable[[ObjectKind], None] = lambda _kind: None
    on_signed_out: Callable[[str, datetime], None] = lambda _sub, _before: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where time and randomness come from, and the paces of the background."""

    clock: Clock
    random: Callable[[int], bytes]
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    shelf: ShelfPace = field(default_factory=ShelfPace)
    writing: WritingPace = field(default_factory=WritingPace)
    making: MakingPace = field(default_factory=MakingPace)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveObjects:
    """The live sets, and the jobs that keep them so (`idp.tasks.BackgroundJobs`)."""

    clients: LiveClients
    users: LiveUsers
    standings: LiveStandings
    reaches: ReachBook
    followers: Sequence[ObjectFollower[Any]]
    shelf: SecretShelf
    writer: StatusWriter
    maker: SecretMaker
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def jobs(self) -> dict[str, Job]:
        """Return what has to run in the background, by name."""
        return {
            **{f"{each.roster.kind}": each.run for each in self.followers},
            "secrets of objects": self.shelf.run,
            "status of objects": self.writer.run,
            "secrets to be made": self.maker.run,
        }

    def is_complete(self) -> bool:
        """Return whether every kind was listed and every Secret looked for, at least once."""
        return self.complete.is_set()

    async def first_list(self) -> None:
        """Wait until `is_complete`; the jobs must be running."""
        await self.complete.wait()

    def note_progress(self) -> None:
        """Look whether everything is complete."""
        if all(each.is_listed for each in self.followers) and self.shelf.is_settled():
            self.complete.set()


def live_objects(
    source: WrittenObjects,
    leadership: Leadership,
    *,
    settings: ObjectSettings,
    connectors: WrittenConnectors,
    timing: Timing,
    hooks: ObjectHooks,
) -> LiveObjects:
    """Put everything together; nothing is asked of the store before the jobs run."""
    followers: list[ObjectFollower[Any]] = []

    def secret_was_read(need: SecretNeed) -> None:
        for follower in followers:
            follower.secret_changed(need)
        live.note_progress()

    shelf = SecretShelf(
        source.secret,
        on_change=secret_was_read,
        monotonic=timing.monotonic,
        pause=timing.pause,
        pace=timing.shelf,
    )
    rosters = rosters_of(settings, shelf.reading)
    writer, reaches = _answering(source, leadership, rosters, timing)
    maker = SecretMaker(
        source,
        leadership,
        rosters.clients,
        refresh=shelf.refresh,
        random=timing.random,
        monotonic=timing.monotonic,
        pause=timing.pause,
        pace=timing.making,
    )
    live = LiveObjects(
        clients=LiveClients(settings.static_clients),
        users=LiveUsers(settings.static_users, random=timing.random),
        standings=LiveStandings(),
        reaches=reaches,
        followers=followers,
        shelf=shelf,
        writer=writer,
        maker=maker,
    )

    def follow(
        roster: Roster[T],
        *adopt: Callable[[Sequence[Change[T]]], None],
        speaks: Speaks[T] = _of_nobody,
    ) -> None:
        def hear(changes: Sequence[Change[T]]) -> None:
            for each in adopt:
                each(changes)
            _say(live.standings, roster.kind, speaks, changes)
            for sub, before in _sign_outs(speaks, changes):
                # What was said long ago is in every list of a server that starts.
                if follower.is_listed or timing.clock() - before < _JUST_NOW:
                    hooks.on_signed_out(sub, before)
            want_secrets(shelf, roster, changes)
            if roster.kind in WORDS:
                writer.hear(roster.kind, changes)
            report_refusals(changes)
            hooks.on_counts(roster.kind, roster.counts())

        def had_news() -> None:
            live.note_progress()
            hooks.on_news(roster.kind)

        follower = ObjectFollower(source, roster, hear=hear, on_news=had_news)
        followers.append(follower)

    follow(rosters.clients, live.clients.adopt, maker.hear)
    follow(
        rosters.users,
        live.users.adopt,
        speaks=partial(_of_local_user, settings.local_connector_id),
    )
    follow(rosters.connectors, connectors.adopt, reaches.hear)
    follow(rosters.states, speaks=_of_user_state)
    return live


def _answering(
    source: WrittenObjects, leadership: Leadership, rosters: Rosters, timing: Timing
) -> tuple[StatusWriter, ReachBook]:
    """Return what answers objects in their status, and what it knows of the reach of connectors."""
    kind = rosters.connectors.kind
    writer = StatusWriter(
        source,
        leadership,
        rosters.answered,
        reach=lambda ref: reaches.of(ref.name) if ref.kind == kind else None,
        clock=timing.clock,
        monotonic=timing.monotonic,
        pause=timing.pause,
        pace=timing.writing,
    )
    reaches = ReachBook(
        rosters.connectors, on_change=lambda name: writer.touch(ObjectRef(kind, name))
    )
    return writer, reaches


def _of_nobody(_: Entry[Any]) -> None:
    return None


def _of_user_state(entry: Entry[UserState]) -> tuple[str, UserStanding] | None:
    said = entry.served
    return None if said is None else (said.sub, said.standing)


def _of_local_user(connector_id: str, entry: Entry[LocalUser]) -> tuple[str, UserStanding] | None:
    """Return whom a user object locks or signs out, also where it can sign nobody in."""
    standing = _standing(entry)
    user_id = None if standing == UserStanding() else _user_id(entry)
    return None if user_id is None else (subject(user_id, connector_id), standing)


def _standing(entry: Entry[LocalUser]) -> UserStanding:
    if is_locked(entry.written):
        return UserStanding(locked=True)
    return UserStanding(not_before=signed_out_at(entry.written))


def _user_id(entry: Entry[LocalUser]) -> str | None:
    lost = {rival.claim for rival in entry.rivals}
    ids = (claim for claim in entry.claims if claim.what == USER_ID and claim not in lost)
    return next((claim.value for claim in ids), None)


def _say(
    standings: LiveStandings, kind: ObjectKind, speaks: Speaks[T], changes: Sequence[Change[T]]
) -> None:
    for change in changes:
        source = (kind, change.name)
        said = None if change.new is None else speaks(change.new)
        if said is None:
            standings.unsay(source)
        else:
            standings.say(source, *said)


def _sign_outs(speaks: Speaks[T], changes: Sequence[Change[T]]) -> Iterator[tuple[str, datetime]]:
    """Yield who was signed out by changes, and before when their logins count no more."""
    for change in changes:
        found = _signed_out(speaks, change.new)
        if found is not None and found != _signed_out(speaks, change.old):
            yield found


def _signed_out(speaks: Speaks[T], entry: Entry[T] | None) -> tuple[str, datetime] | None:
    said = None if entry is None else speaks(entry)
    if said is None or said[1].not_before is None:
        return None
    return said[0], said[1].not_before
