"""How long refresh tokens live, as the configuration says (`expiry.refreshTokens`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.kit.provider import ProviderUnderTest, base_config, provider_under_test

pytestmark = pytest.mark.covers("R-30")


@contextmanager
def lifetimes(**settings: str) -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["expiry"] = {"refreshTokens": settings}
    with provider_under_test(config) as provider:
        yield provider


@pytest.mark.parametrize(
    ("idle", "absolute", "pause", "uses"),
    [
        ("1h", "10h", timedelta(minutes=59), 10),
        ("1h", "10h", timedelta(minutes=60), 0),
        ("10h", "5h", timedelta(hours=1), 4),
        ("0", "5h", timedelta(hours=1), 4),
        ("0", "5h", timedelta(hours=5), 0),
        ("1h", "0", timedelta(minutes=59), 50),
        ("1h", "0", timedelta(minutes=61), 0),
        ("0s", "0s", timedelta(days=1000), 50),
    ],
)
def test_a_session_ends_with_idleness_or_age_whichever_is_first(
    idle: str, absolute: str, pause: timedelta, uses: int
) -> None:
    """0 is never."""
    with lifetimes(validIfNotUsedFor=idle, absoluteLifetime=absolute) as idp:
        token = idp.tokens()["refresh_token"]
        served = 0
        for _ in range(50):
            idp.clock.turn(pause)
            response = idp.refresh(token)
            if response.status_code != 200:
                assert response.json()["error"] == "invalid_grant"
                break
            served += 1
            token = response.json()["refresh_token"]
        assert served == uses


def test_by_default_a_session_ends_after_30_idle_or_180_days() -> None:
    with lifetimes() as idp:
        idle, busy = idp.tokens()["refresh_token"], idp.tokens()["refresh_token"]
        for _ in range(6):
            idp.clock.turn(timedelta(days=29))
            busy = idp.refresh(busy).raise_for_status().json()["refresh_token"]
        assert idp.refresh(idle).status_code == 400
        idp.clock.turn(timedelta(days=6))
        assert idp.refresh(busy).status_code == 400


def test_an_expired_session_ends_nothing_else_and_a_new_login_works() -> None:
    with lifetimes(validIfNotUsedFor="1h") as idp:
        token = idp.tokens()["refresh_token"]
        idp.clock.turn(3600)
        assert idp.refresh(token).json()["error"] == "invalid_grant"
        fresh = idp.tokens()["refresh_token"]
        assert idp.refresh(fresh).status_code == 200


@pytest.mark.covers("R-31", "R-32")
@pytest.mark.parametrize(
    ("interval", "later", "status"),
    [("0s", 0, 400), ("0s", 1, 400), ("3s", 2.9, 200), ("3s", 5, 400), ("5m", 299, 200)],
)
def test_the_grace_is_what_the_configuration_says(interval: str, later: float, status: int) -> None:
    with lifetimes(reuseInterval=interval) as idp:
        token = idp.tokens()["refresh_token"]
        successor = idp.refresh(token).json()["refresh_token"]
        idp.clock.turn(later)
        assert idp.refresh(token).status_code == status
        assert idp.refresh(successor).status_code == status


@pytest.mark.covers("R-31")
def test_a_grace_of_more_than_five_minutes_is_refused() -> None:
    with pytest.raises(Exception, match="reuseInterval"), lifetimes(reuseInterval="6m"):
        pass


def test_access_tokens_of_an_expired_session_live_out_their_own_time() -> None:
    """Expiry is no revocation: nothing is written, nobody has to be told."""
    with lifetimes(absoluteLifetime="2h", validIfNotUsedFor="0") as idp:
        token = idp.tokens()["refresh_token"]
        idp.clock.turn(7199)
        answer = idp.refresh(token).json()
        idp.clock.turn(60)
        assert idp.refresh(answer["refresh_token"]).status_code == 400
        assert idp.userinfo(answer["access_token"]).status_code == 200
