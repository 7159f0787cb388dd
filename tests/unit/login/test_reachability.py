"""Connectors are asked in the background, each for itself, and closed when they are gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from connectors.base import ConnectorUnavailable
from idp.login.connectors import LiveConnectors, OfferedConnector
from idp.login.reachability import ConnectorKeeper, ProbePace, Reach
from tests.kit.connectors import ScriptedPasswordConnector
from tests.kit.waiting import soon

pytestmark = pytest.mark.anyio


@dataclass(slots=True, eq=False)
class Source(ScriptedPasswordConnector):
    """Answers as the test says: `faults` first, one for each probe, then well or `down`."""

    faults: list[Exception] = field(default_factory=list)
    down: str = ""
    hangs: bool = False
    probes: int = 0
    closed: int = 0

    async def probe(self) -> None:
        self.probes += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.faults:
            raise self.faults.pop(0)
        if self.down:
            raise ConnectorUnavailable(self.down)

    def close(self) -> None:
        self.closed += 1


@dataclass(slots=True)
class World:
    """A keeper whose pauses pass at once, `most` of them for each connector."""

    connectors: LiveConnectors
    heard: list[tuple[str, Reach]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    most: int = 20

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        keeper = ConnectorKeeper(
            connectors=self.connectors,
            on_reach=lambda offered, reach: self.heard.append((offered.id, reach)),
            on_gone=self.gone.append,
            random=lambda count: bytes([255]) * count,
            pause=self.pause,
        )
        task = asyncio.create_task(keeper.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) >= self.most:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


def offer(connector_id: str, connector: ScriptedPasswordConnector) -> OfferedConnector:
    return OfferedConnector(id=connector_id, name=connector_id, type="ldap", connector=connector)


def test_delays_grow_to_a_minute_and_are_half_of_it_when_all_is_well() -> None:
    delays = [ProbePace().after(failures) for failures in (0, 1, 2, 3, 7, 8, 10_000)]
    assert delays == [30, 1, 2, 4, 60, 60, 60]


async def test_a_source_is_asked_at_once_and_again_and_again() -> None:
    source = Source()
    world = World(LiveConnectors([offer("a", source)]), most=3)
    async with world.running():
        await soon(lambda: len(world.pauses) == 3)
        assert world.heard == [("a", Reach())] * 3
        # A fifth more, as the random octet says.
        assert world.pauses == pytest.approx([36.0] * 3)


async def test_failures_are_told_once_and_wait_longer_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    away = [ConnectorUnavailable("a.example refuses connections") for _ in range(3)]
    source = Source(faults=[*away, *away[:1]])
    world = World(LiveConnectors([offer("a", source)]), most=6)
    async with world.running():
        await soon(lambda: len(world.pauses) == 6)
    assert [reach.is_reachable for _, reach in world.heard] == [False] * 4 + [True] * 2
    assert world.heard[0][1].problem == "a.example refuses connections"
    assert world.pauses == pytest.approx([1.2, 2.4, 4.8, 9.6, 36.0, 36.0])
    events = [record.getMessage() for record in caplog.records if record.name == "idp.login"]
    assert events == ["connector_unreachable", "connector_reachable"]


async def test_a_source_that_is_well_from_the_start_is_not_worth_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    world = World(LiveConnectors([offer("a", Source())]), most=2)
    async with world.running():
        await soon(lambda: len(world.pauses) == 2)
    assert [record for record in caplog.records if record.name == "idp.login"] == []


async def test_one_that_lets_us_wait_holds_up_no_other() -> None:
    slow, quick = Source(hangs=True), Source()
    world = World(LiveConnectors([offer("slow", slow), offer("quick", quick)]), most=3)
    async with world.running():
        await soon(lambda: quick.probes == 3)
        assert slow.probes == 1
    assert slow.closed == quick.closed == 1


async def test_a_fault_of_ours_is_no_answer_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source(faults=[RuntimeError("secret of the implementation")])
    world = World(LiveConnectors([offer("a", source)]), most=2)
    async with world.running():
        await soon(lambda: len(world.heard) == 2)
    assert not world.heard[0][1].is_reachable
    assert "secret" not in world.heard[0][1].problem
    assert world.heard[1][1].is_reachable
    assert "connector_not_probed" in caplog.text


async def test_a_connector_that_cannot_be_asked_is_left_alone() -> None:
    world = World(LiveConnectors((), local=offer("local", ScriptedPasswordConnector())))
    async with world.running():
        await asyncio.sleep(0.01)
    assert world.heard == []
    assert world.pauses == []


async def test_one_that_is_withdrawn_is_closed_and_asked_no_more() -> None:
    live, source = LiveConnectors(()), Source()
    live.replace(gone=[], came=[offer("a", source)])
    world = World(live, most=100)
    async with world.running():
        await soon(lambda: source.probes > 2)
        live.replace(gone=["a"], came=[])
        await soon(lambda: source.closed)
        asked = source.probes
        await asyncio.sleep(0.01)
        assert source.probes == asked
        assert world.gone == ["a"]
    assert source.closed == 1


async def test_one_that_is_replaced_is_closed_and_the_new_one_asked_at_once() -> None:
    live, old, new = LiveConnectors(()), Source(), Source()
    live.replace(gone=[], came=[offer("a", old)])
    world = World(live, most=1)
    async with world.running():
        await soon(lambda: old.probes == 1)
        live.replace(gone=["a"], came=[offer("a", new)])
        await soon(lambda: new.probes == 1)
        await soon(lambda: old.closed)
        assert world.gone == []
        assert not new.closed


async def test_many_changes_at_once_are_all_seen() -> None:
    live = LiveConnectors(())
    sources = [Source() for _ in range(20)]
    world = World(live, most=1)
    async with world.running():
        for number, source in enumerate(sources):
            live.replace(gone=[], came=[offer(f"c{number}", source)])
            if number % 3 == 0:
                await asyncio.sleep(0)
        await soon(lambda: all(source.probes for source in sources))
        live.replace(gone=[f"c{number}" for number in range(20)], came=[])
        await soon(lambda: all(source.closed for source in sources))
        assert len(set(world.gone)) == 20


async def test_all_are_closed_at_the_end() -> None:
    sources = [Source(), Source(hangs=True), Source(down="away")]
    offers = [offer(str(number), source) for number, source in enumerate(sources)]
    world = World(LiveConnectors(offers), most=5)
    async with world.running():
        await soon(lambda: all(source.probes for source in sources))
    assert [source.closed for source in sources] == [1, 1, 1]
