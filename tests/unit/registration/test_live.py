"""The live set follows the store, and what an operator wrote goes before it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from idp.oauth.client import Client
from idp.registration.live import EveryClient, RegisteredClients, RegistrationFollower
from storage.base import Document, NotFound, SealUnknown, StorageUnavailable
from storage.collection import Collection
from storage.kinds import REGISTERED_CLIENTS
from storage.memory import MemoryBackend
from storage.records import RegisteredClient
from tests.kit.clock import HandClock
from tests.kit.storage import AesSealer, Fails, Faults, FlakyBackend

pytestmark = pytest.mark.anyio

METADATA = {
    "redirect_uris": ["https://app.example.com/cb"],
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "client_secret_basic",
    "client_name": "The App",
}
KEY = bytes(range(32))


def record(name: str, **said: object) -> RegisteredClient:
    return RegisteredClient(
        name=name,
        metadata=json.dumps({**METADATA, **said}),
        secret_hash=bytes(32),
        token_hash=bytes(32),
        issued_at=HandClock()(),
    )


class Store:
    """A collection in memory whose backend can be made to fail."""

    def __init__(self) -> None:
        self.inner = MemoryBackend()
        self.faults = Faults()
        self.clients: Collection[RegisteredClient] = Collection(
            backend=FlakyBackend(self.inner, self.faults),
            kind=REGISTERED_CLIENTS,
            sealer=AesSealer(KEY),
            issuer="https://idp.example.com",
        )


@pytest.fixture
def store() -> Store:
    return Store()


@asynccontextmanager
async def following(store: Store, live: RegisteredClients) -> AsyncIterator[None]:
    follower = RegistrationFollower(store.clients, live)
    job = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(5):
            await follower.first_list()
        yield
    finally:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job


async def becomes(live: RegisteredClients, names: set[str]) -> bool:
    for _ in range(500):
        if set(live) == names:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_what_is_there_at_the_start_is_known_first(store: Store) -> None:
    await store.clients.create(record("a"))
    live = RegisteredClients()
    async with following(store, live):
        assert set(live) == {"a"}
        assert live["a"].redirect_uris == ("https://app.example.com/cb",)
        assert live["a"].registered_itself
        assert not live["a"].skip_approval
        assert not live["a"].trusted_peers


async def test_only_who_was_removed_is_told_to_be_gone(store: Store) -> None:
    gone: list[str] = []
    live = RegisteredClients()
    follower = RegistrationFollower(store.clients, live, on_gone=gone.append)
    job = asyncio.create_task(follower.run())
    await follower.first_list()
    created = await store.clients.create(record("a"))
    await store.clients.update(created, lambda _: record("a", client_name="Renamed"))
    await store.clients.create(record("b"))
    await store.clients.delete("a")
    assert await becomes(live, {"b"})
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job
    assert gone == ["a"]


async def test_what_comes_changes_and_goes_is_followed(store: Store) -> None:
    counts: list[int] = []
    live = RegisteredClients(on_count=counts.append)
    async with following(store, live):
        created = await store.clients.create(record("a"))
        assert await becomes(live, {"a"})
        await store.clients.update(created, lambda _: record("a", client_name="Renamed"))
        await store.clients.create(record("b"))
        assert await becomes(live, {"a", "b"})
        assert live["a"].name == "Renamed"
        await store.clients.delete("a")
        assert await becomes(live, {"b"})
    assert counts[-1] == 1


@pytest.mark.covers("K-8")
async def test_what_went_while_the_watch_was_broken_is_seen_at_the_next_list(store: Store) -> None:
    live = RegisteredClients()
    for name in ("a", "b"):
        await store.clients.create(record(name))
    async with following(store, live):
        pass
    await store.clients.delete("a")
    await store.clients.create(record("c"))
    assert set(live) == {"a", "b"}
    async with following(store, live):
        assert set(live) == {"b", "c"}


@pytest.mark.covers("K-9")
async def test_what_is_known_stays_while_the_list_cannot_be_read(store: Store) -> None:
    live = RegisteredClients()
    await store.clients.create(record("a"))
    async with following(store, live):
        pass
    store.faults.next("scan", Fails())
    with pytest.raises(StorageUnavailable):
        await RegistrationFollower(store.clients, live).run()
    assert set(live) == {"a"}


@pytest.mark.covers("K-22", "R-97")
async def test_a_record_that_nobody_can_read_stops_no_other(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await store.clients.create(record("a"))
    foreign = Document(name="by-hand", columns={}, sealed="x")
    await store.inner.create(REGISTERED_CLIENTS.name, foreign)
    await store.clients.create(replace(record("empty"), metadata="{}"))
    live = RegisteredClients()
    with caplog.at_level(logging.ERROR):
        async with following(store, live):
            assert set(live) == {"a"}
            await store.inner.create(REGISTERED_CLIENTS.name, replace(foreign, name="Not A Name"))
            await store.clients.create(record("b"))
            assert await becomes(live, {"a", "b"})
    assert len([each for each in caplog.records if each.message == "record_unreadable"]) >= 2
    # It counts all the same: it takes the place of a client.
    assert "empty" in live.names


async def test_a_client_that_was_gone_again_before_it_was_read_is_no_client(store: Store) -> None:
    live = RegisteredClients()
    async with following(store, live):
        store.faults.next("read", Fails(NotFound("gone again")))
        await store.clients.create(record("a"))
        await store.clients.create(record("b"))
        assert await becomes(live, {"b"})


@pytest.mark.covers("I-7")
async def test_a_client_whose_sealing_key_is_on_its_way_goes_on_as_it_was(store: Store) -> None:
    live = RegisteredClients()
    async with following(store, live):
        created = await store.clients.create(record("a"))
        assert await becomes(live, {"a"})
        store.faults.next("read", Fails(SealUnknown("a key that is not here yet")))
        await store.clients.update(created, lambda _: record("a", client_name="Renamed"))
        await store.clients.create(record("b"))
        assert await becomes(live, {"a", "b"})
        assert live["a"].name == "The App"


WRITTEN = Client(id="app", name="Written")


@pytest.mark.covers("R-105")
def test_a_client_that_an_operator_wrote_wins_its_id() -> None:
    live = RegisteredClients()
    live.put(record("app"))
    live.put(record("other"))
    every = EveryClient({"app": WRITTEN}, live)
    assert every["app"] is every.get("app") is WRITTEN
    assert every["other"].registered_itself
    assert sorted(every) == ["app", "other"]
    assert len(every) == 2
    assert "other" in every
    assert "nobody" not in every
    assert every.get("nobody") is None
    with pytest.raises(KeyError):
        every["nobody"]


def test_every_member_of_the_metadata_that_means_something_is_in_the_client() -> None:
    live = RegisteredClients()
    live.put(
        record(
            "a",
            scope="openid email",
            default_max_age=60,
            response_types=["code"],
            id_token_signed_response_alg="ES256",
            userinfo_signed_response_alg="RS256",
            jwks={"keys": []},
            token_endpoint_auth_signing_alg="ES256",
            post_logout_redirect_uris=["https://app.example.com/out"],
            backchannel_logout_uri="https://app.example.com/bc",
            backchannel_logout_session_required=True,
            frontchannel_logout_uri="https://app.example.com/fc",
            request_uris=["https://app.example.com/r"],
            request_object_signing_alg="ES256",
            logo_uri="https://app.example.com/l",
            tos_uri="https://app.example.com/t",
            policy_uri="https://app.example.com/p",
            initiate_login_uri="https://app.example.com/i",
        )
    )
    client = live["a"]
    assert client.name == "The App"
    assert client.auth_method == "client_secret_basic"
    assert client.allowed.scopes == {"openid", "email"}
    assert client.allowed.grant_types == {"authorization_code"}
    assert client.allowed.response_types == {"code"}
    assert client.tokens.id_token_alg == "ES256"
    assert client.tokens.userinfo_alg == "RS256"
    assert client.default_max_age == 60
    assert client.keys.jwks == '{"keys":[]}'
    assert client.keys.auth_alg == "ES256"
    assert client.logout.redirect_uris == ("https://app.example.com/out",)
    assert client.logout.backchannel_session_required
    assert client.logout.frontchannel_uri == "https://app.example.com/fc"
    assert client.request_objects.request_uris == ("https://app.example.com/r",)
    assert client.request_objects.signing_alg == "ES256"
    assert client.links.initiate_login_uri == "https://app.example.com/i"
