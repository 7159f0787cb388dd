"""Writes that were done but not answered never become replays or false alarms (K-6, I-7)."""

import pytest

from idp.oauth.errors import InvalidGrant, OAuthError, TemporarilyUnavailable
from idp.tokens.issue import TokenSet
from tests.kit.storage import Fails, LosesAnswer
from tests.unit.grants.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.covers("K-6", "I-7")]


async def redeemed(world: World, code: str) -> TokenSet | OAuthError:
    try:
        return await world.redeem(code)
    except OAuthError as error:
        return error


async def test_a_spent_code_whose_answer_was_lost_is_a_success(world: World) -> None:
    code = await world.code()
    world.faults.next("replace", LosesAnswer())
    tokens = await world.redeem(code)
    assert tokens.refresh_token is not None
    assert (await world.refresh(tokens.refresh_token)).access_token
    with pytest.raises(InvalidGrant):
        await world.redeem(code)


@pytest.mark.parametrize("losses", [1, 2, 3])
async def test_the_retry_of_a_code_that_was_spent_unheard_is_no_replay(
    world: World, losses: int
) -> None:
    """The write was done, and then the store was away for longer: 503, and the client retries."""
    code = await world.code()
    world.faults.next("replace", LosesAnswer())
    world.faults.next("read", None, Fails(), *[Fails()] * (losses - 1))
    for _ in range(losses):
        assert isinstance(await redeemed(world, code), TemporarilyUnavailable)
    tokens = await world.redeem(code)
    assert (await world.stored()).ended_at is None
    assert (await world.refresh(tokens.refresh_token)).access_token


async def test_the_use_after_that_retry_is_a_replay(world: World) -> None:
    code = await world.code()
    world.faults.next("replace", LosesAnswer())
    world.faults.next("read", None, Fails())
    with pytest.raises(TemporarilyUnavailable):
        await world.redeem(code)
    await world.redeem(code)
    with pytest.raises(InvalidGrant):
        await world.redeem(code)
    assert (await world.stored()).ended_at is not None


async def test_a_code_that_was_spent_unheard_still_expires(world: World) -> None:
    """A code lives for a minute, whatever the store did meanwhile."""
    code = await world.code()
    world.faults.next("replace", LosesAnswer())
    world.faults.next("read", None, Fails())
    with pytest.raises(TemporarilyUnavailable):
        await world.redeem(code)
    world.clock.turn(61)
    with pytest.raises(InvalidGrant):
        await world.redeem(code)


async def test_a_write_that_was_not_done_leaves_the_code_unspent(world: World) -> None:
    code = await world.code()
    world.faults.next("replace", Fails())
    with pytest.raises(TemporarilyUnavailable):
        await world.redeem(code)
    assert (await world.stored()).code_spent_at is None
    world.clock.turn(1)
    assert (await world.redeem(code)).access_token


async def test_a_failed_try_here_does_not_excuse_a_replay_of_what_was_spent_elsewhere(
    world: World,
) -> None:
    """Our write was not done; another replica's was. Its client has the tokens."""
    code = await world.code()
    world.faults.next("replace", Fails())
    with pytest.raises(TemporarilyUnavailable):
        await world.redeem(code)
    world.clock.turn(1)
    here, world.unconfirmed = world.unconfirmed, type(world.unconfirmed)()
    await world.redeem(code)
    world.unconfirmed = here
    with pytest.raises(InvalidGrant):
        await world.redeem(code)
    assert (await world.stored()).ended_at is not None


@pytest.mark.parametrize("later", [0, 1, 59])
async def test_a_refresh_whose_answer_was_lost_gets_the_same_successor(
    world: World, later: float
) -> None:
    token = await world.refresh_token()
    world.faults.next("replace", LosesAnswer())
    world.faults.next("read", None, Fails())
    with pytest.raises(TemporarilyUnavailable):
        await world.refresh(token)
    world.clock.turn(later)
    again = await world.refresh(token)
    state = (await world.stored()).refresh
    assert state is not None
    assert state.generation == 2
    assert (await world.refresh(again.refresh_token)).access_token


async def test_a_lost_answer_to_the_end_of_a_grant_leaves_it_ended(world: World) -> None:
    token = await world.refresh_token()
    await world.refresh(token)
    world.clock.turn(120)
    world.faults.next("replace", LosesAnswer())
    world.faults.next("read", None, Fails())
    with pytest.raises(TemporarilyUnavailable):
        await world.refresh(token)
    assert (await world.stored()).ended_at is not None
    with pytest.raises(InvalidGrant):
        await world.refresh(token)
