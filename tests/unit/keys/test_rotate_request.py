"""Rotation by an annotation: any replica answers, one does, once."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from idp.keys.jwks import key_set_json
from idp.keys.ring import announced_key, signing_key
from idp.keys.rotate_request import ROTATE_COLUMN, RequestNotUnderstood, read_rotate_request
from storage.base import StorageUnavailable
from storage.kinds import KEY_RINGS
from storage.records import KeyRing
from tests.kit.storage import Fails
from tests.unit.keys.keepers import MINUTE, Replica, Shop, announced, run, signing, until


async def ask(shop: Shop, text: str) -> None:
    """Write the annotation, as `kubectl annotate` does."""
    found = await shop.backend.read(KEY_RINGS.name, "keys")
    await shop.backend.replace(
        KEY_RINGS.name, replace(found, columns={**found.columns, ROTATE_COLUMN: text})
    )


async def replicas_of(shop: Shop, count: int = 3) -> list[Replica]:
    replicas = [shop.replica() for _ in range(count)]
    for replica in replicas:
        await replica.keeper.start()
    return replicas


async def ticks(shop: Shop, replicas: list[Replica]) -> KeyRing:
    """Let all tick at once, and once more for those that lost; return the ring they agree on."""
    for _ in range(2):
        kept = await asyncio.gather(*(each.keeper.tick(shop.clock()) for each in replicas))
        assert {k.problem for k in kept} == {None}
    assert len({key_set_json(k.ring) for k in kept}) == 1
    return kept[0].ring


@pytest.mark.parametrize("text", ["routine", "routine 2026-11-21", "emergency x y", " emergency\n"])
def test_the_first_word_says_what_is_wanted(text: str) -> None:
    assert read_rotate_request(text).kind == text.split()[0]
    assert read_rotate_request(text).text == text


@pytest.mark.parametrize("text", ["", " ", "Routine", "now", "routinely", "true", "routine " * 30])
def test_anything_else_is_answered_with_what_to_write(text: str) -> None:
    with pytest.raises(RequestNotUnderstood, match="`routine` or `emergency`"):
        read_rotate_request(text)


@pytest.mark.covers("R-93", "K-10")
def test_an_emergency_that_all_see_at_once_is_served_exactly_once() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = await replicas_of(shop, 5)
        before = replicas[0].keeper.ring
        await ask(shop, "emergency 1")
        ring = await ticks(shop, replicas)
        assert not {key.kid for key in before.keys} & {key.kid for key in ring.keys}
        assert {key.kid for key in ring.revoked} == {key.kid for key in before.keys}
        assert ring.answered_rotate == "emergency 1"
        assert ring.revision == before.revision + 1
        served = [event for each in replicas for event in each.events]
        assert served == ["signing_keys_asked_to_rotate"]
        for replica in replicas:
            assert replica.swaps[1] == (ring, before), "published first"
        await until(lambda: all(each.swaps[-1] == (ring, ring) for each in replicas))
        assert await ticks(shop, replicas) == ring
        again = shop.replica()
        await again.keeper.start()
        assert (await again.keeper.tick(shop.clock())).ring == ring, "nor after a restart"

    run(main)


@pytest.mark.covers("R-91", "R-92", "K-10")
def test_a_routine_rotation_that_comes_too_early_is_planned_and_then_happens() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = await replicas_of(shop)
        before = replicas[0].keeper.ring
        shop.clock.turn(MINUTE)
        await ask(shop, "routine 1")
        planned = await ticks(shop, replicas)
        assert signing(planned) == signing(before)
        assert planned.rotates_at == shop.clock() + MINUTE
        shown = (await shop.backend.read(KEY_RINGS.name, "keys")).columns
        assert shown["rotates"] == "2026-01-01T12:02:00Z"
        assert shown["last_rotation"].endswith("answered: routine 1")
        assert shown[ROTATE_COLUMN] == "routine 1"
        shop.clock.turn(MINUTE)
        ring = await ticks(shop, replicas)
        assert signing(ring) == announced(before)
        assert len(ring.keys) == 3
        shop.clock.turn(10 * MINUTE)
        assert signing(await ticks(shop, replicas)) == signing(ring)

    run(main)


def test_a_routine_rotation_happens_at_once_when_the_next_key_is_known_long_enough() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = await replicas_of(shop)
        before = replicas[0].keeper.ring
        shop.clock.turn(5 * MINUTE)
        await ask(shop, "routine 1")
        ring = await ticks(shop, replicas)
        assert signing(ring) == announced(before)

    run(main)


def test_requests_one_after_the_other_are_each_served() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = await replicas_of(shop)
        for number in range(3):
            before = replicas[0].keeper.ring
            await ask(shop, f"emergency {number}")
            ring = await ticks(shop, replicas)
            assert not {key.kid for key in before.keys} & {key.kid for key in ring.keys}
        assert len(ring.revoked) == 6
        assert ring.revision == 4

    run(main)


def test_a_replica_with_an_older_request_in_hand_does_not_serve_it_late() -> None:
    async def main() -> None:
        shop = Shop()
        slow, quick = await replicas_of(shop, 2)
        await ask(shop, "emergency 1")
        await slow.keeper.refresh()
        await ask(shop, "emergency 2")
        await quick.keeper.tick(shop.clock())
        ring = quick.keeper.ring
        slow.faults.next("read", Fails())  # it goes on with what it has read before
        await slow.keeper.tick(shop.clock())
        assert (await slow.keeper.tick(shop.clock())).ring == ring
        assert ring.answered_rotate == "emergency 2"

    run(main)


def test_what_is_not_understood_is_told_once_and_rotates_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        shop = Shop()
        replicas = await replicas_of(shop, 1)
        before = replicas[0].keeper.ring
        await ask(shop, "please SECRET")
        with caplog.at_level(logging.INFO):
            assert await ticks(shop, replicas) == before
        (told,) = [record for record in caplog.records if record.name == "idp.keys"]
        assert (told.message, told.levelno) == ("request_not_understood", logging.WARNING)
        assert "`routine` or `emergency`" in vars(told)["problem"]
        assert "SECRET" not in vars(told)["problem"]
        await ask(shop, "emergency 1")
        assert (await ticks(shop, replicas)).answered_rotate == "emergency 1"

    run(main)


def test_a_request_waits_for_the_store_and_for_a_key_that_stands_by() -> None:
    async def main() -> None:
        shop = Shop()
        (replica,) = await replicas_of(shop, 1)
        await ask(shop, "routine 1")
        replica.faults.next("replace", Fails())
        kept = await replica.keeper.tick(shop.clock())
        assert isinstance(kept.problem, StorageUnavailable)
        stored = await replica.rings.get("keys")
        await replica.rings.update(stored, lambda ring: replace(ring, keys=ring.keys[:1]))
        kept = await replica.keeper.tick(shop.clock())
        assert (kept.problem, kept.ring.answered_rotate) == (None, "")
        assert announced_key(kept.ring, "ES256") is not None
        kept = await replica.keeper.tick(shop.clock())
        assert kept.ring.answered_rotate == "routine 1"

    run(main)


@pytest.mark.covers("R-93")
def test_the_loop_serves_a_request_within_the_time_of_a_watch() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        replica.pace_ticks_every(timedelta(hours=1))
        ring = await replica.keeper.start()
        loop = asyncio.create_task(replica.keeper.run(lambda _: None))
        await asyncio.sleep(0.02)
        await ask(shop, "emergency now")
        await until(lambda: replica.kid != signing(ring))
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)

    run(main)


@pytest.mark.covers("K-12")
def test_a_clock_that_is_set_back_does_not_rotate_twice() -> None:
    async def main() -> None:
        shop = Shop()
        replicas = await replicas_of(shop)
        shop.clock.turn(60 * MINUTE)
        ring = await ticks(shop, replicas)
        for minutes in (-60, 1, 30, 29):
            shop.clock.turn(minutes * MINUTE)
            assert await ticks(shop, replicas) == ring
        shop.clock.turn(60 * MINUTE)
        rotated = await ticks(shop, replicas)
        assert signing(rotated) == announced(ring)

    run(main)


@pytest.mark.covers("R-92", "K-12", "K-18")
@pytest.mark.parametrize("minutes_off", [-5, 5])
def test_no_clock_lets_a_key_sign_that_was_not_published_for_twice_the_max_age(
    minutes_off: int,
) -> None:
    async def main() -> None:
        shop = Shop()
        right, wrong = await replicas_of(shop, 2)
        published_at = {key.kid: shop.clock() for key in right.keeper.ring.keys}
        signs = signing(right.keeper.ring)
        for number in range(120):
            shop.clock.turn(timedelta(seconds=20))
            if number % 10 == 0:
                await ask(shop, f"routine {number}")
            await right.keeper.tick(shop.clock())
            await wrong.keeper.tick(shop.clock() + minutes_off * MINUTE)
            for replica in (wrong, right):
                await replica.keeper.refresh()
                key = signing_key(replica.keeper.ring, "ES256")
                assert key is not None
                if key.kid != signs:
                    assert shop.clock() >= published_at[key.kid] + 2 * MINUTE
                    signs = key.kid
                for each in replica.keeper.ring.keys:
                    published_at.setdefault(each.kid, shop.clock())
        assert len(published_at) > 5, "it did rotate"

    run(main)
