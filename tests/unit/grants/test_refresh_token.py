"""Refreshing: one write, one successor, the connector asked, nothing spent in an outage."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from connectors.base import BadCredentials, ConnectorUnavailable, Identity
from idp.oauth.client import ClaimRules, Client
from idp.oauth.errors import (
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    OAuthError,
    TemporarilyUnavailable,
)
from storage.kinds import GRANTS
from tests.kit.connectors import OneTimePasswordConnector
from tests.kit.storage import Fails, Waits
from tests.unit.grants.world import ALICE, APP, OTHER, World, claims_in, parameters

pytestmark = pytest.mark.anyio


@pytest.mark.covers("R-30")
async def test_a_refresh_is_one_read_and_one_write(world: World) -> None:
    token = await world.refresh_token()
    tokens = await world.refresh(token)
    assert dict(world.faults.calls) == {"read": 1, "replace": 1}
    assert tokens.refresh_token not in (None, token)
    assert world.connector.refreshed == ["user-1"]


@pytest.mark.covers("R-31", "I-2")
@pytest.mark.parametrize("slow", [False, True])
async def test_a_hundred_parallel_uses_get_the_same_single_successor(
    world: World,
    slow: bool,  # noqa: FBT001
) -> None:
    token = await world.refresh_token()
    if slow:
        # All have read before anyone writes: one wins, the others judge again.
        world.faults.always("read", Waits(0.002))
        world.faults.always("replace", Waits(0.002))
    version = (await world.document()).version
    results = await asyncio.gather(*(world.refresh(token) for _ in range(100)))
    assert len({tokens.refresh_token for tokens in results}) == 1
    assert len({tokens.access_token for tokens in results}) == 100
    state = (await world.stored()).refresh
    assert state is not None
    assert state.generation == 2
    # The backend counts versions: exactly one write took place.
    assert int((await world.document()).version) == int(version) + 1
    if not slow:
        assert world.faults.writes == 1


@pytest.mark.covers("R-31")
async def test_the_grace_writes_nothing_and_asks_nobody(world: World) -> None:
    token = await world.refresh_token()
    successor = (await world.refresh(token)).refresh_token
    world.faults.calls.clear()
    world.connector.refreshed.clear()
    for _ in range(5):
        world.clock.turn(10)
        assert (await world.refresh(token)).refresh_token == successor
    assert dict(world.faults.calls) == {"read": 5}
    assert world.connector.refreshed == []


@pytest.mark.covers("R-32")
async def test_reuse_after_the_grace_ends_everything_with_one_audit_event(world: World) -> None:
    first = await world.refresh_token()
    second = (await world.refresh(first)).refresh_token
    third = (await world.refresh(second)).refresh_token
    world.audit.events.clear()
    world.clock.turn(90)
    for token in (first, first, second, third):
        with pytest.raises(InvalidGrant):
            await world.refresh(token)
    assert (await world.stored()).ended_at is not None
    assert world.audit.events.count("refresh_token_reused") == 1


@pytest.mark.covers("R-32")
async def test_reuse_ends_the_grant_although_the_connector_is_away(world: World) -> None:
    """A thief who also brings the directory down must not keep the session alive."""
    token = await world.refresh_token()
    await world.refresh(token)
    world.clock.turn(90)
    world.connector.trouble = ConnectorUnavailable("down")
    with pytest.raises(InvalidGrant):
        await world.refresh(token)
    assert (await world.stored()).ended_at is not None


@pytest.mark.covers("R-35", "CV-8")
async def test_another_client_neither_gets_nor_ends_anything(world: World) -> None:
    first = await world.refresh_token()
    second = (await world.refresh(first)).refresh_token
    world.clock.turn(90)
    world.faults.calls.clear()
    for token in (first, second):
        with pytest.raises(InvalidGrant):
            await world.refresh(token, client=OTHER)
    assert world.faults.writes == 0
    assert (await world.refresh(second)).access_token


@pytest.mark.covers("R-34")
@pytest.mark.parametrize(
    "scope",
    ["openid email", "email", "openid groups offline_access profile", "OPENID", "openid unknown",
     "audience:server:client_id:other", "openid federated:id"],
)  # fmt: skip
async def test_a_wider_scope_is_refused_and_nothing_is_spent(world: World, scope: str) -> None:
    token = await world.refresh_token()
    with pytest.raises(InvalidScope):
        await world.refresh(token, scope=scope)
    assert world.faults.writes == 0
    assert (await world.refresh(token)).access_token


@pytest.mark.covers("R-34")
async def test_a_narrower_scope_is_served_and_not_remembered(world: World) -> None:
    token = await world.refresh_token()
    narrow = await world.refresh(token, scope="openid")
    assert narrow.scope == "openid"
    wide = await world.refresh(narrow.refresh_token)
    assert wide.scope == "openid groups offline_access"


@pytest.mark.covers("R-36")
async def test_several_logins_live_side_by_side(world: World) -> None:
    tokens = [await world.refresh_token(f"grant-{n}") for n in range(5)]
    stolen = tokens[2]
    await world.refresh(stolen)
    world.clock.turn(90)
    with pytest.raises(InvalidGrant):
        await world.refresh(stolen)
    for index in (0, 1, 3, 4):
        assert (await world.refresh(tokens[index])).access_token


@pytest.mark.covers("R-37")
@pytest.mark.parametrize("replacement", [None, Identity(user_id="user-2", username="Alice")])
async def test_a_person_who_is_gone_or_replaced_is_refused_without_a_write(
    world: World, replacement: Identity | None
) -> None:
    token = await world.refresh_token()
    if replacement is None:
        del world.connector.people["alice"]
    else:
        world.connector.people["alice"] = ("secret", replacement)
    for _ in range(2):
        with pytest.raises(InvalidGrant):
            await world.refresh(token)
    assert world.faults.writes == 0
    # Brought back, as after a mistake of an administrator: the same session goes on.
    world.connector.people["alice"] = ("secret", ALICE)
    assert (await world.refresh(token)).access_token


@pytest.mark.covers("R-37", "I-7")
async def test_a_connector_that_is_away_spends_nothing(world: World) -> None:
    token = await world.refresh_token()
    world.connector.trouble = ConnectorUnavailable("ldaps://10.0.0.1 refused cn=admin")
    for _ in range(3):
        with pytest.raises(TemporarilyUnavailable) as refused:
            await world.refresh(token)
        assert refused.value.retry_after.total_seconds() > 0
        assert "10.0.0.1" not in refused.value.description
    assert world.faults.writes == 0
    world.connector.trouble = None
    assert (await world.refresh(token)).access_token


async def test_an_answer_no_connector_should_give_is_a_fault_of_ours_not_of_the_person(
    world: World,
) -> None:
    """`invalid_grant` would make the client throw its token away for somebody's bug."""
    token = await world.refresh_token()
    world.connector.trouble = BadCredentials("never to be raised by refresh")
    with pytest.raises(Exception) as fault:  # noqa: PT011
        await world.refresh(token)
    assert not isinstance(fault.value, InvalidGrant)
    assert world.faults.writes == 0


@pytest.mark.covers("CV-33", "R-37")
@pytest.mark.parametrize("connector", [None, "cannot be asked again"])
async def test_a_connector_that_was_removed_gives_no_more_tokens(
    world: World, connector: str | None
) -> None:
    token = await world.refresh_token()
    found = OneTimePasswordConnector(world.connector) if connector else None
    world.connectors = lambda _: found
    with pytest.raises(InvalidGrant):
        await world.refresh(token)
    assert world.faults.writes == 0


@pytest.mark.covers("R-37")
async def test_what_the_connector_says_now_is_in_the_tokens_and_in_the_record(
    world: World,
) -> None:
    token = await world.refresh_token()
    world.connector.people["alice"] = ("secret", replace(ALICE, groups=("retired",)))
    await world.refresh(token)
    assert (await world.stored()).groups == ("retired",)


async def test_claims_are_replaced_by_what_the_connector_says_now(world: World) -> None:
    told = replace(ALICE, claims=(("department", ("history",)), ("badge", ("7",))))
    world.connector.people["alice"] = ("secret", told)
    token = await world.refresh_token()
    await world.change(scopes=("openid", "profile", "offline_access"), claims=told.claims)
    world.connector.people["alice"] = (
        "secret",
        replace(ALICE, claims=(("department", ("physics",)), ("phone_number", ("+49 221",)))),
    )
    renewed = await world.refresh(token)
    assert (await world.stored()).claims == (("department", ("physics",)),)
    assert claims_in(renewed.id_token)["department"] == "physics"
    assert "badge" not in claims_in(renewed.access_token)


@pytest.mark.covers("CV-3")
async def test_the_rules_of_a_client_count_at_its_next_refresh(world: World) -> None:
    everything = replace(ALICE, groups=("team-a", "team-b", "admins"))
    world.connector.people["alice"] = ("secret", everything)
    token = await world.refresh_token()
    rules = ClaimRules(groups_filter=("team-*",), groups_prefix="idp:", id_token_claims="minimal")
    renewed = await world.refresh(token, client=replace(APP, claims=rules))
    assert (await world.stored()).groups == ("team-a", "team-b")
    assert claims_in(renewed.access_token)["groups"] == ["idp:team-a", "idp:team-b"]
    assert "groups" not in claims_in(renewed.id_token)
    again = await world.refresh(renewed.refresh_token, client=APP)
    assert claims_in(again.id_token)["groups"] == ["team-a", "team-b", "admins"]


@pytest.mark.covers("K-17")
async def test_a_filter_counts_before_the_size_does(world: World) -> None:
    token = await world.refresh_token()
    many = tuple(f"group-number-{n}" for n in range(5000))
    world.connector.people["alice"] = ("secret", replace(ALICE, groups=many))
    filtering = replace(APP, claims=ClaimRules(groups_filter=("group-number-7",)))
    renewed = await world.refresh(token, client=filtering)
    assert claims_in(renewed.id_token)["groups"] == ["group-number-7"]
    assert (await world.stored()).groups == ("group-number-7",)


@pytest.mark.covers("CV-10", "K-1", "I-7")
@pytest.mark.parametrize("verb", ["read", "replace"])
async def test_a_store_that_is_away_spends_nothing(world: World, verb: Any) -> None:
    token = await world.refresh_token()
    world.faults.always(verb, Fails())
    for _ in range(3):
        with pytest.raises(TemporarilyUnavailable):
            await world.refresh(token)
    world.faults.clear()
    world.clock.turn(3600)
    assert (await world.refresh(token)).access_token
    state = (await world.stored()).refresh
    assert state is not None
    assert state.generation == 2


@pytest.mark.covers("K-14")
async def test_a_restored_record_is_healed_and_audited(world: World) -> None:
    token = await world.refresh_token()
    backup = await world.document()
    for _ in range(5):
        token = (await world.refresh(token)).refresh_token or ""
        world.clock.turn(3600)
    await world.bring_back(backup)
    world.audit.events.clear()

    healed = await world.refresh(token)

    state = (await world.stored()).refresh
    assert state is not None
    assert state.generation == 7
    assert "refresh_token_from_the_future" in world.audit.events
    assert (await world.refresh(healed.refresh_token)).access_token


@pytest.mark.covers("K-14", "R-32")
async def test_old_tokens_do_not_come_back_to_life_once_a_restored_record_is_healed(
    world: World,
) -> None:
    tokens = [await world.refresh_token()]
    backup = await world.document()
    for _ in range(5):
        tokens.append((await world.refresh(tokens[-1])).refresh_token or "")
        world.clock.turn(3600)
    await world.bring_back(backup)
    await world.refresh(tokens[-1])
    world.clock.turn(3600)
    with pytest.raises(InvalidGrant):
        await world.refresh(tokens[1])
    assert (await world.stored()).ended_at is not None


@pytest.mark.covers("K-17")
async def test_groups_that_grew_too_many_are_refused_before_anything_is_spent(
    world: World,
) -> None:
    token = await world.refresh_token()
    many = tuple(f"group-number-{n}" for n in range(1000))
    world.connector.people["alice"] = ("secret", replace(ALICE, groups=many))
    with pytest.raises(OAuthError) as refused:
        await world.refresh(token)
    assert refused.value.status < 500
    assert refused.value.code != "invalid_grant"
    assert "groups" in refused.value.description
    assert world.faults.writes == 0
    world.connector.people["alice"] = ("secret", ALICE)
    assert (await world.refresh(token)).access_token


@pytest.mark.covers("CV-3", "CV-33")
async def test_an_audience_that_trusts_the_client_no_more_is_refused(world: World) -> None:
    await world.code()
    scopes = ("openid", "offline_access", "audience:server:client_id:other")
    stored = await world.grants.get("grant-1")
    await world.grants.update(stored, lambda grant: replace(grant, scopes=scopes))
    code = world.lookup.handles.code("grant-1", stored.record.seed)
    trusting = replace(OTHER, trusted_peers=frozenset({"app"}))
    world.clients["other"] = trusting
    token = (await world.redeem(code)).refresh_token
    before = await world.document()

    async def refused() -> None:
        with pytest.raises(OAuthError) as refused:
            await world.refresh(token)
        assert refused.value.status == 400
        assert await world.document() == before

    world.clients["other"] = OTHER
    await refused()
    del world.clients["other"]
    await refused()
    # What needs no trust may still be had, and the session is not lost.
    assert (await world.refresh(token, scope="openid offline_access")).id_token
    world.clients["other"] = trusting
    world.clock.turn(10)
    assert (await world.refresh(token)).access_token


async def test_a_record_deleted_by_hand_is_gone(world: World) -> None:
    token = await world.refresh_token()
    await world.inner.remove(GRANTS.name, "grant-1")
    with pytest.raises(InvalidGrant):
        await world.refresh(token)


@pytest.mark.covers("K-21")
async def test_a_record_deleted_during_the_refresh_is_gone(world: World) -> None:
    token = await world.refresh_token()

    async def delete() -> None:
        await asyncio.sleep(0.01)
        await world.inner.remove(GRANTS.name, "grant-1")

    world.faults.next("replace", Waits(0.03))
    with pytest.raises(InvalidGrant):
        await asyncio.gather(world.refresh(token), delete())


@pytest.mark.covers("R-97")
async def test_the_record_of_another_login_does_not_open_under_this_name(world: World) -> None:
    """Whoever may write to the store still cannot give one person's session to another."""
    token = await world.refresh_token("grant-1")
    await world.refresh_token("grant-2")
    foreign = replace(await world.document("grant-2"), name="grant-1")
    await world.bring_back(foreign)
    with pytest.raises(OAuthError):
        await world.refresh(token)


async def test_a_refresh_token_is_required(world: World) -> None:
    with pytest.raises(InvalidRequest):
        await world.refresh_grant().redeem(parameters(), APP)


async def test_a_client_may_be_named_anything(world: World) -> None:
    token = await world.refresh_token()
    stranger = Client(id="app ", name="")
    with pytest.raises(InvalidGrant):
        await world.refresh(token, client=stranger)
