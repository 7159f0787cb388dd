"""What a stranger's text costs, and what only the record can prove."""

import secrets

import pytest

from idp.keys.handles import Handles
from idp.keys.seal import SealingKey, SealingKeys
from idp.oauth.errors import InvalidGrant, TooManyAttempts
from storage.base import StorageUnavailable
from tests.kit.storage import Fails
from tests.unit.grants.world import World

pytestmark = pytest.mark.anyio
REFUSAL = InvalidGrant("no")


def foreign() -> Handles:
    return Handles(SealingKeys([SealingKey(secrets.token_bytes(32))], random=secrets.token_bytes))


@pytest.mark.covers("R-22", "I-8")
async def test_a_forged_text_never_reaches_the_store(world: World) -> None:
    code = await world.code()
    name, mac, tag = code.split(".")
    forged = [
        "", "x", "kic_", f"{name}.{mac}", f"{name}.{mac}.", f"kic_nobody.{mac}.{tag}",
        f"{name}.{'A' * 24}.{tag}", f"{name}.{mac}.{tag[:8]}{'A' * 24}", code + "A", code[:-1],
        code.replace("kic_", "kir_"), code.upper(), f" {code}", f"{code}\n", "kic_" + "a" * 5000,
        code.replace("_", "_\x00"), "kic_grant-1.٣٣٣.x",
    ]  # fmt: skip
    for text in forged:
        with pytest.raises(InvalidGrant):
            await world.lookup.by_code(text, REFUSAL)
        with pytest.raises(InvalidGrant):
            await world.lookup.by_refresh_token(text, REFUSAL)
    assert world.faults.calls["read"] == 0


@pytest.mark.covers("R-45", "CV-8")
async def test_a_code_is_no_refresh_token_and_the_other_way_round(world: World) -> None:
    code = await world.code()
    token = (await world.redeem(code)).refresh_token
    assert token is not None
    with pytest.raises(InvalidGrant):
        await world.lookup.by_refresh_token(code, REFUSAL)
    with pytest.raises(InvalidGrant):
        await world.lookup.by_code(token, REFUSAL)


@pytest.mark.covers("CV-8")
async def test_a_genuine_text_does_not_open_the_record_of_another_login(world: World) -> None:
    """The same name again, as after a deletion by hand: the seed is another one."""
    code = await world.code("grant-1")
    await world.grants.delete("grant-1")
    await world.code("grant-1")
    with pytest.raises(InvalidGrant):
        await world.lookup.by_code(code, REFUSAL)


async def test_a_text_of_a_lost_sealing_key_is_still_proved_by_its_record(world: World) -> None:
    await world.code()
    seed = (await world.stored()).seed
    stored = await world.lookup.by_code(foreign().code("grant-1", seed), REFUSAL)
    assert stored.record.name == "grant-1"
    generation, _ = await world.lookup.by_refresh_token(
        foreign().refresh_token("grant-1", 7, seed), REFUSAL
    )
    assert generation == 7


@pytest.mark.covers("R-75")
async def test_only_look_ups_that_prove_nothing_are_paid_for(world: World) -> None:
    await world.code()
    seed = (await world.stored()).seed
    before = world.budget.left
    for _ in range(5):
        await world.lookup.by_code(foreign().code("grant-1", seed), REFUSAL)
    assert world.budget.left == before
    for name in ("grant-1", "nobody"):
        with pytest.raises(InvalidGrant):
            await world.lookup.by_code(foreign().code(name, bytes(32)), REFUSAL)
    assert world.budget.left == before - 2


@pytest.mark.covers("I-7")
async def test_a_look_up_that_the_store_did_not_answer_is_given_back(world: World) -> None:
    """Else an outage would use up the budget of those who wait for its end."""
    await world.code()
    seed = (await world.stored()).seed
    before = world.budget.left
    world.faults.always("read", Fails())
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            await world.lookup.by_code(foreign().code("grant-1", seed), REFUSAL)
    assert world.budget.left == before


async def test_a_stranger_with_a_sealing_key_of_their_own_proves_nothing(world: World) -> None:
    await world.code()
    for text in (
        foreign().code("grant-1", secrets.token_bytes(32)),
        foreign().code("nobody", secrets.token_bytes(32)),
        foreign().code("nobody", secrets.token_bytes(32)).replace("nobody", "-"),
    ):
        with pytest.raises(InvalidGrant):
            await world.lookup.by_code(text, REFUSAL)


@pytest.mark.covers("CV-8", "CV-34")
async def test_what_the_record_proves_is_kind_name_and_generation_together(world: World) -> None:
    """Without a tag that we can check, nothing of a text may be exchanged for something else."""
    await world.code("grant-1")
    await world.code("grant-2")
    seed = (await world.stored("grant-1")).seed
    token, code = foreign().refresh_token("grant-1", 1, seed), foreign().code("grant-1", seed)
    _, code_mac, code_tag = code.split(".")
    _, _, token_mac, token_tag = token.split(".")
    for text in (
        token.replace(".1.", ".2."),
        token.replace(".1.", ".0."),
        token.replace("grant-1", "grant-2"),
        f"kir_grant-1.0.{code_mac}.{code_tag}",
        f"kir_grant-1.1.{code_mac}.{code_tag}",
    ):
        with pytest.raises(InvalidGrant):
            await world.lookup.by_refresh_token(text, REFUSAL)
    for text in (f"kic_grant-1.{token_mac}.{token_tag}", code.replace("grant-1", "grant-2")):
        with pytest.raises(InvalidGrant):
            await world.lookup.by_code(text, REFUSAL)


@pytest.mark.covers("R-75", "I-7")
async def test_nobody_is_signed_out_because_strangers_used_up_the_look_ups(world: World) -> None:
    """`invalid_grant` makes clients throw their token away, and this one is good."""
    await world.code()
    world.budget.left = 0
    genuine = foreign().refresh_token("grant-1", 1, (await world.stored()).seed)
    with pytest.raises(TooManyAttempts):
        await world.lookup.by_refresh_token(genuine, REFUSAL)
    assert world.faults.calls["read"] == 0


async def test_texts_of_our_own_key_take_nothing_from_the_budget(world: World) -> None:
    code = await world.code()
    world.budget.left = 0
    assert (await world.lookup.by_code(code, REFUSAL)).record.name == "grant-1"
