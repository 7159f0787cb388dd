"""Following a source while serving: changes, broken sources, unknown keys."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from idp.keys.follow import Followed, FollowPace, KeyFollower
from idp.keys.key_file import KeyFileError, render
from idp.keys.key_source import KeyText
from idp.keys.seal import SealingKey, SealingKeys, SealingKeyUnknown
from idp.keys.sealing_order import OPENS_FIRST
from storage.base import StorageUnavailable
from tests.kit.clock import HandClock

pytestmark = pytest.mark.anyio
KEY = SealingKey(b"k" * 32)
OTHER = SealingKey(b"o" * 32)
QUICK = FollowPace(every=timedelta(hours=1), least=timedelta(milliseconds=20))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(slots=True)
class Scene:
    """A source, what serves with its keys, and a follower of it."""

    text: str = field(default_factory=lambda: render([KEY]))
    error: Exception | None = None
    reads: int = 0
    where: str = "the source"
    writable: bool = False
    clock: HandClock = field(default_factory=HandClock)
    states: list[Followed] = field(default_factory=list)
    sealing: SealingKeys = field(
        default_factory=lambda: SealingKeys([KEY], random=secrets.token_bytes)
    )

    async def read(self) -> KeyText:
        self.reads += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return KeyText(self.text, "")

    async def replace(self, text: str, version: str) -> None:
        raise AssertionError

    def follower(self, pace: FollowPace = QUICK) -> KeyFollower:
        return KeyFollower(
            self,
            self.sealing,
            clock=self.clock,
            random=lambda count: b"\x80" * count,
            report=self.states.append,
            monotonic=lambda: self.clock().timestamp(),
            pace=pace,
        )


@pytest.mark.covers("R-94")
async def test_a_new_key_opens_at_once_and_seals_when_its_time_has_come() -> None:
    scene = Scene()
    follower = scene.follower()
    new = replace(OTHER, seals_from=scene.clock() + OPENS_FIRST)
    scene.text = render([KEY, new])
    assert await follower.refresh() == Followed(2, KEY.id)
    foreign = SealingKeys([OTHER], random=secrets.token_bytes)
    assert scene.sealing.open("x", foreign.seal("x", b"text")) == b"text"
    scene.clock.turn(OPENS_FIRST - timedelta(seconds=1))
    assert (await follower.refresh()).seals_with == KEY.id
    scene.clock.turn(1)
    assert (await follower.refresh()).seals_with == OTHER.id
    assert foreign.open("x", scene.sealing.seal("x", b"text")) == b"text"
    scene.text = render([new])
    assert await follower.refresh() == Followed(1, OTHER.id)
    assert scene.states == [Followed(2, KEY.id), Followed(2, OTHER.id), Followed(1, OTHER.id)]


@pytest.mark.covers("K-12")
@pytest.mark.parametrize("seals_from", [timedelta(hours=-1), None])
async def test_whatever_the_clock_says_a_new_key_opens_for_two_minutes_first(
    seals_from: timedelta | None,
) -> None:
    scene = Scene()
    follower = scene.follower()
    at = None if seals_from is None else scene.clock() + seals_from
    scene.text = render([replace(OTHER, seals_from=at), KEY])
    assert (await follower.refresh()).seals_with == KEY.id
    scene.clock.turn(OPENS_FIRST)
    assert (await follower.refresh()).seals_with == OTHER.id


async def test_a_time_comes_while_the_source_is_away() -> None:
    scene = Scene()
    follower = scene.follower()
    scene.text = render([KEY, replace(OTHER, seals_from=scene.clock() + OPENS_FIRST)])
    await follower.refresh()
    scene.error = StorageUnavailable("away")
    scene.clock.turn(OPENS_FIRST)
    assert await follower.refresh() == Followed(2, OTHER.id, "away")


@pytest.mark.covers("R-90")
@pytest.mark.parametrize("broken", ["", "# nothing\n", "garbage\n", render([KEY])[:-5]])
async def test_a_source_that_makes_no_sense_changes_nothing_and_is_logged_once(
    broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    follower = scene.follower()
    scene.text = broken
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            state = await follower.refresh()
    assert "the source" in state.problem
    assert scene.sealing.keys == (KEY,)
    assert [record.message for record in caplog.records] == ["sealing_keys_not_read"]
    assert caplog.records[0].levelno == logging.ERROR
    assert render([KEY]).split()[-1][:20] not in str(vars(caplog.records[0]))
    scene.text = render([KEY])
    with caplog.at_level(logging.INFO):
        await follower.refresh()
    assert caplog.records[-1].message == "sealing_keys_read_again"
    assert scene.states == [state, Followed(1, KEY.id)]


@pytest.mark.parametrize("error", [StorageUnavailable("away"), KeyFileError("gone")])
async def test_a_source_that_cannot_be_read_changes_nothing(error: Exception) -> None:
    scene = Scene(error=error)
    assert await scene.follower().refresh() == Followed(1, KEY.id, str(error))


async def test_an_unknown_key_makes_it_read_again_at_once_but_not_in_a_tight_loop() -> None:
    scene = Scene()
    follower = scene.follower()
    running = asyncio.create_task(follower.run())
    try:
        await until(lambda: scene.reads == 1)
        await asyncio.sleep(0.05)
        assert scene.reads == 1, "it rests for an hour"
        sealed = SealingKeys([OTHER], random=secrets.token_bytes).seal("x", b"text")
        scene.text = render([KEY, OTHER])
        with pytest.raises(SealingKeyUnknown):
            await asyncio.to_thread(scene.sealing.open, "x", sealed)
        await until(lambda: len(scene.sealing.keys) == 2)
        assert scene.sealing.open("x", sealed) == b"text"
        foreign = SealingKeys([SealingKey(b"f" * 32)], random=secrets.token_bytes).seal("x", b"")
        before, started = scene.reads, asyncio.get_running_loop().time()
        for _ in range(50):
            with suppress(SealingKeyUnknown):
                scene.sealing.open("x", foreign)
            await asyncio.sleep(0.004)
        passed = asyncio.get_running_loop().time() - started
        assert 2 <= scene.reads - before <= passed / 0.02 + 2
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    with suppress(SealingKeyUnknown):
        scene.sealing.open("x", foreign)


async def test_it_wakes_when_the_next_key_is_to_seal() -> None:
    scene = Scene()
    new = replace(OTHER, seals_from=scene.clock().replace(microsecond=0) + timedelta(seconds=1))
    scene.text = render([KEY, new])
    pace = replace(QUICK, opens_first=timedelta(0))
    running = asyncio.create_task(scene.follower(pace).run())
    try:
        await until(lambda: scene.reads == 1)
        scene.clock.turn(1)
        await until(lambda: scene.sealing.keys[0] == new)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- any state, not only what an event could tell
            await asyncio.sleep(0.002)
