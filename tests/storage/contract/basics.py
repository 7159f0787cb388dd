"""One caller at a time: what is stored comes back, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from storage.base import AlreadyExists, Conflict, Document, NotFound, StorageUnavailable
from storage.records import Grant, RefreshState
from tests.storage.harness import NOW, Harness, grant, grants, refreshed, ring, rings, signing_key

EVERYTHING = "naïve 日本 🔑 \U0010ffff \x00 \x1f \\ \" ' </script> \ud800 \r\n %s {} ${env:X}"

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {
        "refresh": RefreshState(generation=3, last_used_at=NOW, spent=((1_700_000_000, 2),)),
        "code_spent_at": NOW,
        "ended_at": NOW,
    },
    "empty": {
        "username": "",
        "preferred_username": "",
        "email": "",
        "email_verified": False,
        "groups": (),
        "connector_data": "",
        "scopes": (),
        "nonce": "",
        "seed": b"",
        "refresh": RefreshState(generation=0, last_used_at=NOW),
    },
    "missing": {"refresh": None, "code_spent_at": None, "ended_at": None},
    "one empty group": {"groups": ("",)},
    "odd text": {
        "username": EVERYTHING,
        "preferred_username": EVERYTHING,
        "groups": (EVERYTHING, "a,b", "[]"),
        "connector_data": EVERYTHING,
    },
    "many groups": {"groups": tuple(f"cn=group-{i},ou=groups,dc=example" for i in range(2_000))},
}


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_grant_comes_back_as_it_was_stored(harness: Harness, variant: str) -> None:
    record = grant(**VARIANTS[variant])
    async with harness.open() as backend:
        created = await grants(backend).create(record)
    assert created.record == record
    if not harness.durable:
        return
    async with harness.open() as backend:
        stored = await grants(backend).get("g1")
    assert stored.record == record
    assert stored == created


async def test_a_key_ring_comes_back_as_it_was_stored(harness: Harness) -> None:
    record = ring(
        signing_key("k1", signs_from=NOW, retired_at=NOW, drops_at=NOW, private_jwk=""),
        signing_key("k2", alg="ES256", signs_from=NOW),
        signing_key("k3"),
    )
    async with harness.open() as backend:
        await rings(backend).create(record)
        await rings(backend).create(ring(name="none"))
        assert (await rings(backend).get("ring")).record == record
        assert (await rings(backend).get("none")).record.keys == ()


@pytest.mark.parametrize("hours", [-12, -5, 0, 5.5, 14])
async def test_a_time_of_any_zone_comes_back_as_the_same_instant(
    harness: Harness, hours: float
) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=hours)))
    async with harness.open() as backend:
        await grants(backend).create(grant(expires_at=local))
        stored = (await grants(backend).get("g1")).record
    assert stored.expires_at == NOW
    assert stored.expires_at.utcoffset() == timedelta(0)
    assert stored.expires_at.microsecond == NOW.microsecond


async def test_a_time_without_a_zone_is_refused(harness: Harness) -> None:
    async with harness.open() as backend:
        naive = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
        for record in (grant(created_at=naive), grant(expires_at=naive), grant(ended_at=naive)):
            with pytest.raises(ValueError, match="zone"):
                await grants(backend).create(record)


async def test_a_name_is_taken_once(harness: Harness) -> None:
    async with harness.open() as backend:
        await grants(backend).create(grant())
        with pytest.raises(AlreadyExists):
            await grants(backend).create(grant(client_id="other"))
        assert (await grants(backend).get("g1")).record == grant()


async def test_kinds_have_names_of_their_own(harness: Harness) -> None:
    async with harness.open() as backend:
        await grants(backend).create(grant("same"))
        await rings(backend).create(ring(name="same"))
        await grants(backend).delete("same")
        assert (await rings(backend).get("same")).record == ring(name="same")
        assert [stored async for stored in grants(backend).scan()] == []


async def test_what_is_missing_is_not_found(harness: Harness) -> None:
    async with harness.open() as backend:
        collection = grants(backend)
        stored = await collection.create(grant())
        await collection.delete("g1")
        with pytest.raises(NotFound):
            await collection.get("g1")
        with pytest.raises(NotFound):
            await collection.delete("g1")
        with pytest.raises(NotFound):
            await collection.update(stored, refreshed)
        with pytest.raises(NotFound):
            await collection.get("g1")


async def test_an_update_changes_one_record_and_leaves_the_others(harness: Harness) -> None:
    async with harness.open() as backend:
        collection = grants(backend)
        first = await collection.create(grant("g1"))
        await collection.create(grant("g2"))
        second = await collection.update(first, refreshed)
        third = await collection.update(second, refreshed)
        assert third.record == refreshed(refreshed(grant("g1")))
        assert await collection.get("g1") == third
        assert len({first.version, second.version, third.version}) == 3
        assert (await collection.get("g2")).record == grant("g2")


async def test_an_update_that_changes_nothing_writes_nothing(harness: Harness) -> None:
    async with harness.open() as backend:
        stored = await grants(backend).create(grant())
        assert await grants(backend).update(stored, lambda record: record) is stored
        assert await grants(backend).get("g1") == stored


async def test_what_a_change_raises_passes_and_nothing_is_written(harness: Harness) -> None:
    def refuse(_: Grant) -> Grant:
        raise LookupError("spent")

    async with harness.open() as backend:
        stored = await grants(backend).create(grant())
        with pytest.raises(LookupError, match="spent"):
            await grants(backend).update(stored, refuse)
        assert await grants(backend).get("g1") == stored


async def test_a_change_may_not_rename(harness: Harness) -> None:
    async with harness.open() as backend:
        stored = await grants(backend).create(grant())
        with pytest.raises(ValueError, match="rename"):
            await grants(backend).update(stored, lambda record: replace(record, name="g2"))


async def test_an_update_of_an_old_version_is_applied_to_the_new_one(harness: Harness) -> None:
    async with harness.open() as one, harness.open() as other:
        old = await grants(one).create(grant())
        await grants(other).update(old, lambda record: replace(record, nonce="newer"))
        updated = await grants(one).update(old, refreshed)
        assert updated.record == refreshed(grant(nonce="newer"))


async def test_a_version_is_never_used_again_for_a_name(harness: Harness) -> None:
    async with harness.open() as backend:
        document = Document(name="n", columns={}, sealed="a")
        versions = set()
        for _ in range(5):
            first = await backend.create("refresh-grants", document)
            second = await backend.replace("refresh-grants", first)
            await backend.remove("refresh-grants", "n")
            versions |= {first.version, second.version}
        assert len(versions) == 10
        await backend.create("refresh-grants", document)
        with pytest.raises(Conflict):
            await backend.replace("refresh-grants", first)


@pytest.mark.parametrize(
    "name",
    ["", "-", "-a", "a-", "A", "a b", "a/b", "a.b", "..", "a\n", "ä", "a\x00", "%2e", "a" * 254],
)
async def test_a_name_that_no_store_could_hold_is_refused(harness: Harness, name: str) -> None:
    async with harness.open() as backend:
        for call in (grants(backend).get, grants(backend).delete):
            with pytest.raises(ValueError, match="name"):
                await call(name)
        with pytest.raises(ValueError, match="name"):
            await grants(backend).create(grant(name))


async def test_the_longest_and_the_shortest_name_are_kept(harness: Harness) -> None:
    async with harness.open() as backend:
        for name in ("a", "0", "a" * 253, "a--b"):
            await grants(backend).create(grant(name))
            assert (await grants(backend).get(name)).record.name == name


async def test_a_scan_yields_what_its_columns_say_in_order(harness: Harness) -> None:
    async with harness.open() as backend:
        collection = grants(backend)
        for number in (3, 1, 2):
            user = "joe" if number == 3 else "jane"
            await collection.create(grant(f"g{number}", preferred_username=user))
        everyone = [stored.record.name async for stored in collection.scan()]
        jane = [stored async for stored in collection.scan({"user": "jane"})]
        nobody = [stored async for stored in collection.scan({"user": "jane", "client": "x"})]
    assert everyone == ["g1", "g2", "g3"]
    assert [stored.record.name for stored in jane] == ["g1", "g2"]
    assert jane[0].version
    assert nobody == []


async def test_a_scan_shows_each_record_once_while_others_write(harness: Harness) -> None:
    """450 records are three pages; changed, deleted and new ones come in between."""
    async with harness.open() as backend, harness.open() as other:
        for number in range(450):
            await backend.create(
                "refresh-grants", Document(name=f"g{number:03}", columns={}, sealed="x")
            )
        seen = []
        async for document in backend.scan("refresh-grants", {}):
            seen.append(document.name)
            if len(seen) % 50 == 1:
                await other.replace("refresh-grants", document)
                await other.remove("refresh-grants", f"g{449 - len(seen) // 50:03}")
                new = Document(name=f"g{len(seen):03}-new", columns={}, sealed="x")
                await other.create("refresh-grants", new)
    assert seen == sorted(set(seen))
    assert set(seen) >= {f"g{number:03}" for number in range(440)}


async def test_a_closed_handle_is_unavailable_and_others_go_on(harness: Harness) -> None:
    async with harness.open() as one, harness.open() as other:
        await grants(one).create(grant())
        await one.close()
        await one.close()
        with pytest.raises(StorageUnavailable):
            await grants(one).get("g1")
        with pytest.raises(StorageUnavailable):
            await grants(one).create(grant("g2"))
        assert (await grants(other).get("g1")).record == grant()


async def test_everything_is_there_after_a_restart(harness: Harness) -> None:
    if not harness.durable:
        pytest.skip("this store does not outlive its process")
    async with harness.open() as backend:
        stored = await grants(backend).create(grant())
        await grants(backend).create(grant("g2"))
        await grants(backend).delete("g2")
    async with harness.open() as backend:
        assert await grants(backend).get("g1") == stored
        updated = await grants(backend).update(stored, refreshed)
        with pytest.raises(NotFound):
            await grants(backend).get("g2")
    async with harness.open() as backend:
        assert await grants(backend).get("g1") == updated
