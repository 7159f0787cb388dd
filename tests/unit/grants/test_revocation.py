"""Revoking costs one write at most, and is never acknowledged without effect (RFC 7009)."""

import secrets
from datetime import timedelta

import pytest

from idp.keys.handles import Handles
from idp.keys.seal import SealingKey, SealingKeys
from idp.oauth.errors import (
    InvalidGrant,
    TemporarilyUnavailable,
    TooManyAttempts,
    UnsupportedTokenType,
)
from idp.tokens.issue import TokenSet
from storage.base import Document
from storage.kinds import GRANTS
from tests.kit.storage import Fails, LosesAnswer, Verb
from tests.unit.grants.world import APP, OTHER, World, parameters

pytestmark = pytest.mark.anyio


async def tokens_of(world: World, name: str = "grant-1") -> TokenSet:
    tokens = await world.redeem(await world.code(name))
    world.faults.calls.clear()
    world.audit.events.clear()
    return tokens


def refresh_token_of(tokens: TokenSet) -> str:
    assert tokens.refresh_token is not None
    return tokens.refresh_token


async def test_a_refresh_token_ends_its_grant_with_one_read_and_one_write(world: World) -> None:
    token = await world.refresh_token()
    assert await world.revocation().revoke(token, APP)
    assert (await world.stored()).ended_at == world.clock()
    assert (world.faults.calls["read"], world.faults.writes) == (1, 1)
    assert world.audit.events == ["token_revoked"]
    with pytest.raises(InvalidGrant):
        await world.refresh(token)


async def test_an_access_token_ends_its_grant_just_so(world: World) -> None:
    tokens = await tokens_of(world)
    assert await world.revocation().revoke(tokens.access_token, APP)
    assert (await world.stored()).ended_at == world.clock()
    assert (world.faults.calls["read"], world.faults.writes) == (1, 1)
    with pytest.raises(InvalidGrant):
        await world.refresh(refresh_token_of(tokens))


@pytest.mark.covers("I-3")
async def test_this_process_knows_at_once(world: World) -> None:
    revocation = world.revocation()
    assert await revocation.revoke(await world.refresh_token(), APP)
    assert "grant-1" in world.ended


async def test_an_access_token_of_a_grant_that_ended_costs_nothing(world: World) -> None:
    tokens = await tokens_of(world)
    world.ended.add("grant-1")
    assert not await world.revocation().revoke(tokens.access_token, APP)
    assert world.faults.calls == {}


async def test_what_ended_elsewhere_is_not_written_again(world: World) -> None:
    """This process has not heard of it yet."""
    tokens = await tokens_of(world)
    await world.revocation().revoke(refresh_token_of(tokens), APP)
    ended = await world.document()
    world.ended.clear()
    world.faults.calls.clear()
    for token in (tokens.access_token, refresh_token_of(tokens)):
        assert not await world.revocation().revoke(token, APP)
    assert world.faults.writes == 0
    assert await world.document() == ended


async def test_every_generation_that_is_genuine_revokes(world: World) -> None:
    """A spent one too: whoever gives it up wants the login to end, and /token would end it."""
    first = await world.refresh_token()
    for _ in range(3):
        world.clock.turn(100)
        latest = refresh_token_of(await world.refresh(await newest(world)))
    assert first != latest
    assert await world.revocation().revoke(first, APP)
    assert (await world.stored()).ended_at is not None


async def newest(world: World) -> str:
    grant = await world.stored()
    assert grant.refresh is not None
    return Handles(world.sealing).refresh_token(grant.name, grant.refresh.generation, grant.seed)


@pytest.mark.covers("I-8", "R-100")
async def test_no_garbage_reaches_the_store(world: World) -> None:
    tokens = await tokens_of(world)
    refresh_token, access_token = refresh_token_of(tokens), tokens.access_token
    garbage = [
        "x", "kir_", refresh_token[:-1], refresh_token + "A", access_token[:-2], "a.b.c",
        access_token + ".", refresh_token.replace("kir_", "kic_"),
        refresh_token.replace("grant-1", "nobody"), "日本", "x" * 10_000, refresh_token.upper(),
        await world.code("grant-2"),
    ]  # fmt: skip
    world.faults.calls.clear()
    for text in garbage:
        assert not await world.revocation().revoke(text, APP)
    assert world.faults.calls == {}


@pytest.mark.covers("R-100")
async def test_what_has_expired_is_not_written(world: World) -> None:
    tokens = await tokens_of(world)
    world.clock.turn(timedelta(days=30))
    for token in (refresh_token_of(tokens), tokens.access_token):
        assert not await world.revocation().revoke(token, APP)
    assert world.faults.writes == 0


@pytest.mark.covers("R-100", "CV-8")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
async def test_a_token_of_another_client_is_refused_and_lives(world: World, kind: str) -> None:
    tokens = await tokens_of(world)
    with pytest.raises(InvalidGrant, match="another client"):
        await world.revocation().revoke(getattr(tokens, kind), OTHER)
    assert world.faults.writes == 0
    assert (await world.stored()).ended_at is None
    assert (await world.refresh(refresh_token_of(tokens))).access_token


@pytest.mark.covers("R-75")
async def test_a_text_that_names_no_key_of_ours_is_paid_for(world: World) -> None:
    await world.refresh_token()
    foreign = SealingKeys([SealingKey(secrets.token_bytes(32))], random=secrets.token_bytes)
    forged = Handles(foreign).refresh_token("grant-1", 1, secrets.token_bytes(32))
    world.budget.left = 2
    for _ in range(2):
        assert not await world.revocation().revoke(forged, APP)
    with pytest.raises(TooManyAttempts):
        await world.revocation().revoke(forged, APP)
    assert world.faults.calls["read"] == 2


@pytest.mark.covers("R-100", "CV-10", "I-3")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
@pytest.mark.parametrize("verb", ["read", "replace"])
async def test_a_store_that_is_away_is_never_a_success(world: World, kind: str, verb: Verb) -> None:
    tokens = await tokens_of(world)
    world.faults.always(verb, Fails())
    with pytest.raises(TemporarilyUnavailable) as refusal:
        await world.revocation().revoke(getattr(tokens, kind), APP)
    assert refusal.value.retry_after.total_seconds() > 0
    assert "grant-1" not in world.ended
    world.faults.clear()
    assert await world.revocation().revoke(getattr(tokens, kind), APP)


@pytest.mark.covers("K-6")
async def test_a_write_whose_answer_was_lost_is_a_success(world: World) -> None:
    token = await world.refresh_token()
    world.faults.next("replace", LosesAnswer())
    assert await world.revocation().revoke(token, APP)
    assert (await world.stored()).ended_at is not None


async def test_a_grant_that_was_deleted_has_nothing_to_end(world: World) -> None:
    tokens = await tokens_of(world)
    await world.grants.delete("grant-1")
    for token in (refresh_token_of(tokens), tokens.access_token):
        assert not await world.revocation().revoke(token, APP)


@pytest.mark.covers("K-22", "I-3")
async def test_a_record_that_does_not_open_is_removed_by_its_access_token(world: World) -> None:
    """Its access tokens verify all the same: a success without an effect would be a lie."""
    tokens = await tokens_of(world)
    document = await world.document()
    spoiled = Document(
        name=document.name, columns={}, sealed=document.sealed[:-4] + "AAAA",
        version=document.version,
    )  # fmt: skip
    await world.inner.replace(GRANTS.name, spoiled)
    assert await world.revocation().revoke(tokens.access_token, APP)
    assert await world.inner.expired(GRANTS.name, "9999", 10) == []
    assert "grant-1" in world.ended


@pytest.mark.covers("I-7")
async def test_a_record_of_a_key_that_is_on_its_way_is_left_alone(world: World) -> None:
    tokens = await tokens_of(world)
    before, world.sealing_secret = world.sealing_secret, secrets.token_bytes(32)
    with pytest.raises(TemporarilyUnavailable):
        await world.revocation().revoke(tokens.access_token, APP)
    world.sealing_secret = before
    assert (await world.stored()).ended_at is None


@pytest.mark.spec("RFC 7009", "2.2.1")
async def test_what_cannot_be_revoked_is_said_not_to_be(world: World) -> None:
    tokens = await tokens_of(world)
    assert tokens.id_token is not None
    own = await world.client_credentials().redeem(parameters(), APP)
    for token in (tokens.id_token, own.access_token):
        with pytest.raises(UnsupportedTokenType):
            await world.revocation().revoke(token, APP)
    assert world.faults.calls == {}
    with pytest.raises(InvalidGrant):
        await world.revocation().revoke(own.access_token, OTHER)
