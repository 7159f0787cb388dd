"""The guide to the conformance suite: its two files fit each other, and its skips are ours."""

import json
import re
from pathlib import Path

import pytest

from idp.settings import Settings, parse
from tests.kit.conformance import ROOT, specifications
from tests.kit.conformance_suite import (
    CALLBACK,
    PASSWORD,
    PERSON,
    plan_config,
    provider_config,
)

GUIDE = (ROOT / "docs" / "conformance-suite.md").read_text("utf-8")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    config = provider_config(tmp_path_factory.mktemp("provider"))
    return parse(json.dumps(config), environ={}, directory=Path.cwd())


@pytest.mark.parametrize("name", ["client", "client2", "client_secret_post"])
def test_every_client_of_the_suite_is_one_of_the_provider(settings: Settings, name: str) -> None:
    said = plan_config()[name]
    (client,) = (each for each in settings.static_clients if each.id == said["client_id"])
    assert client.secret is not None
    assert client.secret.get_secret_value() == said["client_secret"]
    assert client.redirect_uris == (CALLBACK,)


def test_the_suite_finds_the_provider_and_may_register(settings: Settings) -> None:
    plans = plan_config()
    where = f"{settings.issuer}/.well-known/openid-configuration"
    assert plans["server"]["discoveryUrl"] == where
    tokens = {token.get_secret_value() for token in settings.registration.initial_access_tokens}
    assert {plans[name]["initial_access_token"] for name in ("client", "client2")} == tokens
    assert f"/test/a/{plans['alias']}/callback" in CALLBACK


def test_the_person_signs_in_with_the_password_of_the_guide(settings: Settings) -> None:
    (person,) = settings.static_passwords
    assert person.email == PERSON == plan_config()["server"]["login_hint"]
    assert f"`{PASSWORD}`" in GUIDE


def test_the_skips_of_the_guide_are_those_that_are_left_out() -> None:
    (suite,) = (each for each in specifications() if each.document == "OpenID conformance suite")
    skips = GUIDE.partition("## What is skipped")[2]
    assert sorted(re.findall(r"`(oidcc-[^`]+)`", skips)) == sorted(
        must.section for must in suite.left_out
    )
