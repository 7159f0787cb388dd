"""Notices to clients: tried a few times, side by side, and never in anybody's way."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from idp.grants import logout_notices
from idp.grants.logout_notices import LogoutNotices, settled
from idp.oauth.client import LogoutRules
from idp.tokens.logout_token import LogoutTokens
from idp.transport.outbound import Fetched, OutboundFailed, OutboundRefused
from storage.records import Grant
from tests.unit.grants.world import APP, ISSUER, World, new_grant

pytestmark = [pytest.mark.anyio, pytest.mark.covers("R-108")]


@dataclass(slots=True)
class Application:
    """Answers with each of `answers` in turn, then 200."""

    answers: list[int | Exception] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, url: str, form: Mapping[str, str]) -> Fetched:
        self.heard.append((url, form["logout_token"]))
        await self.go.wait()
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return Fetched(answer, "text/plain", b"")


@dataclass(slots=True)
class Slept:
    """Sleeps no time, and remembers for how long it was asked to."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


@dataclass(slots=True)
class Post:
    """The notices of a world, and everybody they speak to."""

    world: World
    application: Application = field(default_factory=Application)
    slept: Slept = field(default_factory=Slept)

    def notices(self) -> LogoutNotices:
        rules = LogoutRules(backchannel_uri="https://app.example.com/back")
        return LogoutNotices(
            clients={"app": replace(APP, logout=rules), "silent": replace(APP, id="silent")},
            tokens=LogoutTokens(
                issuer=ISSUER,
                signer=self.world.signer,
                clock=self.world.clock,
                new_id=lambda: "id",
            ),
            post=self.application,
            audit=self.world.audit,
            sleep=self.slept,
        )


@asynccontextmanager
async def working(notices: LogoutNotices) -> AsyncIterator[None]:
    job = asyncio.create_task(notices.run())
    try:
        yield
    finally:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job


def grant(world: World, name: str = "grant-1", **changes: Any) -> Grant:
    return replace(new_grant(name, world.clock()), session="session-1", **changes)


async def told(post: Post, *grants: Grant) -> None:
    notices = post.notices()
    post.application.go.set()
    async with working(notices):
        await settled(notices.send(grants), within=10)


async def test_a_client_hears_once_of_a_session(world: World) -> None:
    post = Post(world)
    await told(post, grant(world), grant(world, "grant-2"), grant(world, "g3", client_id="silent"))
    assert len(post.application.heard) == 1
    assert post.application.heard[0][0] == "https://app.example.com/back"
    assert world.audit.events == ["logout_notice_sent"]


async def test_two_people_of_one_client_are_two_notices(world: World) -> None:
    post = Post(world)
    await told(post, grant(world), grant(world, "grant-2", user_id="user-2"))
    assert len(post.application.heard) == 2


async def test_what_fails_is_tried_again_with_the_same_token(world: World) -> None:
    post = Post(world, Application([500, OutboundFailed("down")]))
    await told(post, grant(world))
    assert len(post.application.heard) == 3
    assert len({token for _, token in post.application.heard}) == 1
    assert post.slept.seconds == [0.0, 1.0, 4.0]
    assert world.audit.events == ["logout_notice_sent"]


async def test_after_three_tries_it_is_given_up(world: World) -> None:
    post = Post(world, Application([500, 502, OutboundFailed("down")]))
    await told(post, grant(world))
    assert len(post.application.heard) == 3
    assert world.audit.events == ["logout_notice_failed"]


@pytest.mark.parametrize(
    ("answer", "event"),
    [(400, "logout_notice_refused"), (OutboundRefused("private"), "logout_notice_forbidden")],
)
async def test_what_is_refused_is_not_tried_again(
    world: World, answer: int | Exception, event: str
) -> None:
    post = Post(world, Application([answer]))
    await told(post, grant(world))
    assert len(post.application.heard) == 1
    assert world.audit.events == [event]


async def test_a_client_that_does_not_answer_holds_nobody_up(world: World) -> None:
    post = Post(world)
    notices = post.notices()
    async with working(notices):
        sent = notices.send([grant(world)])
        await settled(sent, within=0.01)
        assert not sent[0].is_set()
        again = notices.send([grant(world, "grant-2", user_id="user-2")])
        post.application.go.set()
        await settled([*sent, *again], within=10)
        assert all(each.is_set() for each in (*sent, *again))


async def test_too_many_at_once_are_dropped_and_said_to_be(world: World) -> None:
    post = Post(world)
    notices = post.notices()
    many = [
        grant(world, f"g{n}", user_id=f"user-{n}") for n in range(logout_notices.MOST_WAITING + 2)
    ]
    sent = notices.send(many)
    assert sum(each.is_set() for each in sent) == 2
    assert world.audit.events == ["logout_notice_dropped"] * 2
