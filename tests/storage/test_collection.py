"""What the collection decides by itself: retries, pauses, reports, and faults on the way."""

import logging
from dataclasses import dataclass, field, replace

import pytest

from storage.base import (
    AlreadyExists,
    Conflict,
    SealKeyUnknown,
    SealUnknown,
    StorageUnavailable,
    Unreadable,
)
from storage.collection import UPDATE_DEADLINE_SECONDS, Collection
from storage.memory import MemoryBackend
from storage.records import Grant
from tests.kit.storage import Fails, Faults, FlakyBackend, LosesAnswer, Waits
from tests.storage.harness import generation, grant, grants, refreshed

pytestmark = pytest.mark.anyio


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def read(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move on."""
        self.slept.append(seconds)
        self.now += seconds


def flaky(faults: Faults, time: Time, octets: bytes = b"\x80\0\0\0") -> Collection[Grant]:
    """Return grants in a flaky store, with chance decided by the test."""
    return replace(
        grants(FlakyBackend(MemoryBackend(), faults)),
        sleep=time.sleep,
        monotonic=time.read,
        random_bytes=lambda count: octets[:count],
    )


async def test_an_update_that_always_loses_gives_up_after_three_seconds() -> None:
    faults, time = Faults(), Time()
    collection = flaky(faults, time)
    stored = await collection.create(grant())
    faults.always("replace", Fails(Conflict("lost")))
    with pytest.raises(StorageUnavailable, match="refresh-grants/g1"):
        await collection.update(stored, refreshed)
    assert UPDATE_DEADLINE_SECONDS - 0.32 < sum(time.slept) < UPDATE_DEADLINE_SECONDS
    assert time.slept[:4] == [0.005, 0.01, 0.02, 0.04]
    assert max(time.slept) == 0.16
    faults.clear()
    assert (await collection.get("g1")).record == grant()


@pytest.mark.parametrize(
    ("octets", "least", "most"), [(b"\0\0\0\0", 0, 0), (b"\xff\xff\xff\xff", 0.00999, 0.01)]
)
async def test_a_pause_may_be_anything_up_to_its_window(
    octets: bytes, least: float, most: float
) -> None:
    faults, time = Faults(), Time()
    collection = flaky(faults, time, octets)
    stored = await collection.create(grant())
    faults.next("replace", Fails(Conflict("lost")))
    await collection.update(stored, refreshed)
    assert least <= time.slept[0] <= most


async def test_the_first_attempt_reads_nothing_the_second_reads_once() -> None:
    faults = Faults()
    collection = flaky(faults, Time())
    stored = await collection.create(grant())
    stored = await collection.update(stored, refreshed)
    assert (faults.calls["read"], faults.calls["replace"]) == (0, 1)
    faults.next("replace", Fails(Conflict("lost")))
    await collection.update(stored, refreshed)
    assert (faults.calls["read"], faults.calls["replace"]) == (1, 3)
    assert faults.writes == 4


@pytest.mark.covers("CV-10")
async def test_an_unavailable_store_is_never_taken_for_success() -> None:
    faults = Faults()
    collection = flaky(faults, Time())
    stored = await collection.create(grant())
    for verb in ("read", "create", "replace", "remove", "scan", "expired", "watch"):
        faults.always(verb, Fails())
    with pytest.raises(StorageUnavailable):
        await collection.get("g1")
    with pytest.raises(StorageUnavailable):
        await collection.create(grant("g2"))
    with pytest.raises(StorageUnavailable):
        await collection.update(stored, refreshed)
    with pytest.raises(StorageUnavailable):
        await collection.delete("g1")
    with pytest.raises(StorageUnavailable):
        await anext(collection.scan())
    with pytest.raises(StorageUnavailable):
        await collection.expired(grant().expires_at, 1)
    with pytest.raises(StorageUnavailable):
        await anext(collection.watch())
    faults.clear()
    assert await collection.get("g1") == stored


async def test_a_write_whose_answer_was_lost_is_done_and_unavailable() -> None:
    faults = Faults()
    collection = flaky(faults, Time())
    faults.next("create", LosesAnswer())
    with pytest.raises(StorageUnavailable):
        await collection.create(grant())
    with pytest.raises(AlreadyExists):
        await collection.create(grant())
    stored = await collection.get("g1")
    faults.next("replace", LosesAnswer())
    faults.next("read", Fails())
    with pytest.raises(StorageUnavailable):
        await collection.update(stored, refreshed)
    assert generation((await collection.get("g1")).record) == 1
    # The version in hand is old now; the change is applied to what is there.
    assert generation((await collection.update(stored, refreshed)).record) == 2


async def test_an_update_whose_answer_was_lost_is_found_and_taken_for_done() -> None:
    faults = Faults()
    collection = flaky(faults, Time())
    stored = await collection.create(grant())
    faults.next("replace", LosesAnswer())
    stored = await collection.update(stored, refreshed)
    assert generation(stored.record) == 1
    assert faults.writes == 2
    # The version is that of the store: the next update needs no other try.
    assert generation((await collection.update(stored, refreshed)).record) == 2
    assert faults.writes == 3


async def test_an_update_that_was_not_done_is_not_taken_for_done() -> None:
    faults = Faults()
    collection = flaky(faults, Time())
    stored = await collection.create(grant())
    faults.next("replace", Fails())
    with pytest.raises(StorageUnavailable):
        await collection.update(stored, refreshed)
    assert generation((await collection.get("g1")).record) == 0


async def test_a_slow_call_is_done_in_the_end() -> None:
    faults = Faults()
    collection = flaky(faults, Time())
    faults.next("create", Waits(0.01))
    assert (await collection.create(grant())).record == grant()


async def test_a_scan_and_a_watch_can_break_off_in_the_middle() -> None:
    faults = Faults()
    collection = flaky(faults, Time())
    changes = collection.watch()
    await collection.create(grant("g1"))
    await collection.create(grant("g2"))
    faults.next("watch", LosesAnswer())
    assert (await anext(changes)).name == "g1"
    with pytest.raises(StorageUnavailable):
        await anext(changes)
    faults.next("scan", LosesAnswer())
    scanned = collection.scan()
    assert (await anext(scanned)).record.name == "g1"
    with pytest.raises(StorageUnavailable):
        await anext(scanned)


async def test_records_that_do_not_open_are_logged_without_their_body(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = MemoryBackend()
    await grants(backend, key=bytes(32)).create(grant())
    with caplog.at_level(logging.ERROR):
        assert [stored async for stored in grants(backend).scan()] == []
    (entry,) = caplog.records
    assert entry.getMessage() == "record_unreadable"
    assert "refresh-grants/g1 does not open" in vars(entry)["problem"]


@dataclass(frozen=True)
class KeyedSealer:
    """Seals with the first of some keys and names it, as a sealer with several keys does."""

    keys: tuple[str, ...]

    def seal(self, purpose: str, plaintext: bytes, *, context: bytes) -> str:
        """Return key, purpose, context and text."""
        return "|".join((self.keys[0], purpose, context.hex(), plaintext.hex()))

    def open(self, purpose: str, sealed: str, *, context: bytes) -> bytes:
        """Return the text. Raises SealKeyUnknown and ValueError."""
        key, *bound, text = sealed.split("|")
        if key not in self.keys:
            raise SealKeyUnknown("no such key")
        if bound != [purpose, context.hex()]:
            raise ValueError("bound to something else")
        return bytes.fromhex(text)


@pytest.mark.covers("R-94")
async def test_a_key_that_is_not_here_is_told_from_a_body_that_was_changed() -> None:
    old = replace(grants(MemoryBackend()), sealer=KeyedSealer(("old",)))
    problems: list[Unreadable] = []
    new = replace(old, sealer=KeyedSealer(("new",)), on_unreadable=problems.append)
    await old.create(grant())
    with pytest.raises(SealUnknown, match=r"refresh-grants/g1.*bring the sealing key back"):
        await new.get("g1")
    assert [stored async for stored in new.scan()] == []
    assert [type(problem) for problem in problems] == [SealUnknown]
    document = await old.backend.read("refresh-grants", "g1")
    await old.backend.replace("refresh-grants", replace(document, sealed="old|x|y|"))
    with pytest.raises(Unreadable) as caught:
        await old.get("g1")
    assert not isinstance(caught.value, SealUnknown)


@pytest.mark.covers("R-94")
async def test_a_document_is_sealed_anew_and_stays_what_it_was() -> None:
    old = replace(grants(MemoryBackend()), sealer=KeyedSealer(("old",)))
    created = await old.create(grant())
    both = replace(old, sealer=KeyedSealer(("new", "old")))
    document = await old.backend.read("refresh-grants", "g1")
    shown = replace(document, columns={**document.columns, "request/x": "kept"})
    document = await old.backend.replace("refresh-grants", shown)
    await both.reseal(document)
    stored = await replace(old, sealer=KeyedSealer(("new",))).get("g1")
    assert stored.record == created.record
    assert stored.columns == document.columns
    with pytest.raises(Conflict):
        await both.reseal(document)
    with pytest.raises(SealUnknown):
        await old.reseal(await old.backend.read("refresh-grants", "g1"))
