"""Connectors that people write: offered within a second, asked, answered in status, let go of."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from idp.login.connectors import LiveConnectors, OfferedConnector
from idp.login.reachability import ConnectorKeeper, ProbePace
from idp.objects import LiveObjects, ObjectHooks, ObjectSettings, Timing, live_objects
from idp.objects.connectors import WrittenConnector
from idp.objects.live_connectors import WrittenConnectors
from idp.objects.secret_shelf import ShelfPace
from idp.objects.status_writer import WritingPace
from idp.tasks import BackgroundJobs
from storage.objects import ObjectKind
from tests.kit.clock import HandClock
from tests.kit.connectors import ScriptedPasswordConnector
from tests.kit.directories import FakeDirectories, FakeDirectory
from tests.kit.objects import TERMS, FakeObjects, HandLeadership
from tests.kit.waiting import soon

pytestmark = pytest.mark.anyio

KIND: ObjectKind = "identity-connectors"
SEARCH = {"baseDN": "dc=example,dc=com", "username": "uid"}
LDAP = {"host": "ldap.example.com", "userSearch": SEARCH}
WITH_ACCOUNT = {**LDAP, "bindDN": "cn=reader", "bindPWRef": {"name": "s"}}


def spec(ldap: Mapping[str, Any] = LDAP, **more: Any) -> dict[str, Any]:
    return {"type": "ldap", "ldap": ldap, **more}


@dataclass(slots=True)
class World:
    """A store, the live connectors over it and their keeper, at the pace of a test."""

    store: FakeObjects = field(default_factory=FakeObjects)
    leadership: HandLeadership = field(default_factory=HandLeadership)
    clock: HandClock = field(default_factory=HandClock)
    directories: FakeDirectories = field(default_factory=FakeDirectories)
    connectors: LiveConnectors = field(
        default_factory=lambda: LiveConnectors(
            [
                OfferedConnector(
                    id="file", name="File", type="ldap", connector=ScriptedPasswordConnector()
                )
            ]
        )
    )

    def open(self, written: WrittenConnector) -> FakeDirectory:
        return self.directories.open(
            written.config, name=written.id, now=self.clock, count=lambda _: None
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LiveObjects]:
        live = live_objects(
            self.store,
            self.leadership,
            settings=ObjectSettings(
                static_clients={},
                static_users=[],
                client_terms=TERMS,
                static_connectors=list(self.connectors),
                generates_secrets=False,
                signs_in_local_users=True,
            ),
            connectors=WrittenConnectors(self.connectors, self.open),
            timing=Timing(
                clock=self.clock,
                random=secrets.token_bytes,
                shelf=ShelfPace(good=0.03, bad=0.02, away=0.02, gap=0.0),
                writing=WritingPace(gap=0.0, gap_for_one=0.0, first_retry=0.01, idle=0.01),
            ),
            hooks=ObjectHooks(),
        )
        keeper = ConnectorKeeper(
            connectors=self.connectors,
            on_reach=lambda offered, reach: live.reaches.note(offered.id, reach),
            on_gone=lambda _: None,
            random=secrets.token_bytes,
            pace=ProbePace(well=0.02, first=0.01, longest=0.05),
        )
        jobs = BackgroundJobs({**live.jobs, "connectors": keeper.run})
        jobs.start()
        try:
            await asyncio.wait_for(live.first_list(), 5)
            yield live
        finally:
            await jobs.stop()

    def condition(self, name: str, type_: str) -> tuple[str, str] | None:
        found = self.store.status(KIND, name).get(type_)
        return None if found is None else (found["status"], found["reason"])

    def message(self, name: str, type_: str) -> str:
        return str(self.store.status(KIND, name)[type_]["message"])

    def reasons(self) -> list[str]:
        return [event.reason for _, event in self.store.told]


@pytest.fixture
def world() -> World:
    return World()


REACHABLE = ("True", "Answers")
UNREACHABLE = ("False", "Unreachable")


async def test_connectors_come_change_and_go(world: World) -> None:
    async with world.running():
        world.store.apply(KIND, "corp", spec(name="Corp"))
        await soon(lambda: list(world.connectors) == ["file", "corp"])
        assert world.connectors["corp"].name == "Corp"
        first = world.directories.opened[0]
        world.store.apply(KIND, "corp", spec({**LDAP, "host": "other.example.com"}))
        await soon(lambda: len(world.directories.opened) == 2)
        await soon(lambda: first.closed)
        second = world.connectors["corp"].connector
        assert isinstance(second, FakeDirectory)
        assert second.config.hosts[0].name == "other.example.com"
        world.store.delete(KIND, "corp")
        await soon(lambda: "corp" not in world.connectors)
        await soon(lambda: second.closed)


async def test_conditions_of_one_that_answers(world: World) -> None:
    world.store.apply(KIND, "corp", spec())
    async with world.running():
        await soon(lambda: world.condition("corp", "Reachable") == REACHABLE)
        assert world.condition("corp", "Ready") == ("True", "Served")
        assert world.condition("corp", "Conflict") == ("False", "Unique")
        assert world.condition("corp", "SecretReady") is None
        assert world.reasons() == ["Served"]


async def test_out_of_reach_and_back_is_said_in_status_and_events(world: World) -> None:
    world.directories.down.add("ldap.example.com")
    world.store.apply(KIND, "corp", spec())
    async with world.running():
        await soon(lambda: world.condition("corp", "Reachable") == UNREACHABLE)
        assert (
            world.message("corp", "Reachable") == "ldap.example.com refuses connections; is it up?"
        )
        # It is offered all the same: the page says that the directory is away.
        assert world.condition("corp", "Ready") == ("True", "Served")
        assert "corp" in world.connectors
        world.directories.down.clear()
        await soon(lambda: world.condition("corp", "Reachable") == REACHABLE)
        await soon(lambda: "Answers" in world.reasons())
        world.directories.down.add("ldap.example.com")
        await soon(lambda: world.condition("corp", "Reachable") == UNREACHABLE)
        await soon(lambda: world.reasons() == ["Served", "Unreachable", "Answers", "Unreachable"])


async def test_one_that_stays_as_it_is_costs_no_write(world: World) -> None:
    world.store.apply(KIND, "corp", spec())
    async with world.running():
        await soon(lambda: world.condition("corp", "Reachable") == REACHABLE)
        written = len(world.store.writes)
        probes = world.directories.opened[0].probes
        await soon(lambda: world.directories.opened[0].probes > probes + 3)
        assert len(world.store.writes) == written


async def test_a_restart_writes_nothing(world: World) -> None:
    world.store.apply(KIND, "corp", spec())
    async with world.running():
        await soon(lambda: world.condition("corp", "Reachable") == REACHABLE)
    written, told = len(world.store.writes), len(world.store.told)
    again = World(store=world.store)
    async with again.running():
        await soon(lambda: again.directories.opened and again.directories.opened[0].probes > 2)
        assert len(world.store.writes) == written
        assert len(world.store.told) == told


async def test_who_does_not_lead_asks_and_writes_nothing(world: World) -> None:
    world.leadership.leading = False
    world.store.apply(KIND, "corp", spec())
    async with world.running():
        await soon(lambda: world.directories.opened[0].probes > 3)
        assert world.store.writes == []
        world.leadership.leading = True
        await soon(lambda: world.condition("corp", "Reachable") == REACHABLE)


async def test_a_new_password_counts_without_a_restart(world: World) -> None:
    world.store.secrets["s"] = {"bindPW": b"old password"}
    world.directories.bind_password = "new password"
    world.store.apply(KIND, "corp", spec(WITH_ACCOUNT))
    async with world.running():
        await soon(lambda: world.condition("corp", "Reachable") == UNREACHABLE)
        assert world.condition("corp", "SecretReady") == ("True", "SecretFound")
        world.store.secrets["s"] = {"bindPW": b"new password"}
        await soon(lambda: world.condition("corp", "Reachable") == REACHABLE)
        first, second = world.directories.opened
        await soon(lambda: first.closed)
        assert not second.closed
    said = repr([world.store.told, [each.status for each in world.store.objects.values()]])
    assert "new password" not in said
    assert "old password" not in said


async def test_without_its_secret_it_is_not_offered_and_says_what_to_do(world: World) -> None:
    world.store.apply(KIND, "corp", spec(WITH_ACCOUNT))
    async with world.running():
        await soon(lambda: world.condition("corp", "Ready") == ("False", "SecretNotFound"))
        assert "Create it with the entry `bindPW`, or correct spec.ldap.bindPWRef" in world.message(
            "corp", "Ready"
        )
        assert world.condition("corp", "Reachable") is None
        assert list(world.connectors) == ["file"]
        world.store.secrets["s"] = {"bindPW": b"hunter2"}
        world.directories.bind_password = "hunter2"
        await soon(lambda: world.condition("corp", "Reachable") == REACHABLE)


async def test_several_secrets_are_named_together(world: World) -> None:
    world.store.secrets["s"] = {"bindPW": b"hunter2", "tls.crt": b"-----BEGIN CERTIFICATE-----",
                                "tls.key": b"-----BEGIN PRIVATE KEY-----"}  # fmt: skip
    world.store.secrets["ours"] = world.store.secrets["s"]
    ldap = {**WITH_ACCOUNT, "clientCertRef": {"name": "ours"}}
    world.store.apply(KIND, "corp", spec(ldap))
    async with world.running():
        await soon(lambda: world.condition("corp", "SecretReady") == ("True", "SecretFound"))
        assert world.message("corp", "SecretReady") == "The Secrets `s`, `ours` were read."
        del world.store.secrets["ours"]["tls.key"]
        await soon(lambda: world.condition("corp", "Ready") == ("False", "SecretIncomplete"))
        await soon(lambda: "corp" not in world.connectors)


async def test_of_two_with_one_id_the_older_is_offered_and_the_file_before_all(
    world: World,
) -> None:
    world.store.apply(KIND, "first", spec(id="corp", name="First"))
    world.store.apply(KIND, "second", spec({**LDAP, "host": "second"}, id="corp", name="Second"))
    world.store.apply(KIND, "third", spec(id="file"))
    async with world.running():
        await soon(lambda: world.condition("second", "Conflict") == ("True", "OlderObject"))
        assert "connector id `corp` belongs to the IdentityConnector `first`" in world.message(
            "second", "Conflict"
        )
        await soon(lambda: world.condition("third", "Conflict") == ("True", "ConfigurationFile"))
        assert "is taken by connectors in the configuration file" in world.message(
            "third", "Conflict"
        )
        assert world.condition("second", "Reachable") is None
        assert [each.name for each in world.connectors.values()] == ["File", "First"]
        world.store.delete(KIND, "first")
        await soon(lambda: world.connectors["corp"].name == "Second")
        await soon(lambda: world.condition("second", "Reachable") == REACHABLE)


async def test_everything_stays_while_the_store_is_away(world: World) -> None:
    world.store.apply(KIND, "corp", spec())
    async with world.running():
        await soon(lambda: world.condition("corp", "Reachable") == REACHABLE)
        world.store.away = True
        world.store.delete(KIND, "corp")
        world.directories.down.add("ldap.example.com")
        probes = world.directories.opened[0].probes
        await soon(lambda: world.directories.opened[0].probes > probes + 1)
        assert "corp" in world.connectors
        world.store.come_back()
        await soon(lambda: "corp" not in world.connectors)


async def test_one_that_nobody_can_read_stops_no_other(world: World) -> None:
    world.store.apply(KIND, "bad", {"type": "ldap", "ldap": {"host": []}})
    world.store.apply(KIND, "corp", spec())
    async with world.running():
        await soon(lambda: world.condition("bad", "Ready") == ("False", "InvalidSpec"))
        await soon(lambda: world.condition("corp", "Reachable") == REACHABLE)
        assert world.condition("bad", "Reachable") is None
