"""A login whose sealing key is not here is not over: 503, and not a new sign-in."""

import logging
import secrets
from dataclasses import replace

import pytest

from idp.keys.handles import Handles
from idp.oauth.errors import InvalidGrant, TemporarilyUnavailable
from storage.kinds import GRANTS
from tests.unit.grants.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.covers("R-94", "I-7")]


async def test_a_code_sealed_with_a_key_that_is_on_its_way_is_good_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    code, here = await world.code(), world.sealing_secret
    seed = (await world.stored()).seed
    world.sealing_secret = secrets.token_bytes(32)
    # The tag may name either key: the one that is not here, or one that is.
    for text in (code, Handles(world.sealing).code("grant-1", seed)):
        before = world.budget.left
        with pytest.raises(TemporarilyUnavailable) as caught:
            await world.redeem(text)
        assert caught.value.retry_after.total_seconds() > 0
        assert world.budget.left == before, "nobody could say: it costs nothing"
    (told, _) = [r for r in caplog.records if r.message == "record_unreadable"]
    assert told.levelno == logging.ERROR
    assert "bring the sealing key back" in vars(told)["problem"]
    world.sealing_secret = here
    assert (await world.redeem(code)).refresh_token is not None


async def test_a_refresh_token_sealed_with_a_key_that_is_on_its_way_is_good_later(
    world: World,
) -> None:
    token, here = await world.refresh_token(), world.sealing_secret
    world.sealing_secret = secrets.token_bytes(32)
    with pytest.raises(TemporarilyUnavailable):
        await world.refresh(token)
    assert world.audit.events == []
    world.sealing_secret = here
    assert (await world.refresh(token)).refresh_token is not None


async def test_a_tampered_record_is_still_no_login(world: World) -> None:
    token = await world.refresh_token()
    document = await world.document()
    middle = len(document.sealed) // 2
    other = "A" if document.sealed[middle] != "A" else "B"
    sealed = document.sealed[:middle] + other + document.sealed[middle + 1 :]
    await world.bring_back(replace(document, sealed=sealed))
    with pytest.raises(InvalidGrant):
        await world.refresh(token)


async def test_a_record_that_was_sealed_anew_meanwhile_is_refreshed_all_the_same(
    world: World,
) -> None:
    """A refresh has read the record; then it is sealed anew; then the refresh writes."""
    token = await world.refresh_token()
    backend = world.inner

    class Resealing:
        """The connector, which takes so long that the record changes under the refresh."""

        inner = world.connector

        async def refresh(self, known: object) -> object:
            await world.grants.reseal(await backend.read(GRANTS.name, "grant-1"))
            return await self.inner.refresh(known)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    world.connectors = {"local": Resealing()}.get
    tokens = await world.refresh(token)
    assert (await world.refresh(tokens.refresh_token)).refresh_token is not None
