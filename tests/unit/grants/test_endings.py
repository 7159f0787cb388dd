"""A session that ended takes its grants with it, each with one write, wherever it was ended."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from idp.grants.ended import EndedGrants
from idp.grants.endings import GATHER_SECONDS, Endings, end_logins, end_members
from idp.oauth.subject import subject
from idp.tokens.session import SessionLife, begin_session, end_session, renew_session
from storage.base import Change
from storage.persons import person_key
from storage.records import Grant
from tests.kit.storage import Fails
from tests.kit.waiting import soon
from tests.unit.grants.world import World, new_grant

pytestmark = [pytest.mark.anyio, pytest.mark.covers("I-3")]
LIFE = SessionLife(absolute=timedelta(hours=24), keep_for=timedelta(minutes=65))
KEEP_FOR = timedelta(minutes=65)


async def begin(world: World, *members: str, session: str = "session-1") -> str:
    """Store a session and grants that belong to it; return its name."""
    first = new_grant(session, world.clock())
    await world.grants.create(begin_session(first, None, LIFE))
    for name in members:
        await world.grants.create(replace(new_grant(name, world.clock()), session=session))
    world.faults.calls.clear()
    return session


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
async def working(endings: Endings) -> AsyncIterator[None]:
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


@dataclass(slots=True)
class Told:
    """What was told of grants that ended together."""

    batches: list[list[str]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, grants: Sequence[Grant]) -> None:
        self.batches.append([grant.name for grant in grants])
        self.news.set()


def endings_of(world: World, told: Told, **options: Any) -> Endings:
    chosen: dict[str, Any] = {
        "leads": lambda: True,
        "has_ended": world.ended_sessions.__contains__,
        "wants_notice": lambda client_id: client_id == "app",
        "sleep": _at_once,
        **options,
    }
    return Endings(
        grants=world.grants, clock=world.clock, keep_for=KEEP_FOR, on_ended=told, **chosen
    )


async def test_the_leader_ends_the_grants_of_a_session_it_hears_of(world: World) -> None:
    await begin(world, "grant-1")
    told = Told()
    endings = endings_of(world, told)
    async with working(endings):
        endings.hear("session-1")
        await until(told.news)
    assert told.batches == [["grant-1", "session-1"]]
    assert await ended_names(world) == {"grant-1", "session-1"}


async def test_another_replica_leaves_it_to_the_leader_and_looks_again(world: World) -> None:
    await begin(world, "grant-1")
    told, asked = Told(), list[bool]()

    def leads() -> bool:
        asked.append(len(asked) > 0)
        return asked[-1]

    endings = endings_of(world, told, leads=leads)
    async with working(endings):
        endings.hear("session-1")
        await until(told.news)
    assert asked == [False, True]


async def test_who_never_leads_does_nothing(world: World) -> None:
    session = await begin(world, "grant-1")
    told, slept = Told(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    endings = endings_of(world, told, leads=lambda: False, sleep=sleep)
    async with working(endings):
        endings.hear("session-1")
        endings.hear_signed_out(SUB, world.clock() + timedelta(seconds=1))
        endings.hear_deleted(await deletion(world, session))
        await soon(lambda: len(slept) == 4)
        await asyncio.sleep(0.01)
    assert told.batches == []
    assert world.faults.calls["replace"] == 0


async def test_a_store_that_is_away_stops_nothing_else(world: World) -> None:
    await begin(world, "grant-1")
    await begin(world, "grant-2", session="session-2")
    told = Told()
    endings = endings_of(world, told)
    world.faults.next("scan", Fails())
    async with working(endings):
        endings.hear("session-1")
        await soon(lambda: told.batches == [[]])
        endings.hear("session-2")
        await soon(lambda: told.batches == [[], ["grant-2", "session-2"]])


async def deletion(world: World, name: str) -> Change:
    """Delete a record by hand and return what a watch says of that."""
    changes = world.grants.watch()
    await world.grants.delete(name)
    return await anext(changes)


@pytest.mark.covers("R-108")
async def test_clients_of_a_session_that_was_deleted_hear_of_it_together(world: World) -> None:
    await begin(world, "grant-1", "grant-2")
    told = Told()
    endings = endings_of(world, told)
    world.ended_sessions.add("session-1")
    async with working(endings):
        for name in ("session-1", "grant-1"):
            endings.hear_deleted(await deletion(world, name))
        endings.hear("session-1")
        await soon(lambda: told.batches)
    assert told.batches == [["session-1", "grant-1", "grant-2"]]


async def test_client_of_a_login_that_was_deleted_hears_of_it_once(world: World) -> None:
    await begin(world, "grant-1", "grant-2")
    told, slept = Told(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    endings = endings_of(world, told, sleep=sleep)
    gone = [await deletion(world, name) for name in ("grant-1", "grant-2")]
    async with working(endings):
        for each in gone:
            endings.hear_deleted(each)
        await soon(lambda: told.batches)
    assert told.batches == [["grant-1", "grant-2"]]
    assert slept == [GATHER_SECONDS]
    assert await ended_names(world) == set()


async def test_what_nobody_has_to_hear_of_is_not_kept(world: World) -> None:
    """Of a client without an address, of what had ended, and of what does not open."""
    told = Told()
    endings = endings_of(world, told)
    now = world.clock()
    await world.grants.create(replace(new_grant("other", now), client_id="other"))
    await world.grants.create(replace(new_grant("ended", now), ended_at=now))
    await world.grants.create(new_grant("good", now))
    gone = [await deletion(world, name) for name in ("other", "ended", "good")]
    async with working(endings):
        for each in (*gone[:2], replace(gone[2], sealed="x"), replace(gone[2], sealed="")):
            endings.hear_deleted(each)
        await asyncio.sleep(0.01)
    assert told.batches == []


SUB = subject("user-1", "local")


async def end_all(world: World, before: datetime) -> list[str]:
    logins = end_logins(world.grants, SUB, world.clock, before=before, keep_for=KEEP_FOR)
    return [grant.name async for grant in logins]


def of_person(name: str, world: World, **changes: Any) -> Grant:
    said = {"user_id": "user-1", "connector_id": "local", **changes}
    return replace(new_grant(name, world.clock()), **said)


async def test_old_logins_of_a_person_who_was_signed_out_end(world: World) -> None:
    before = world.clock() + timedelta(seconds=1)
    later = before + timedelta(seconds=1)
    for grant in (
        begin_session(of_person("session-1", world), None, LIFE),
        of_person("grant-1", world, session="session-1"),
        of_person("without-session", world),
        of_person("later", world, authenticated_at=later),
        of_person("ended", world, ended_at=world.clock()),
        of_person("namesake", world, connector_id="ldap"),
        of_person("other", world, user_id="user-2"),
    ):
        await world.grants.create(grant)
    world.faults.calls.clear()

    ended = await end_all(world, before)

    assert ended == ["grant-1", "session-1", "without-session"]
    assert world.faults.writes == 3
    assert await ended_names(world) == {*ended, "ended"}
    state = (await world.grants.get("session-1")).record.session_state
    assert state is not None
    assert state.ended_at == world.clock()
    assert await end_all(world, before) == []


async def test_session_that_was_renewed_since_goes_on(world: World) -> None:
    session = begin_session(of_person("session-1", world), None, LIFE)
    later = world.clock() + timedelta(seconds=2)
    again = of_person("grant-1", world, authenticated_at=later)
    await world.grants.create(renew_session(session, again, LIFE))

    assert await end_all(world, world.clock() + timedelta(seconds=1)) == ["session-1"]

    record = (await world.grants.get("session-1")).record
    assert record.ended_at is not None
    assert record.session_state is not None
    assert record.session_state.ended_at is None


@pytest.mark.covers("R-97")
async def test_a_label_that_somebody_edited_ends_nobody_elses_login(world: World) -> None:
    await world.grants.create(of_person("other", world, user_id="user-2"))
    document = await world.document("other")
    columns = {**document.columns, "person": person_key("local", "user-1")}
    await world.inner.replace("refresh-grants", replace(document, columns=columns))
    assert await end_all(world, world.clock() + timedelta(seconds=1)) == []


async def test_the_leader_ends_the_logins_of_a_person_it_hears_of(world: World) -> None:
    await world.grants.create(of_person("grant-1", world))
    told = Told()
    endings = endings_of(world, told)
    async with working(endings):
        endings.hear_signed_out(SUB, world.clock() + timedelta(seconds=1))
        await until(told.news)
    assert told.batches == [["grant-1"]]


@pytest.mark.covers("R-105")
async def test_logins_of_a_client_that_was_removed_end_and_its_sessions_go_on(
    world: World,
) -> None:
    now = world.clock()
    session = begin_session(replace(new_grant("session-1", now), client_id="gone"), None, LIFE)
    await world.grants.create(session)
    await world.grants.create(replace(new_grant("grant-1", now), client_id="gone"))
    await world.grants.create(new_grant("other", now))
    told = Told()
    endings = endings_of(world, told)
    async with working(endings):
        endings.hear_client_gone("gone")
        await until(told.news)
    assert told.batches == [["grant-1", "session-1"]]
    assert await ended_names(world) == {"grant-1", "session-1"}
    state = (await world.grants.get("session-1")).record.session_state
    assert state is not None
    assert state.ended_at is None


async def test_only_the_deletion_of_a_living_login_is_told(world: World) -> None:
    heard: list[str] = []
    ended = EndedGrants(
        clock=world.clock,
        keep_for=KEEP_FOR,
        on_count=lambda _: None,
        on_deleted=lambda change: heard.append(change.name),
    )
    now = world.clock()
    for name, gone in (("lives", False), ("lives", True), ("lives", True), ("other", True)):
        ended.see(change(world, new_grant(name, now), gone=gone))
    ended.see(change(world, replace(new_grant("tombstone", now), ended_at=now), gone=True))
    ended.see(change(world, replace(new_grant("swept", now), expires_at=now), gone=True))
    assert heard == ["lives", "other"]


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
