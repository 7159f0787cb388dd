"""Replacing the sealing key under a store that is in use: nothing is lost, nothing stays behind."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from idp.keys.follow import FollowPace, KeyFollower
from idp.keys.jwks import new_signing_key
from idp.keys.key_file import KeyFileError, load, load_or_create, parse, render
from idp.keys.key_source import FileSource, FixedSource, KeySource
from idp.keys.reseal import ResealPace, Step
from idp.keys.resealer import Resealer, ResealProgress
from idp.keys.ring import RotationPolicy
from idp.keys.rotate import KeyKeeper, Pace
from idp.keys.rotate_request import RESEAL_COLUMN
from idp.keys.seal import SealingKey, SealingKeys, key_id_of
from idp.keys.sealing_order import in_order
from storage.base import Document, NotFound, SealUnknown, StorageUnavailable, Unreadable
from storage.collection import Collection, Stored
from storage.kinds import GRANTS, KEY_RINGS, Kind
from storage.memory import MemoryBackend, MemoryStore
from storage.records import Grant, KeyRing, RefreshState
from tests.kit.clock import HandClock
from tests.kit.storage import Fails, Faults, FlakyBackend
from tests.storage.harness import grant

pytestmark = pytest.mark.anyio
ISSUER = "https://idp.example.com"
MINUTE = timedelta(minutes=1)
PACE = ResealPace(keep_old_for=35 * MINUTE, writes_per_second=1e9)
POLICY = RotationPolicy(
    algorithms=("ES256",),
    rotation_period=timedelta(days=30),
    publish_for=2 * MINUTE,
    keep_retired_for=65 * MINUTE,
)
RING = "signing-keys"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(slots=True)
class Shop:
    """One store, one key source and one true time, shared by replicas."""

    source: KeySource
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: HandClock = field(default_factory=HandClock)

    async def replica(self, **more: Any) -> "Replica":
        text = await self.source.read()
        keys = in_order(parse(text.text, where=""), self.clock())
        replica = Replica(self, SealingKeys(keys, random=secrets.token_bytes), **more)
        await replica.keeper.start()
        return replica

    async def ask(self, text: str) -> None:
        """Write the annotation, as `kubectl annotate` does."""
        backend = MemoryBackend(self.store)
        found = await backend.read(KEY_RINGS.name, RING)
        await backend.replace(
            KEY_RINGS.name, replace(found, columns={**found.columns, RESEAL_COLUMN: text})
        )

    async def sealed_with(self) -> set[str]:
        """Return the ids of the keys that anything in the store is sealed with."""
        backend = MemoryBackend(self.store)
        return {
            key_id_of(document.sealed)
            for kind in (GRANTS.name, KEY_RINGS.name)
            async for document in backend.scan(kind, {})
        }


class Replica:
    """A server's part in it."""

    def __init__(self, shop: Shop, sealing: SealingKeys, pace: ResealPace = PACE) -> None:
        self.shop = shop
        self.faults = Faults()
        self.leads = True
        self.sealing = sealing
        self.progress: list[ResealProgress] = []
        self.slept: list[float] = []
        backend = FlakyBackend(MemoryBackend(shop.store), self.faults, spared=())
        self.grants: Collection[Grant] = Collection(
            backend=backend, kind=GRANTS, sealer=sealing, issuer=ISSUER
        )
        self.rings: Collection[KeyRing] = Collection(
            backend=backend, kind=KEY_RINGS, sealer=sealing, issuer=ISSUER
        )
        self.follower = KeyFollower(
            shop.source,
            sealing,
            clock=shop.clock,
            random=secrets.token_bytes,
            monotonic=self.monotonic,
            pace=FollowPace(opens_first=pace.opens_first),
        )
        self.keeper: KeyKeeper[Stored[KeyRing]] = KeyKeeper(
            self.rings,
            name=RING,
            policy=POLICY,
            clock=shop.clock,
            on_change=lambda published, signing: None,
            new_key=new_signing_key,
            pace=Pace(monotonic=self.monotonic),
        )
        self.resealer = Resealer(
            held=self.keeper,
            collections=[self.grants, self.rings],
            source=shop.source,
            sealing=sealing,
            follower=self.follower,
            clock=shop.clock,
            random=secrets.token_bytes,
            pace=pace,
            leads=lambda: self.leads,
            report=self.progress.append,
            sleep=self.sleep,
        )

    def monotonic(self) -> float:
        return self.shop.clock().timestamp()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def step(self) -> Step:
        await self.keeper.refresh()
        return await self.resealer.step()

    async def time_passes(self, by: timedelta) -> None:
        self.shop.clock.turn(by)
        await self.follower.refresh()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    path = tmp_path / "sealing.key"
    load_or_create(path, secrets.token_bytes)
    return Shop(FileSource(path, secrets.token_bytes))


def keys_of(shop: Shop) -> list[str]:
    assert isinstance(shop.source, FileSource)
    return [key.id for key in load(shop.source.path)]


async def until_finished(replica: Replica) -> list[Step]:
    """Go on, minute by minute, and return what was done."""
    steps = []
    for _ in range(200):
        steps.append(await replica.step())
        if steps[-1] is Step.REST:
            return steps
        await replica.time_passes(MINUTE)
    raise AssertionError(steps)


@pytest.mark.covers("R-94")
async def test_a_request_replaces_the_key_under_everything(shop: Shop) -> None:
    replica = await shop.replica()
    for number in range(30):
        await replica.grants.create(grant(f"g{number}"))
    (old,) = keys_of(shop)
    assert await replica.step() is Step.REST
    await shop.ask("2026")
    steps = await until_finished(replica)
    assert [step for step in steps if step is not Step.WAIT] == [
        Step.BEGIN,
        Step.ADD_KEY,
        Step.REWRITE,
        Step.REWRITE,
        Step.REMOVE_KEYS,
        Step.REST,
    ]
    (new,) = keys_of(shop)
    assert new != old
    assert await shop.sealed_with() == {new}
    assert replica.progress == [ResealProgress(31, 0)]
    assert [key.id for key in replica.sealing.keys] == [new]
    again = await shop.replica()
    assert (await again.grants.get("g7")).record == grant("g7")
    assert again.keeper.ring.answered_reseal == "2026"
    assert await again.step() is Step.REST


@pytest.mark.covers("R-94", "R-31")
async def test_refreshes_in_between_lose_nothing_and_are_not_lost(shop: Shop) -> None:
    leader, other = await shop.replica(), await shop.replica()
    names = [f"g{number}" for number in range(40)]
    for name in names:
        state = RefreshState(generation=0, last_used_at=shop.clock())
        await leader.grants.create(grant(name, refresh=state))
    spent = dict.fromkeys(names, 0)
    done = asyncio.Event()

    def next_generation(found: Grant) -> Grant:
        assert found.refresh is not None
        refresh = replace(found.refresh, generation=found.refresh.generation + 1)
        return replace(found, refresh=refresh)

    async def refresh_all_the_time(replica: Replica) -> None:
        while not done.is_set():
            for name in names:
                stored = await replica.grants.get(name)
                await asyncio.sleep(0)
                await replica.grants.update(stored, next_generation)
                spent[name] += 1

    await shop.ask("now")
    refreshing = [asyncio.create_task(refresh_all_the_time(each)) for each in (leader, other)]
    for _ in range(100):
        step = await leader.step()
        if step is Step.REST:
            break
        await leader.time_passes(MINUTE)
        await other.follower.refresh()
        await asyncio.sleep(0)
    done.set()
    await asyncio.gather(*refreshing)
    assert step is Step.REST
    (new,) = keys_of(shop)
    assert await shop.sealed_with() == {new}
    for name in names:
        left = (await leader.grants.get(name)).record.refresh
        assert left is not None
        assert left.generation == spent[name]


async def test_a_restart_or_another_leader_goes_on_where_it_stood(shop: Shop) -> None:
    first = await shop.replica()
    for number in range(5):
        await first.grants.create(grant(f"g{number}"))
    await shop.ask("now")
    steps = []
    for _ in range(100):
        replica = await shop.replica()  # a new process for each step
        steps.append(await replica.step())
        shop.clock.turn(MINUTE)
        if steps[-1] is Step.REST:
            break
    assert steps.count(Step.ADD_KEY) == 1
    assert steps.count(Step.BEGIN) == 1
    assert len(keys_of(shop)) == 1
    assert await shop.sealed_with() == set(keys_of(shop))


async def test_two_leaders_for_a_moment_add_one_key(shop: Shop) -> None:
    one, other = await shop.replica(), await shop.replica()
    await shop.ask("now")
    for _ in range(3):
        for replica in (one, other):
            await replica.keeper.refresh()
        outcome = await asyncio.gather(
            one.resealer.step(), other.resealer.step(), return_exceptions=True
        )
        assert sum(isinstance(result, BaseException) for result in outcome) <= 1
    assert len(keys_of(shop)) == 2
    await until_finished(one)
    assert len(keys_of(shop)) == 1


async def test_who_does_not_lead_stops_at_once(shop: Shop) -> None:
    replica = await shop.replica()
    for number in range(10):
        await replica.grants.create(grant(f"g{number}"))
    await shop.ask("now")
    while await replica.step() is not Step.ADD_KEY:
        pass
    await replica.time_passes(5 * MINUTE)
    calls = 0

    def leads() -> bool:
        nonlocal calls
        calls += 1
        return calls <= 3

    replica.resealer.leads = leads
    assert await replica.step() is Step.REWRITE
    assert len(await shop.sealed_with()) == 2
    assert replica.keeper.ring.resealing is not None
    assert replica.keeper.ring.resealing.clean_at is None
    replica.resealer.leads = lambda: True
    await until_finished(replica)
    assert await shop.sealed_with() == set(keys_of(shop))


@pytest.mark.covers("R-90")
async def test_what_does_not_open_is_left_and_named_and_stops_nothing(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    replica = await shop.replica()
    backend = MemoryBackend(shop.store)
    for name in ("good", "copied", "garbage", "foreign"):
        await replica.grants.create(grant(name))
    good = await backend.read(GRANTS.name, "good")
    foreign = SealingKeys([SealingKey(b"f" * 32)], random=secrets.token_bytes)
    bodies = {"copied": good.sealed, "garbage": "?", "foreign": foreign.seal("x", b"", context=b"")}
    for name, sealed in bodies.items():
        found = await backend.read(GRANTS.name, name)
        await backend.replace(GRANTS.name, replace(found, sealed=sealed))
    await shop.ask("now")
    with caplog.at_level(logging.INFO):
        await until_finished(replica)
    assert replica.progress[-1].left == 3
    assert len(keys_of(shop)) == 1
    for name, sealed in bodies.items():
        assert (await backend.read(GRANTS.name, name)).sealed == sealed
        named = [vars(r) for r in caplog.records if r.message == "record_not_resealed"]
        assert any(f"refresh-grants/{name}" in fields["problem"] for fields in named)
        assert all(good.sealed[:20] not in str(fields) for fields in named)
    assert (await replica.grants.get("good")).record == grant("good")
    for name, error in (("copied", Unreadable), ("garbage", Unreadable), ("foreign", SealUnknown)):
        with pytest.raises(error):
            await replica.grants.get(name)


async def test_a_record_of_a_newer_version_is_sealed_anew_unread(shop: Shop) -> None:
    replica = await shop.replica()
    collection = replace(replica.grants, kind=Newer(**fields_of(GRANTS)))
    await collection.create(grant("g1"))
    with pytest.raises(Unreadable, match="version 2"):
        await replica.grants.get("g1")
    await shop.ask("now")
    await until_finished(replica)
    assert await shop.sealed_with() == set(keys_of(shop))
    with pytest.raises(Unreadable, match="version 2"):
        await replica.grants.get("g1")


@dataclass(frozen=True, kw_only=True)
class Newer(Kind[Grant]):
    """Grants as a later server may write them."""

    def encode(self, record: Grant) -> tuple[dict[str, str], dict[str, Any]]:
        columns, body = Kind.encode(self, record)
        return columns, {**body, "v": 2}


def fields_of(kind: Kind[Grant]) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in ("name", "columns", "write", "read")}


async def test_a_replica_that_was_cut_off_is_waited_for_again(shop: Shop) -> None:
    leader, cut_off = await shop.replica(), await shop.replica()
    await shop.ask("now")
    while leader.keeper.ring.resealing is None or leader.keeper.ring.resealing.clean_at is None:
        await leader.step()
        await leader.time_passes(MINUTE)
    await cut_off.grants.create(grant("late"))
    while await leader.step() is not Step.REMOVE_KEYS:
        await leader.time_passes(MINUTE)
    assert len(keys_of(shop)) == 2, "browsers may hold what the other has sealed"
    assert leader.keeper.ring.resealing is not None
    await until_finished(leader)
    assert await shop.sealed_with() == set(keys_of(shop))
    assert (await leader.grants.get("late")).record == grant("late")


async def test_an_outage_is_told_once_and_waited_for(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    replica = await shop.replica()
    await replica.grants.create(grant("g1"))
    await shop.ask("now")
    await replica.keeper.refresh()
    running = asyncio.create_task(replica.resealer.run())
    try:
        await until(lambda: len(keys_of(shop)) == 2)
        replica.faults.always("scan", Fails())
        with caplog.at_level(logging.WARNING):
            await replica.time_passes(3 * MINUTE)
            await replica.time_passes(3 * MINUTE)
            await until(lambda: replica.faults.calls["scan"] > 3)
        assert [r.message for r in caplog.records] == ["reseal_interrupted"]
        replica.faults.clear()
        async with asyncio.timeout(10):
            while replica.keeper.ring.answered_reseal != "now":
                await replica.time_passes(MINUTE)
                await asyncio.sleep(0.002)
        assert len(keys_of(shop)) == 1
        replica.leads = False
        await shop.ask("again")
        await replica.keeper.refresh()
        await asyncio.sleep(0.02)
        assert replica.keeper.ring.resealing is None
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert 5.0 in replica.slept


async def test_writes_are_paced(shop: Shop) -> None:
    replica = await shop.replica(pace=replace(PACE, writes_per_second=50, names_at_once=3))
    for number in range(10):
        await replica.grants.create(grant(f"g{number}"))
    await shop.ask("now")
    await until_finished(replica)
    assert replica.slept.count(1 / 50) == 11


@pytest.mark.covers("R-94")
async def test_keys_of_the_operator_are_left_to_the_operator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = SealingKey(b"1" * 32), SealingKey(b"2" * 32)
    shop = Shop(FixedSource(render([first]), "the variable KEYS"))
    replica = await shop.replica()
    await replica.grants.create(grant("g1"))
    await shop.ask("one")
    with caplog.at_level(logging.INFO):
        await until_finished(replica)
    assert "reseal_needs_key" in [r.message for r in caplog.records]
    assert await shop.sealed_with() == {first.id}

    shop.source = FixedSource(render([second, first]), "the variable KEYS")
    replica = await shop.replica()
    await shop.ask("two")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        await until_finished(replica)
    (removable,) = [r for r in caplog.records if r.message == "sealing_keys_removable"]
    assert vars(removable)["keys"] == [first.id]
    assert await shop.sealed_with() == {second.id}


async def test_a_source_that_breaks_stops_it_without_harm(shop: Shop) -> None:
    replica = await shop.replica()
    await shop.ask("now")
    await replica.step()
    assert isinstance(shop.source, FileSource)
    text = shop.source.path.read_text()
    shop.source.path.write_text("garbage")
    with pytest.raises(KeyFileError):
        await replica.step()
    shop.source.path.write_text(text)
    await until_finished(replica)


async def test_records_that_go_meanwhile_are_nobody_s_business(shop: Shop) -> None:
    replica = await shop.replica()
    await replica.grants.create(grant("g1"))
    await shop.ask("now")
    while await replica.step() is not Step.ADD_KEY:
        pass
    await replica.time_passes(5 * MINUTE)
    replica.faults.next("read", None, Fails(NotFound("swept away")))
    assert await replica.step() is Step.REWRITE
    await until_finished(replica)
    assert await shop.sealed_with() == set(keys_of(shop))


async def test_what_a_refresh_has_sealed_anew_already_is_not_written_again(shop: Shop) -> None:
    replica = await shop.replica()
    await replica.grants.create(grant("g1"))
    await shop.ask("now")
    while await replica.step() is not Step.ADD_KEY:
        pass
    await replica.time_passes(5 * MINUTE)
    found = await replica.grants.get("g1")

    async def refresh_first(_: float) -> None:
        """Between the list and the write; the ring comes after the grants."""
        if found.record.name not in refreshed:
            refreshed.append(found.record.name)
            await replica.grants.update(
                await replica.grants.get("g2"), lambda known: replace(known, nonce="new")
            )

    refreshed: list[str] = []
    await MemoryBackend(shop.store).create(
        GRANTS.name, replace(await sealed_with_the_first_key(shop), name="g2")
    )
    replica.resealer.sleep = refresh_first
    writes = replica.faults.calls["replace"]
    assert await replica.step() is Step.REWRITE
    assert replica.faults.calls["replace"] == writes + 3, "g1, the refresh of g2, the ring"
    assert await shop.sealed_with() == {replica.sealing.keys[0].id}


async def sealed_with_the_first_key(shop: Shop) -> Document:
    """Return a document of the name g2 as a replica would have stored it before."""
    assert isinstance(shop.source, FileSource)
    first = load(shop.source.path)[0]
    backend = MemoryBackend()
    sealing = SealingKeys([first], random=secrets.token_bytes)
    collection: Collection[Grant] = Collection(
        backend=backend, kind=GRANTS, sealer=sealing, issuer=ISSUER
    )
    await collection.create(grant("g2"))
    return await backend.read(GRANTS.name, "g2")


async def step_to(replica: Replica, wanted: Step) -> None:
    """Go on until just before a step, which the next call of `step` does."""
    async with asyncio.timeout(10):
        while True:
            await replica.keeper.refresh()
            resealing = replica.keeper.ring.resealing
            clean_at = None if resealing is None else resealing.clean_at
            if wanted is Step.REMOVE_KEYS and clean_at is not None:
                await replica.time_passes(40 * MINUTE)
                return
            await replica.resealer.step()
            await replica.time_passes(MINUTE)


async def test_a_crash_between_removal_and_the_note_of_it_adds_no_second_key(shop: Shop) -> None:
    replica = await shop.replica()
    await shop.ask("now")
    await step_to(replica, Step.REMOVE_KEYS)
    replica.faults.always("replace", Fails())
    with pytest.raises(StorageUnavailable):
        await replica.resealer.step()
    (new,) = keys_of(shop)
    again = await shop.replica()
    assert [step for step in await until_finished(again) if step is not Step.REST] == [
        Step.REMOVE_KEYS
    ]
    assert keys_of(shop) == [new]


async def test_whoever_loses_the_lead_in_the_last_look_removes_nothing(shop: Shop) -> None:
    replica = await shop.replica()
    await shop.ask("now")
    await step_to(replica, Step.REMOVE_KEYS)
    await MemoryBackend(shop.store).create(GRANTS.name, await sealed_with_the_first_key(shop))
    replica.leads = False
    before = replica.keeper.ring
    assert await replica.resealer.step() is Step.REMOVE_KEYS
    assert replica.keeper.ring == before
    assert len(keys_of(shop)) == 2


async def test_what_does_not_open_is_passed_over_however_few_names_fit(shop: Shop) -> None:
    replica = await shop.replica(pace=replace(PACE, names_at_once=1))
    foreign = SealingKeys([SealingKey(b"f" * 32)], random=secrets.token_bytes)
    for name in ("a", "b", "c"):
        await replace(replica.grants, sealer=foreign).create(grant(name))
        await replica.grants.create(grant(f"{name}-good"))
    await shop.ask("now")
    await until_finished(replica)
    assert replica.progress[-1].left == 3
    assert (await replica.grants.get("c-good")).record == grant("c-good")


async def test_a_long_pass_tells_how_far_it_is(shop: Shop) -> None:
    replica = await shop.replica()
    for number in range(1001):
        await replica.grants.create(grant(f"g{number}"))
    await shop.ask("now")
    await until_finished(replica)
    assert [progress.rewritten for progress in replica.progress] == [1000, 1002]


@pytest.mark.covers("R-88", "R-89")
async def test_a_dump_of_the_store_holds_no_sealing_key(shop: Shop) -> None:
    replica = await shop.replica()
    await replica.grants.create(grant("g1"))
    assert isinstance(shop.source, FileSource)
    seen = load(shop.source.path)
    await shop.ask("now")
    for _ in range(100):
        seen += load(shop.source.path)
        if await replica.step() is Step.REST:
            break
        await replica.time_passes(MINUTE)
    assert len({key.id for key in seen}) == 2
    dump = repr(shop.store.documents)
    for key in seen:
        for line in render([key]).splitlines()[1:]:
            assert line.split()[1] not in dump
        assert key.secret.hex() not in dump


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- any state, not only what an event could tell
            await asyncio.sleep(0.002)
