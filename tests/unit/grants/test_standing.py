"""Codes and refresh tokens of people whom an administrator locked or signed out."""

from dataclasses import replace
from datetime import timedelta

import pytest

from idp.oauth.errors import InvalidGrant
from idp.oauth.standing import UserStanding
from idp.oauth.subject import subject
from idp.tokens.issue import TokenSet
from tests.unit.grants.world import APP, CALLBACK, World, parameters

pytestmark = pytest.mark.anyio

SUB = subject("user-1", "local")


async def redeem(world: World, code: str, standings: dict[str, UserStanding]) -> TokenSet:
    handler = replace(world.code_grant(), logins=replace(world.logins, standings=standings))
    return await handler.redeem(parameters(code=code, redirect_uri=CALLBACK), APP)


async def refresh(world: World, token: str, standings: dict[str, UserStanding]) -> TokenSet:
    handler = replace(world.refresh_grant(), logins=replace(world.logins, standings=standings))
    return await handler.redeem(parameters(refresh_token=token), APP)


def out_now(world: World, *, locked: bool) -> dict[str, UserStanding]:
    world.clock.turn(1)
    return {SUB: UserStanding(locked=locked, not_before=None if locked else world.clock())}


@pytest.mark.parametrize("locked", [True, False])
async def test_a_code_of_somebody_who_is_out_is_refused_and_not_spent(
    world: World, *, locked: bool
) -> None:
    code = await world.code()
    with pytest.raises(InvalidGrant) as refusal:
        await redeem(world, code, out_now(world, locked=locked))
    assert "The code or its code_verifier is not valid" in refusal.value.description
    assert world.audit.events == ["grant_of_locked_user"]
    assert (await world.stored()).code_spent_at is None
    assert (await redeem(world, code, {})).access_token


@pytest.mark.parametrize("locked", [True, False])
async def test_a_refresh_token_of_somebody_who_is_out_is_refused_unseen(
    world: World, *, locked: bool
) -> None:
    token = await world.refresh_token()
    before = await world.stored()
    with pytest.raises(InvalidGrant):
        await refresh(world, token, out_now(world, locked=locked))
    assert world.connector.refreshed == []
    assert await world.stored() == before


async def test_the_grace_for_lost_answers_is_none_for_the_locked(world: World) -> None:
    token = await world.refresh_token()
    await refresh(world, token, {})
    with pytest.raises(InvalidGrant):
        await refresh(world, token, out_now(world, locked=True))


async def test_a_login_of_later_counts_again(world: World) -> None:
    standings = {SUB: UserStanding(not_before=world.clock() + timedelta(seconds=5))}
    with pytest.raises(InvalidGrant):
        await redeem(world, await world.code(), standings)
    world.clock.turn(5)
    tokens = await redeem(world, await world.code("grant-2"), standings)
    assert tokens.refresh_token is not None
    assert (await refresh(world, tokens.refresh_token, standings)).access_token


async def test_another_person_is_not_held_up(world: World) -> None:
    standings = {subject("user-2", "local"): UserStanding(locked=True)}
    assert (await redeem(world, await world.code(), standings)).access_token
