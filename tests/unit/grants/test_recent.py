"""Grants kept in hand until their code is redeemed: a first guess, never the truth."""

from dataclasses import replace

import pytest

from idp.grants.recent import RecentGrants
from idp.oauth.errors import InvalidGrant
from storage.collection import Stored
from tests.kit.clock import HandClock
from tests.unit.grants.world import World, new_grant

pytestmark = pytest.mark.anyio


async def signed_in(world: World, name: str = "grant-1") -> str:
    """Return a code whose grant is in hand, as right after a login."""
    code = await world.code(name)
    world.recent.put(await world.grants.get(name))
    world.faults.calls.clear()
    return code


async def test_a_code_in_hand_is_redeemed_without_a_read(world: World) -> None:
    code = await signed_in(world)
    assert (await world.redeem(code)).refresh_token
    assert dict(world.faults.calls) == {"replace": 1}


@pytest.mark.covers("R-20", "I-1")
@pytest.mark.parametrize("later", [0, 59, 61, 86400])
async def test_a_code_that_was_spent_elsewhere_is_a_replay_here(world: World, later: float) -> None:
    code = await signed_in(world)
    in_hand = world.recent.take("grant-1")
    assert in_hand is not None
    tokens = await world.redeem(code)
    world.recent.put(in_hand)
    world.clock.turn(later)
    with pytest.raises(InvalidGrant):
        await world.redeem(code)
    assert (await world.stored()).ended_at is not None
    with pytest.raises(InvalidGrant):
        await world.refresh(tokens.refresh_token)


@pytest.mark.covers("I-7")
async def test_a_refresh_token_is_judged_by_the_store(world: World) -> None:
    code = await signed_in(world)
    in_hand = world.recent.take("grant-1")
    assert in_hand is not None
    tokens = await world.redeem(code)
    world.recent.put(in_hand)
    assert (await world.refresh(tokens.refresh_token)).access_token


@pytest.mark.covers("I-3")
async def test_a_grant_that_was_deleted_meanwhile_is_gone(world: World) -> None:
    code = await signed_in(world)
    await world.grants.delete("grant-1")
    with pytest.raises(InvalidGrant):
        await world.redeem(code)


@pytest.mark.covers("CV-8")
async def test_what_is_in_hand_still_needs_its_own_proof(world: World) -> None:
    code = await signed_in(world)
    await world.code("grant-2")
    stranger = new_grant("grant-1", world.clock())
    world.recent.put(Stored(record=stranger, version="1"))
    with pytest.raises(InvalidGrant):
        await world.redeem(code)


def test_a_grant_is_in_hand_once_and_only_so_many_are() -> None:
    recent = RecentGrants()
    grant = new_grant("grant-0", HandClock()())
    for number in range(1000):
        recent.put(Stored(record=replace(grant, name=f"grant-{number}"), version="1"))
    found = [number for number in range(1000) if recent.take(f"grant-{number}") is not None]
    assert found == list(range(1000 - len(found), 1000))
    assert 0 < len(found) <= 256
    assert recent.take("grant-999") is None
