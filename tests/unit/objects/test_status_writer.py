"""How often status is written, by a clock that is turned by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from idp.objects.clients import client_claims, judge_client
from idp.objects.conditions import WORDS, conditions_of, status_of
from idp.objects.roster import Roster, Rules, with_one_secret
from idp.objects.status_writer import StatusWriter, WritingPace
from storage.base import StorageError, StorageUnavailable
from storage.objects import ObjectEvent, Put, WrittenObject
from tests.kit.clock import HandClock
from tests.kit.objects import TERMS, FakeObjects, HandLeadership, written

pytestmark = pytest.mark.anyio


@dataclass(slots=True)
class Time:
    """A monotonic clock that pauses turn; `on_pause` is told of each."""

    now: float = 1000.0
    on_pause: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.now += seconds
        self.on_pause()


@dataclass(slots=True)
class TimedObjects(FakeObjects):
    """Notes when each status was written."""

    time: Time = field(default_factory=Time)
    written_at: list[float] = field(default_factory=list)
    takes_events: bool = True

    async def write_status(self, written: WrittenObject, status: Any) -> None:
        self.written_at.append(self.time.now)
        await FakeObjects.write_status(self, written, status)

    async def tell(self, written: WrittenObject, event: ObjectEvent) -> None:
        if not self.takes_events:
            raise StorageError("no events here")
        await FakeObjects.tell(self, written, event)


class World:
    """A writer over a store, one pass at a time."""

    def __init__(self) -> None:
        self.time = Time()
        self.store = TimedObjects(time=self.time)
        self.leadership = HandLeadership()
        self.roster = Roster(
            Rules(
                kind="oidc-clients",
                judge=with_one_secret(partial(judge_client, generates=False, terms=TERMS)),
                claims=client_claims,
            ),
            lambda _: None,
        )
        self.writer = StatusWriter(
            self.store,
            self.leadership,
            {"oidc-clients": self.roster},
            clock=HandClock(),
            monotonic=self.time,
            pause=self.time.pause,
            pace=WritingPace(),
        )

    def apply(self, name: str, /, **spec: Any) -> None:
        fields = {"clientID": name, "public": True, **spec}
        self.store.apply("oidc-clients", name, fields)
        self.hear(name)

    def hear(self, name: str) -> None:
        """Let the roster hear of an object as it is now, as the watch does."""
        made = self.store.objects["oidc-clients", name]
        self.writer.hear("oidc-clients", self.roster.apply(Put(made)))

    async def passes(self, seconds: float, step: float = 0.05) -> None:
        """Write whatever is due for so long, hearing what was written."""
        end = self.time.now + seconds
        while self.time.now < end:
            before = len(self.store.writes)
            if self.leadership.leads():
                await self.writer.write_due()
            for name in self.store.writes[before:]:
                self.hear(name)
            self.time.now += step


@pytest.fixture
def world() -> World:
    return World()


async def test_at_most_five_are_written_in_a_second(world: World) -> None:
    for i in range(40):
        world.apply(f"c{i:02}")
    await world.passes(10)
    assert sorted(world.store.writes) == [f"c{i:02}" for i in range(40)]
    times = world.store.written_at
    assert all(sum(t <= each < t + 1 for each in times) <= 5 for t in times)


async def test_one_object_is_written_once_a_second(world: World) -> None:
    for i in range(30):
        world.apply("cli", redirectURIs=["*"] if i % 2 else [])
        await world.passes(0.1)
    await world.passes(2)
    times = world.store.written_at
    assert len(times) >= 3
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))
    assert world.store.status("oidc-clients", "cli")["Ready"]["status"] == "False"


async def test_what_fails_is_tried_again_later_and_later(world: World) -> None:
    world.store.write_faults = [StorageUnavailable("away") for _ in range(9)]
    world.apply("cli")
    await world.passes(600, step=0.5)
    times = world.store.written_at
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 10
    assert gaps == sorted(gaps)
    assert 1 <= gaps[0] < 2
    assert 60 <= gaps[-1] < 62


async def test_a_status_that_does_not_stay_is_written_once_a_minute(world: World) -> None:
    """Another controller, or a schema that drops some of it, starts no fight."""
    world.apply("cli")
    for _ in range(120):
        await world.passes(1)
        world.store.scribble("oidc-clients", "cli", {"conditions": "of somebody else"})
        world.hear("cli")
    assert len(world.store.writes) == 3


async def test_a_new_generation_is_answered_at_once_though_nothing_else_is_new(
    world: World,
) -> None:
    world.apply("cli")
    await world.passes(2)
    world.apply("cli", name="another")
    await world.passes(1)
    assert world.store.status("oidc-clients", "cli")["observedGeneration"] == 2


async def test_who_stops_leading_stops_writing(world: World) -> None:
    for i in range(20):
        world.apply(f"c{i}")

    def lose() -> None:
        world.leadership.leading = len(world.store.writes) < 3

    world.time.on_pause = lose
    await world.passes(5)
    assert len(world.store.writes) == 3
    world.time.on_pause = lambda: None
    world.leadership.leading = True
    await world.passes(10)
    assert len(world.store.writes) == 20


async def test_an_object_that_changed_meanwhile_is_left_to_its_next_news(world: World) -> None:
    world.apply("cli")
    world.store.apply("oidc-clients", "cli", {"clientID": "cli", "public": True, "name": "new"})
    await world.passes(3)
    assert world.store.writes == []
    world.hear("cli")
    await world.passes(3)
    assert world.store.writes == ["cli"]


async def test_an_event_that_cannot_be_written_costs_no_status(world: World) -> None:
    world.store.takes_events = False
    world.apply("cli")
    await world.passes(3)
    assert world.store.writes == ["cli"]


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"conditions": None},
        {"conditions": [1, {}, {"type": 5}, {"type": "Ready"}]},
        {"conditions": {"type": "Ready"}},
        {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": 5}]},
    ],
)
async def test_a_status_that_somebody_spoilt_is_replaced(status: Any) -> None:
    spec = {"clientID": "cli", "public": True}
    made = written("oidc-clients", "cli", spec, status=status)
    roster = World().roster
    roster.apply(Put(made))
    entry = roster.entry("cli")
    assert entry is not None
    conditions = conditions_of(entry, WORDS["oidc-clients"])
    new = status_of(entry, conditions, HandClock()())
    assert new["conditions"][0] == {
        "type": "Ready",
        "status": "True",
        "reason": "Served",
        "message": "The client is served.",
        "lastTransitionTime": "2026-01-01T12:00:00Z",
        "observedGeneration": 1,
    }


async def test_a_message_is_never_longer_than_a_status_may_hold() -> None:
    uris = ["https://*/" + "x" * 2000 + str(i) for i in range(64)]
    roster = World().roster
    roster.apply(
        Put(written("oidc-clients", "cli", {"clientID": "c", "public": True, "redirectURIs": uris}))
    )
    entry = roster.entry("cli")
    assert entry is not None
    ready = conditions_of(entry, WORDS["oidc-clients"])[0]
    assert len(ready.message) < 4100
    assert ready.message.endswith(" And 56 more.")
