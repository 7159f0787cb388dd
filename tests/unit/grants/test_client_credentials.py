"""client_credentials: what a client may have for itself (RFC 6749 section 4.4)."""

import pytest

from idp.grants.client_credentials import ClientCredentialsGrant
from idp.oauth.client import Client
from idp.oauth.errors import InvalidScope
from tests.unit.grants.world import World, parameters

pytestmark = pytest.mark.anyio
ROBOT = Client(id="robot", name="The Robot", secret_hashes=(bytes(32),))
PEER = Client(id="peer", name="", secret_hashes=(bytes(32),), trusted_peers=frozenset({"robot"}))
ALOOF = Client(id="aloof", name="", secret_hashes=(bytes(32),))


@pytest.fixture
def grant(world: World) -> ClientCredentialsGrant:
    clients = {client.id: client for client in (ROBOT, PEER, ALOOF)}
    return ClientCredentialsGrant(clients=clients, issuer=world.issuer, audit=world.audit)


@pytest.mark.covers("R-26")
def test_only_a_client_that_proved_itself_may_use_it(grant: ClientCredentialsGrant) -> None:
    assert grant.allows(ROBOT)
    assert not grant.allows(Client(id="cli", name=""))


@pytest.mark.covers("R-26")
@pytest.mark.parametrize("scope", ["offline_access", "openid offline_access", "federated:id"])
async def test_what_needs_a_person_is_refused(grant: ClientCredentialsGrant, scope: str) -> None:
    with pytest.raises(InvalidScope):
        await grant.redeem(parameters(scope=scope), ROBOT)


async def test_an_audience_must_trust_the_client(grant: ClientCredentialsGrant) -> None:
    scope = "openid audience:server:client_id:peer"
    assert (await grant.redeem(parameters(scope=scope), ROBOT)).id_token
    for other in ("aloof", "nobody", "", "peer2"):
        scope = f"openid audience:server:client_id:{other}"
        with pytest.raises(InvalidScope):
            await grant.redeem(parameters(scope=scope), ROBOT)


@pytest.mark.covers("R-26")
async def test_nothing_is_stored_and_nothing_can_be_refreshed(
    grant: ClientCredentialsGrant, world: World
) -> None:
    tokens = await grant.redeem(parameters(scope="openid groups"), ROBOT)
    assert tokens.refresh_token is None
    assert not world.faults.calls


@pytest.mark.covers("K-17")
async def test_groups_of_the_configuration_are_limited_too(world: World) -> None:
    robot = Client(
        id="robot", name="", secret_hashes=(bytes(32),),
        credentials_groups=tuple(f"group-number-{n}" for n in range(1000)),
    )  # fmt: skip
    grant = ClientCredentialsGrant(clients={"robot": robot}, issuer=world.issuer, audit=world.audit)
    with pytest.raises(InvalidScope):
        await grant.redeem(parameters(scope="openid groups"), robot)
    assert (await grant.redeem(parameters(scope="openid"), robot)).access_token
