"""What is ended at one replica, or by kubectl, is dead at every other within a second."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from functools import partial

import pytest

from idp.clock import system_clock
from idp.objects.users import NOT_BEFORE
from storage.kubernetes.resources import SESSION_LABEL
from tests.kit.command_line import Person as CommandLine
from tests.kit.command_line import person_with
from tests.kit.relying_party import RelyingParty, Tokens
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.sso_replicas import (
    Person,
    Replica,
    Scene,
    local_user,
    shop_client,
)
from tests.kit.together import together
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.covers("I-3")]

_LIVE_SECONDS = 1.0


@pytest.fixture(scope="module")
def idp(store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Return somebody who may sign people out, and reaches no provider."""
    rule = {"apiGroups": ["state.kube-idp.dev"], "resources": ["userstates"]}
    rules = [{**rule, "verbs": ["list", "create", "patch"]}]
    return person_with(store, "support", rules, tmp_path_factory.mktemp("support"))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who typed their password for the shop, and came to the example by that."""

    scene: Scene
    idp: CommandLine
    person: Person
    shop: Tokens
    example: Tokens
    session: str

    @property
    def browser(self) -> tuple[Replica, ...]:
        return self.person.browser

    @property
    def grant_of_the_example(self) -> str:
        """Return the name of the grant that came of the session."""
        (name,) = (
            grant["metadata"]["name"]
            for grant in self.scene.store.grants()
            if grant["metadata"]["labels"].get(SESSION_LABEL) == self.session
            and grant["spec"]["clientID"] == self.browser[0].example.client_id
        )
        return str(name)


@pytest.fixture
def signed_in(scene: Scene, idp: CommandLine) -> Iterator[SignedIn]:
    with scene.person() as person:
        shop = person.sign_in()
        example = person.browser[1].sign_on(person.browser[1].example)
        session = str(person.browser[0].shop.claims(shop.id_token)["sid"])
        found = SignedIn(scene, idp, person, shop, example, session)
        for replica in person.browser:
            assert _is_welcome(replica, found)
        yield found


def _revoke(it: SignedIn) -> None:
    assert it.browser[0].shop.revoke(it.shop.access_token).status_code == 200


def _log_out(it: SignedIn) -> None:
    """Sign out as the shop asks; what the browser held before is kept, as a thief would."""
    http = it.browser[0].http
    held = list(http.cookies.jar)
    answer = http.get(f"{it.scene.issuer}/logout", params={"id_token_hint": it.shop.id_token})
    assert answer.status_code == 200, answer.text
    assert "signed out" in answer.text
    for cookie in held:
        http.cookies.jar.set_cookie(cookie)


def _log_out_by_command(it: SignedIn) -> None:
    it.idp("user", "logout", "--connector", "local", it.person.user_id).check()


def _log_out_by_annotation(it: SignedIn) -> None:
    now = system_clock().astimezone(UTC) + timedelta(seconds=1)
    said = f"{NOT_BEFORE}={now:%Y-%m-%dT%H:%M:%SZ}"
    it.scene.store.kubectl("annotate", "localuser", it.person.name, said).check()


def _lock(it: SignedIn) -> None:
    it.scene.store.apply(local_user(it.person, locked=True))


def _delete_session(it: SignedIn) -> None:
    it.scene.store.kubectl("delete", "refreshgrant", it.session).check()


def _delete_person(it: SignedIn) -> None:
    it.scene.store.kubectl("delete", "localuser", it.person.name).check()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(_log_out, id="logout"),
        pytest.param(_log_out_by_command, id="command"),
        pytest.param(_log_out_by_annotation, id="annotation"),
        pytest.param(_lock, id="locked"),
        pytest.param(_delete_person, id="deleted"),
        pytest.param(_delete_session, id="session deleted"),
    ],
)
def test_what_ends_for_a_person_is_dead_everywhere_within_a_second(
    signed_in: SignedIn, end: Callable[[SignedIn], None]
) -> None:
    end(signed_in)

    _everywhere(signed_in, _is_dead)


def test_what_a_client_gives_up_is_dead_and_the_session_goes_on(signed_in: SignedIn) -> None:
    _revoke(signed_in)

    _everywhere(signed_in, _shop_is_dead)
    for replica in signed_in.browser:
        assert replica.example.userinfo(signed_in.example.access_token).status_code == 200
        assert "code" in replica.silently(replica.shop)


def test_grant_that_is_deleted_is_dead_and_the_session_goes_on(signed_in: SignedIn) -> None:
    name = signed_in.grant_of_the_example
    signed_in.scene.store.kubectl("delete", "refreshgrant", name).check()

    _everywhere(signed_in, _example_is_dead)
    for replica in signed_in.browser:
        assert not _shop_is_dead(replica, signed_in)
        assert "code" in replica.silently(replica.example)


def test_client_that_is_switched_off_is_dead_and_lends_its_session_to_nobody(
    signed_in: SignedIn, store: KubernetesStore
) -> None:
    store.apply(shop_client(disabled=True))
    try:
        _everywhere(signed_in, _is_gone)
        for replica in signed_in.browser:
            refused = replica.shop.token(
                grant_type="refresh_token", refresh_token=signed_in.shop.refresh_token
            )
            assert refused.status_code == 401
    finally:
        store.apply(shop_client())
    _everywhere(signed_in, _is_welcome)


def _is_welcome(replica: Replica, it: SignedIn) -> bool:
    return (
        replica.shop.userinfo(it.shop.access_token).status_code == 200
        and replica.example.userinfo(it.example.access_token).status_code == 200
        and replica.is_active(it.shop.access_token)
    )


def _is_dead(replica: Replica, it: SignedIn) -> bool:
    """Tell whether nothing of it is left, at any door of one replica."""
    return (
        _shop_is_dead(replica, it)
        and _example_is_dead(replica, it)
        and _asks_for_a_sign_in(replica, replica.shop)
        and _asks_for_a_sign_in(replica, replica.example)
    )


def _shop_is_dead(replica: Replica, it: SignedIn) -> bool:
    # Whoever renews a token too early gets another one, so that is asked last.
    return (
        replica.shop.userinfo(it.shop.access_token).status_code == 401
        and not replica.is_active(it.shop.access_token)
        and _cannot_renew(replica.shop, it.shop)
    )


def _example_is_dead(replica: Replica, it: SignedIn) -> bool:
    return (
        replica.example.userinfo(it.example.access_token).status_code == 401
        and replica.example.introspect(it.example.access_token).json() == {"active": False}
        and replica.example.introspect(it.example.refresh_token).json() == {"active": False}
        and _cannot_renew(replica.example, it.example)
    )


def _is_gone(replica: Replica, it: SignedIn) -> bool:
    return (
        replica.shop.userinfo(it.shop.access_token).status_code == 401
        and not replica.is_active(it.shop.access_token)
        and replica.http.get(replica.shop.depart(prompt="none").url).status_code == 400
        and _asks_for_a_sign_in(replica, replica.example)
    )


def _cannot_renew(party: RelyingParty, tokens: Tokens) -> bool:
    answer = party.token(grant_type="refresh_token", refresh_token=tokens.refresh_token)
    return answer.status_code == 400 and answer.json()["error"] == "invalid_grant"


def _asks_for_a_sign_in(replica: Replica, party: RelyingParty) -> bool:
    return replica.silently(party).get("error") == "login_required"


def _everywhere(it: SignedIn, is_so: Callable[[Replica, SignedIn], bool]) -> None:
    """Return once it is so at each replica; fails after a second."""
    together(
        [
            partial(eventually, partial(is_so, replica, it), within=_LIVE_SECONDS)
            for replica in it.browser
        ]
    )
