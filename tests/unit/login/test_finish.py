"""The end of a login: who may not finish it, and what is kept of those who do."""

import secrets
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.base import AccessRefused, AccountLocked, Identity
from idp.keys.handles import Handles
from idp.keys.jwks import new_signing_key
from idp.keys.signer import Signer
from idp.login.finish import LoginFinisher
from idp.login.state import ApprovalState, LoginState
from idp.oauth.asked_claims import NOTHING_ASKED, AskedClaims
from idp.oauth.authentication import PASSWORD
from idp.oauth.authorize import AuthorizationRequest, Refused, Target
from idp.oauth.client import ClaimRules, TokenRules
from idp.oauth.errors import Untrusted
from idp.oauth.standing import Standings, UserStanding
from idp.oauth.subject import subject
from idp.tokens.size import TokenTooLarge
from storage.records import KeyRing
from tests.kit.clock import HandClock
from tests.unit.grants.world import ALICE, APP, CALLBACK, World

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


def signed_in(
    world: World, state: LoginState | None = None, identity: Identity = ALICE
) -> ApprovalState:
    return ApprovalState(
        login=state or login_state(), identity=identity, authenticated_at=world.clock()
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


def asking(claims: AskedClaims, *scopes: str) -> LoginState:
    state = login_state()
    return replace(state, request=replace(state.request, claims=claims, scopes=scopes))


@pytest.mark.spec("OIDC Core", "5.5")
async def test_the_grant_remembers_what_was_asked_for_by_name(world: World) -> None:
    person = replace(ALICE, claims=(("department", ("physics",)), ("badge", ("7",))))
    claims = AskedClaims(id_token=("department", "unheard-of"), userinfo=("email", "groups"))
    await finisher(world, {}).finish(signed_in(world, asking(claims, "openid"), person))
    grant = await world.stored()
    assert grant.claims == (("department", ("physics",)),)
    assert grant.groups == ALICE.groups
    assert grant.asked_for_id_token == ("department",)
    assert grant.asked_for_userinfo == ("email", "groups")


@pytest.mark.covers("R-15")
@pytest.mark.spec("OIDC Core", "5.5.1")
@pytest.mark.parametrize("subjects", [("somebody-else",), ()])
async def test_nobody_but_the_demanded_subject_is_signed_in(
    world: World, subjects: tuple[str, ...]
) -> None:
    state = asking(AskedClaims(subjects=subjects), "openid")
    with pytest.raises(Refused) as refused:
        await finisher(world, {}).finish(signed_in(world, state))
    assert refused.value.error.code == "login_required"
    assert world.faults.writes == 0
    right = asking(AskedClaims(subjects=("somebody-else", SUB)), "openid")
    assert (await finisher(world, {}).finish(signed_in(world, right))).answer["code"]


@pytest.mark.covers("R-15")
async def test_a_hint_and_a_demanded_subject_must_both_be_met(world: World) -> None:
    state = asking(AskedClaims(subjects=(SUB,)), "openid")
    other = replace(state, request=replace(state.request, hinted_subject=subject("x", "local")))
    with pytest.raises(Refused):
        await finisher(world, {}).finish(signed_in(world, other))


@pytest.mark.spec("OIDC Core", "5.5.1.1")
async def test_an_essential_acr_is_that_of_the_login_or_nobody_signs_in(world: World) -> None:
    good = asking(AskedClaims(acr_values=("gold", PASSWORD.acr), acr_essential=True), "openid")
    better = asking(AskedClaims(acr_values=("gold",), acr_essential=True), "openid")
    typed = replace(signed_in(world, better), method=PASSWORD)
    for unmet in (typed, signed_in(world, good)):
        with pytest.raises(Refused) as refused:
            await finisher(world, {}).finish(unmet)
        assert refused.value.error.code == "unmet_authentication_requirements"
    assert world.faults.writes == 0
    assert (await finisher(world, {}).finish(replace(typed, login=good))).answer["code"]


@pytest.mark.covers("K-17")
async def test_a_filter_counts_before_the_size_does(world: World) -> None:
    many = replace(ALICE, groups=tuple(f"group-number-{n}" for n in range(5000)))
    state = asking(NOTHING_ASKED, "openid", "groups")
    with pytest.raises(TokenTooLarge):
        await finisher(world, {}).finish(signed_in(world, state, many))
    assert world.faults.writes == 0
    world.clients["app"] = replace(APP, claims=ClaimRules(groups_filter=("group-number-77*",)))
    finished = await finisher(world, {}).finish(signed_in(world, state, many))
    assert finished.answer["code"]


@pytest.mark.covers("CV-33")
async def test_a_client_that_is_gone_by_now_gets_no_code(world: World) -> None:
    del world.clients["app"]
    with pytest.raises(Untrusted):
        await finisher(world, {}).finish(signed_in(world))
    assert world.faults.writes == 0


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
