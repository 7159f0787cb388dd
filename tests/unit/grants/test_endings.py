"""A session that ended takes its grants with it, each with one write, wherever it was ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from idp.grants.ended import EndedGrants
from idp.grants.endings import SessionEndings, end_members
from idp.tokens.session import SessionLife, begin_session, end_session
from storage.base import Change
from storage.records import Grant
from tests.kit.storage import Fails
from tests.unit.grants.world import World, new_grant

pytestmark = [pytest.mark.anyio, pytest.mark.covers("I-3")]
LIFE = SessionLife(absolute=timedelta(hours=24), keep_for=timedelta(minutes=65))
KEEP_FOR = timedelta(minutes=65)


async def begin(world: World, *members: str, session: str = "session-1") -> None:
    """Store a session and grants that belong to it."""
    first = new_grant(session, world.clock())
    await world.grants.create(begin_session(first, None, LIFE))
    for name in members:
        await world.grants.create(replace(new_grant(name, world.clock()), session=session))
    world.faults.calls.clear()


async def ended_names(world: World) -> set[str]:
    return {
        each.record.name async for each in world.grants.scan() if each.record.ended_at is not None
    }


async def end(world: World, session: str = "session-1") -> list[str]:
    return [
        grant.name
        async for grant in end_members(world.grants, session, world.clock, keep_for=KEEP_FOR)
    ]


async def test_each_grant_of_the_session_is_one_write(world: World) -> None:
    await begin(world, "grant-1", "grant-2")
    await begin(world, "grant-3", session="session-2")
    assert await end(world) == ["grant-1", "grant-2", "session-1"]
    assert world.faults.writes == 3
    assert await ended_names(world) == {"grant-1", "grant-2", "session-1"}


async def test_what_has_ended_is_not_written_again(world: World) -> None:
    await begin(world, "grant-1")
    await end(world)
    writes = world.faults.writes
    assert await end(world) == []
    assert world.faults.writes == writes


@pytest.mark.covers("R-97")
async def test_a_column_that_somebody_edited_pulls_nobody_into_a_session(world: World) -> None:
    await begin(world)
    await world.grants.create(new_grant("grant-1", world.clock()))
    document = await world.document("grant-1")
    columns = {**document.columns, "session": "session-1"}
    await world.inner.replace("refresh-grants", replace(document, columns=columns))
    assert await end(world) == ["session-1"]


@asynccontextmanager
async def working(endings: SessionEndings) -> AsyncIterator[None]:
    job = asyncio.create_task(endings.run())
    try:
        yield
    finally:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job


async def _at_once(_: float) -> None:
    await asyncio.sleep(0)


async def until(condition: "asyncio.Event") -> None:
    await asyncio.wait_for(condition.wait(), 10)


async def test_the_leader_ends_the_grants_of_a_session_it_hears_of(world: World) -> None:
    await begin(world, "grant-1")
    done, heard = asyncio.Event(), list[str]()

    def on_ended(grant: Grant) -> None:
        heard.append(grant.name)
        if len(heard) == 2:
            done.set()

    endings = SessionEndings(
        grants=world.grants,
        clock=world.clock,
        keep_for=KEEP_FOR,
        leads=lambda: True,
        on_ended=on_ended,
        sleep=_at_once,
    )
    async with working(endings):
        endings.hear("session-1")
        await until(done)
    assert await ended_names(world) == {"grant-1", "session-1"}


async def test_another_replica_leaves_it_to_the_leader_and_looks_again(world: World) -> None:
    await begin(world, "grant-1")
    done, asked = asyncio.Event(), list[bool]()

    def leads() -> bool:
        asked.append(len(asked) > 0)
        return asked[-1]

    endings = SessionEndings(
        grants=world.grants,
        clock=world.clock,
        keep_for=KEEP_FOR,
        leads=leads,
        on_ended=lambda _: done.set(),
        sleep=_at_once,
    )
    async with working(endings):
        endings.hear("session-1")
        await until(done)
    assert asked == [False, True]


async def test_a_store_that_is_away_stops_nothing_else(world: World) -> None:
    await begin(world, "grant-1")
    await begin(world, "grant-2", session="session-2")
    done = asyncio.Event()
    endings = SessionEndings(
        grants=world.grants,
        clock=world.clock,
        keep_for=KEEP_FOR,
        leads=lambda: True,
        on_ended=lambda grant: done.set() if grant.session == "session-2" else None,
        sleep=_at_once,
    )
    world.faults.next("scan", Fails())
    async with working(endings):
        endings.hear("session-1")
        await asyncio.sleep(0.01)
        endings.hear("session-2")
        await until(done)


def ended_grants(world: World, heard: list[str]) -> EndedGrants:
    return EndedGrants(
        clock=world.clock, keep_for=KEEP_FOR, on_count=lambda _: None, on_session=heard.append
    )


def change(world: World, grant: Grant, *, gone: bool = False) -> Change:
    return Change(name=grant.name, columns=world.grants.kind.encode(grant)[0], gone=gone)


async def test_ends_of_sessions_are_told_from_ends_of_grants(world: World) -> None:
    heard: list[str] = []
    ended = ended_grants(world, heard)
    session = begin_session(new_grant("session-1", world.clock()), None, LIFE)
    ended.see(change(world, session))
    ended.see(change(world, replace(session, ended_at=world.clock())))
    assert "session-1" in ended
    assert "session-1" not in ended.sessions
    ended.see(change(world, end_session(session, world.clock(), KEEP_FOR)))
    ended.see(change(world, end_session(session, world.clock(), KEEP_FOR)))
    assert "session-1" in ended.sessions
    assert heard == ["session-1"]


async def test_a_deleted_record_ends_its_session_but_no_other(world: World) -> None:
    heard: list[str] = []
    ended = ended_grants(world, heard)
    member = replace(new_grant("grant-1", world.clock()), session="session-1")
    ended.see(change(world, member, gone=True))
    assert not heard
    session = begin_session(new_grant("session-1", world.clock()), None, LIFE)
    ended.see(change(world, session, gone=True))
    assert heard == ["session-1"]


async def test_a_record_that_was_swept_away_in_time_ends_nothing(world: World) -> None:
    """Applications that may renew by themselves go on after the browser's session."""
    heard: list[str] = []
    ended = ended_grants(world, heard)
    session = begin_session(new_grant("session-1", world.clock()), None, LIFE)
    world.clock.turn((session.expires_at - world.clock()).total_seconds())
    ended.see(change(world, session, gone=True))
    assert not heard
    assert "session-1" not in ended.sessions


@pytest.mark.parametrize(("minutes", "told"), [(1, True), (3, False)])
async def test_a_restart_knows_sessions_that_ended_and_tells_of_the_latest(
    world: World, *, minutes: int, told: bool
) -> None:
    await begin(world)
    stored = await world.grants.get("session-1")
    await world.grants.update(stored, lambda grant: end_session(grant, world.clock(), KEEP_FOR))
    world.clock.turn(60 * minutes)
    heard: list[str] = []
    ended = ended_grants(world, heard)
    await ended.load(world.grants)
    assert "session-1" in ended.sessions
    assert bool(heard) is told


async def test_nothing_of_an_ended_session_is_redeemed_or_renewed(world: World) -> None:
    from idp.oauth.errors import InvalidGrant

    code = await world.code("grant-1")
    token = await world.refresh_token("grant-2")
    for name in ("grant-1", "grant-2"):
        stored = await world.grants.get(name)
        await world.grants.update(stored, lambda grant: replace(grant, session="session-1"))
    world.ended_sessions.add("session-1")
    with pytest.raises(InvalidGrant):
        await world.redeem(code)
    with pytest.raises(InvalidGrant):
        await world.refresh(token)
    assert world.audit.events == ["grant_of_ended_session"] * 2
