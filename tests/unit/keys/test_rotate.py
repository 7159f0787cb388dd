"""Keeping the ring on a real collection: races, outages, emergencies, the loop that goes on."""

import asyncio
import secrets
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from idp.keys.jwks import KeyUnusable, key_set_json
from idp.keys.live import LiveKeys
from idp.keys.ring import RingIncomplete
from idp.keys.rotate import Kept, KeyKeeper
from idp.keys.seal import SealingKey, SealingKeys
from storage.base import StorageUnavailable, Unreadable
from tests.kit.storage import Fails, LosesAnswer
from tests.unit.keys.keepers import (
    MINUTE,
    POLICY,
    QUICK,
    Keeper,
    Replica,
    Shop,
    announced,
    run,
    signing,
    until,
)


def test_replicas_that_start_at_once_share_one_first_ring() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = [shop.replica() for _ in range(5)]
        rings = await asyncio.gather(*(replica.keeper.start() for replica in replicas))
        assert len({key_set_json(ring) for ring in rings}) == 1
        assert {replica.kid for replica in replicas} == {signing(rings[0])}
        assert all(len(replica.swaps) == 1 for replica in replicas)

    run(main)


def test_a_restart_finds_its_keys_and_makes_none() -> None:
    async def main() -> None:
        shop = Shop()
        first = await shop.replica().keeper.start()
        again = shop.replica()
        assert await again.keeper.start() == first
        assert again.made_in == []

    run(main)


def test_keys_are_never_made_in_the_event_loop() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        await replica.keeper.start()
        shop.clock.turn(60 * MINUTE)
        await replica.keeper.tick(shop.clock())
        assert len(replica.made_in) == 3
        assert threading.main_thread() not in replica.made_in

    run(main)


@pytest.mark.covers("R-91")
@pytest.mark.spec("OIDC Core", "10.1.1")
def test_of_replicas_that_tick_at_once_one_rotates() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = [shop.replica() for _ in range(5)]
        first = await replicas[0].keeper.start()
        for replica in replicas[1:]:
            await replica.keeper.start()
        shop.clock.turn(60 * MINUTE)
        for _ in range(2):
            kept = await asyncio.gather(*(r.keeper.tick(shop.clock()) for r in replicas))
        assert {k.problem for k in kept} == {None}
        assert len({key_set_json(k.ring) for k in kept}) == 1
        assert len(kept[0].ring.keys) == 3
        assert {replica.kid for replica in replicas} == {announced(first)}
        for replica in replicas:
            assert all(published == signs for published, signs in replica.swaps)

    run(main)


def test_a_tick_with_nothing_due_writes_nothing_and_tells_nobody() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        await replica.keeper.start()
        writes = replica.faults.writes
        for _ in range(10):
            shop.clock.turn(MINUTE)
            await replica.keeper.tick(shop.clock())
        assert (replica.faults.writes, len(replica.swaps)) == (writes, 1)

    run(main)


def test_an_outage_keeps_the_last_ring_and_says_so() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        ring = await replica.keeper.start()
        shop.clock.turn(600 * MINUTE)
        for verb in ("read", "replace"):
            replica.faults.always(verb, Fails())
            for kept in (
                await replica.keeper.tick(shop.clock()),
                await replica.keeper.tick(shop.clock()),
            ):
                assert kept.ring == ring
                assert isinstance(kept.problem, StorageUnavailable)
            assert replica.kid == signing(ring)
            replica.faults.clear()
        kept = await replica.keeper.tick(shop.clock())
        assert kept.problem is None
        assert replica.kid == announced(ring)

    run(main)


def test_a_lost_answer_to_a_rotation_that_cannot_be_looked_up_is_found_out_later() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        ring = await replica.keeper.start()
        shop.clock.turn(60 * MINUTE)
        replica.faults.next("replace", LosesAnswer())
        replica.faults.next("read", None, Fails())
        assert (await replica.keeper.tick(shop.clock())).problem is not None
        assert replica.kid == signing(ring)
        kept = await replica.keeper.tick(shop.clock())
        assert kept.problem is None
        assert len(kept.ring.keys) == 3
        assert replica.kid == announced(ring)

    run(main)


def test_without_a_store_there_is_no_start() -> None:
    async def main() -> None:
        replica = Shop().replica()
        replica.faults.next("read", Fails())
        with pytest.raises(StorageUnavailable):
            await replica.keeper.start()
        with pytest.raises(RingIncomplete, match="start"):
            _ = replica.keeper.ring
        await replica.keeper.start()

    run(main)


@pytest.mark.covers("R-94", "R-89")
def test_the_wrong_sealing_key_fails_closed() -> None:
    async def main() -> None:
        shop = Shop()
        await shop.replica().keeper.start()
        foreign = SealingKeys([SealingKey(b"f" * 32)], random=secrets.token_bytes)
        replica = Replica(shop, QUICK, foreign)
        with pytest.raises(Unreadable):
            await replica.keeper.start()
        assert replica.swaps == []

    run(main)


def test_a_deleted_ring_is_written_again() -> None:
    async def main() -> None:
        replica = Shop().replica()
        ring = await replica.keeper.start()
        await replica.rings.delete("keys")
        kept = await replica.keeper.refresh()
        assert (kept.ring, kept.problem) == (ring, None)
        assert (await replica.rings.get("keys")).record == ring
        assert len(replica.swaps) == 1

    run(main)


@pytest.mark.covers("R-91")
def test_a_rotation_by_hand_is_queued_and_then_happens() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        ring = await replica.keeper.start()
        shop.clock.turn(MINUTE)
        at = await replica.keeper.rotate("ES256", shop.clock())
        assert at == shop.clock() + MINUTE
        assert replica.kid == signing(ring)
        shop.clock.turn(MINUTE)
        await replica.keeper.tick(shop.clock())
        assert replica.kid == announced(ring)
        shop.clock.turn(5 * MINUTE)
        assert await replica.keeper.rotate("ES256", shop.clock()) == shop.clock()
        assert replica.kid == announced(replica.swaps[-2][0])

    run(main)


@pytest.mark.covers("R-93")
def test_after_an_emergency_the_new_set_is_published_before_its_key_signs() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = [shop.replica() for _ in range(3)]
        for replica in replicas:
            await replica.keeper.start()
        old = replicas[0].keeper.ring
        new = await replicas[0].keeper.emergency(shop.clock())
        assert not {key.kid for key in old.keys} & {key.kid for key in new.keys}
        for replica in replicas[1:]:
            await replica.keeper.refresh()
        await until(lambda: all(replica.swaps[-1] == (new, new) for replica in replicas))
        for replica in replicas:
            assert replica.swaps == [(old, old), (new, old), (new, new)]

    run(main)


@pytest.mark.covers("R-93")
def test_a_change_while_an_emergency_settles_does_not_let_the_new_key_sign_early() -> None:
    async def main() -> None:
        shop = Shop()
        # Long enough for the other's new keys to be made on a busy machine.
        replica = shop.replica(replace(QUICK, settle_for=timedelta(seconds=1)))
        other = shop.replica()
        old = await replica.keeper.start()
        await other.keeper.start()
        await replica.keeper.emergency(shop.clock())
        newest = await other.keeper.emergency(shop.clock())
        await replica.keeper.refresh()
        assert replica.swaps[-1] == (newest, old)
        await until(lambda: replica.swaps[-1] == (newest, newest))

    run(main)


def test_a_ring_that_does_not_load_leaves_the_last_one_signing() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        ring = await replica.keeper.start()
        shop.clock.turn(60 * MINUTE)
        replica.refuses = True
        kept = await replica.keeper.tick(shop.clock())
        assert isinstance(kept.problem, KeyUnusable)
        assert kept.ring == ring
        replica.refuses = False
        assert (await replica.keeper.tick(shop.clock())).problem is None
        assert replica.kid == announced(ring)

    run(main)


def test_a_swap_that_fails_when_it_settles_is_tried_again() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        await replica.keeper.start()
        new = await replica.keeper.emergency(shop.clock())
        replica.refuses = True
        await asyncio.sleep(0.06)
        assert isinstance((await replica.keeper.refresh()).problem, KeyUnusable)
        replica.refuses = False
        assert (await replica.keeper.refresh()).problem is None
        assert replica.swaps[-1] == (new, new)

    run(main)


def test_the_loop_rotates_hears_of_others_and_outlives_every_outage() -> None:
    async def main() -> None:
        shop = Shop()
        ticking = shop.replica()
        idle = shop.replica(replace(QUICK, tick_every=timedelta(hours=1)))
        ring = await ticking.keeper.start()
        await idle.keeper.start()
        reports: list[Kept] = []
        loops = [
            asyncio.create_task(ticking.keeper.run(reports.append)),
            asyncio.create_task(idle.keeper.run(lambda _: None)),
        ]
        await asyncio.sleep(0.02)
        shop.clock.turn(60 * MINUTE)
        await until(lambda: {ticking.kid, idle.kid} == {announced(ring)})
        await ticking.rings.create(replace(ring, name="another-issuer"))
        await asyncio.sleep(0.02)
        assert reports == []

        for verb in ("read", "watch"):
            ticking.faults.always(verb, Fails())
        await until(lambda: bool(reports))
        await asyncio.sleep(0.02)
        assert isinstance(reports[0].problem, StorageUnavailable)
        assert len(reports) == 1, "a problem that stays is told once"
        ticking.faults.clear()
        await until(lambda: reports[-1].problem is None)
        assert not any(loop.done() for loop in loops)
        for loop in loops:
            loop.cancel()
            with suppress(asyncio.CancelledError):
                await loop

    run(main)


def test_a_watch_that_never_works_is_made_up_for_by_ticks() -> None:
    async def main() -> None:
        shop = Shop()
        blind, other = shop.replica(), shop.replica()
        await blind.keeper.start()
        await other.keeper.start()
        blind.faults.always("watch", Fails())
        reports: list[Kept] = []
        loop = asyncio.create_task(blind.keeper.run(reports.append))
        await until(lambda: bool(reports))
        assert isinstance(reports[0].problem, StorageUnavailable)
        new = await other.keeper.emergency(shop.clock())
        await until(lambda: blind.keeper.ring == new)
        swaps = len(blind.swaps)
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop
        await asyncio.sleep(0.05)
        assert len(blind.swaps) == swaps, "a loop that has ended swaps nothing"

    run(main)


def test_live_keys_follow_a_keeper() -> None:
    async def main() -> None:
        shop = Shop()
        live = LiveKeys(POLICY)
        assert live.key_set == b'{"keys":[]}'
        with pytest.raises(RingIncomplete):
            live.signer.sign({}, typ="JWT")
        second: Keeper = KeyKeeper(
            shop.replica().rings,
            name="keys",
            policy=POLICY,
            clock=shop.clock,
            on_change=live.adopt,
            pace=replace(QUICK, monotonic=shop.monotonic),
        )
        await second.start()
        text = live.signer.sign({"iss": "i", "exp": 2**40, "iat": 0}, typ="JWT")
        for _ in range(5):
            shop.clock.turn(9 * MINUTE)
            await second.rotate("ES256", shop.clock())
        with pytest.raises(Exception, match="published key"):
            live.verifier.verify(text, typ="JWT", issuer="i", now=shop.clock())
        assert live.key_set == key_set_json(second.ring)

    run(main)
