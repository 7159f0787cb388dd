"""The end of a login, for people whom an administrator locked."""

import secrets
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.base import AccessRefused, AccountLocked
from idp.keys.handles import Handles
from idp.keys.jwks import new_signing_key
from idp.keys.signer import Signer
from idp.login.finish import LoginFinisher
from idp.login.state import ApprovalState, LoginState
from idp.oauth.authorize import AuthorizationRequest, Refused, Target
from idp.oauth.client import TokenRules
from idp.oauth.standing import Standings, UserStanding
from idp.oauth.subject import subject
from storage.records import KeyRing
from tests.kit.clock import HandClock
from tests.unit.grants.world import ALICE, CALLBACK, World

pytestmark = pytest.mark.anyio

SUB = subject(ALICE.user_id, "local")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world() -> World:
    now = HandClock()()
    ring = KeyRing(name="keys", keys=(new_signing_key("ES256", now),))
    return World(signer=Signer(ring, default_alg="ES256"), ring=ring)


def finisher(world: World, standings: Standings) -> LoginFinisher:
    return LoginFinisher(
        grants=world.grants,
        handles=Handles(world.sealing),
        issuer=world.issuer,
        clock=world.clock,
        random=secrets.token_bytes,
        code_lifetime=timedelta(seconds=60),
        refresh_policy=world.policy,
        refresh_served=True,
        connectors=world.connectors,
        audit=world.audit,
        on_created=world.recent.put,
        standings=standings,
        clients=world.clients,
    )


def signed_in(world: World, state: LoginState | None = None) -> ApprovalState:
    return ApprovalState(
        login=state or login_state(), identity=ALICE, authenticated_at=world.clock()
    )


def login_state() -> LoginState:
    request = AuthorizationRequest(
        target=Target(client_id="app", redirect_uri=CALLBACK, state=None),
        scopes=("openid", "offline_access"),
        peers=(),
        nonce="",
        code_challenge="",
        prompts=frozenset(),
        max_age=None,
        login_hint="",
        hinted_subject="",
        connector_id="local",
    )
    return LoginState(request=request, connector_id="local", grant_name="grant-1")


async def test_somebody_in_good_standing_gets_a_code(world: World) -> None:
    standings = {
        SUB: UserStanding(not_before=world.clock()),
        subject("another", "local"): UserStanding(locked=True),
    }
    finished = await finisher(world, standings).finish(signed_in(world))
    assert finished.answer.keys() == {"code"}
    assert world.audit.events == ["login_succeeded"]


@pytest.mark.parametrize("locked", [True, False])
async def test_somebody_locked_gets_none_and_nothing_is_written(
    world: World, *, locked: bool
) -> None:
    later = world.clock() + timedelta(minutes=1)
    standings = {SUB: UserStanding(locked=locked, not_before=None if locked else later)}
    for attempt in (finisher(world, standings).finish, finisher(world, standings).check):
        with pytest.raises(AccountLocked):
            await attempt(signed_in(world))  # type: ignore[misc]
    assert not world.faults.calls
    assert world.audit.events == ["login_of_locked_user"] * 2


async def test_an_id_token_that_no_key_can_sign_yet_is_refused_before_anything_is_written(
    world: World,
) -> None:
    # The only key signs ES256: that of another algorithm is not published for long enough.
    world.clients["app"] = replace(world.clients["app"], tokens=TokenRules(id_token_alg="RS256"))
    state = login_state()
    fronted = replace(state, request=replace(state.request, response_type="code id_token"))
    with pytest.raises(Refused) as refused:
        await finisher(world, {}).finish(signed_in(world, fronted))
    assert refused.value.error.code == "temporarily_unavailable"
    assert not world.faults.calls
    # The token endpoint asks again, when a code is redeemed.
    assert (await finisher(world, {}).finish(signed_in(world, state))).answer["code"]


def test_a_locked_account_is_a_refusal_after_a_right_password() -> None:
    assert issubclass(AccountLocked, AccessRefused)
