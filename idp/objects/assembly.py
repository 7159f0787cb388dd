"""All parts put together: from what people write to what requests look into."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from idp.clock import Clock
from idp.objects.conditions import WORDS
from idp.objects.follower import ObjectFollower
from idp.objects.kinds import ObjectSettings, Rosters, rosters_of
from idp.objects.live import LiveClients, LiveStandings, LiveUsers
from idp.objects.live_connectors import ReachBook, WrittenConnectors
from idp.objects.reporting import report_refusals
from idp.objects.roster import Roster
from idp.objects.secret_maker import MakingPace, SecretMaker
from idp.objects.secret_shelf import SecretShelf, ShelfPace, want_secrets
from idp.objects.standings import StandingsOf, StandingsOfStates, StandingsOfUsers
from idp.objects.status_writer import ObjectRef, StatusWriter, WritingPace
from idp.objects.verdicts import Change, SecretNeed, State
from idp.tasks import Job
from storage.objects import Leadership, ObjectKind, WrittenObjects

T = TypeVar("T")

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
        standings: StandingsOf[T] | None = None,
    ) -> None:
        def hear(changes: Sequence[Change[T]]) -> None:
            for each in adopt:
                each(changes)
            for sub, before in () if standings is None else standings.hear(changes):
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
        standings=StandingsOfUsers(
            live.standings, connector_id=settings.local_connector_id, clock=timing.clock
        ),
    )
    follow(rosters.connectors, connectors.adopt, reaches.hear)
    follow(rosters.states, standings=StandingsOfStates(live.standings))
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
