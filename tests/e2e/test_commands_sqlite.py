"""The commands on the file of a running server: it hears of what they change."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.kit.command_line import run_beside
from tests.kit.relying_party import RelyingParty
from tests.kit.scene import JANE, OMAR, kubernetes_party, provider_config
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.stores import SqliteStore
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("provider")


@pytest.fixture(scope="module")
def party(directory: Path) -> Iterator[RelyingParty]:
    config = provider_config(directory, ca=None, store=SqliteStore(directory))
    with IdpProcess(config, cwd=directory) as provider, provider.client() as http:
        yield kubernetes_party(http, provider.issuer)


def test_a_revoked_session_is_dead_on_a_running_server(
    directory: Path, party: RelyingParty
) -> None:
    jane = party.sign_in(JANE.email, JANE.password)
    omar = party.sign_in(OMAR.email, OMAR.password)
    (found,) = json.loads(
        run_beside(directory, "session", "list", "--user", "jane", "-o", "json").stdout
    )
    run_beside(directory, "session", "revoke", found["name"]).check()
    with pytest.raises(httpx.HTTPStatusError):
        party.refresh(jane.refresh_token)
    eventually(lambda: party.userinfo(jane.access_token).status_code == 401, within=3)
    party.refresh(omar.refresh_token)


@pytest.mark.covers("R-91")
def test_a_rotation_is_answered_by_the_running_server(directory: Path, party: RelyingParty) -> None:
    answer = run_beside(directory, "keys", "rotate")
    assert answer.status == 0, answer
    assert "answered: routine " in answer.stdout
    listed = run_beside(directory, "keys", "list").check()
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
    assert run_beside(directory, "keys", "rotate", "--emergency").status == 0
    assert not before & published()


def test_a_user_is_locked_in_a_cluster_only(directory: Path, party: RelyingParty) -> None:
    answer = run_beside(directory, "user", "lock", "--connector", "local", "somebody")
    assert answer.status == 2
    assert "needs `storage.type: kubernetes`" in answer.stderr
