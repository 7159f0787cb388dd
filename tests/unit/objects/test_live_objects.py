"""The whole of it over a store in memory: live within a second, steady while the store is away."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import AccountLocked, BadCredentials, Identity, IdentityGone
from connectors.local import LocalConnector, LocalUser
from idp.login.connectors import LiveConnectors
from idp.oauth.client import Client, secret_hash
from idp.oauth.standing import UserStanding
from idp.oauth.subject import subject
from idp.objects import LiveObjects, ObjectHooks, ObjectSettings, Timing, live_objects
from idp.objects.connectors import WrittenConnector
from idp.objects.live_connectors import WrittenConnectors
from idp.objects.secret_maker import MakingPace
from idp.objects.secret_shelf import ShelfPace
from idp.objects.status_writer import WritingPace
from idp.objects.users import NOT_BEFORE
from idp.tasks import BackgroundJobs
from storage.objects import ObjectKind
from tests.kit.clock import HandClock
from tests.kit.connectors import CountingVerifier, cheap_hash
from tests.kit.directories import FakeDirectories, FakeDirectory
from tests.kit.objects import TERMS, FakeObjects, HandLeadership
from tests.kit.waiting import soon

pytestmark = pytest.mark.anyio

HASH = cheap_hash("correct horse")
STATIC = Client(id="static", name="static", secret_hashes=(bytes(32),))
ROOT = LocalUser(email="root@example.com", password_hash=HASH, user_id="root")
SECRET = {"clientSecret": b"a secret that is long enough"}
CONFIDENTIAL = {"clientID": "app", "secretRef": {"name": "s"}}
USER = {"email": "alice@example.com", "passwordHash": HASH, "groups": ["admins"]}


@dataclass(slots=True)
class Counted:
    """What the hooks were told."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    news: Counter[str] = field(default_factory=Counter)
    signed_out: list[tuple[str, datetime]] = field(default_factory=list)

    def hooks(self) -> ObjectHooks:
        def on_counts(kind: ObjectKind, counts: Mapping[Any, int]) -> None:
            self.counts[kind] = dict(counts)

        def on_news(kind: ObjectKind) -> None:
            self.news[kind] += 1

        def on_signed_out(sub: str, before: datetime) -> None:
            self.signed_out.append((sub, before))

        return ObjectHooks(on_counts=on_counts, on_news=on_news, on_signed_out=on_signed_out)


@dataclass(slots=True)
class World:
    """A store and the live sets over it, at the pace of a test."""

    store: FakeObjects = field(default_factory=FakeObjects)
    leadership: HandLeadership = field(default_factory=HandLeadership)
    counted: Counted = field(default_factory=Counted)
    clock: HandClock = field(default_factory=HandClock)
    static: Client = STATIC
    connectors: LiveConnectors = field(default_factory=lambda: LiveConnectors(()))
    directories: FakeDirectories = field(default_factory=FakeDirectories)

    def opened(self, written: WrittenConnector) -> FakeDirectory:
        return self.directories.open(
            written.config, name=written.id, now=self.clock, count=lambda _: None
        )

    def build(self, *, generates: bool = False) -> LiveObjects:
        return live_objects(
            self.store,
            self.leadership,
            settings=ObjectSettings(
                static_clients={self.static.id: self.static},
                static_users=[ROOT],
                client_terms=TERMS,
                generates_secrets=generates,
                signs_in_local_users=True,
                static_connectors=["file"],
            ),
            connectors=WrittenConnectors(self.connectors, self.opened),
            timing=Timing(
                clock=self.clock,
                random=secrets.token_bytes,
                shelf=ShelfPace(good=0.05, bad=0.02, away=0.02, gap=0.0, forbidden_for=1.0),
                writing=WritingPace(gap=0.0, gap_for_one=0.0, first_retry=0.01, idle=0.01),
                making=MakingPace(gap=0.0, retry=0.05, idle=0.01),
            ),
            hooks=self.counted.hooks(),
        )

    @asynccontextmanager
    async def running(self, *, generates: bool = False) -> AsyncIterator[LiveObjects]:
        live = self.build(generates=generates)
        jobs = BackgroundJobs(live.jobs)
        jobs.start()
        try:
            await asyncio.wait_for(live.first_list(), 10)
            yield live
        finally:
            await jobs.stop()

    def condition(self, kind: ObjectKind, name: str, type_: str) -> tuple[str, str] | None:
        found = self.store.status(kind, name).get(type_)
        return None if found is None else (found["status"], found["reason"])


async def a_moment() -> None:
    """Let the background do whatever it wants to do."""
    await asyncio.sleep(0.15)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_client_is_served_from_the_first_list_on(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    world.store.secrets["s"] = SECRET
    async with world.running() as live:
        assert set(live.clients) == {"static", "app"}
        assert live.clients["app"].secret_hashes == (secret_hash("a secret that is long enough"),)
        await soon(lambda: world.condition("oidc-clients", "app", "Ready") == ("True", "Served"))
        assert world.condition("oidc-clients", "app", "SecretReady") == ("True", "SecretFound")
        assert world.condition("oidc-clients", "app", "Conflict") == ("False", "Unique")
        assert [event.reason for _, event in world.store.told] == ["Served"]


async def test_clients_come_change_and_go(world: World) -> None:
    async with world.running() as live:
        world.store.apply("oidc-clients", "cli", {"clientID": "cli", "public": True})
        await soon(lambda: "cli" in live.clients)
        world.store.apply("oidc-clients", "cli", {"clientID": "cli", "public": True, "name": "CLI"})
        await soon(lambda: live.clients["cli"].name == "CLI")
        world.store.apply("oidc-clients", "cli", {"clientID": "cli", "public": "?"})
        await soon(lambda: "cli" not in live.clients)
        await soon(lambda: world.counted.counts["oidc-clients"]["refused"] == 1)
        world.store.apply("oidc-clients", "cli", {"clientID": "cli", "public": True})
        await soon(lambda: "cli" in live.clients)
        world.store.delete("oidc-clients", "cli")
        await soon(lambda: "cli" not in live.clients)
        assert world.counted.news["oidc-clients"] >= 6


@pytest.mark.covers("CV-33")
async def test_a_client_that_is_switched_off_is_not_served_and_keeps_its_id(world: World) -> None:
    cli = {"clientID": "cli", "public": True}
    async with world.running() as live:
        world.store.apply("oidc-clients", "cli", cli)
        await soon(lambda: "cli" in live.clients)
        world.store.apply("oidc-clients", "cli", {**cli, "disabled": True})
        await soon(lambda: "cli" not in live.clients)
        await soon(lambda: world.condition("oidc-clients", "cli", "Ready") == ("False", "Disabled"))
        world.store.apply("oidc-clients", "thief", cli)
        await soon(
            lambda: world.condition("oidc-clients", "thief", "Ready") == ("False", "Conflict")
        )
        assert "cli" not in live.clients
        world.store.apply("oidc-clients", "cli", cli)
        await soon(lambda: "cli" in live.clients)
        assert not live.clients["cli"].disabled


@pytest.mark.covers("CV-33")
async def test_nobody_takes_the_id_of_a_client_that_the_file_switches_off(world: World) -> None:
    world.static = replace(STATIC, disabled=True)
    async with world.running() as live:
        world.store.apply("oidc-clients", "thief", {"clientID": STATIC.id, "public": True})
        await soon(
            lambda: world.condition("oidc-clients", "thief", "Ready") == ("False", "Conflict")
        )
        assert dict(live.clients) == {}


async def test_it_is_not_complete_before_every_list_and_every_secret(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    world.store.away = True
    live = world.build()
    jobs = BackgroundJobs(live.jobs)
    jobs.start()
    try:
        await a_moment()
        assert not live.is_complete()
        assert dict(live.clients) == {"static": STATIC}
        world.store.come_back()
        await asyncio.wait_for(live.first_list(), 10)
    finally:
        await jobs.stop()


async def test_a_secret_that_is_not_there_is_found_when_it_comes(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    async with world.running() as live:
        assert "app" not in live.clients
        await soon(
            lambda: world.condition("oidc-clients", "app", "Ready") == ("False", "SecretNotFound")
        )
        message = world.store.status("oidc-clients", "app")["Ready"]["message"]
        assert "There is no Secret `s` in this namespace. Create it with the entry" in message
        world.store.secrets["s"] = SECRET
        await soon(lambda: "app" in live.clients)
        await soon(lambda: world.condition("oidc-clients", "app", "Ready") == ("True", "Served"))


async def test_a_secret_is_rotated(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    world.store.secrets["s"] = SECRET
    async with world.running() as live:
        world.store.secrets["s"] = {"clientSecret": b"another secret, long enough"}
        another = (secret_hash("another secret, long enough"),)
        await soon(lambda: live.clients["app"].secret_hashes == another)


@pytest.mark.parametrize("entries", [None, {}, {"clientSecret": b""}])
async def test_a_secret_that_was_deleted_or_emptied_ends_the_client(
    world: World, entries: dict[str, bytes] | None
) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    world.store.secrets["s"] = SECRET
    async with world.running() as live:
        assert "app" in live.clients
        if entries is None:
            del world.store.secrets["s"]
        else:
            world.store.secrets["s"] = entries
        await soon(lambda: "app" not in live.clients)


@pytest.mark.covers("K-1")
async def test_everything_stays_while_the_store_is_away(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    world.store.apply("local-users", "alice", USER)
    world.store.secrets["s"] = SECRET
    async with world.running() as live:
        world.store.away = True
        del world.store.secrets["s"]
        world.store.delete("local-users", "alice")
        await a_moment()
        assert "app" in live.clients
        assert live.users.users().with_email("alice@example.com") is not None
        world.store.come_back()
        await soon(lambda: "app" not in live.clients)
        await soon(lambda: live.users.users().with_email("alice@example.com") is None)


async def test_a_secret_that_is_forbidden_for_a_moment_stays_good(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    world.store.secrets["s"] = SECRET
    async with world.running() as live:
        world.store.forbidden.add("s")
        await a_moment()
        assert "app" in live.clients
        await soon(lambda: "app" not in live.clients, within=10)
        world.store.forbidden.clear()
        await soon(lambda: "app" in live.clients)


async def test_a_secret_that_was_never_allowed_says_which_right_is_missing(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    world.store.forbidden.add("s")
    async with world.running() as live:
        await soon(
            lambda: (
                world.condition("oidc-clients", "app", "SecretReady")
                == ("False", "SecretForbidden")
            )
        )
        message = world.store.status("oidc-clients", "app")["Ready"]["message"]
        assert "rbac.secretNames" in message
        assert "app" not in live.clients


async def test_a_secret_nobody_refers_to_is_read_no_more(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    world.store.secrets["s"] = SECRET
    async with world.running():
        world.store.delete("oidc-clients", "app")
        await a_moment()
        world.store.reads.clear()
        await a_moment()
        assert world.store.reads == []


async def test_two_clients_with_one_id(world: World) -> None:
    world.store.apply("oidc-clients", "first", {"clientID": "app", "public": True})
    world.store.apply("oidc-clients", "second", {"clientID": "app", "public": True, "name": "2"})
    world.store.apply("oidc-clients", "third", {"clientID": "static", "public": True})
    async with world.running() as live:
        assert live.clients["app"].name == "app"
        assert live.clients["static"] is STATIC
        conflict = ("True", "OlderObject")
        await soon(lambda: world.condition("oidc-clients", "second", "Conflict") == conflict)
        message = world.store.status("oidc-clients", "second")["Conflict"]["message"]
        assert "client id `app` belongs to the OIDCClient `first`, which was there" in message
        assert [reason for name, reason in reasons(world) if name == "second"] == ["OlderObject"]
        by_file = ("True", "ConfigurationFile")
        await soon(lambda: world.condition("oidc-clients", "third", "Conflict") == by_file)
        world.store.delete("oidc-clients", "first")
        await soon(lambda: live.clients["app"].name == "2")
        served = ("True", "Served")
        await soon(lambda: world.condition("oidc-clients", "second", "Ready") == served)
        await soon(lambda: ("second", "ConflictResolved") in reasons(world))


def reasons(world: World) -> list[tuple[str, str]]:
    return [(name, event.reason) for name, event in world.store.told]


async def test_an_object_that_is_made_anew_is_served_again(world: World) -> None:
    """GitOps tools delete and create in one breath."""
    world.store.apply("oidc-clients", "cli", {"clientID": "cli", "public": True})
    async with world.running() as live:
        world.store.delete("oidc-clients", "cli")
        world.store.apply("oidc-clients", "cli", {"clientID": "cli", "public": True, "name": "new"})
        await soon(lambda: "cli" in live.clients and live.clients["cli"].name == "new")
        await soon(lambda: world.condition("oidc-clients", "cli", "Ready") == ("True", "Served"))


def local_connector(live: LiveObjects) -> LocalConnector:
    return LocalConnector(users=live.users.users, verify=CountingVerifier().verify)


async def test_local_users_sign_in(world: World) -> None:
    async with world.running() as live:
        connector = local_connector(live)
        assert (await connector.login("root@example.com", "correct horse")).user_id == "root"
        with pytest.raises(BadCredentials):
            await connector.login("alice@example.com", "correct horse")
        world.store.apply("local-users", "alice", USER)
        await soon(lambda: live.users.users().with_user_id("alice"))
        identity = await connector.login("ALICE@example.com", "correct horse")
        assert identity.groups == ("admins",)
        world.store.apply("local-users", "mallory", {**USER, "email": "root@example.com"})
        await soon(lambda: world.counted.counts["local-users"]["conflict"] == 1)
        assert (await connector.login("root@example.com", "correct horse")).user_id == "root"


async def test_what_can_be_told_of_somebody_comes_and_goes_with_the_users(world: World) -> None:
    async with world.running() as live:
        claims = {"department": ["physics"], "address.locality": ["Köln"]}
        world.store.apply("local-users", "alice", {**USER, "claims": claims})
        await soon(lambda: live.users.users().claim_names == set(claims))
        other = {"email": "b@example.com", "passwordHash": HASH, "claims": {"department": ["x"]}}
        world.store.apply("local-users", "bob", other)
        await soon(lambda: live.users.users().with_email("b@example.com"))
        world.store.delete("local-users", "alice")
        await soon(lambda: live.users.users().claim_names == {"department"})
        world.store.apply("local-users", "bob", {**other, "claims": {"iss": ["x"]}})
        await soon(lambda: live.users.users().claim_names == frozenset())
        await soon(
            lambda: world.store.status("local-users", "bob")["Ready"]["message"].startswith(
                "spec.claims.iss is said by the provider itself"
            )
        )


async def test_a_locked_user_is_out_and_only_who_knows_the_password_is_told(world: World) -> None:
    world.store.apply("local-users", "alice", USER)
    async with world.running() as live:
        connector = local_connector(live)
        sub = subject("alice", "local")
        assert live.standings.get(sub) is None
        world.store.apply("local-users", "alice", {**USER, "locked": True})
        await soon(lambda: sub in live.standings)
        with pytest.raises(AccountLocked):
            await connector.login("alice@example.com", "correct horse")
        with pytest.raises(BadCredentials):
            await connector.login("alice@example.com", "wrong")
        with pytest.raises(IdentityGone):
            await connector.refresh(Identity(user_id="alice"))
        await soon(lambda: world.condition("local-users", "alice", "Ready") == ("True", "Locked"))
        world.store.apply("local-users", "alice", USER)
        await soon(lambda: sub not in live.standings)
        assert (await connector.login("alice@example.com", "correct horse")).user_id == "alice"


async def test_an_annotation_ends_logins_from_before_it(world: World) -> None:
    world.store.apply("local-users", "alice", USER)
    async with world.running() as live:
        sub = subject("alice", "local")
        said = {"kube-idp.dev/not-before": "2026-01-31T12:00:00Z"}
        world.store.annotate("local-users", "alice", said)
        await soon(lambda: sub in live.standings)
        assert live.standings[sub].not_before == datetime(2026, 1, 31, 12, tzinfo=UTC)
        world.store.annotate("local-users", "alice", {})
        await soon(lambda: sub not in live.standings)


async def test_a_lock_counts_though_the_rest_of_the_object_is_broken(world: World) -> None:
    world.store.apply("local-users", "alice", {"email": "?\u200b", "locked": True})
    async with world.running() as live:
        assert live.standings[subject("alice", "local")].locked


async def test_who_lost_an_id_cannot_lock_its_owner_out(world: World) -> None:
    mallory = {**USER, "email": "m@example.com", "userID": "root", "locked": True}
    world.store.apply("local-users", "mallory", mallory)
    async with world.running() as live:
        assert len(live.standings) == 0


async def test_whoever_has_no_object_any_more_is_signed_out_for_good(world: World) -> None:
    sub = subject("alice", "local")
    world.store.apply("local-users", "alice", {**USER, "locked": True})
    async with world.running() as live:
        world.store.delete("local-users", "alice")
        gone = UserStanding(not_before=world.clock())
        await soon(lambda: live.standings.get(sub) == gone)
        world.clock.turn(60)
        world.store.apply("local-users", "alice", USER)
        await soon(lambda: world.counted.counts["local-users"]["ready"] == 1)
        assert live.standings[sub] == gone
        assert world.counted.signed_out == [(sub, gone.not_before)]


async def test_an_object_that_speaks_of_somebody_else_now_signs_out_whom_it_spoke_of(
    world: World,
) -> None:
    world.store.apply("local-users", "alice", USER)
    async with world.running() as live:
        world.store.apply("local-users", "alice", {**USER, "userID": "other"})
        await soon(lambda: subject("alice", "local") in live.standings)
        assert subject("other", "local") not in live.standings


async def test_who_lost_an_id_signs_its_owner_out_by_no_deletion(world: World) -> None:
    world.store.apply("local-users", "mallory", {**USER, "email": "m@x.org", "userID": "root"})
    async with world.running() as live:
        world.store.delete("local-users", "mallory")
        await soon(lambda: world.counted.counts["local-users"]["conflict"] == 0)
        assert len(live.standings) == 0
    assert world.counted.signed_out == []


async def test_states_of_users_are_joined_and_forgotten(world: World) -> None:
    sub = subject("7", "ldap")
    spec = {"connector": "ldap", "userID": "7"}
    world.store.apply("user-states", "one", {**spec, "notBefore": "2026-01-01T12:00:00Z"})
    world.store.apply("user-states", "two", {**spec, "notBefore": "2026-01-02T12:00:00Z"})
    async with world.running() as live:
        not_before = live.standings[sub].not_before
        assert not_before is not None
        assert not_before.day == 2
        world.store.apply("user-states", "one", {**spec, "locked": True})
        await soon(lambda: live.standings[sub].locked)
        world.store.delete("user-states", "one")
        await soon(lambda: not live.standings[sub].locked)
        world.store.apply("user-states", "two", spec)
        await soon(lambda: sub not in live.standings)
        assert live.standings.get(sub, UserStanding()) == UserStanding()
        world.store.apply("user-states", "two", {"connector": 1})
        await soon(lambda: world.counted.counts["user-states"]["refused"] == 1)


async def test_a_sign_out_is_told_once_whoever_says_it(world: World) -> None:
    at, written_at = datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00Z"
    later, written_later = datetime(2026, 2, 1, 12, tzinfo=UTC), "2026-02-01T12:00:00Z"
    seven, alice = subject("7", "ldap"), subject("alice", "local")
    spec = {"connector": "ldap", "userID": "7"}
    world.store.apply("local-users", "alice", USER)
    async with world.running():
        world.store.apply("user-states", "one", {**spec, "notBefore": written_at})
        await soon(lambda: world.counted.signed_out == [(seven, at)])
        world.store.apply("user-states", "one", {**spec, "notBefore": written_at, "user": "Seven"})
        world.store.annotate("local-users", "alice", {NOT_BEFORE: written_at})
        await soon(lambda: len(world.counted.signed_out) > 1)
        world.store.apply("user-states", "one", {**spec, "notBefore": written_later})
        await soon(lambda: len(world.counted.signed_out) > 2)
        locked = {**spec, "notBefore": written_later, "locked": True}
        world.store.apply("user-states", "one", locked)
        world.store.apply("user-states", "one", spec)
        await a_moment()
    assert world.counted.signed_out == [(seven, at), (alice, at), (seven, later)]


async def test_a_server_that_starts_hears_of_the_sign_outs_of_the_last_moments(
    world: World,
) -> None:
    now = world.clock()
    spec = {"connector": "ldap", "userID": "7"}
    for name, at in (("old", now - timedelta(minutes=3)), ("new", now - timedelta(minutes=1))):
        said = {**spec, "userID": name, "notBefore": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        world.store.apply("user-states", name, said)
    async with world.running():
        assert [sub for sub, _ in world.counted.signed_out] == [subject("new", "ldap")]


async def test_who_only_gave_consents_is_not_held_in_memory(world: World) -> None:
    sub = subject("7", "ldap")
    spec = {"connector": "ldap", "userID": "7"}
    world.store.apply("user-states", "one", spec)
    async with world.running() as live:
        counts = world.counted.counts["user-states"]
        assert sum(counts.values()) == 0
        world.store.apply("user-states", "one", {**spec, "locked": True})
        await soon(lambda: sub in live.standings)
        world.store.apply("user-states", "one", {**spec, "locked": False})
        await soon(lambda: sub not in live.standings)
        assert sum(world.counted.counts["user-states"].values()) == 0


async def test_a_restart_writes_nothing(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    world.store.apply("oidc-clients", "again", {"clientID": "app", "public": True})
    world.store.apply("oidc-clients", "bad", {"clientID": "bad", "redirectURIs": ["*"]})
    world.store.apply("local-users", "alice", USER)
    world.store.secrets["s"] = SECRET
    async with world.running():
        await soon(lambda: len(world.store.writes) == 4)
        await a_moment()
    assert len(world.store.writes) == 4
    told = len(world.store.told)
    world.clock.turn(3600)
    async with world.running():
        await a_moment()
    assert len(world.store.writes) == 4
    assert len(world.store.told) == told


async def test_who_does_not_lead_writes_nothing_until_it_does(world: World) -> None:
    world.leadership.leading = False
    world.store.apply("oidc-clients", "cli", {"clientID": "cli"})
    async with world.running(generates=True) as live:
        await a_moment()
        assert world.store.writes == []
        assert world.store.secrets == {}
        world.leadership.leading = True
        await soon(lambda: "cli" in live.clients)
        await soon(lambda: world.condition("oidc-clients", "cli", "Ready") == ("True", "Served"))


async def test_a_secret_is_made_where_that_is_switched_on(world: World) -> None:
    world.store.apply("oidc-clients", "shop", {"clientID": "the shop"})
    async with world.running(generates=True) as live:
        await soon(lambda: "the shop" in live.clients)
        made = world.store.secrets["shop-oidc-client"]
        assert made["clientID"] == b"the shop"
        assert len(made["clientSecret"]) == 43
        assert live.clients["the shop"].secret_hashes == (
            secret_hash(made["clientSecret"].decode()),
        )
        await soon(
            lambda: (
                world.store.status("oidc-clients", "shop").get("secretName") == "shop-oidc-client"
            )
        )
        # Deleting it is asking for another.
        del world.store.secrets["shop-oidc-client"]
        await soon(lambda: "shop-oidc-client" in world.store.secrets)
        assert world.store.secrets["shop-oidc-client"] != made


async def test_other_replicas_read_the_secret_that_the_leader_made(world: World) -> None:
    follower = World(store=world.store, leadership=HandLeadership(leading=False))
    async with world.running(generates=True) as one, follower.running(generates=True) as other:
        world.store.apply("oidc-clients", "shop", {"clientID": "shop"})
        await soon(lambda: "shop" in one.clients and "shop" in other.clients)
        assert one.clients["shop"] == other.clients["shop"]


async def test_a_secret_is_made_for_nobody_in_whom_something_else_is_wrong(world: World) -> None:
    world.store.apply("oidc-clients", "a", {"clientID": "a", "redirectURIs": ["*"]})
    world.store.apply("oidc-clients", "b", {"clientID": "static"})
    async with world.running(generates=True):
        await soon(lambda: len(world.store.writes) == 2)
        await a_moment()
        assert world.store.secrets == {}
        status = world.store.status("oidc-clients", "b")
        assert "is made once nothing else is wrong" in status["SecretReady"]["message"]


async def test_the_status_of_an_object_points_to_no_secret_for_us(world: World) -> None:
    world.store.secrets["other"] = {"clientID": b"shop", "clientSecret": b"known to the attacker"}
    world.store.apply("oidc-clients", "shop", {"clientID": "shop"})
    world.store.scribble("oidc-clients", "shop", {"secretName": "other"})
    async with world.running(generates=True) as live:
        await soon(lambda: "shop" in live.clients)
        assert "other" not in world.store.reads
        await soon(
            lambda: (
                world.store.status("oidc-clients", "shop").get("secretName") == "shop-oidc-client"
            )
        )


async def test_a_secret_that_may_not_be_made_is_told_once(world: World) -> None:
    world.store.may_create = False
    world.store.apply("oidc-clients", "shop", {"clientID": "shop"})
    async with world.running(generates=True) as live:
        await soon(lambda: ("shop", "SecretNotMade") in reasons(world))
        await a_moment()
        assert reasons(world).count(("shop", "SecretNotMade")) == 1
        world.store.may_create = True
        await soon(lambda: "shop" in live.clients)


async def test_without_the_switch_a_client_without_secret_says_what_to_do(world: World) -> None:
    world.store.apply("oidc-clients", "shop", {"clientID": "shop"})
    async with world.running() as live:
        await soon(
            lambda: world.condition("oidc-clients", "shop", "Ready") == ("False", "InvalidSpec")
        )
        assert "shop" not in live.clients
        status = world.store.status("oidc-clients", "shop")
        assert "SecretReady" not in status
        assert "storage.config.generateClientSecrets" in status["Ready"]["message"]


async def test_no_secret_and_no_hash_is_ever_said(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    world.store.secrets["s"] = {"clientSecret": b"hunter2 \n", "passwordHash": b"hunter2"}
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    user = {"email": "a@example.com", "passwordHashRef": {"name": "s"}}
    world.store.apply("local-users", "alice", user)
    world.store.apply("local-users", "bob", {"email": "b@example.com", "passwordHash": "hunter2"})
    async with world.running():
        await soon(lambda: len(world.store.writes) == 3)
    said = repr([world.store.told, [each.status for each in world.store.objects.values()]])
    assert "hunter2" not in said
    assert caplog.records
    assert "hunter2" not in repr([vars(record) for record in caplog.records])


async def test_one_event_for_each_change_of_ready_and_conflict(world: World) -> None:
    world.store.apply("oidc-clients", "app", CONFIDENTIAL)
    async with world.running():
        await soon(lambda: reasons(world) == [("app", "SecretNotFound")])
        world.store.secrets["s"] = SECRET
        await soon(lambda: reasons(world)[1:] == [("app", "Served")])
        # Something else changes, and neither of the two.
        spec = {**CONFIDENTIAL, "name": "The App"}
        applied = world.store.apply("oidc-clients", "app", spec)
        await soon(
            lambda: (
                world.store.status("oidc-clients", "app")["observedGeneration"]
                == applied.generation
            )
        )
        await a_moment()
        assert len(reasons(world)) == 2


async def test_a_condition_keeps_its_time_for_as_long_as_its_status(world: World) -> None:
    spec = {"clientID": "cli", "public": True, "redirectURIs": ["*"]}
    world.store.apply("oidc-clients", "cli", spec)

    def ready() -> Any:
        return world.store.status("oidc-clients", "cli").get("Ready", {})

    async with world.running():
        await soon(ready)
        assert ready()["lastTransitionTime"] == "2026-01-01T12:00:00Z"
        world.clock.turn(60)
        world.store.apply("oidc-clients", "cli", {**spec, "redirectURIs": ["#"]})
        await soon(lambda: ready()["observedGeneration"] == 2)
        assert ready()["lastTransitionTime"] == "2026-01-01T12:00:00Z"
        world.store.apply("oidc-clients", "cli", {**spec, "redirectURIs": []})
        await soon(lambda: ready()["status"] == "True")
        assert ready()["lastTransitionTime"] == "2026-01-01T12:01:00Z"


async def test_a_listed_object_is_as_good_as_one_that_was_put(world: World) -> None:
    async with world.running() as live:
        world.store.away = True
        world.store.apply("oidc-clients", "cli", {"clientID": "cli", "public": True})
        world.store.come_back()
        await soon(lambda: "cli" in live.clients)
        assert replace(live.clients["cli"], name="") == Client(id="cli", name="")
