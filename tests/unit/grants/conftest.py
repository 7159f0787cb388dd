"""Fixtures: a signer made once, and a world for each test."""

from dataclasses import replace

import pytest

from idp.keys.jwks import new_signing_key
from idp.keys.signer import Signer
from storage.records import KeyRing
from tests.kit.clock import HandClock
from tests.unit.grants.world import World


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def ring() -> KeyRing:
    now = HandClock()()
    key = replace(new_signing_key("ES256", now), signs_from=now)
    return KeyRing(name="keys", keys=(key,))


@pytest.fixture(scope="session")
def signer(ring: KeyRing) -> Signer:
    return Signer(ring, default_alg="ES256")


@pytest.fixture
def world(ring: KeyRing, signer: Signer) -> World:
    return World(signer=signer, ring=ring)
