"""The state of a login: unreadable, unchangeable, for one step, one browser and half an hour."""

import json
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Identity
from idp.keys import base64url
from idp.keys.seal import SealingKey, SealingKeys
from idp.login.state import (
    ApprovalState,
    LoginState,
    LoginStates,
    OtherBrowser,
    StateBroken,
    StateExpired,
)
from idp.oauth.asked_claims import NOTHING_ASKED, AskedClaims
from idp.oauth.authorize import AuthorizationRequest, Target
from idp.oauth.response_modes import ResponseMode
from idp.oauth.response_types import KNOWN
from tests.kit.clock import HandClock

KEY = SealingKey(b"k" * 32)
OTHER_KEY = SealingKey(b"o" * 32)
LIFETIME = timedelta(minutes=30)
BROWSER = "browser-1"
StateError = (StateBroken, StateExpired, OtherBrowser)


def states(clock: HandClock | None = None, *keys: SealingKey) -> LoginStates:
    sealer = SealingKeys(keys or (KEY,), random=secrets.token_bytes)
    return LoginStates(sealer=sealer, clock=clock or HandClock(), lifetime=LIFETIME)


texts = st.text(max_size=20)
some = st.lists(texts, max_size=4).map(tuple)
requests = st.builds(
    AuthorizationRequest,
    target=st.builds(
        Target,
        client_id=texts,
        redirect_uri=texts,
        state=st.one_of(st.none(), texts),
        response_mode=st.sampled_from(ResponseMode),
    ),
    scopes=some,
    peers=some,
    nonce=texts,
    code_challenge=texts,
    prompts=st.frozensets(texts, max_size=3),
    max_age=st.one_of(st.none(), st.integers(0, 999_999_999)),
    login_hint=texts,
    hinted_subject=texts,
    connector_id=texts,
    response_type=st.sampled_from(KNOWN),
    claims=st.builds(
        AskedClaims,
        id_token=some,
        userinfo=some,
        subjects=st.one_of(st.none(), some),
        acr_values=some,
        acr_essential=st.booleans(),
    ),
)
logins = st.builds(LoginState, request=requests, connector_id=texts, grant_name=texts).map(
    # The connector of the login is the one that goes on; what was asked for first is forgotten.
    lambda state: LoginState(
        request=AuthorizationRequest(
            **{
                name: getattr(state.request, name)
                for name in AuthorizationRequest.__slots__
                if name != "connector_id"
            },
            connector_id=state.connector_id,
        ),
        connector_id=state.connector_id,
        grant_name=state.grant_name,
    )
)
identities = st.builds(
    Identity, user_id=texts, username=texts, preferred_username=texts, email=texts,
    email_verified=st.booleans(), groups=some, connector_data=texts,
    claims=st.lists(st.tuples(texts, some), max_size=3).map(tuple),
)  # fmt: skip
approvals = st.builds(
    ApprovalState,
    login=logins,
    identity=identities,
    authenticated_at=st.integers(0, 2**32).map(lambda s: datetime.fromtimestamp(s, UTC)),
)

LOGIN = LoginState(
    request=AuthorizationRequest(
        target=Target(client_id="app", redirect_uri="https://app.example.com/cb", state="s"),
        scopes=("openid",),
        peers=(),
        nonce="n",
        code_challenge="",
        prompts=frozenset(),
        max_age=None,
        login_hint="",
        hinted_subject="",
        connector_id="local",
    ),
    connector_id="local",
    grant_name="name",
)
APPROVAL = ApprovalState(
    login=LOGIN,
    identity=Identity(user_id="u", groups=("a", "b")),
    authenticated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@given(logins, texts)
def test_a_login_comes_back_as_it_was(login: LoginState, browser: str) -> None:
    browser = browser.encode("utf-8", "replace").decode()
    ours = states()
    assert ours.open_login(ours.seal_login(login, browser=browser), browser=browser) == login


@given(approvals)
def test_an_approval_comes_back_as_it_was(approval: ApprovalState) -> None:
    ours = states()
    sealed = ours.seal_approval(approval, browser=BROWSER)
    assert ours.open_approval(sealed, browser=BROWSER) == approval


def test_a_state_that_an_older_server_sealed_asks_for_nothing_by_name() -> None:
    sealer = SealingKeys([KEY], random=secrets.token_bytes)

    def without_claims(purpose: str, sealed: str, path: tuple[str, ...]) -> str:
        envelope = json.loads(sealer.open(purpose, sealed))
        members = envelope["state"]
        for step in path:
            members = members[step]
        del members["claims"]
        return sealer.seal(purpose, json.dumps(envelope).encode())

    old_login = without_claims("login-state", states().seal_login(LOGIN, browser=BROWSER), ())
    assert states().open_login(old_login, browser=BROWSER).request.claims == NOTHING_ASKED
    sealed = states().seal_approval(APPROVAL, browser=BROWSER)
    for path in (("login",), ("identity",)):
        sealed = without_claims("approval-state", sealed, path)
    assert states().open_approval(sealed, browser=BROWSER) == APPROVAL


@given(st.binary(max_size=300))
def test_a_posted_request_comes_back_byte_for_byte(raw: bytes) -> None:
    ours = states()
    assert ours.open_request(ours.seal_request(raw)) == raw


@pytest.mark.covers("R-63")
@given(logins)
def test_a_state_is_one_word_that_a_form_and_an_address_can_carry(login: LoginState) -> None:
    sealed = states().seal_login(login, browser=BROWSER)
    assert set(sealed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.covers("CV-34", "R-45")
@pytest.mark.parametrize("change", ["flip", "drop", "append", "double", "case"])
def test_no_changed_state_opens_at_any_position(change: str) -> None:
    ours = states()
    sealed = ours.seal_login(LOGIN, browser=BROWSER)
    for position in range(len(sealed)):
        before, here, after = sealed[:position], sealed[position], sealed[position + 1 :]
        changed = {
            "flip": before + ("B" if here == "A" else "A") + after,
            "drop": before + after,
            "append": before + here + "A" + after,
            "double": before + here + here + after,
            "case": before + here.swapcase() + after,
        }[change]
        if changed != sealed:
            with pytest.raises(StateBroken):
                ours.open_login(changed, browser=BROWSER)


@pytest.mark.covers("CV-34")
def test_every_bit_of_a_state_counts() -> None:
    ours = states()
    raw = base64url.decode(ours.seal_login(LOGIN, browser=BROWSER))
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StateBroken):
            ours.open_login(base64url.encode(bytes(changed)), browser=BROWSER)


@pytest.mark.covers("CV-34", "CV-36")
@given(st.one_of(st.text(max_size=80), st.binary(max_size=80).map(base64url.encode)))
def test_any_text_is_a_broken_state(text: str) -> None:
    ours = states()
    for attempt in (
        lambda: ours.open_login(text, browser=BROWSER),
        lambda: ours.open_approval(text, browser=BROWSER),
        lambda: ours.open_request(text),
    ):
        with pytest.raises(StateBroken):
            attempt()


@pytest.mark.covers("R-82")
def test_a_state_of_any_length_is_refused_in_no_time() -> None:
    with pytest.raises(StateBroken):
        states().open_login("A" * 10_000_000, browser=BROWSER)


@pytest.mark.covers("CV-8", "R-45")
def test_the_state_of_one_step_opens_at_no_other() -> None:
    ours = states()
    login = ours.seal_login(LOGIN, browser="")
    approval = ours.seal_approval(APPROVAL, browser="")
    request = ours.seal_request(b"client_id=app")
    for sealed in (approval, request):
        with pytest.raises(StateBroken):
            ours.open_login(sealed, browser="")
    for sealed in (login, request):
        with pytest.raises(StateBroken):
            ours.open_approval(sealed, browser="")
    for sealed in (login, approval):
        with pytest.raises(StateBroken):
            ours.open_request(sealed)


@pytest.mark.covers("R-50", "CV-1")
@pytest.mark.parametrize("browser", [None, "", "browser-2", "BROWSER-1", "browser-1 "])
def test_a_state_opens_in_the_browser_that_started_only(browser: str | None) -> None:
    ours = states()
    with pytest.raises(OtherBrowser):
        ours.open_login(ours.seal_login(LOGIN, browser=BROWSER), browser=browser)
    with pytest.raises(OtherBrowser):
        ours.open_approval(ours.seal_approval(APPROVAL, browser=BROWSER), browser=browser)


@pytest.mark.covers("R-54", "CV-32")
def test_a_state_opens_until_its_last_second_and_not_in_it() -> None:
    clock = HandClock()
    ours = states(clock)
    login = ours.seal_login(LOGIN, browser=BROWSER)
    approval = ours.seal_approval(APPROVAL, browser=BROWSER)
    request = ours.seal_request(b"a=b")
    clock.turn(LIFETIME - timedelta(seconds=1))
    assert ours.open_login(login, browser=BROWSER) == LOGIN
    clock.turn(1)
    for attempt in (
        lambda: ours.open_login(login, browser=BROWSER),
        lambda: ours.open_approval(approval, browser=BROWSER),
        lambda: ours.open_request(request),
    ):
        with pytest.raises(StateExpired):
            attempt()


@pytest.mark.covers("CV-8")
def test_a_state_of_another_provider_does_not_open() -> None:
    foreign = states(None, OTHER_KEY).seal_login(LOGIN, browser=BROWSER)
    with pytest.raises(StateBroken):
        states().open_login(foreign, browser=BROWSER)


def test_a_state_survives_the_change_of_the_sealing_key() -> None:
    sealed = states(None, KEY).seal_login(LOGIN, browser=BROWSER)
    assert states(None, OTHER_KEY, KEY).open_login(sealed, browser=BROWSER) == LOGIN


@pytest.mark.covers("CV-30")
def test_nobody_reads_a_state() -> None:
    raw = base64url.decode(states().seal_approval(APPROVAL, browser=BROWSER))
    for word in (b"app.example.com", b"openid", b"local", BROWSER.encode()):
        assert word not in raw
    with pytest.raises(ValueError, match=r".+"):
        json.loads(raw)


def test_two_states_of_one_login_have_nothing_in_common() -> None:
    ours = states()
    assert ours.seal_login(LOGIN, browser=BROWSER) != ours.seal_login(LOGIN, browser=BROWSER)
