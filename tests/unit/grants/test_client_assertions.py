"""Clients that prove themselves by a signature: once, in time, with their own key, or not."""

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from idp.grants.client_assertions import ClientAssertions
from idp.keys.client_signatures import ClientSignatures
from idp.keys.remote_key_sets import RemoteKeySets
from idp.keys.seal import SealingKey, SealingKeys
from idp.oauth.client import Client, ClientKeys
from idp.oauth.client_assertion import ClientAssertion
from idp.oauth.client_auth import refusal
from idp.oauth.errors import InvalidClient, TemporarilyUnavailable
from idp.transport.outbound import Fetched, OutboundRefused
from storage.collection import Collection
from storage.kinds import USED_ASSERTIONS
from storage.memory import MemoryBackend
from storage.sweep import sweep_once
from tests.kit.clock import HandClock
from tests.kit.signing_client import SigningClient
from tests.kit.storage import Fails, Faults, FlakyBackend
from tests.unit.grants.world import Heard
from tests.vectors.hostile_jose import Good, hostile_tokens

pytestmark = pytest.mark.anyio

ISSUER = "https://idp.example.com"
URL_ID = "https://app.example.com"
KEYS_URL = "https://app.example.com/keys"
TYP = "client-authentication+jwt"


def signing(alg: str = "RS256", name: str = "first", client_id: str = "app") -> SigningClient:
    return SigningClient(client_id, ISSUER, alg=alg, name=name, typ=TYP)


def registered(
    *signers: SigningClient, client_id: str = "app", uri: str = "", **more: Any
) -> Client:
    """Return a client that signs with these keys, inline or at an address."""
    keys = json.dumps({"keys": [each.jwks["keys"][0] for each in signers]})
    return Client(
        id=client_id,
        name=client_id,
        auth_method="private_key_jwt",
        keys=ClientKeys(jwks_uri=uri) if uri else ClientKeys(jwks=keys),
        **more,
    )


@dataclass(slots=True)
class Site:
    """What stands at the address of the keys; `asked` counts."""

    document: bytes = b""
    status: int = 200
    trouble: Exception | None = None
    asked: int = 0

    async def get(self, _: str) -> Fetched:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        return Fetched(self.status, "application/json", self.document)

    def publish(self, *signers: SigningClient) -> None:
        self.document = json.dumps({"keys": [each.jwks["keys"][0] for each in signers]}).encode()


@dataclass(slots=True, kw_only=True)
class World:
    """Replicas over one store."""

    clients: dict[str, Client] = field(default_factory=dict)
    inner: MemoryBackend = field(default_factory=MemoryBackend)
    faults: Faults = field(default_factory=Faults)
    clock: HandClock = field(default_factory=HandClock)
    audit: Heard = field(default_factory=Heard)
    site: Site = field(default_factory=Site)
    seconds: float = 0.0
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @property
    def used(self) -> Collection[Any]:
        return Collection(
            backend=FlakyBackend(self.inner, self.faults),
            kind=USED_ASSERTIONS,
            sealer=SealingKeys([SealingKey(self.key)], random=secrets.token_bytes),
            issuer=ISSUER,
        )

    def replica(self) -> ClientAssertions:
        remote = RemoteKeySets(get=self.site.get, monotonic=lambda: self.seconds)
        return ClientAssertions(
            clients=self.clients,
            signatures=ClientSignatures(remote),
            used=self.used,
            audiences=(ISSUER, f"{ISSUER}/token"),
            clock=self.clock,
            audit=self.audit,
        )

    def claims(self, client_id: str = "app", **changes: Any) -> dict[str, Any]:
        now = int(self.clock().timestamp())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": ISSUER,
            "exp": now + 60,
            "iat": now,
            "jti": secrets.token_hex(8),
        }
        return {**claims, **changes}


@pytest.fixture
def world() -> World:
    return World(clients={"app": registered(signing()), "other": registered(client_id="other")})


def assertion(text: str, client_id: str | None = None) -> ClientAssertion:
    return ClientAssertion(text, client_id)


@pytest.mark.spec("OIDC Core", "9")
@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
@pytest.mark.parametrize("client_id", [None, "app"])
async def test_a_client_proves_itself_with_one_write(
    world: World, alg: str, client_id: str | None
) -> None:
    signer = signing(alg)
    world.clients["app"] = registered(signer)
    text = signer.jwt(world.claims())
    client = await world.replica().prove(assertion(text, client_id))
    assert client is world.clients["app"]
    assert dict(world.faults.calls) == {"create": 1}
    assert world.audit.events == []


@pytest.mark.covers("R-24", "CV-11")
@pytest.mark.spec("RFC 7523", "3")
async def test_an_assertion_works_once_on_whatever_replica(world: World) -> None:
    text = signing().jwt(world.claims())
    one, other = world.replica(), world.replica()
    await one.prove(assertion(text))
    for replica in (one, other, other):
        with pytest.raises(InvalidClient, match="used before"):
            await replica.prove(assertion(text))
    again = world.claims(jti="the same") | {"exp": int(world.clock().timestamp()) + 10}
    await one.prove(assertion(signing().jwt(again)))
    with pytest.raises(InvalidClient, match="used before"):
        await other.prove(assertion(signing().jwt({**again, "exp": again["exp"] + 5})))


@pytest.mark.covers("R-24")
async def test_of_many_at_once_one_works(world: World) -> None:
    text = signing().jwt(world.claims())
    replicas = [world.replica() for _ in range(10)]

    async def tried(replica: ClientAssertions) -> bool:
        try:
            await replica.prove(assertion(text))
        except InvalidClient:
            return False
        return True

    assert sum(await asyncio.gather(*(tried(replica) for replica in replicas))) == 1


@pytest.mark.covers("R-24")
async def test_the_same_jti_of_another_client_is_another_assertion(world: World) -> None:
    signer = signing(name="of other", client_id="other")
    world.clients["other"] = registered(signer, client_id="other")
    await world.replica().prove(assertion(signing().jwt(world.claims(jti="1"))))
    await world.replica().prove(assertion(signer.jwt(world.claims("other", jti="1"))))


@pytest.mark.covers("R-24")
async def test_an_assertion_is_remembered_for_as_long_as_it_could_be_used(world: World) -> None:
    text = signing().jwt(world.claims(exp=int(world.clock().timestamp()) + 300))
    await world.replica().prove(assertion(text))
    world.clock.turn(299)
    assert await sweep_once(world.used, world.clock(), 100) == 0
    with pytest.raises(InvalidClient, match="used before"):
        await world.replica().prove(assertion(text))
    world.clock.turn(2)
    with pytest.raises(InvalidClient, match="expired"):
        await world.replica().prove(assertion(text))
    assert await sweep_once(world.used, world.clock(), 100) == 1


ONE_ANSWER = refusal().description
Sign = Callable[[World], ClientAssertion]


def by_a_stranger(world: World) -> ClientAssertion:
    return assertion(signing(name="stranger").jwt(world.claims()))


def by_a_stranger_with_the_right_kid(world: World) -> ClientAssertion:
    return assertion(signing(name="stranger").jwt(world.claims(), signing().header))


def by_another_client(world: World) -> ClientAssertion:
    signer = signing(name="of other", client_id="other")
    world.clients["other"] = registered(signer, client_id="other")
    return assertion(signer.jwt(world.claims("app")))


def of_an_unknown_client(world: World) -> ClientAssertion:
    return assertion(signing().jwt(world.claims("ghost")))


def of_a_client_with_a_secret(world: World) -> ClientAssertion:
    world.clients["app"] = replace(
        registered(signing()), auth_method="", secret_hashes=(bytes(32),)
    )
    return assertion(signing().jwt(world.claims()))


def of_a_public_client(world: World) -> ClientAssertion:
    world.clients["app"] = replace(registered(signing()), auth_method="none")
    return assertion(signing().jwt(world.claims()))


def with_another_client_id(world: World) -> ClientAssertion:
    return assertion(signing().jwt(world.claims()), "other")


def in_two_voices(world: World) -> ClientAssertion:
    return assertion(signing().jwt(world.claims(iss="other")))


def with_garbage(_: World) -> ClientAssertion:
    return assertion("garbage")


@pytest.mark.covers("R-18", "R-24", "CV-6")
@pytest.mark.parametrize(
    "sign",
    [
        by_a_stranger,
        by_a_stranger_with_the_right_kid,
        by_another_client,
        of_an_unknown_client,
        of_a_client_with_a_secret,
        of_a_public_client,
        with_another_client_id,
        in_two_voices,
        with_garbage,
    ],
)
async def test_who_does_not_hold_the_key_gets_one_answer_and_no_write(
    world: World, sign: Sign
) -> None:
    presented = sign(world)
    with pytest.raises(InvalidClient) as refused:
        await world.replica().prove(presented)
    assert refused.value.description == ONE_ANSWER
    assert not world.faults.calls
    assert world.audit.events == ["client_authentication_failed"]


@pytest.mark.covers("R-24", "CV-11")
@pytest.mark.parametrize(
    "changes", [{"aud": [ISSUER]}, {"aud": "https://evil.example"}, {"exp": 1}, {"jti": ""}]
)
async def test_what_a_client_signed_wrongly_is_not_written(
    world: World, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidClient) as refused:
        await world.replica().prove(assertion(signing().jwt(world.claims(**changes))))
    assert refused.value.description != ONE_ANSWER
    assert not world.faults.calls
    assert world.audit.events == ["client_authentication_failed"]


FORGIVEN = {
    "typ 'JWT'", "typ 'jwt'", "typ 'Jwt'", "typ 'application/jwt'", "typ missing", "kid missing",
    "iat missing",
}  # fmt: skip
"""Of the corpus, made for tokens of our own, what RFC 7523 lets a client do; and clocks differ."""


@pytest.mark.covers("R-24", "R-41", "R-42", "R-43", "R-44", "R-45", "CV-12", "CV-13", "CV-14")
@pytest.mark.parametrize("alg", ["RS256", "ES256"])
async def test_no_hostile_assertion_proves_anything(world: World, alg: str) -> None:
    signer, stranger = signing(alg), signing(alg, "stranger")
    world.clients[URL_ID] = registered(signer, client_id=URL_ID)
    now = int(world.clock().timestamp())
    public = signer.key.as_dict(private=False)
    good = Good(
        header=signer.header,
        claims=world.claims(URL_ID),
        sign=signer.sign,
        sign_as_stranger=stranger.sign,
        public_forms={
            "jwk": json.dumps(public).encode(),
            "pem": signer.key.as_pem(private=False),
            "der": signer.key.as_der(private=False),
        },
        now=now,
    )

    async def is_accepted(text: str) -> bool:
        # A store for each: that one was used before must not be what refuses the next.
        world.inner = MemoryBackend()
        try:
            await world.replica().prove(assertion(text))
        except InvalidClient:
            return False
        return True

    assert await is_accepted(good.text())
    world.faults.calls.clear()
    cases = [(name, text) for name, text in hostile_tokens(good) if name not in FORGIVEN]
    cases = [(name, text) for name, text in cases if name != f"nbf {now + 1}"]
    assert len(cases) >= 300
    assert [name for name, text in cases if await is_accepted(text)] == []
    assert not world.faults.calls
    assert world.site.asked == 0


@pytest.mark.covers("K-1", "CV-10")
async def test_while_the_store_is_away_nobody_is_let_in(world: World) -> None:
    text = signing().jwt(world.claims())
    world.faults.next("create", Fails())
    with pytest.raises(TemporarilyUnavailable, match="Make another assertion"):
        await world.replica().prove(assertion(text))


# Keys at an address.


@pytest.fixture
def remote(world: World) -> World:
    world.clients["app"] = registered(uri=KEYS_URL)
    world.site.publish(signing())
    return world


async def proved(world: World, replica: ClientAssertions, signer: SigningClient) -> bool:
    try:
        await replica.prove(assertion(signer.jwt(world.claims())))
    except InvalidClient:
        return False
    return True


async def test_keys_are_fetched_once_and_kept_for_a_while(remote: World) -> None:
    replica = remote.replica()
    for _ in range(5):
        assert await proved(remote, replica, signing())
    assert remote.site.asked == 1
    remote.seconds += 301
    assert await proved(remote, replica, signing())
    assert remote.site.asked == 2


@pytest.mark.covers("R-83")
async def test_many_at_once_share_one_fetch(remote: World) -> None:
    replica = remote.replica()
    assert all(await asyncio.gather(*(proved(remote, replica, signing()) for _ in range(20))))
    assert remote.site.asked == 1


async def test_a_new_key_is_found_when_it_is_used(remote: World) -> None:
    replica, new = remote.replica(), signing(name="new")
    assert await proved(remote, replica, signing())
    remote.site.publish(new)
    assert not await proved(remote, replica, new)
    remote.seconds += 31
    assert await proved(remote, replica, new)
    assert not await proved(remote, replica, signing())


@pytest.mark.covers("R-83", "CV-21")
async def test_strangers_cause_a_fetch_in_half_a_minute_at_most(remote: World) -> None:
    replica, stranger = remote.replica(), signing(name="stranger")
    for second in range(60):
        remote.seconds = float(second)
        assert not await proved(remote, replica, stranger)
        with pytest.raises(InvalidClient):
            await replica.prove(assertion("a.b.c"))
    assert remote.site.asked <= 3


@pytest.mark.covers("R-42", "R-83", "CV-13")
async def test_nothing_is_fetched_for_what_no_key_could_have_signed(remote: World) -> None:
    replica = remote.replica()
    for header in ({"alg": "HS256"}, {"alg": "none"}, {"alg": "RS256", "jku": KEYS_URL}):
        text = signing().jwt(remote.claims(), header)
        with pytest.raises(InvalidClient):
            await replica.prove(assertion(text))
    assert remote.site.asked == 0


@pytest.mark.parametrize(
    "site",
    [
        Site(status=404),
        Site(status=302),
        Site(document=b"<html>"),
        Site(document=b'{"keys":[]}'),
        Site(trouble=OutboundRefused("inner.example is not a host of the public internet")),
    ],
)
async def test_keys_that_cannot_be_had_prove_nobody_and_are_asked_for_again(
    remote: World, site: Site
) -> None:
    good, remote.site = remote.site, site
    replica = remote.replica()
    with pytest.raises(InvalidClient) as refused:
        await replica.prove(assertion(signing().jwt(remote.claims())))
    assert refused.value.description == ONE_ANSWER
    assert not await proved(remote, replica, signing())
    assert site.asked == 1
    site.document, site.status, site.trouble = good.document, 200, None
    remote.seconds += 11
    assert await proved(remote, replica, signing())


async def test_why_keys_cannot_be_had_is_for_the_log(
    remote: World, caplog: pytest.LogCaptureFixture
) -> None:
    remote.site.trouble = OutboundRefused("inner.example is not a host of the public internet")
    assert not await proved(remote, remote.replica(), signing())
    (record,) = [each for each in caplog.records if each.getMessage() == "client_keys_unavailable"]
    assert "inner.example" in json.dumps(record.__dict__, default=str)


async def test_no_more_key_sets_are_kept_than_there_is_room_for(world: World) -> None:
    world.site.publish(signing())
    remote = RemoteKeySets(get=world.site.get, monotonic=lambda: world.seconds)
    for number in range(300):
        await remote.keys(f"{KEYS_URL}/{number}")
    assert world.site.asked == 300
    await remote.keys(f"{KEYS_URL}/299")
    assert world.site.asked == 300
    await remote.keys(f"{KEYS_URL}/0")
    assert world.site.asked == 301
