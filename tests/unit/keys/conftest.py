"""A ring with real keys, made once: RSA keys cost too much to make one for each test."""

from datetime import UTC, datetime, timedelta

import pytest

from idp.keys.jwks import new_signing_key
from idp.keys.ring import RotationPolicy, first_ring, fresh_for_first_ring
from storage.records import KeyRing

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def policy() -> RotationPolicy:
    return RotationPolicy(
        algorithms=("RS256", "ES256"),
        rotation_period=timedelta(hours=6),
        publish_for=timedelta(minutes=2),
        keep_retired_for=timedelta(hours=2),
    )


@pytest.fixture(scope="session")
def ring(policy: RotationPolicy) -> KeyRing:
    fresh = [new_signing_key(alg, NOW) for alg in fresh_for_first_ring(policy)]
    return first_ring("keys", policy, NOW, fresh)
