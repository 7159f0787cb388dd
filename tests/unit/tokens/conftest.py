"""A grant to begin with, and the usual policy."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from idp.tokens.refresh import RefreshPolicy
from storage.records import Grant, RefreshState

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def policy() -> RefreshPolicy:
    return RefreshPolicy(
        grace=timedelta(seconds=60),
        idle=timedelta(days=30),
        absolute=timedelta(days=180),
        keep_for=timedelta(minutes=65),
    )


@pytest.fixture
def unspent() -> Grant:
    """A grant as it stands right after the login, at noon: the code is not spent yet."""
    return Grant(
        name="grant-1",
        client_id="app",
        connector_id="local",
        user_id="user-1",
        username="Alice Liddell",
        preferred_username="alice",
        email="alice@example.com",
        email_verified=True,
        groups=("developers",),
        connector_data="",
        scopes=("openid", "offline_access"),
        nonce="the nonce",
        redirect_uri="https://app.example.com/callback",
        code_challenge="",
        seed=bytes(32),
        created_at=NOON,
        authenticated_at=NOON,
        code_expires_at=NOON + timedelta(seconds=60),
        expires_at=NOON + timedelta(days=31),
        refresh=RefreshState(generation=1, last_used_at=NOON),
    )


@pytest.fixture
def fresh(unspent: Grant) -> Grant:
    """The same grant once its code was spent, at noon."""
    return replace(unspent, code_spent_at=NOON)
