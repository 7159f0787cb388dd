"""Leadership over a simulated API server: slow, lossy, cut off, and clocks that disagree."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.base import AlreadyExists, Conflict, NotFound, StorageUnavailable
from storage.kubernetes.errors import Forbidden
from storage.kubernetes.lease import KubernetesLeadership
from storage.kubernetes.lease_object import Lease
from tests.kit.sizes import examples
from tests.kit.virtual_time import run_in_virtual_time

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@dataclass(slots=True)
class SimulatedServer:
    """Keeps one Lease, as the API server does: every write is conditional and whole."""

    lease: Lease | None = None
    version: int = 0
    writes: int = 0
    reads: int = 0

    def read(self) -> Lease:
        self.reads += 1
        if self.lease is None:
            raise NotFound("no Lease")
        return self.lease

    def create(self, lease: Lease) -> Lease:
        if self.lease is not None:
            raise AlreadyExists("there is a Lease")
        return self._store(lease)

    def replace(self, lease: Lease) -> Lease:
        if self.read().version != lease.version:
            raise Conflict("changed since it was read")
        return self._store(lease)

    def annotate(self) -> None:
        """Change the Lease as kubectl may, whoever holds it."""
        self._store(self.read())

    def _store(self, lease: Lease) -> Lease:
        self.version += 1
        self.writes += 1
        self.lease = replace(lease, version=str(self.version))
        return self.lease


async def _at_once() -> tuple[float, float]:
    return 0.0, 0.0


@dataclass(slots=True)
class Line:
    """One replica's way to the server. `delays` are seconds to the server and back.

    A request that has left arrives, whether or not anybody still waits for its answer.
    """

    server: SimulatedServer
    delays: Callable[[], Awaitable[tuple[float, float]]] = _at_once
    cut: bool = False
    forbidden: bool = False
    calls: int = 0
    under_way: set[asyncio.Task[Lease]] = field(default_factory=set)

    async def read(self) -> Lease:
        return await self._call(self.server.read)

    async def create(self, lease: Lease) -> Lease:
        return await self._call(lambda: self.server.create(lease))

    async def replace(self, lease: Lease) -> Lease:
        return await self._call(lambda: self.server.replace(lease))

    async def _call(self, act: Callable[[], Lease]) -> Lease:
        self.calls += 1
        if self.forbidden:
            raise Forbidden("leases: get is forbidden", status=403)
        there, back = await self.delays()
        if self.cut:
            await asyncio.sleep(3)
            raise StorageUnavailable("cut off")
        task = asyncio.create_task(self._arrive(act, there, back))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        done, _ = await asyncio.wait({task}, timeout=3)
        if not done:
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise StorageUnavailable("no answer in 3 s")
        return task.result()

    @staticmethod
    async def _arrive(act: Callable[[], Lease], there: float, back: float) -> Lease:
        await asyncio.sleep(there)
        try:
            return act()
        finally:
            await asyncio.sleep(back)


@dataclass(slots=True)
class Replica:
    """A leadership and its own idea of time: `rate` seconds of its clock per second."""

    name: str
    line: Line
    rate: float = 1.0
    offset: float = 0.0
    leadership: KubernetesLeadership = field(init=False)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        draws = random.Random(self.name)
        self.leadership = KubernetesLeadership(
            self.line,
            identity=self.name,
            clock=lambda: START + timedelta(seconds=self._monotonic() + self.offset),
            monotonic=self._monotonic,
            sleep=lambda seconds: asyncio.sleep(seconds / self.rate),
            random_bytes=draws.randbytes,
        )

    def leads(self) -> bool:
        return self.leadership.leads()

    def start(self) -> None:
        self.task = asyncio.create_task(self.leadership.run())

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    def _monotonic(self) -> float:
        return asyncio.get_running_loop().time() * self.rate + self.offset


@contextlib.asynccontextmanager
async def running(*replicas: Replica) -> AsyncIterator[None]:
    """Run replicas until the block ends, then stop them."""
    for replica in replicas:
        replica.start()
    try:
        yield
    finally:
        for replica in replicas:
            await replica.stop()


async def until(condition: Callable[[], bool], *, within: float) -> float:
    """Return after how many seconds a condition came true."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() - began < within
        await asyncio.sleep(0.05)
    return loop.time() - began


def make(*names: str) -> tuple[SimulatedServer, list[Replica]]:
    server = SimulatedServer()
    return server, [Replica(name, Line(server)) for name in names]


@pytest.mark.servers
@pytest.mark.covers("K-12")
@settings(max_examples=examples(40))
@given(seed=st.integers(0, 2**32))
@example(seed=1)
def test_never_two_lead_and_when_it_is_calm_one_does(seed: int) -> None:
    draws = random.Random(seed)
    run_in_virtual_time(_storm_then_calm(draws))


async def _storm_then_calm(draws: random.Random) -> None:
    server = SimulatedServer()
    storm = True

    async def delays() -> tuple[float, float]:
        if not storm:
            return 0.01, 0.01
        fault = draws.random()
        if fault < 0.15:
            return draws.uniform(0, 20), 0.0  # arrives when nobody waits any more
        if fault < 0.3:
            return 0.01, 10.0  # done, but the answer is lost
        if fault < 0.35:
            raise StorageUnavailable("refused")
        return draws.uniform(0, 0.4), draws.uniform(0, 2.5)

    replicas = [
        Replica(
            f"replica-{number}",
            Line(server, delays),
            rate=draws.uniform(0.95, 1.05),
            offset=draws.uniform(-3600, 3600),
        )
        for number in range(3)
    ]
    led: set[str] = set()
    async with running(*replicas):
        for step in range(4000):  # 200 s, the first 150 of them stormy
            leaders = [replica.name for replica in replicas if replica.leads()]
            assert len(leaders) <= 1, leaders
            led.update(leaders)
            if step % 200 == 0:
                for replica in replicas:
                    replica.line.cut = step < 3000 and draws.random() < 0.4
            if server.lease is not None and draws.random() < 0.001:
                server.annotate()
            storm = step < 3000
            await asyncio.sleep(0.05)
        assert len(leaders) == 1
    assert led


def test_the_first_leads_at_once_and_goes_on_with_one_write_in_five_seconds() -> None:
    async def main() -> None:
        server, (one, two) = make("one", "two")
        async with running(one, two):
            assert await until(one.leads, within=1) < 0.1
            for _ in range(1000):
                await asyncio.sleep(0.1)
                assert one.leads()
                assert not two.leads()
            assert server.writes <= 28
            assert server.lease is not None
            assert server.lease.holder == "one"

    run_in_virtual_time(main())


def test_a_leader_that_is_stopped_hands_over_within_two_seconds() -> None:
    async def main() -> None:
        _, (one, two) = make("one", "two")
        async with running(one, two):
            await until(one.leads, within=1)
            await asyncio.sleep(20)
            await one.stop()
            assert not one.leads()
            assert await until(two.leads, within=2.5) <= 2.1

    run_in_virtual_time(main())


@pytest.mark.parametrize("wait", [5.0, 6.3, 7.7, 9.9])
def test_a_leader_that_dies_is_followed_within_17_seconds(wait: float) -> None:
    async def main() -> None:
        _, (one, two) = make("one", "two")
        async with running(one, two):
            await until(one.leads, within=1)
            await asyncio.sleep(wait)
            one.line.cut = True
            assert await until(two.leads, within=17) >= 10

    run_in_virtual_time(main())


def test_a_leader_that_is_cut_off_knows_so_before_another_leads() -> None:
    async def main() -> None:
        _, (one, two) = make("one", "two")
        async with running(one, two):
            await until(one.leads, within=1)
            await asyncio.sleep(7)
            one.line.cut = True
            ended = await until(lambda: not one.leads(), within=12.1)
            assert await until(two.leads, within=17 - ended) > 2
            one.line.cut = False
            await asyncio.sleep(10)
            assert not one.leads()
            assert two.leads()

    run_in_virtual_time(main())


def test_a_lost_answer_does_not_cost_the_leader_its_lease() -> None:
    async def main() -> None:
        losing = False

        async def delays() -> tuple[float, float]:
            return (0.01, 10.0) if losing else (0.01, 0.01)

        server = SimulatedServer()
        one = Replica("one", Line(server, delays))
        async with running(one):
            await until(one.leads, within=1)
            losing = True
            await asyncio.sleep(5)
            losing = False
            for _ in range(300):
                await asyncio.sleep(0.1)
                assert one.leads()
            assert server.lease is not None
            assert server.lease.transitions == 0

    run_in_virtual_time(main())


def test_an_annotation_by_somebody_else_costs_nothing() -> None:
    async def main() -> None:
        server, (one, two) = make("one", "two")
        async with running(one, two):
            await until(one.leads, within=1)
            for _ in range(600):
                server.annotate()
                await asyncio.sleep(0.1)
                assert one.leads()
            assert not two.leads()

    run_in_virtual_time(main())


def test_a_lease_deleted_under_a_leader_that_is_cut_off_makes_no_second_one() -> None:
    async def main() -> None:
        server, (one, two) = make("one", "two")
        async with running(one, two):
            await until(one.leads, within=1)
            await asyncio.sleep(10)
            one.line.cut = True
            server.lease = None
            while one.leads():
                assert not two.leads()
                await asyncio.sleep(0.05)
            await until(two.leads, within=17)

    run_in_virtual_time(main())


def test_a_lease_deleted_under_a_leader_is_soon_made_again() -> None:
    async def main() -> None:
        server, (one, two) = make("one", "two")
        async with running(one, two):
            await until(one.leads, within=1)
            await asyncio.sleep(10)
            server.lease = None
            await until(lambda: bool(server.lease), within=7)
            assert server.read().holder == "one"
            await asyncio.sleep(1)
            assert one.leads()
            assert not two.leads()

    run_in_virtual_time(main())


def test_the_time_in_the_lease_decides_nothing() -> None:
    async def main() -> None:
        _, (one, two) = make("one", "two")
        one.offset = -86_400  # a clock of yesterday: its Lease looks long over
        async with running(one, two):
            await until(one.leads, within=1)
            for _ in range(300):
                await asyncio.sleep(0.1)
                assert not two.leads()

    run_in_virtual_time(main())


def test_a_lease_of_a_holder_who_counts_on_more_is_waited_for() -> None:
    async def main() -> None:
        server, (one,) = make("one")
        held = Lease(
            holder="of-a-later-version",
            lifetime=40,
            acquired_at=START,
            renewed_at=START,
            transitions=3,
        )
        server.create(held)
        async with running(one):
            assert 39 < await until(one.leads, within=42) < 42
            assert server.lease is not None
            assert server.lease.transitions == 4

    run_in_virtual_time(main())


def test_a_slow_answer_does_not_lengthen_the_term() -> None:
    async def main() -> None:
        async def delays() -> tuple[float, float]:
            return 0.01, 2.9

        one = Replica("one", Line(SimulatedServer(), delays))
        async with running(one):
            assert await until(one.leads, within=7) > 5.7  # a read, then a write
            one.line.cut = True
            assert await until(lambda: not one.leads(), within=20) < 9.2

    run_in_virtual_time(main())


def test_one_that_was_stopped_while_its_renewal_was_under_way_still_releases() -> None:
    async def main() -> None:
        # The renewal lands between the read and the write of the release.
        script = iter([0.0, 0.0, 0.5, 0.1, 1.0])

        async def delays() -> tuple[float, float]:
            return next(script, 0.01), 0.0

        server = SimulatedServer()
        one = Replica("one", Line(server, delays))
        async with running(one):
            await until(one.leads, within=2)
            await until(lambda: one.line.calls == 3, within=6)
            await one.stop()
            assert one.line.calls == 7
            assert server.read().holder == ""

    run_in_virtual_time(main())


def test_stopping_while_the_server_is_away_takes_two_seconds_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        _, (one,) = make("one")
        async with running(one):
            await until(one.leads, within=1)
            one.line.cut = True
            loop = asyncio.get_running_loop()
            began = loop.time()
            await one.stop()
            assert loop.time() - began <= 2.1

    run_in_virtual_time(main())
    assert "lease_not_released" in caplog.messages


def test_one_that_never_led_writes_nothing_when_it_stops() -> None:
    async def main() -> None:
        server, (one, two) = make("one", "two")
        async with running(one):
            await until(one.leads, within=1)
            writes = server.writes
            two.start()
            await asyncio.sleep(2)
            await two.stop()
            assert server.writes == writes
            assert one.leads()

    run_in_virtual_time(main())


@pytest.mark.covers("K-16")
def test_a_missing_right_is_told_once_and_asked_for_less_than_once_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        _, (one,) = make("one")
        one.line.forbidden = True
        async with running(one):
            await asyncio.sleep(100)
            assert one.line.calls < 100
            assert not one.leads()
            one.line.forbidden = False
            await until(one.leads, within=3)

    with caplog.at_level(logging.INFO, logger="storage"):
        run_in_virtual_time(main())
    assert caplog.messages == ["lease_unreachable", "leadership_taken", "leadership_ended"]
