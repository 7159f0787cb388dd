"""Clients that register themselves: objects that people see, live and gone on every replica."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.kit.command_line import person_with
from tests.kit.registration import (
    CALLBACK,
    METADATA,
    Registered,
    register_at,
    registration_section,
)
from tests.kit.relying_party import RelyingParty, Tokens, form_at, read_form
from tests.kit.scene import JANE, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.together import together
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.covers("R-105")]

_LIVE_SECONDS = 1.0
_PATIENCE_SECONDS = 30
_MACHINE: dict[str, Any] = {"grant_types": ["authorization_code", "client_credentials"]}
_FORM = {"grant_type": "client_credentials", "scope": "openid"}


@pytest.fixture(scope="module")
def replicas(
    ca: CertificateAuthority, store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    """Yield three replicas at which clients may register."""
    directory = tmp_path_factory.mktemp("replicas")
    overrides = {"registration": registration_section()}
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    with Replicas(config, directory=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def https(replicas: Replicas) -> Iterator[list[httpx.Client]]:
    """Yield one HTTP client, straight to each replica."""
    with ExitStack() as stack:
        yield [stack.enter_context(replica.client()) for replica in replicas.each]


def test_registered_client_is_live_everywhere_within_a_second(
    https: list[httpx.Client], replicas: Replicas
) -> None:
    client = register_at(https[0], **_MACHINE)

    _everywhere(https, partial(_is_known, replicas.issuer, client))
    for http in https:
        assert http.post("/token", data=_FORM, auth=client.credentials).status_code == 200
        assert http.get(client.path, headers=client.headers).status_code == 200


def test_registration_can_be_managed_at_another_replica_at_once(https: list[httpx.Client]) -> None:
    for _ in range(5):
        client = register_at(https[0])
        body = {"client_id": client.id, **METADATA, "client_name": "Renamed"}
        put = https[1].put(client.path, json=body, headers=client.headers)
        assert put.status_code == 200, put.text
        read = https[2].get(client.path, headers=client.headers).json()
        assert read["client_name"] == "Renamed"
        assert https[2].delete(client.path, headers=client.headers).status_code == 204
        assert https[0].get(client.path, headers=client.headers).status_code == 401


@pytest.mark.covers("I-3", "CV-33")
@pytest.mark.parametrize("by", ["itself", "kubectl"])
def test_removed_client_and_its_tokens_are_gone_everywhere_within_a_second(
    https: list[httpx.Client], replicas: Replicas, store: KubernetesStore, by: str
) -> None:
    client = register_at(https[0], **_MACHINE)
    _everywhere(https, partial(_is_known, replicas.issuer, client))
    answer = https[1].post("/token", data=_FORM, auth=client.credentials)
    token = answer.json()["access_token"]

    if by == "itself":
        assert https[2].delete(client.path, headers=client.headers).status_code == 204
    else:
        store.kubectl("delete", "registeredclient", client.id).check()

    _everywhere(https, lambda http: not _is_known(replicas.issuer, client, http))
    bearer = {"authorization": f"Bearer {token}"}
    for http in https:
        assert http.get("/userinfo", headers=bearer).status_code == 401
        assert http.get(client.path, headers=client.headers).status_code == 401


@pytest.mark.covers("I-3")
def test_client_that_a_command_removes_ends_with_the_logins_that_it_has(
    https: list[httpx.Client], replicas: Replicas, store: KubernetesStore, tmp_path: Path
) -> None:
    client = register_at(
        https[0],
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"],
    )
    _everywhere(https, partial(_is_known, replicas.issuer, client))
    tokens = _sign_in(_party(replicas.issuer, client, https[0]))
    assert _living_logins(store, client)
    rule = {"apiGroups": ["state.kube-idp.dev"], "resources": ["registeredclients"]}
    support = person_with(store, "support", [{**rule, "verbs": ["list", "delete"]}], tmp_path)
    listed = json.loads(support("client", "list", "-o", "json").check())
    assert client.id in {each["client_id"] for each in listed}

    assert support("client", "remove", client.id).check() == f"removed {client.id}\n"

    _everywhere(https, lambda http: not _is_known(replicas.issuer, client, http))
    for http in https:
        party = _party(replicas.issuer, client, http)
        assert party.userinfo(tokens.access_token).status_code == 401
        refused = party.token(grant_type="refresh_token", refresh_token=tokens.refresh_token)
        assert refused.status_code == 401
        assert refused.json()["error"] == "invalid_client"
    eventually(lambda: not _living_logins(store, client), within=_PATIENCE_SECONDS)


def test_list_of_registered_clients_shows_who_they_say_they_are(
    https: list[httpx.Client], store: KubernetesStore
) -> None:
    client = register_at(https[0], client_name="Wiki 日本", token_endpoint_auth_method="none")

    table = store.kubectl("get", "regc", "-o", "wide").check().splitlines()

    assert table[0].split()[:4] == ["NAME", "CLIENT-NAME", "METHOD", "AGE"]
    (line,) = [line for line in table if line.startswith(client.id)]
    assert "Wiki 日本" in line
    assert CALLBACK in line
    written = store.kubectl("get", "regc", client.id, "-o", "yaml").check()
    assert client.headers["authorization"].removeprefix("Bearer ") not in written


def test_replica_that_starts_later_knows_all_of_them(
    https: list[httpx.Client], replicas: Replicas
) -> None:
    client = register_at(https[0])

    replicas.each[2].restart()

    assert _is_known(replicas.issuer, client, https[2])


def test_registration_is_one_write_and_each_replica_looks_once(
    https: list[httpx.Client], replicas: Replicas, store: KubernetesStore
) -> None:
    count = 5
    with store.api_requests.recorded() as recorded:
        clients = [register_at(https[0]) for _ in range(count)]
        for client in clients:
            _everywhere(https, partial(_is_known, replicas.issuer, client))

    assert len(recorded.writes) == count, str(recorded)
    assert len(recorded.of_operations) <= count * (1 + len(https)), str(recorded)


def test_strangers_write_nothing(
    https: list[httpx.Client], replicas: Replicas, store: KubernetesStore
) -> None:
    client = register_at(https[0])
    _everywhere(https, partial(_is_known, replicas.issuer, client))

    with store.api_requests.recorded() as recorded:
        for number in range(5):
            assert https[0].post("/register", json=METADATA).status_code == 401
            wrong = {"authorization": f"Bearer kia_{number}"}
            assert https[0].get(client.path, headers=wrong).status_code == 401
            assert https[0].delete(client.path, headers=wrong).status_code == 401

    assert recorded.of_operations == [], str(recorded)


def _party(issuer: str, client: Registered, http: httpx.Client) -> RelyingParty:
    return RelyingParty(http=http, issuer=issuer, client_id=client.id, redirect_uri=CALLBACK)


def _is_known(issuer: str, client: Registered, http: httpx.Client) -> bool:
    return http.get(_party(issuer, client, http).depart().url).status_code == 200


def _sign_in(party: RelyingParty) -> Tokens:
    """Sign in and allow what the client asks, as people are always asked for these."""
    attempt = party.depart(scopes=("openid", "offline_access"))
    form = form_at(party.http, attempt.url)
    sent = {**form.fields, "login": JANE.email, "password": JANE.password}
    question = read_form(party.http.post(form.action, data=sent).text)
    answer = party.http.post(
        urljoin(attempt.url, question.action), data={**question.fields, "approval": "approve"}
    )
    return party.redeem(party.code_of(answer.headers["location"], attempt), attempt)


def _living_logins(store: KubernetesStore, client: Registered) -> list[str]:
    return [
        grant["metadata"]["name"]
        for grant in store.grants()
        if grant["spec"]["clientID"] == client.id and grant["spec"].get("ended") != "true"
    ]


def _everywhere(https: list[httpx.Client], is_so: Callable[[httpx.Client], bool]) -> None:
    """Return once it is so at each of them; fails after a second."""
    together([partial(eventually, partial(is_so, http), within=_LIVE_SECONDS) for http in https])
