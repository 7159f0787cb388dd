"""A store that has gone back: tokens signed since stay good, keys revoked since stay revoked."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from idp.keys.jwks import key_set_json
from idp.keys.restored import KnownRing, went_back
from idp.keys.restored import restored as restored_of
from idp.keys.ring import (
    REVOKED_FOR,
    due,
    emergency,
    first_ring,
    rotate_requested,
    signing_key,
)
from storage.base import Document, StorageUnavailable
from storage.kinds import KEY_RINGS
from storage.records import KeyRing, RevokedKey, SigningKey
from tests.kit.clock import HandClock
from tests.kit.sizes import examples
from tests.kit.storage import Fails
from tests.unit.keys.keepers import MINUTE, POLICY, Replica, Shop, announced, run, signing

START = HandClock()()


def key(kid: str, now: datetime = START) -> SigningKey:
    return SigningKey(kid=kid, alg="ES256", public_jwk="{}", private_jwk="secret", created_at=now)


def next_revision(ring: KeyRing) -> KeyRing:
    return replace(ring, revision=ring.revision + 1)


FIRST = first_ring("keys", POLICY, START, [key("a"), key("b")])
ONE_ON = START + 60 * MINUTE
SECOND = next_revision(due(FIRST, POLICY, ONE_ON, [key("c", ONE_ON)]))
TWO_ON = ONE_ON + 60 * MINUTE
THIRD = next_revision(due(SECOND, POLICY, TWO_ON, [key("d", TWO_ON)]))
SWAPPED = next_revision(emergency(THIRD, POLICY, TWO_ON, [key("e"), key("f")]))


def restored(
    found: KeyRing, known: KeyRing, now: datetime, read_at: datetime | None = None
) -> KeyRing:
    """Return the mended ring of a process that read its own a moment ago."""
    return restored_of(found, KnownRing(known, read_at or now), POLICY, now)


def kids(ring: KeyRing) -> list[str]:
    return [k.kid for k in ring.keys]


@pytest.mark.parametrize(
    ("found", "known"),
    [(FIRST, FIRST), (SECOND, FIRST), (THIRD, SECOND), (SWAPPED, THIRD), (SWAPPED, SWAPPED)],
)
def test_what_goes_forward_is_left_alone(found: KeyRing, known: KeyRing) -> None:
    assert not went_back(found, known)
    for at in (TWO_ON, TWO_ON + 60 * MINUTE):
        assert restored(found, known, at) is found


@pytest.mark.covers("K-11")
@pytest.mark.parametrize("found", [THIRD, SWAPPED])
def test_a_replica_that_slept_brings_no_old_key_back(found: KeyRing) -> None:
    assert restored(found, FIRST, TWO_ON, read_at=START) is found
    assert kids(restored(found, FIRST, TWO_ON)) == ["a", *kids(found)], "it was there just now"


@pytest.mark.covers("K-12")
def test_a_key_that_a_fast_clock_dropped_is_let_go() -> None:
    dropped = next_revision(replace(SECOND, keys=SECOND.keys[1:]))
    assert restored(dropped, SECOND, ONE_ON + 5 * MINUTE) is dropped
    assert kids(restored(dropped, SECOND, ONE_ON + 4 * MINUTE)) == ["a", "b", "c"]


def test_a_ring_of_an_older_server_is_left_alone() -> None:
    """It writes a rotation and leaves the revision as it was."""
    found = replace(SECOND, revision=FIRST.revision)
    assert restored(found, FIRST, TWO_ON) is found


@pytest.mark.covers("K-14")
def test_over_an_older_ring_the_known_one_wins_and_older_keys_stay_published() -> None:
    result = restored(FIRST, THIRD, TWO_ON)
    assert went_back(FIRST, THIRD)
    assert kids(THIRD) == ["b", "c", "d"]
    assert kids(result) == ["a", "b", "c", "d"]
    assert (signing(result), announced(result)) == ("c", "d")
    came_back = result.keys[0]
    assert came_back.private_jwk == ""
    assert came_back.drops_at == TWO_ON + POLICY.keep_retired_for
    assert restored(SECOND, THIRD, TWO_ON).keys == THIRD.keys


@pytest.mark.covers("K-14", "R-93")
@pytest.mark.parametrize("found", [FIRST, SECOND, THIRD])
def test_a_revoked_key_does_not_come_back(found: KeyRing) -> None:
    result = restored(found, SWAPPED, TWO_ON)
    assert set(kids(result)) - {"a"} == {"e", "f"}
    assert signing(result) == "e"
    assert {k.kid for k in result.revoked} == {"b", "c", "d"}


@pytest.mark.covers("K-14", "R-93")
def test_nor_does_it_in_a_ring_that_was_changed_since_the_restore() -> None:
    newer = replace(THIRD, revision=9)
    result = restored(newer, SWAPPED, TWO_ON)
    assert kids(result) == ["e", "f"], "without a key that signs the known ones go on"
    changed = replace(newer, keys=(*THIRD.keys[:1], key("x"), key("y")))
    signs = replace(changed.keys[1], signs_from=TWO_ON)
    changed = replace(changed, keys=(changed.keys[0], signs, changed.keys[2]))
    result = restored(changed, SWAPPED, TWO_ON)
    assert kids(result) == ["e", "x", "y"]
    assert signing(result) == "x"
    assert {k.kid for k in result.revoked} == {"b", "c", "d"}


def test_what_was_revoked_is_remembered_even_if_the_store_forgot() -> None:
    forgot = replace(SWAPPED, revision=9, revoked=())
    result = restored(forgot, SWAPPED, TWO_ON)
    assert result == replace(forgot, revoked=tuple(sorted(SWAPPED.revoked, key=lambda k: k.kid)))
    late = TWO_ON + REVOKED_FOR + MINUTE
    assert restored(forgot, SWAPPED, late) is forgot, "but not for ever"


def test_an_emergency_of_the_restored_store_counts_here_too() -> None:
    elsewhere = replace(FIRST, keys=(key("x"), key("y")))
    elsewhere = replace(
        elsewhere,
        keys=(replace(elsewhere.keys[0], signs_from=START), elsewhere.keys[1]),
        revoked=(RevokedKey(kid="c", until=TWO_ON + MINUTE),),
    )
    assert kids(restored(elsewhere, THIRD, TWO_ON)) == ["b", "x", "y"]


async def put_back(shop: Shop, backup: Document) -> None:
    """Restore the ring from a backup."""
    current = await shop.backend.read(KEY_RINGS.name, "keys")
    await shop.backend.replace(KEY_RINGS.name, replace(backup, version=current.version))


async def rotated(shop: Shop, replicas: list[Replica]) -> None:
    shop.clock.turn(60 * MINUTE)
    for _ in range(2):
        await asyncio.gather(*(each.keeper.tick(shop.clock()) for each in replicas))


@pytest.mark.covers("K-14")
def test_after_a_restore_no_token_is_refused_and_all_replicas_agree() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = [shop.replica() for _ in range(3)]
        for replica in replicas:
            await replica.keeper.start()
        backup = await shop.backend.read(KEY_RINGS.name, "keys")
        await rotated(shop, replicas)
        before = replicas[0].keeper.ring
        await put_back(shop, backup)
        kept = [await replica.keeper.refresh() for replica in replicas]
        kept = [await replica.keeper.refresh() for replica in replicas]
        assert {k.problem for k in kept} == {None}
        assert len({key_set_json(k.ring) for k in kept}) == 1
        ring = kept[0].ring
        assert {k.kid for k in before.keys} <= {k.kid for k in ring.keys}
        assert signing(ring) == signing(before)
        assert [e for replica in replicas for e in replica.events] == ["store_went_back"]
        assert (await replicas[0].rings.get("keys")).record == ring
        assert ring.revision == before.revision + 1
        new = shop.replica()
        await new.keeper.start()
        assert key_set_json(new.keeper.ring) == key_set_json(ring)

    run(main)


@pytest.mark.covers("K-14", "R-93")
def test_a_restore_does_not_undo_an_emergency() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = [shop.replica() for _ in range(2)]
        for replica in replicas:
            await replica.keeper.start()
        backup = await shop.backend.read(KEY_RINGS.name, "keys")
        stolen = {key.kid for key in replicas[0].keeper.ring.keys}
        safe = await replicas[0].keeper.emergency(shop.clock())
        await replicas[1].keeper.refresh()
        await put_back(shop, backup)
        for replica in replicas:
            ring = (await replica.keeper.refresh()).ring
            assert not stolen & {key.kid for key in ring.keys}
            assert ring.keys == safe.keys
        for replica in replicas:
            for published, _ in replica.swaps[-2:]:
                assert not stolen & {key.kid for key in published.keys}
        assert not stolen & {key.kid for key in (await replicas[0].rings.get("keys")).record.keys}

    run(main)


@pytest.mark.covers("K-14")
def test_while_it_cannot_be_mended_what_is_known_goes_on() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        await replica.keeper.start()
        backup = await shop.backend.read(KEY_RINGS.name, "keys")
        await rotated(shop, [replica])
        ring = replica.keeper.ring
        await put_back(shop, backup)
        replica.faults.always("replace", Fails())
        swaps = len(replica.swaps)
        for _ in range(2):
            kept = await replica.keeper.tick(shop.clock())
            assert isinstance(kept.problem, StorageUnavailable)
            assert kept.ring == ring
        assert (len(replica.swaps), replica.events) == (swaps, [])
        replica.faults.clear()
        assert (await replica.keeper.tick(shop.clock())).problem is None
        assert replica.events == ["store_went_back"]

    run(main)


@pytest.mark.covers("K-11", "K-14")
def test_a_replica_that_slept_through_it_gives_way_to_one_that_knows_more() -> None:
    async def main() -> None:
        shop = Shop()
        awake, asleep = shop.replica(), shop.replica()
        await awake.keeper.start()
        await asleep.keeper.start()
        backup = await shop.backend.read(KEY_RINGS.name, "keys")
        await rotated(shop, [awake, asleep])
        await rotated(shop, [awake])
        newest = awake.keeper.ring
        await put_back(shop, backup)
        for replica in (asleep, awake, asleep, awake):
            await replica.keeper.refresh()
        assert awake.keeper.ring == asleep.keeper.ring
        signed = {k.kid for k in newest.keys if k.signs_from is not None}
        assert signed <= {k.kid for k in awake.keeper.ring.keys}

    run(main)


def test_a_change_meets_an_older_ring_and_is_made_over_what_is_known() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        await replica.keeper.start()
        backup = await shop.backend.read(KEY_RINGS.name, "keys")
        await rotated(shop, [replica])
        ring = replica.keeper.ring
        await put_back(shop, backup)
        await replica.keeper.change(lambda found: replace(found, answered_reseal="x"))
        assert signing(replica.keeper.ring) == signing(ring)
        assert replica.keeper.ring.answered_reseal == "x"
        assert replica.events == ["store_went_back"]

    run(main)


def test_a_ring_of_an_older_server_gets_what_people_see() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        await replica.keeper.start()
        found = await shop.backend.read(KEY_RINGS.name, "keys")
        stored = await replica.rings.get("keys")
        old = replace(stored.record, revision=0, rotates_at=None)
        await replica.rings.update(stored, lambda _: old)
        current = await shop.backend.read(KEY_RINGS.name, "keys")
        await shop.backend.replace(KEY_RINGS.name, replace(current, columns={}))
        new = shop.replica()
        await new.keeper.start()
        ring = (await new.keeper.tick(shop.clock())).ring
        assert (ring.revision, ring.rotates_at) == (1, shop.clock() + 60 * MINUTE)
        assert (await shop.backend.read(KEY_RINGS.name, "keys")).columns == found.columns
        shop.clock.turn(timedelta(seconds=1))
        assert (await new.keeper.tick(shop.clock())).ring == ring

    run(main)


class Restores(RuleBasedStateMachine):
    """Three replicas on a store of which backups are made and put back at any time.

    Each replica does as `KeyKeeper` does: what it writes is made over what it knows.
    """

    LIFE = POLICY.keep_retired_for / 2 - 2 * MINUTE

    @initialize()
    def begin(self) -> None:
        self.numbers = count()
        self.now = START
        self.store = first_ring("keys", POLICY, START, [self.key(), self.key()])
        self.known = [KnownRing(self.store, START)] * 3
        self.backups = [self.store]
        self.tokens: list[tuple[str, datetime]] = []
        self.revoked: set[str] = set()

    def key(self) -> SigningKey:
        return key(f"k{next(self.numbers)}", self.now)

    def write(self, replica: int, change: Callable[[KeyRing], KeyRing]) -> None:
        held = self.known[replica]
        changed = change(restored_of(self.store, held, POLICY, self.now))
        if changed is not self.store:
            revision = max(self.store.revision, held.ring.revision) + 1
            self.store = replace(changed, revision=revision)
        self.known[replica] = KnownRing(self.store, self.now)

    @rule(replica=st.integers(0, 2))
    def a_rotation_is_due(self, replica: int) -> None:
        def rotate(ring: KeyRing) -> KeyRing:
            planned, _ = rotate_requested(ring, "ES256", POLICY, self.now)
            return due(planned, POLICY, self.now, [self.key()])

        self.write(replica, rotate)

    @rule(replica=st.integers(0, 2))
    def a_key_is_stolen(self, replica: int) -> None:
        self.refresh()
        self.revoked |= {k.kid for k in self.store.keys}
        fresh = [self.key(), self.key()]
        self.write(replica, lambda ring: emergency(ring, POLICY, self.now, fresh))
        self.refresh()

    @rule()
    def a_backup_is_made(self) -> None:
        self.backups.append(self.store)

    @rule(number=st.integers(0, 20))
    def a_backup_is_put_back(self, number: int) -> None:
        self.store = self.backups[number % len(self.backups)]

    @rule(replica=st.integers(0, 2))
    def one_looks(self, replica: int) -> None:
        self.write(replica, lambda ring: ring)

    @rule(seconds=st.integers(1, 120))
    def time_passes(self, seconds: int) -> None:
        self.refresh()
        for held in self.known:
            self.tokens.append((signing(held.ring), self.now + self.LIFE))
        self.now += timedelta(seconds=seconds)
        self.tokens = [(kid, expires) for kid, expires in self.tokens if expires > self.now]

    def refresh(self) -> None:
        for _ in range(2):
            for replica in range(3):
                self.write(replica, lambda ring: ring)
        assert {key_kids(held.ring) for held in self.known} == {key_kids(self.store)}

    @invariant()
    def no_revoked_key_is_published(self) -> None:
        for held in self.known:
            assert not self.revoked & set(kids(held.ring))

    @invariant()
    def every_token_of_a_good_key_verifies(self) -> None:
        for kid, _ in self.tokens:
            if kid not in self.revoked:
                assert all(kid in kids(held.ring) for held in self.known)

    @invariant()
    def something_signs(self) -> None:
        assert all(signing_key(held.ring, "ES256") for held in self.known)


def key_kids(ring: KeyRing) -> tuple[str, ...]:
    return tuple(sorted(kids(ring)))


TestRestores = pytest.mark.covers("K-14")(Restores.TestCase)
TestRestores.settings = settings(max_examples=examples(80), stateful_step_count=40, deadline=None)
