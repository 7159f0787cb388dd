"""Our own tokens at our own doors: the right kind, the right time, nothing else (RFC 8725 3.11)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from idp.keys.jwks import new_signing_key
from idp.keys.signer import Signer
from idp.keys.verify import Verifier
from idp.oauth.client import Client
from idp.oauth.errors import InvalidRequest, InvalidToken
from idp.oauth.standing import Standings, UserStanding
from idp.oauth.subject import subject
from idp.tokens.access import IssuedTokens, LiveAccessTokens
from storage.records import KeyRing
from tests.kit.clock import HandClock

ISSUER = "https://idp.example.com"
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def ring() -> KeyRing:
    key = replace(new_signing_key("ES256", NOW), signs_from=NOW)
    return KeyRing(name="keys", keys=(key,))


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOW)


@pytest.fixture
def doors(ring: KeyRing, clock: HandClock) -> IssuedTokens:
    return IssuedTokens(verifier=Verifier(ring), issuer=ISSUER, clock=clock)


def token(ring: KeyRing, typ: str, **changes: Any) -> str:
    seconds = int(NOW.timestamp())
    claims = {
        "iss": ISSUER, "sub": "alice", "aud": ISSUER, "iat": seconds, "exp": seconds + 3600,
        **changes,
    }  # fmt: skip
    present = {name: value for name, value in claims.items() if value is not None}
    return Signer(ring, default_alg="ES256").sign(present, typ=typ)


def test_a_good_access_token_is_let_in(ring: KeyRing, doors: IssuedTokens) -> None:
    assert doors.verify(token(ring, "at+jwt"))["sub"] == "alice"
    assert doors.verify(token(ring, "at+jwt", aud=[ISSUER, "kubernetes"]))["sub"] == "alice"


@pytest.mark.covers("R-45")
@pytest.mark.parametrize("typ", ["JWT", "AT+JWT", "application/at+jwt", "logout+jwt", "", "jwt"])
def test_another_kind_of_token_is_no_access_token(
    ring: KeyRing, doors: IssuedTokens, typ: str
) -> None:
    with pytest.raises(InvalidToken):
        doors.verify(token(ring, typ))


@pytest.mark.covers("R-45")
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "app"},
        {"aud": ["app"]},
        {"aud": [ISSUER + "/"]},
        {"aud": None},
        {"aud": {ISSUER: 1}},
        {"iss": ISSUER + "/"},
        {"iss": "https://other.example.com"},
        {"iss": None},
    ],
)
def test_an_access_token_must_be_from_us_and_for_us(
    ring: KeyRing, doors: IssuedTokens, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidToken):
        doors.verify(token(ring, "at+jwt", **changes))


def test_an_access_token_dies_in_the_second_of_its_exp(
    ring: KeyRing, doors: IssuedTokens, clock: HandClock
) -> None:
    text = token(ring, "at+jwt")
    clock.turn(3599.999)
    assert doors.verify(text)
    clock.turn(0.001)
    with pytest.raises(InvalidToken):
        doors.verify(text)


@pytest.mark.covers("R-45", "R-15")
def test_a_hint_is_an_id_token_expired_or_not(
    ring: KeyRing, doors: IssuedTokens, clock: HandClock
) -> None:
    hint = token(ring, "JWT", aud="app")
    assert doors.subject_of_hint(hint, "app") == "alice"
    clock.turn(timedelta(days=3))
    assert doors.subject_of_hint(hint, "app") == "alice"
    for wrong in (token(ring, "at+jwt"), token(ring, "logout+jwt"), "x", "", hint + "x"):
        with pytest.raises(InvalidRequest):
            doors.subject_of_hint(wrong, "app")
    with pytest.raises(InvalidRequest, match="not issued to this client"):
        doors.subject_of_hint(hint, "other")
    shared = token(ring, "JWT", aud=["other", "app"])
    assert doors.subject_of_hint(shared, "other") == doors.subject_of_hint(shared, "app") == "alice"


@pytest.mark.covers("R-45")
def test_an_id_token_is_known_as_one(ring: KeyRing, doors: IssuedTokens, clock: HandClock) -> None:
    text = token(ring, "JWT", aud="app")
    assert doors.is_id_token(text)
    clock.turn(timedelta(days=3))
    assert doors.is_id_token(text)
    for wrong in (token(ring, "at+jwt"), token(ring, "JWT", iss="https://other"), "x", text + "x"):
        assert not doors.is_id_token(wrong)


SUB = subject("7", "ldap")


@dataclass(frozen=True, slots=True)
class Verified:
    """Takes every token for one with these claims."""

    changes: Mapping[str, Any] = field(default_factory=dict)

    def verify(self, token: str) -> Mapping[str, Any]:
        known = {"sub": SUB, "client_id": "app", "grant": "g", "auth_time": int(NOW.timestamp())}
        return {**known, **self.changes}


def live(standings: Standings, **changes: Any) -> LiveAccessTokens:
    return LiveAccessTokens(
        issued=Verified(changes),
        ended={"ended"},
        ended_sessions={"over"},
        clients={"app": Client(id="app", name="The App")},
        standings=standings,
    )


@pytest.mark.parametrize(
    "standings",
    [
        {},
        {SUB: UserStanding(not_before=NOW)},
        {subject("8", "ldap"): UserStanding(locked=True)},
    ],
)
def test_a_token_is_alive_while_nobody_ended_it(standings: Standings) -> None:
    assert live(standings).verify("x")["sub"] == SUB


@pytest.mark.parametrize(
    "standing", [UserStanding(locked=True), UserStanding(not_before=NOW.replace(second=1))]
)
def test_a_token_of_somebody_who_is_out_is_no_token(standing: UserStanding) -> None:
    with pytest.raises(InvalidToken, match="expired, revoked or not valid"):
        live({SUB: standing}).verify("x")


@pytest.mark.covers("CV-33")
@pytest.mark.parametrize("changes", [{"grant": "ended"}, {"client_id": "gone"}, {"sid": "over"}])
def test_a_token_of_what_has_ended_or_is_removed_is_no_token(changes: dict[str, str]) -> None:
    with pytest.raises(InvalidToken, match="expired, revoked or not valid"):
        live({}, **changes).verify("x")


@pytest.mark.covers("R-41", "CV-34")
def test_no_altered_byte_is_accepted(ring: KeyRing, doors: IssuedTokens) -> None:
    good = token(ring, "at+jwt")
    for position, character in enumerate(good):
        other = "A" if character != "A" else "B"
        for text in (
            good[:position] + other + good[position + 1 :],
            good[:position] + good[position + 1 :],
            good[:position] + character + good[position:],
            good[:position],
        ):
            with pytest.raises(InvalidToken):
                doors.verify(text)
