"""What people write with kubectl is live on every replica within a second, and so is its end."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from connectors.passwords import new_hash
from tests.kit.relying_party import RelyingParty, SignInFailed, Tokens
from tests.kit.scene import JANE, OMAR, kubernetes_party
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.together import together
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_LIVE_SECONDS = 1.0
_STATUS_SECONDS = 30.0
_PASSWORD = "a horse of another colour"
_REDIRECT_URI = "https://wiki.example.com/callback"


@pytest.fixture(scope="module")
def parties(replicas: Replicas) -> Iterator[list[RelyingParty]]:
    """Yield one client, straight to each replica."""
    with ExitStack() as stack:
        yield [
            kubernetes_party(stack.enter_context(replica.client()), replicas.issuer)
            for replica in replicas.each
        ]


def test_deleted_grant_is_revoked_everywhere_within_a_second(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    before = _grant_names(store)
    tokens = parties[0].sign_in(JANE.email, JANE.password)
    (name,) = _grant_names(store) - before
    bystander = parties[1].sign_in(OMAR.email, OMAR.password)
    _everywhere(parties, partial(_is_welcome, tokens))

    store.kubectl("delete", "refreshgrant", name).check()

    _everywhere(parties, lambda party: not _is_welcome(tokens, party))
    for party in parties:
        answer = _refresh(party, tokens)
        assert answer == (400, "invalid_grant")
        assert _is_welcome(bystander, party)
    assert parties[2].refresh(bystander.refresh_token).id_token


def test_list_of_grants_reads_like_a_list_of_logins(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    parties[0].sign_in(OMAR.email, OMAR.password)
    parties[0].sign_in(JANE.email, JANE.password)

    table = store.kubectl("get", "refreshgrants").check().splitlines()
    of_omar = store.kubectl("get", "rg", "--field-selector=spec.user=omar").check()
    of_client = store.kubectl("get", "rg", "--field-selector=spec.clientID=nobody")

    assert table[0].split()[:3] == ["NAME", "USER", "CLIENT"]
    assert {line.split()[1] for line in table[1:]} >= {"omar", "jane"}
    assert {line.split()[2] for line in table[1:]} == {"kubernetes"}
    assert {line.split()[1] for line in of_omar.splitlines()[1:]} == {"omar"}
    assert "No resources found" in of_client.stderr


def test_applied_client_signs_people_in_within_a_second_and_a_deleted_one_does_not(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    wikis = [_as_client(party, "wiki") for party in parties]
    assert wikis[0].http.get(wikis[0].depart().url).status_code == 400

    store.apply(_client("wiki"))

    _everywhere(wikis, lambda party: _has_login_page(party))
    tokens = wikis[0].sign_in(JANE.email, JANE.password)
    assert wikis[1].refresh(tokens.refresh_token).id_token
    assert _condition(store, "oidcclient", "wiki", "Ready")["status"] == "True"

    store.kubectl("delete", "oidcclient", "wiki").check()

    _everywhere(wikis, lambda party: not _has_login_page(party))
    _everywhere(wikis, lambda party: party.userinfo(tokens.access_token).status_code == 401)
    assert _refresh(wikis[2], tokens)[0] in (400, 401)


def test_changed_client_is_the_changed_one_within_a_second(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    store.apply(_client("moving"))
    movers = [_as_client(party, "moving") for party in parties]
    _everywhere(movers, lambda party: _has_login_page(party))

    store.apply(_client("moving", redirectURIs=["https://elsewhere.example.com/callback"]))

    _everywhere(movers, lambda party: not _has_login_page(party))
    generation = _object(store, "oidcclient", "moving")["metadata"]["generation"]
    eventually(
        lambda: (
            _object(store, "oidcclient", "moving")["status"]["observedGeneration"] == generation
        ),
        within=_STATUS_SECONDS,
    )


def test_client_that_signs_nobody_in_is_refused_by_the_api_server_with_our_words(
    store: KubernetesStore,
) -> None:
    bad = _client("bad", redirectURIs=[f"{_REDIRECT_URI}#part"])

    answer = store.kubectl("apply", "-f", "-", stdin=json.dumps(bad))

    assert answer.status == 1
    assert "fragment" in answer.stderr
    assert "redirectURIs" in answer.stderr


def test_of_two_clients_with_one_id_the_older_is_served(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    store.apply(_client("first-owner", clientID="shared"))
    # Creation times are whole seconds; of the same second the uid decides.
    time.sleep(1.1)
    store.apply(_client("impostor", clientID="shared", redirectURIs=["https://evil.example/cb"]))

    conflict = _condition(store, "oidcclient", "impostor", "Conflict")

    assert conflict["status"] == "True"
    assert "first-owner" in conflict["message"]
    assert _has_login_page(_as_client(parties[0], "shared"))
    store.kubectl("delete", "oidcclient", "first-owner").check()
    _everywhere(
        [_as_client(party, "shared") for party in parties],
        lambda party: not _has_login_page(party),
    )


def test_secret_that_is_not_there_is_named_in_status_and_events(store: KubernetesStore) -> None:
    store.apply(_client("no-secret", public=False, secretRef={"name": "missing"}))

    ready = _condition(store, "oidcclient", "no-secret", "SecretReady")

    assert ready["status"] == "False"
    assert "missing" in ready["message"]
    eventually(
        lambda: "no-secret" in store.kubectl("get", "events").check(), within=_STATUS_SECONDS
    )


def test_applied_user_signs_in_within_a_second_and_a_locked_one_is_out_at_once(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    email = "lewis@example.com"
    store.apply(_user("lewis", email))
    _everywhere(parties, lambda party: _can_sign_in(party, email))
    tokens = parties[0].sign_in(email, _PASSWORD)
    assert parties[0].claims(tokens.id_token)["groups"] == ["writers"]

    store.kubectl("patch", "localuser", "lewis", "--type=merge", "-p", _LOCK).check()

    _everywhere(parties, lambda party: not _is_welcome(tokens, party))
    for party in parties:
        assert not _can_sign_in(party, email)
        assert _refresh(party, tokens) == (400, "invalid_grant")


def test_changed_groups_are_in_the_next_refresh(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    email = "edith@example.com"
    store.apply(_user("edith", email))
    _everywhere(parties, lambda party: _can_sign_in(party, email))
    tokens = parties[0].sign_in(email, _PASSWORD)

    store.apply(_user("edith", email, groups=["editors"]))

    def groups() -> object:
        nonlocal tokens
        tokens = parties[1].refresh(tokens.refresh_token)
        return parties[1].claims(tokens.id_token)["groups"]

    eventually(lambda: groups() == ["editors"], within=_LIVE_SECONDS)


def test_locked_state_of_a_person_ends_their_logins(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    email = "oscar@example.com"
    store.apply(_user("oscar", email))
    _everywhere(parties, lambda party: _can_sign_in(party, email))
    tokens = parties[0].sign_in(email, _PASSWORD)

    store.apply(
        {
            "apiVersion": "state.kube-idp.dev/v1beta1",
            "kind": "UserState",
            "metadata": {"name": "oscar"},
            "spec": {"connector": "local", "userID": "oscar", "user": email, "locked": True},
        }
    )

    _everywhere(parties, lambda party: not _is_welcome(tokens, party))
    for party in parties:
        assert not _can_sign_in(party, email)
        assert _refresh(party, tokens) == (400, "invalid_grant")
    store.kubectl("delete", "userstate", "oscar").check()
    _everywhere(parties, lambda party: _can_sign_in(party, email))


@pytest.mark.covers("K-22", "R-97")
def test_objects_that_nobody_can_read_are_named_and_stop_nobody(
    parties: list[RelyingParty], replicas: Replicas, store: KubernetesStore
) -> None:
    before = _grant_names(store)
    tokens = parties[0].sign_in(JANE.email, JANE.password)
    (name,) = _grant_names(store) - before
    genuine = _object(store, "refreshgrant", name)
    copied = {**genuine, "metadata": {"name": "copied-by-hand"}}
    garbage = {**genuine, "metadata": {"name": "written-by-hand"}, "spec": {"sealed": "x"}}

    no_hash = {"email": "nobody@example.com", "passwordHashRef": {"name": "missing"}}
    store.apply(copied, garbage, {**_user("no-hash", ""), "spec": no_hash})

    assert _condition(store, "localuser", "no-hash", "Ready")["status"] == "False"
    for party in parties:
        tokens = party.refresh(tokens.refresh_token)
        assert _is_welcome(tokens, party)
    # A restart reads everything anew.
    replicas.each[2].restart()
    assert _is_welcome(tokens, parties[2])
    for forged in (copied, garbage):
        text = tokens.refresh_token.replace(name, str(forged["metadata"]["name"]))
        assert parties[0].token(grant_type="refresh_token", refresh_token=text).status_code == 400


_LOCK = '{"spec":{"locked":true}}'


def _client(name: str, **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": "OIDCClient",
        "metadata": {"name": name},
        "spec": {
            "clientID": name,
            "name": name.title(),
            "public": True,
            "redirectURIs": [_REDIRECT_URI],
            **spec,
        },
    }


def _user(name: str, email: str, **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": "LocalUser",
        "metadata": {"name": name},
        "spec": {
            "email": email,
            "groups": ["writers"],
            "passwordHash": new_hash(_PASSWORD),
            **spec,
        },
    }


def _everywhere(parties: list[RelyingParty], is_so: Callable[[RelyingParty], bool]) -> None:
    """Return once it is so at each of them; fails after a second."""
    together(
        [partial(eventually, partial(is_so, party), within=_LIVE_SECONDS) for party in parties]
    )


def _as_client(party: RelyingParty, client_id: str) -> RelyingParty:
    return RelyingParty(
        http=party.http, issuer=party.issuer, client_id=client_id, redirect_uri=_REDIRECT_URI
    )


def _has_login_page(party: RelyingParty) -> bool:
    return party.http.get(party.depart().url).status_code == 200


def _is_welcome(tokens: Tokens, party: RelyingParty) -> bool:
    return party.userinfo(tokens.access_token).status_code == 200


def _can_sign_in(party: RelyingParty, email: str) -> bool:
    try:
        return bool(party.sign_in(email, _PASSWORD).id_token)
    except SignInFailed:
        return False


def _refresh(party: RelyingParty, tokens: Tokens) -> tuple[int, str]:
    answer = party.token(grant_type="refresh_token", refresh_token=tokens.refresh_token)
    return answer.status_code, answer.json().get("error", "")


def _grant_names(store: KubernetesStore) -> set[str]:
    return {grant["metadata"]["name"] for grant in store.grants()}


def _object(store: KubernetesStore, kind: str, name: str) -> dict[str, Any]:
    return store.kubectl("get", kind, name, "-o", "json").document()


def _condition(store: KubernetesStore, kind: str, name: str, type_: str) -> Mapping[str, str]:
    """Wait for a condition about the newest generation, and return it."""
    found: list[Mapping[str, str]] = []

    def is_told() -> bool:
        written = _object(store, kind, name)
        status = written.get("status", {})
        found[:] = [each for each in status.get("conditions", []) if each["type"] == type_]
        newest = written["metadata"]["generation"]
        return bool(found) and status.get("observedGeneration") == newest

    eventually(is_told, within=_STATUS_SECONDS)
    return found[0]
