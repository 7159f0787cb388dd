"""How often Secrets are read, by a clock that is turned by hand."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from idp.objects.secret_shelf import SecretShelf, ShelfPace
from idp.objects.verdicts import BadSecret, GoodSecret, SecretNeed
from storage.base import StorageUnavailable
from tests.kit.objects import FakeObjects

pytestmark = pytest.mark.anyio

NEED = SecretNeed(name="s", key="clientSecret", field="spec.secretRef")


@dataclass(slots=True)
class Bench:
    """A shelf, its store and its clock."""

    store: FakeObjects = field(default_factory=FakeObjects)
    now: float = 1000.0
    changed: list[SecretNeed] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    shelf: SecretShelf = field(init=False)

    def __post_init__(self) -> None:
        self.shelf = SecretShelf(
            self.store.secret,
            on_change=self.changed.append,
            monotonic=lambda: self.now,
            pause=asyncio.sleep,
            pace=ShelfPace(),
        )

    async def pass_time(self, seconds: float, step: float = 0.5) -> list[float]:
        """Turn the clock; return when something was read."""
        read_at = []
        end = self.now + seconds
        while self.now < end:
            before = len(self.store.reads)
            self.pauses.append(await self.shelf.read_due())
            read_at += [self.now] * (len(self.store.reads) - before)
            self.now += step
        return read_at


async def test_a_good_secret_is_read_every_thirty_seconds() -> None:
    bench = Bench()
    bench.store.secrets["s"] = {"clientSecret": b"x"}
    bench.shelf.want(NEED)
    assert await bench.pass_time(100) == [1000, 1030, 1060, 1090]
    assert bench.changed == [NEED]
    assert bench.shelf.reading(NEED) == GoodSecret(
        b"x", "The entry `clientSecret` of the Secret `s`"
    )


async def test_a_missing_one_is_tried_every_two_seconds_and_in_the_end_less_often() -> None:
    bench = Bench()
    bench.shelf.want(NEED)
    read_at = await bench.pass_time(20)
    assert read_at == [1000 + 2 * i for i in range(10)]
    await bench.pass_time(600)
    assert len(await bench.pass_time(300)) == 10
    bench.shelf.want(NEED)
    assert len(await bench.pass_time(20)) == 10


async def test_wanting_reads_at_once_what_was_read_a_moment_ago() -> None:
    bench = Bench()
    bench.store.secrets["s"] = {"clientSecret": b"x"}
    bench.shelf.want(NEED)
    await bench.pass_time(1)
    bench.store.secrets["s"] = {"clientSecret": b"y"}
    bench.shelf.want(NEED)
    assert len(await bench.pass_time(1)) == 1
    reading = bench.shelf.reading(NEED)
    assert isinstance(reading, GoodSecret)
    assert reading.value == b"y"


async def test_one_secret_for_many_is_read_once() -> None:
    bench = Bench()
    bench.store.secrets["s"] = {"a": b"1", "b": b"2"}
    for key in "abc":
        bench.shelf.want(SecretNeed(name="s", key=key, field="spec.secretRef"))
    await bench.pass_time(1)
    assert bench.store.reads == ["s"]
    assert len(bench.changed) == 3


async def test_thousands_are_read_in_batches_and_new_ones_come_first() -> None:
    bench = Bench()
    for i in range(1000):
        bench.store.secrets[f"s{i}"] = {"clientSecret": b"x"}
        bench.shelf.want(SecretNeed(name=f"s{i}", key="clientSecret", field="spec.secretRef"))
    assert not bench.shelf.is_settled()
    for _ in range(125):
        assert await bench.shelf.read_due() == 0
    assert bench.shelf.is_settled()
    bench.now += 31
    assert await bench.shelf.read_due() == pytest.approx(0.2)
    bench.store.reads.clear()
    bench.store.secrets["s"] = {"clientSecret": b"x"}
    bench.shelf.want(NEED)
    await bench.shelf.read_due()
    assert bench.store.reads[0] == "s"


async def test_while_the_store_is_away_nothing_is_forgotten_and_little_is_asked() -> None:
    bench = Bench()
    bench.store.secrets["s"] = {"clientSecret": b"x"}
    bench.shelf.want(NEED)
    await bench.pass_time(1)
    bench.store.away = True
    bench.pauses.clear()
    await bench.pass_time(120)
    assert isinstance(bench.shelf.reading(NEED), GoodSecret)
    # Only the end of a round that brought somebody something new is without a pause.
    assert set(bench.pauses) == {0.0, 0.2}
    bench.store.away = False
    del bench.store.secrets["s"]
    await bench.pass_time(6)
    assert isinstance(bench.shelf.reading(NEED), BadSecret)


async def test_one_that_is_never_given_keeps_nobody_waiting() -> None:
    bench = Bench()
    bench.store.away = True
    bench.shelf.want(NEED)
    await bench.pass_time(4)
    assert not bench.shelf.is_settled()
    await bench.pass_time(4)
    assert bench.shelf.is_settled()
    reading = bench.shelf.reading(NEED)
    assert isinstance(reading, BadSecret)
    assert reading.message == (
        "The Secret `s` cannot be read just now. the store of the test is away."
    )
    bench.store.away = False
    bench.store.secrets["s"] = {"clientSecret": b"x"}
    await bench.pass_time(6)
    assert isinstance(bench.shelf.reading(NEED), GoodSecret)


async def test_what_is_forgotten_during_a_read_stays_forgotten() -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def read(name: str) -> Mapping[str, bytes]:
        reached.set()
        await go_on.wait()
        raise StorageUnavailable("away")

    bench = Bench()
    shelf = SecretShelf(
        read,
        on_change=bench.changed.append,
        monotonic=lambda: bench.now,
        pause=asyncio.sleep,
        pace=ShelfPace(),
    )
    shelf.want(NEED)
    reading = asyncio.create_task(shelf.read_due())
    await reached.wait()
    shelf.forget(NEED)
    go_on.set()
    await reading
    bench.now += 10
    assert await shelf.read_due() == 0
    assert shelf.is_settled()
    assert bench.changed == []
