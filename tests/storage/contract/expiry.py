"""What has expired is found and swept, and nothing else."""

from datetime import timedelta, timezone

import pytest

from storage.base import Document, NotFound, StorageUnavailable
from storage.sweep import sweep_once
from tests.kit.storage import Fails, Faults, FlakyBackend
from tests.storage.harness import NOW, Harness, grant, grants, ring, rings

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("clock_hours", [0, -5, -8, 9])
@pytest.mark.parametrize("record_hours", [0, -5, 14])
async def test_one_hour_before_expiry_nothing_goes_one_hour_after_exactly_one(
    harness: Harness, clock_hours: int, record_hours: int
) -> None:
    clock = timezone(timedelta(hours=clock_hours))
    expires_at = NOW.astimezone(timezone(timedelta(hours=record_hours)))
    async with harness.open() as backend:
        await grants(backend).create(grant("due", expires_at=expires_at))
        await grants(backend).create(grant("later", expires_at=expires_at + 3 * HOUR))
        assert await sweep_once(grants(backend), (NOW - HOUR).astimezone(clock), 10) == 0
        assert (await grants(backend).get("due")).record.expires_at == NOW
        assert await sweep_once(grants(backend), (NOW + HOUR).astimezone(clock), 10) == 1
        with pytest.raises(NotFound):
            await grants(backend).get("due")
        await grants(backend).get("later")


async def test_nothing_expires_a_fraction_of_a_second_too_early(harness: Harness) -> None:
    at = NOW.replace(microsecond=700_000)
    async with harness.open() as backend:
        await grants(backend).create(grant(expires_at=at))
        for early in (timedelta(microseconds=1), timedelta(0), timedelta(seconds=1)):
            assert await grants(backend).expired(at - early, 10) == []
        assert await grants(backend).expired(at + timedelta(seconds=1), 10) == ["g1"]


async def test_a_record_without_an_expiry_stays(harness: Harness) -> None:
    async with harness.open() as backend:
        await rings(backend).create(ring())
        bare = Document(name="bare", columns={"expires": ""}, sealed="x")
        await backend.create("refresh-grants", bare)
        assert await sweep_once(rings(backend), NOW + 1000 * HOUR, 10) == 0
        assert await sweep_once(grants(backend), NOW + 1000 * HOUR, 10) == 0
        assert (await rings(backend).get("ring")).record == ring()


async def test_an_expiry_that_was_moved_counts_anew(harness: Harness) -> None:
    async with harness.open() as backend:
        stored = await grants(backend).create(grant(expires_at=NOW))
        await grants(backend).update(stored, lambda _: grant(expires_at=NOW + 2 * HOUR))
        assert await grants(backend).expired(NOW + HOUR, 10) == []
        assert await grants(backend).expired(NOW + 3 * HOUR, 10) == ["g1"]


async def test_expired_records_are_named_up_to_a_limit(harness: Harness) -> None:
    async with harness.open() as backend:
        for number in range(7):
            await grants(backend).create(grant(f"g{number}", expires_at=NOW))
        some = await grants(backend).expired(NOW + HOUR, 3)
        assert len(some) == len(set(some)) == 3
        assert len(await grants(backend).expired(NOW + HOUR, 100)) == 7


async def test_a_sweep_goes_on_in_batches_until_nothing_is_left(harness: Harness) -> None:
    async with harness.open() as backend:
        for number in range(7):
            await grants(backend).create(grant(f"g{number}", expires_at=NOW))
        assert await sweep_once(grants(backend), NOW + HOUR, 3) == 7
        assert await sweep_once(grants(backend), NOW + HOUR, 3) == 0


async def test_a_failed_delete_does_not_stop_the_sweep(harness: Harness) -> None:
    faults = Faults()
    async with harness.open() as inner:
        backend = FlakyBackend(inner, faults)
        for number in range(7):
            await grants(backend).create(grant(f"g{number}", expires_at=NOW))
        faults.next("remove", Fails(StorageUnavailable("no")), None, Fails(NotFound("gone")))
        assert await sweep_once(grants(backend), NOW + HOUR, 2) == 5
        assert await sweep_once(grants(backend), NOW + HOUR, 2) == 2


async def test_a_document_that_does_not_open_is_swept_as_well(harness: Harness) -> None:
    async with harness.open() as backend:
        columns = {"expires": "2026-01-01T00:00:00Z"}
        await backend.create("refresh-grants", Document(name="x", columns=columns, sealed="?"))
        assert await sweep_once(grants(backend), NOW, 2) == 1
