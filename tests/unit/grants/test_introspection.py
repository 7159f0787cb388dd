"""What introspection says of refresh tokens in every state, and what that costs (RFC 7662)."""

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from idp.clock import epoch_seconds
from idp.keys.handles import Handles
from idp.keys.seal import SealingKey, SealingKeys
from idp.oauth.claims import Claims
from idp.oauth.client import Allowed, TokenRules
from idp.oauth.errors import TemporarilyUnavailable, TooManyAttempts
from idp.oauth.standing import UserStanding
from idp.oauth.subject import subject
from tests.kit.storage import Fails
from tests.unit.grants.world import APP, ISSUER, OTHER, World

pytestmark = pytest.mark.anyio

INACTIVE = {"active": False}
SUB = subject("user-1", "local")


async def describe(world: World, token: str) -> Claims:
    return await world.introspection().describe(token, APP)


async def test_a_refresh_token_is_told_with_one_look(world: World) -> None:
    token = await world.refresh_token()
    now = epoch_seconds(world.clock())
    assert await describe(world, token) == {
        "active": True,
        "token_use": "refresh_token",
        "client_id": "app",
        "sub": SUB,
        "iss": ISSUER,
        "aud": ISSUER,
        "scope": "openid groups offline_access",
        "iat": now,
        "exp": now + int(timedelta(days=30).total_seconds()),
    }
    assert world.faults.calls == {"read": 1}


async def test_the_times_are_those_of_the_token_that_is_good_now(world: World) -> None:
    token = await world.refresh_token()
    world.clock.turn(timedelta(days=20))
    renewed = (await world.refresh(token)).refresh_token
    assert renewed is not None
    answer = await describe(world, renewed)
    assert answer["iat"] == epoch_seconds(world.clock())
    # The one before is good for a moment more, and until when nobody can say exactly.
    before = await describe(world, token)
    assert before["active"]
    assert not {"iat", "exp"} & set(before)


async def test_a_refresh_token_without_end_has_no_end(world: World) -> None:
    world.policy = replace(world.policy, idle=None, absolute=None)
    assert "exp" not in await describe(world, await world.refresh_token())


@pytest.mark.spec("RFC 7662", "4")
async def test_a_spent_refresh_token_is_inactive_and_asking_ends_nothing(world: World) -> None:
    """At the token endpoint the same text would end the login: here it only is not good."""
    token = await world.refresh_token()
    renewed = (await world.refresh(token)).refresh_token
    assert renewed is not None
    world.clock.turn(61)
    world.faults.calls.clear()
    assert await describe(world, token) == INACTIVE
    assert world.faults.writes == 0
    assert (await describe(world, renewed))["active"]


async def test_a_token_ahead_of_a_restored_store_is_active(world: World) -> None:
    """The token endpoint takes it, so this must not say otherwise."""
    token = await world.refresh_token()
    backup = await world.document()
    renewed = (await world.refresh(token)).refresh_token
    assert renewed is not None
    await world.bring_back(backup)
    answer = await describe(world, renewed)
    assert answer["active"]
    assert "exp" not in answer


@pytest.mark.spec("RFC 7662", "4")
@pytest.mark.parametrize("days", [30, 180])
async def test_an_expired_refresh_token_is_inactive(world: World, days: int) -> None:
    token = await world.refresh_token()
    world.clock.turn(timedelta(days=days))
    assert await describe(world, token) == INACTIVE


@pytest.mark.spec("RFC 7662", "4")
async def test_a_revoked_refresh_token_is_inactive(world: World) -> None:
    token = await world.refresh_token()
    await world.revocation().revoke(token, APP)
    assert await describe(world, token) == INACTIVE


@pytest.mark.parametrize("locked", [True, False])
async def test_a_refresh_token_of_somebody_who_is_out_is_inactive(
    world: World, *, locked: bool
) -> None:
    token = await world.refresh_token()
    world.clock.turn(1)
    standing = UserStanding(locked=locked, not_before=None if locked else world.clock())
    introspection = world.introspection({SUB: standing})
    assert await introspection.describe(token, APP) == INACTIVE


async def test_a_refresh_token_is_nothing_to_another_client(world: World) -> None:
    token = await world.refresh_token()
    assert await world.introspection().describe(token, OTHER) == INACTIVE


async def test_a_grant_that_was_deleted_is_inactive(world: World) -> None:
    token = await world.refresh_token()
    await world.grants.delete("grant-1")
    assert await describe(world, token) == INACTIVE


@pytest.mark.covers("R-45", "R-101")
async def test_other_texts_of_ours_are_inactive_and_cost_nothing(world: World) -> None:
    tokens = await world.redeem(await world.code())
    code = await world.code("grant-2")
    world.faults.calls.clear()
    for text in (tokens.id_token or "", code, "", "x", "kir_grant-1.1.x.y"):
        assert await describe(world, text) == INACTIVE
    assert world.faults.calls == {}


@pytest.mark.covers("K-1", "CV-10", "I-7")
async def test_while_the_store_is_away_nobody_hears_that_a_token_is_bad(world: World) -> None:
    tokens = await world.redeem(await world.code())
    world.faults.always("read", Fails())
    with pytest.raises(TemporarilyUnavailable):
        await describe(world, tokens.refresh_token or "")
    assert (await describe(world, tokens.access_token))["active"]


@pytest.mark.covers("R-75")
@pytest.mark.spec("RFC 7662", "2.1")
async def test_scanning_for_tokens_is_slowed_down(world: World) -> None:
    foreign = SealingKeys([SealingKey(secrets.token_bytes(32))], random=secrets.token_bytes)
    world.budget.left = 3
    for number in range(3):
        forged = Handles(foreign).refresh_token(f"grant-{number}", 1, secrets.token_bytes(32))
        assert await describe(world, forged) == INACTIVE
    with pytest.raises(TooManyAttempts):
        await describe(world, Handles(foreign).refresh_token("g", 1, secrets.token_bytes(32)))


@pytest.mark.parametrize(
    "rules",
    [
        {"allowed": Allowed(connectors=frozenset({"elsewhere"}))},
        {"allowed": Allowed(grant_types=frozenset({"authorization_code"}))},
        {"tokens": TokenRules(offline_access="never")},
        {"tokens": TokenRules(refresh_idle=timedelta(seconds=5))},
    ],
)
async def test_a_refresh_token_that_its_client_may_not_use_any_more_is_inactive(
    world: World, rules: dict[str, Any]
) -> None:
    """What the token endpoint would refuse is not good here either."""
    token = await world.refresh_token()
    world.clock.turn(5)
    assert (await describe(world, token))["active"]
    assert await world.introspection().describe(token, replace(APP, **rules)) == INACTIVE


async def test_the_end_of_a_refresh_token_is_the_one_of_its_client(world: World) -> None:
    token = await world.refresh_token()
    client = replace(APP, tokens=TokenRules(refresh_idle=timedelta(hours=1)))
    answer = await world.introspection().describe(token, client)
    assert answer["exp"] == epoch_seconds(world.clock()) + 3600
