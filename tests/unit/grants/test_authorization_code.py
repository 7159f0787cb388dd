"""Redeeming a code: what is checked before it is spent, and what a replay costs."""

import asyncio
from dataclasses import replace

import pytest

from idp.oauth.errors import InvalidGrant, InvalidRequest, TemporarilyUnavailable
from idp.oauth.pkce import challenge_of
from storage.base import StorageUnavailable
from tests.kit.storage import Fails, Waits
from tests.unit.grants.world import CALLBACK, OTHER, World, new_grant, parameters

pytestmark = pytest.mark.anyio
VERIFIER = "v" * 43


async def code_with_challenge(world: World) -> str:
    code = await world.code("grant-2")
    stored = await world.grants.get("grant-2")
    await world.grants.update(
        stored, lambda grant: replace(grant, code_challenge=challenge_of(VERIFIER))
    )
    world.faults.calls.clear()
    return code


@pytest.mark.covers("R-20")
async def test_a_redemption_is_one_read_and_one_write(world: World) -> None:
    code = await world.code()
    tokens = await world.redeem(code)
    assert dict(world.faults.calls) == {"read": 1, "replace": 1}
    assert tokens.refresh_token is not None
    assert world.audit.events == ["tokens_issued"]


@pytest.mark.covers("R-21", "CV-8")
async def test_a_wrong_try_neither_burns_the_code_nor_writes(world: World) -> None:
    code = await code_with_challenge(world)
    answers = []
    for client, form in [
        (OTHER, {"redirect_uri": CALLBACK, "code_verifier": VERIFIER}),
        (None, {"redirect_uri": CALLBACK + "/", "code_verifier": VERIFIER}),
        (None, {"code_verifier": VERIFIER}),
        (None, {"redirect_uri": CALLBACK}),
        (None, {"redirect_uri": CALLBACK, "code_verifier": "w" * 43}),
        (None, {"redirect_uri": CALLBACK, "code_verifier": VERIFIER + "v"}),
        (None, {"redirect_uri": CALLBACK, "code_verifier": challenge_of(VERIFIER)}),
        (None, {"redirect_uri": CALLBACK, "code_verifier": "é" * 43}),
    ]:
        with pytest.raises(InvalidGrant) as refused:
            await world.code_grant().redeem(
                parameters(code=code, **form), client or replace(OTHER, id="app")
            )
        answers.append(refused.value.description)
    assert len(set(answers)) == 1
    assert world.faults.writes == 0
    assert (await world.redeem(code, code_verifier=VERIFIER)).access_token


@pytest.mark.covers("R-12", "CV-31")
async def test_a_verifier_without_a_challenge_is_refused(world: World) -> None:
    code = await world.code()
    with pytest.raises(InvalidGrant):
        await world.redeem(code, code_verifier=VERIFIER)
    assert (await world.stored()).code_spent_at is None


@pytest.mark.covers("R-20")
async def test_a_fully_correct_replay_ends_the_grant_once(world: World) -> None:
    code = await world.code()
    tokens = await world.redeem(code)
    for _ in range(3):
        with pytest.raises(InvalidGrant):
            await world.redeem(code)
    assert (await world.stored()).ended_at == world.clock()
    with pytest.raises(InvalidGrant):
        await world.refresh(tokens.refresh_token)
    assert world.faults.calls["replace"] == 2


@pytest.mark.covers("R-20")
async def test_a_replay_after_the_code_expired_still_ends_the_grant(world: World) -> None:
    code = await world.code()
    await world.redeem(code)
    world.clock.turn(3600)
    with pytest.raises(InvalidGrant):
        await world.redeem(code)
    assert (await world.stored()).ended_at is not None


@pytest.mark.covers("R-20", "R-21")
@pytest.mark.parametrize("wrong", [{"redirect_uri": "x"}, {"code_verifier": "w" * 43}])
async def test_a_replay_that_proves_nothing_ends_nothing(
    world: World, wrong: dict[str, str]
) -> None:
    """Whoever saw only the code, in a log or a history, must not sign people out with it."""
    code = await code_with_challenge(world)
    await world.redeem(code, code_verifier=VERIFIER)
    form = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **wrong}
    with pytest.raises(InvalidGrant):
        await world.code_grant().redeem(parameters(**form), replace(OTHER, id="app"))
    with pytest.raises(InvalidGrant):
        await world.redeem(code, client=OTHER, code_verifier=VERIFIER)
    assert (await world.stored("grant-2")).ended_at is None


@pytest.mark.covers("R-20", "I-1")
@pytest.mark.parametrize("racers", [2, 50])
async def test_racing_redemptions_have_at_most_one_winner(world: World, racers: int) -> None:
    code = await world.code()
    world.faults.always("read", Waits(0.001))
    world.faults.always("replace", Waits(0.001))
    results = await asyncio.gather(
        *(world.redeem(code) for _ in range(racers)), return_exceptions=True
    )
    won = [result for result in results if not isinstance(result, BaseException)]
    lost = [result for result in results if isinstance(result, BaseException)]
    assert len(won) == 1
    assert {type(error) for error in lost} == {InvalidGrant}
    # All were fully correct, so all but one were replays.
    assert (await world.stored()).ended_at is not None


@pytest.mark.covers("R-21")
async def test_an_expired_code_is_refused_without_a_write(world: World) -> None:
    code = await world.code()
    world.clock.turn(60)
    with pytest.raises(InvalidGrant):
        await world.redeem(code)
    assert world.faults.writes == 0


@pytest.mark.covers("CV-10", "K-1", "I-7")
@pytest.mark.parametrize("verb", ["read", "replace"])
async def test_a_store_that_is_away_spends_nothing(world: World, verb: str) -> None:
    code = await world.code()
    world.faults.always(verb, Fails())  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(TemporarilyUnavailable) as refused:
            await world.redeem(code)
        assert refused.value.retry_after.total_seconds() > 0
    world.faults.clear()
    assert (await world.redeem(code)).access_token


@pytest.mark.covers("CV-10")
async def test_what_the_store_says_is_not_told(world: World) -> None:
    code = await world.code()
    world.faults.next("read", Fails(StorageUnavailable("10.1.2.3:6443 refused the password x")))
    with pytest.raises(TemporarilyUnavailable) as refused:
        await world.redeem(code)
    assert "10.1.2.3" not in refused.value.description


async def test_a_grant_deleted_while_it_is_redeemed_is_gone(world: World) -> None:
    code = await world.code()

    async def delete() -> None:
        await asyncio.sleep(0.01)
        await world.grants.delete("grant-1")

    world.faults.next("replace", Waits(0.03))
    with pytest.raises(InvalidGrant):
        await asyncio.gather(world.redeem(code), delete())


async def test_a_code_is_required(world: World) -> None:
    with pytest.raises(InvalidRequest):
        await world.code_grant().redeem(parameters(redirect_uri=CALLBACK), OTHER)


async def test_a_login_without_refresh_gets_no_refresh_token(world: World) -> None:
    grant = replace(new_grant("grant-3", world.clock()), refresh=None, scopes=("openid",))
    await world.grants.create(grant)
    tokens = await world.redeem(world.lookup.handles.code("grant-3", grant.seed))
    assert tokens.refresh_token is None
