"""The commands on the file of a running server: it hears of what they change."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import JANE, OMAR, kubernetes_party, provider_config
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kubectl import Answer
from tests.kit.stores import SqliteStore

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("provider")


@pytest.fixture(scope="module")
def party(directory: Path) -> Iterator[RelyingParty]:
    config = provider_config(directory, ca=None, store=SqliteStore(directory))
    with IdpProcess(config, cwd=directory) as provider, provider.client() as http:
        yield kubernetes_party(http, provider.issuer)


def _idp(directory: Path, *arguments: str) -> Answer:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "idp", *arguments, "--config", "config.yaml"],
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Answer(" ".join(["idp", *arguments]), done.returncode, done.stdout, done.stderr)


def test_a_revoked_session_is_dead_on_a_running_server(
    directory: Path, party: RelyingParty
) -> None:
    jane = party.sign_in(JANE.email, JANE.password)
    omar = party.sign_in(OMAR.email, OMAR.password)
    (found,) = json.loads(_idp(directory, "session", "list", "--user", "jane", "-o", "json").stdout)
    _idp(directory, "session", "revoke", found["name"]).check()
    with pytest.raises(httpx.HTTPStatusError):
        party.refresh(jane.refresh_token)
    deadline = time.monotonic() + 3
    while party.userinfo(jane.access_token).status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    party.refresh(omar.refresh_token)


@pytest.mark.covers("R-91")
def test_a_rotation_is_answered_by_the_running_server(directory: Path, party: RelyingParty) -> None:
    answer = _idp(directory, "keys", "rotate")
    assert answer.status == 0, answer
    assert "answered: routine " in answer.stdout
    listed = _idp(directory, "keys", "list").check()
    keys = party.http.get(f"{party.issuer}/keys").raise_for_status().json()["keys"]
    assert {key["kid"] for key in keys} == {line.split()[0] for line in listed.splitlines()[1:3]}


@pytest.mark.covers("R-93")
def test_an_emergency_is_answered_by_the_running_server(
    directory: Path, party: RelyingParty
) -> None:
    def published() -> set[str]:
        keys = party.http.get(f"{party.issuer}/keys").raise_for_status().json()["keys"]
        return {key["kid"] for key in keys}

    before = published()
    assert _idp(directory, "keys", "rotate", "--emergency").status == 0
    assert not before & published()


def test_a_user_is_locked_in_a_cluster_only(directory: Path, party: RelyingParty) -> None:
    answer = _idp(directory, "user", "lock", "--connector", "local", "somebody")
    assert answer.status == 2
    assert "needs `storage.type: kubernetes`" in answer.stderr
