"""Applications hear of ends that no browser brought about: once, of three replicas."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from idp.oauth.subject import subject
from storage.kubernetes.resources import SESSION_LABEL
from tests.kit.command_line import Person as CommandLine
from tests.kit.command_line import person_with
from tests.kit.logout_receiver import LogoutReceiver, logout_receiver
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.sessions import claims_of
from tests.kit.sso_replicas import Person, Scene, sso_scene
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.covers("R-108", "I-3")]

_PATIENCE_SECONDS = 30
_SETTLED_SECONDS = 8.0
"""Longer than any replica waits before it tells somebody."""


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogoutReceiver]:
    """Yield what the shop hears; fails in the end if it heard of a session more than once."""
    with logout_receiver(tmp_path_factory.mktemp("application")) as running:
        yield running
        time.sleep(_SETTLED_SECONDS)
        told = [claims_of(token)["sid"] for token in running.tokens(1)]
        assert len(told) == len(set(told))


@pytest.fixture(scope="module")
def scene(
    ca: CertificateAuthority,
    store: KubernetesStore,
    receiver: LogoutReceiver,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    with sso_scene(
        tmp_path_factory.mktemp("replicas"),
        ca=ca,
        store=store,
        shop={"backchannelLogoutURI": receiver.url},
        outbound={"rootCA": str(receiver.ca), "allowedHosts": ["127.0.0.1"]},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def idp(store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Return somebody who may sign people out, and reaches no provider and no application."""
    state = {"apiGroups": ["state.kube-idp.dev"]}
    rules = [
        {**state, "resources": ["userstates"], "verbs": ["list", "create", "patch"]},
        {**state, "resources": ["refreshgrants"], "verbs": ["list", "delete"]},
    ]
    return person_with(store, "support", rules, tmp_path_factory.mktemp("support"))


def test_the_shop_hears_of_everybody_whom_an_administrator_signs_out(
    scene: Scene, receiver: LogoutReceiver, person: Person, idp: CommandLine
) -> None:
    """Of every browser that they had, and the store keeps nothing that lives."""
    person.sign_in()
    person.browser[0].http.cookies.jar.clear()
    person.sign_in(1)
    sessions = _living(scene, person)
    assert len(sessions) >= 2

    idp("user", "logout", "--connector", "local", person.user_id).check()

    claims = _told(receiver, sessions)
    assert {each["sid"] for each in claims} == sessions
    assert {each["sub"] for each in claims} == {subject(person.user_id, "local")}
    eventually(lambda: _living(scene, person) == set(), within=_PATIENCE_SECONDS)


def test_the_shop_hears_of_a_session_that_is_deleted_by_hand(
    scene: Scene, receiver: LogoutReceiver, person: Person
) -> None:
    """The record of the session was the shop's own login, and is gone with what it said."""
    session = _session(person.sign_in().id_token)
    person.browser[1].sign_on(person.browser[1].shop)
    person.browser[2].sign_on(person.browser[2].example)

    scene.store.kubectl("delete", "refreshgrant", session).check()

    (claims,) = _told(receiver, {session})
    assert claims["sid"] == session
    assert claims["sub"] == subject(person.user_id, "local")
    eventually(lambda: session not in _living(scene, person), within=_PATIENCE_SECONDS)


def test_the_shop_hears_of_a_session_that_a_command_revokes(
    receiver: LogoutReceiver, person: Person, idp: CommandLine
) -> None:
    session = _session(person.sign_in().id_token)
    person.browser[1].sign_on(person.browser[1].shop)

    idp("session", "revoke", session).check()

    (claims,) = _told(receiver, {session})
    assert claims["sid"] == session


def _told(receiver: LogoutReceiver, sessions: set[str]) -> list[dict[str, Any]]:
    """Return the claims of the notices about these sessions, once there is one of each."""

    def found() -> list[dict[str, Any]]:
        claims = [claims_of(token) for token in receiver.tokens(0)]
        return [each for each in claims if each["sid"] in sessions]

    eventually(lambda: len(found()) >= len(sessions), within=_PATIENCE_SECONDS)
    return found()


def _session(id_token: str) -> str:
    return str(claims_of(id_token)["sid"])


def _living(scene: Scene, person: Person) -> set[str]:
    """Return the sessions of which anything is left that lives."""
    return {
        grant["metadata"]["labels"][SESSION_LABEL]
        for grant in scene.store.grants()
        if grant["spec"]["user"] == person.email and grant["spec"].get("ended") != "true"
    }
