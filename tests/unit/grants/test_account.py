"""What people see and end of their own: bounded, by what records say, and whole or told."""

from dataclasses import replace
from datetime import timedelta

import pytest

from idp.grants.account import Account, NotAllEnded, NotTheirs
from idp.grants.ended import EndedGrants
from idp.grants.own_logins import OwnRules
from idp.grants.sign_out import SignOut
from idp.oauth.standing import UserStanding
from idp.oauth.subject import subject
from idp.tokens.refresh import RefreshPolicy
from idp.tokens.session import SessionLife, begin_session
from storage.collection import Stored
from storage.records import Grant
from tests.kit.storage import Fails
from tests.unit.grants.world import World, new_grant

pytestmark = [pytest.mark.anyio, pytest.mark.covers("R-110")]
KEEP_FOR = timedelta(minutes=65)
LIFE = SessionLife(absolute=timedelta(hours=24), keep_for=KEEP_FOR)
PAGE = "https://idp.example.com/account"
POLICY = RefreshPolicy(grace=timedelta(0), idle=None, absolute=None, keep_for=KEEP_FOR)


def account_of(world: World, *, most: int = 1000) -> Account:
    ended = EndedGrants(clock=world.clock, keep_for=KEEP_FOR, on_count=lambda _: None)
    return Account(
        grants=world.grants,
        sign_out=SignOut(
            grants=world.grants,
            ended=ended,
            clock=world.clock,
            keep_for=KEEP_FOR,
            audit=world.audit,
        ),
        rules=OwnRules(clients={}, standings={}, policy=POLICY, page=PAGE),
        clock=world.clock,
        audit=world.audit,
        most=most,
    )


async def begin(world: World, name: str, **changes: str) -> Stored[Grant]:
    """Store a session."""
    grant = replace(new_grant(name, world.clock()), **changes)  # type: ignore[arg-type]
    spent = replace(grant, code_spent_at=world.clock())
    return await world.grants.create(begin_session(spent, None, LIFE))


async def test_no_more_than_the_bound_is_looked_at_and_that_is_told(world: World) -> None:
    mine = await begin(world, "session-0")
    for number in range(1, 5):
        await begin(world, f"session-{number}")
    assert (await account_of(world, most=5).overview(mine.record)).is_whole
    some = await account_of(world, most=4).overview(mine.record)
    assert (len(some.sessions), some.is_whole) == (4, False)


async def test_a_label_that_was_written_by_hand_shows_and_ends_nothing(world: World) -> None:
    """Who may write labels, and nothing else, puts the record of somebody else under a person."""
    mine = await begin(world, "mine")
    await begin(world, "theirs", user_id="somebody-else")
    person = (await world.document("mine")).columns["person"]
    theirs = await world.document("theirs")
    forged = replace(theirs, columns={**theirs.columns, "person": person})
    await world.grants.backend.replace("refresh-grants", forged)
    account = account_of(world)

    shown = await account.overview(mine.record)
    assert [each.name for each in shown.sessions] == ["mine"]
    for end in (account.end_session, account.end_login):
        with pytest.raises(NotTheirs):
            await end(mine.record, "theirs")
    await account.end_everything(mine)
    assert (await world.stored("theirs")).ended_at is None


async def test_the_same_id_at_another_connector_is_somebody_else(world: World) -> None:
    mine = await begin(world, "mine")
    await begin(world, "theirs", connector_id="another")
    with pytest.raises(NotTheirs):
        await account_of(world).end_session(mine.record, "theirs")


async def test_the_own_session_is_the_last_to_end(world: World) -> None:
    mine = await begin(world, "a-mine")
    for number in range(20):
        await begin(world, f"session-{number}")
    world.faults.next("replace", *[None] * 10, Fails())
    with pytest.raises(NotAllEnded):
        await account_of(world).end_everything(mine)
    assert (await world.stored("a-mine")).ended_at is None

    ended = await account_of(world).end_everything(mine)
    assert ended[-1].name == "a-mine"
    left = [each.record.name async for each in world.grants.scan() if not each.record.ended_at]
    assert left == []


async def test_what_an_administrator_ended_is_not_shown(world: World) -> None:
    mine = await begin(world, "mine")
    world.clock.turn(60)
    after = await begin(world, "after")
    said = UserStanding(not_before=world.clock() - timedelta(seconds=30))
    account = account_of(world)
    rules = replace(
        account.rules, standings={subject(mine.record.user_id, mine.record.connector_id): said}
    )
    shown = await replace(account, rules=rules).overview(after.record)
    assert [each.name for each in shown.sessions] == ["after"]
