"""Documents that somebody edited, copied or swapped; and what a thief finds in them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from storage.base import Backend, Document, NotFound, Unreadable
from storage.collection import Collection
from storage.records import Grant, RefreshState
from tests.storage.harness import NOW, Harness, grant, grants, refreshed, ring, rings, signing_key

KIND = "refresh-grants"


async def tamper(backend: Backend, name: str, change: Callable[[Document], Document]) -> None:
    """Change a document as somebody can who may write to the store but has no sealing key."""
    await backend.replace(KIND, change(await backend.read(KIND, name)))


def edits(sealed: str) -> dict[str, str]:
    """Return damaged versions of a sealed body."""
    middle = len(sealed) // 2
    flipped = "A" if sealed[middle] != "A" else "B"
    return {
        "first byte": ("A" if sealed[0] != "A" else "B") + sealed[1:],
        "middle byte": sealed[:middle] + flipped + sealed[middle + 1 :],
        "cut": sealed[:middle],
        "empty": "",
        "longer": sealed + "AAAA",
        "not ours": '{"v": 1}',
        "not ASCII": "日本",
        "NUL": "\x00",
    }


@pytest.mark.covers("R-97")
async def test_an_edited_body_does_not_open_and_the_others_do(harness: Harness) -> None:
    async with harness.open() as backend:
        await grants(backend).create(grant("g1"))
        await grants(backend).create(grant("g2"))
        sealed = (await backend.read(KIND, "g1")).sealed
        for edited in edits(sealed).values():
            await tamper(backend, "g1", lambda found, to=edited: replace(found, sealed=to))  # type: ignore[misc]
            with pytest.raises(Unreadable, match="refresh-grants/g1"):
                await grants(backend).get("g1")
            assert (await grants(backend).get("g2")).record == grant("g2")
        await tamper(backend, "g1", lambda found: replace(found, sealed=sealed))
        assert (await grants(backend).get("g1")).record == grant("g1")


@pytest.mark.covers("R-97")
async def test_swapped_and_copied_bodies_do_not_open(harness: Harness) -> None:
    async with harness.open() as backend:
        await grants(backend).create(grant("g1"))
        await grants(backend).create(grant("g2"))
        one, two = await backend.read(KIND, "g1"), await backend.read(KIND, "g2")
        await backend.replace(KIND, replace(one, sealed=two.sealed))
        await backend.replace(KIND, replace(two, sealed=one.sealed))
        await backend.create(KIND, replace(one, name="g3"))
        await backend.create("signing-keys", replace(one, columns={}))
        for name in ("g1", "g2", "g3"):
            with pytest.raises(Unreadable):
                await grants(backend).get(name)
        with pytest.raises(Unreadable):
            await rings(backend).get("g1")


@pytest.mark.covers("R-97")
async def test_a_body_of_another_issuer_place_or_key_does_not_open(harness: Harness) -> None:
    class Elsewhere:
        """The same documents under another place, as in another namespace."""

        def __init__(self, inner: Backend) -> None:
            self.place = inner.place + "-other"
            self.read = inner.read

    async with harness.open() as backend:
        await grants(backend).create(grant())
        strangers: list[Collection[Grant]] = [
            grants(backend, issuer="https://idp.example.org/"),
            grants(backend, key=bytes(32)),
            grants(Elsewhere(backend)),  # type: ignore[arg-type]
        ]
        for stranger in strangers:
            with pytest.raises(Unreadable, match="sealing key"):
                await stranger.get("g1")


@pytest.mark.covers("R-97")
async def test_columns_decide_nothing(harness: Harness) -> None:
    record = grant(ended_at=NOW)
    shown = {"user": "root", "client": "", "expires": "9999-12-31T23:59:59Z", "ended": ""}
    async with harness.open() as backend:
        await grants(backend).create(record)
        for columns in (shown, {}):
            await tamper(backend, "g1", lambda found, to=columns: replace(found, columns=to))  # type: ignore[misc]
            assert (await grants(backend).get("g1")).record == record
        stored = await grants(backend).update(await grants(backend).get("g1"), refreshed)
        assert stored.record == refreshed(record)
        assert stored.columns["user"] == "jane"
        assert stored.columns["ended"] == "true"


@pytest.mark.covers("R-97")
async def test_a_scan_leaves_out_what_does_not_open_and_reports_it(harness: Harness) -> None:
    problems: list[Unreadable] = []
    async with harness.open() as backend:
        collection = replace(grants(backend), on_unreadable=problems.append)
        for number in range(3):
            await collection.create(grant(f"g{number}"))
        await tamper(backend, "g1", lambda found: replace(found, sealed="AAAA"))
        names = [stored.record.name async for stored in collection.scan()]
    assert names == ["g0", "g2"]
    assert ["refresh-grants/g1" in str(problem) for problem in problems] == [True]


async def test_an_unreadable_record_can_be_deleted_and_made_anew(harness: Harness) -> None:
    async with harness.open() as backend:
        await grants(backend).create(grant())
        await tamper(backend, "g1", lambda found: replace(found, sealed="AAAA"))
        await grants(backend).delete("g1")
        with pytest.raises(NotFound):
            await grants(backend).get("g1")
        await grants(backend).create(grant())


@pytest.mark.covers("R-88", "R-89")
async def test_a_dump_shows_columns_and_nothing_secret(harness: Harness) -> None:
    seed = b"canary-seed-0123456789abcdef"
    record = grant(
        user_id="canary-user-id",
        username="canary-user",
        groups=("canary-group",),
        connector_data="canary-connector-data",
        nonce="canary-nonce",
        code_challenge="canary-challenge",
        seed=seed,
        refresh=RefreshState(generation=7, last_used_at=NOW),
        unknown={"canary": "canary-unknown"},
    )
    async with harness.open() as backend:
        stored = await grants(backend).create(record)
        stored = await grants(backend).update(stored, refreshed)
        await grants(backend).update(stored, refreshed)
        await grants(backend).create(replace(record, name="deleted"))
        await grants(backend).delete("deleted")
        await rings(backend).create(ring(signing_key(private_jwk="canary-private-jwk")))
        shown = await backend.read(KIND, "g1")
    dump = await harness.dump()
    if harness.durable:
        assert b"jane" in dump  # so it is the right haystack
        assert shown.sealed.encode() in dump
    for needle in (b"canary", seed, seed.hex().encode(), b"Y2FuYXJ5"):
        assert needle not in dump
    assert set(shown.columns) == {
        *("user", "client", "connector", "last_used", "expires", "ended", "person")
    }
    assert shown.sealed not in repr(shown)
