"""What sessions cost the API server, by its own audit log: little, and nothing for strangers."""

from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlencode

import httpx
import pytest

from storage.kubernetes.resources import SESSION_LABEL
from tests.kit.registration import METADATA, bearer
from tests.kit.relying_party import Attempt, Form, RelyingParty, form_at
from tests.kit.scene import example_party
from tests.kit.servers.api_requests import ApiRequest, Recorded
from tests.kit.sso_replicas import Person, Replica, Scene

pytestmark = pytest.mark.servers

_REPEATED = 20
"""Often enough to see that what comes now and then does not come of these."""


@pytest.fixture
def stranger(scene: Scene) -> Iterator[Replica]:
    """Yield a browser that nobody signed in with."""
    with scene.browser() as browser:
        yield browser[0]


def test_first_sign_in_of_a_browser_is_no_dearer_than_one_without_sessions(
    scene: Scene, person: Person
) -> None:
    with scene.store.api_requests.recorded() as recorded:
        person.sign_in()

    assert len(recorded.writes) <= 2, str(recorded)
    assert len(recorded.of_operations) <= 3, str(recorded)


def test_login_with_a_session_of_another_replica_is_two_writes_at_most(
    scene: Scene, person: Person
) -> None:
    person.sign_in()

    with scene.store.api_requests.recorded() as recorded:
        for replica in person.browser:
            replica.sign_on(replica.example)

    logins = len(person.browser)
    assert len(recorded.writes) == 2 * logins, str(recorded)
    assert len(recorded.of_operations) <= 4 * logins, str(recorded)


def test_another_password_in_a_browser_with_a_session_is_three_writes_at_most(
    scene: Scene, person: Person
) -> None:
    """The session is renewed, which is a write of its own."""
    person.sign_in()
    there = person.browser[1]
    attempt = there.example.depart(scopes=("openid",), prompt="login")
    form = form_at(there.http, attempt.url)

    with scene.store.api_requests.recorded() as recorded:
        answer = person.send_password(there, form)
        there.example.redeem(there.example.code_of(answer, attempt), attempt)

    assert len(recorded.writes) <= 3, str(recorded)


@pytest.mark.parametrize("others", [0, 3])
def test_logout_is_one_write_for_each_grant(scene: Scene, person: Person, others: int) -> None:
    tokens = person.sign_in()
    for _ in range(others):
        person.browser[1].sign_on(person.browser[1].example)

    with scene.store.api_requests.recorded() as recorded:
        answer = person.browser[2].http.get(
            f"{scene.issuer}/logout", params={"id_token_hint": tokens.id_token}
        )

    assert answer.status_code == 200
    assert len(recorded.writes) == 1 + others, str(recorded)
    assert len(recorded.done) == 1 + others, str(recorded)


def test_consent_is_one_write_the_first_time_and_none_after(scene: Scene, person: Person) -> None:
    person.sign_in()
    replica = person.browser[1]

    for consents in (1, 0):
        attempt, form = _question(replica)
        with scene.store.api_requests.recorded() as recorded:
            location = _say(replica, form, "approve")
            replica.example.redeem(replica.example.code_of(location, attempt), attempt)

        written = [each for each in recorded.writes if each.resource == "userstates"]
        assert len(written) == consents, str(recorded)
        assert len(recorded.writes) == consents + 2, str(recorded)


def test_question_that_is_looked_at_or_refused_writes_nothing(scene: Scene, person: Person) -> None:
    person.sign_in()
    replica = person.browser[0]

    with scene.store.api_requests.recorded() as recorded:
        for _ in range(3):
            _, form = _question(replica)
            assert "error=access_denied" in _say(replica, form, "reject")

    assert recorded.writes == [], str(recorded)


def test_answer_that_is_sent_again_changes_nothing(
    scene: Scene, person: Person, stranger: Replica
) -> None:
    person.sign_in()
    replica = person.browser[0]
    attempt, form = _question(replica)
    location = _say(replica, form, "approve")
    replica.example.redeem(replica.example.code_of(location, attempt), attempt)

    with scene.store.api_requests.recorded() as recorded:
        for _ in range(3):
            assert _say(replica, form, "approve") == ""
    assert recorded.done == [], str(recorded)

    with scene.store.api_requests.recorded() as recorded:
        for _ in range(3):
            assert _say(stranger, form, "approve") == ""
    assert _asked(recorded) == [], str(recorded)


def _logout(query: dict[str, str], replica: Replica) -> httpx.Response:
    return replica.http.get(f"{replica.issuer}/logout", params=query)


def _post_logout(query: dict[str, str], replica: Replica) -> httpx.Response:
    return replica.http.post(f"{replica.issuer}/logout", data=query)


def _register(headers: dict[str, str], replica: Replica) -> httpx.Response:
    return replica.http.post("/register", json=METADATA, headers=headers)


def _with_cookies_of_nobody(replica: Replica) -> httpx.Response:
    forged = {"__Host-idp-session": "0123456789abcdef.1.9999999999.9999999999.1.x"}
    url = replica.shop.depart(prompt="none").url
    return replica.http.get(url, headers={"cookie": urlencode(forged)})


def _wrong_secret(replica: Replica) -> RelyingParty:
    party = example_party(replica.http, replica.issuer)
    return RelyingParty(
        http=party.http,
        issuer=party.issuer,
        client_id=party.client_id,
        client_secret="wrong",
        redirect_uri=party.redirect_uri,
    )


_Act = Callable[[Replica], httpx.Response]

_REFUSED = {401, 429}
"""Guesses are refused unread when there are too many of them."""

_OF_STRANGERS: dict[str, tuple[_Act, set[int]]] = {
    "login page": (lambda it: it.http.get(it.shop.depart().url), {200}),
    "silent request": (lambda it: it.http.get(it.shop.depart(prompt="none").url), {303}),
    "forged session": (_with_cookies_of_nobody, {303}),
    "logout": (partial(_logout, {}), {200}),
    "logout with a garbage hint": (partial(_logout, {"id_token_hint": "x.y.z"}), {400}),
    "logout with a garbage request": (partial(_logout, {"req": "garbage"}), {400}),
    "logout of an unknown client": (partial(_logout, {"client_id": "nobody"}), {400}),
    "logout by POST": (partial(_post_logout, {"client_id": "shop"}), {303}),
    "logout by POST with a garbage hint": (partial(_post_logout, {"id_token_hint": "x"}), {400}),
    "answer to no question": (
        lambda it: it.http.post("/approval", data={"state": "x", "approval": "approve"}),
        {400},
    ),
    "answer to no question about logout": (
        lambda it: it.http.post("/logout/confirm", data={"state": "x", "logout": "yes"}),
        {400},
    ),
    "registration without a token": (partial(_register, {}), _REFUSED),
    "registration with a wrong token": (partial(_register, bearer("wrong")), _REFUSED),
    "management with a wrong token": (
        lambda it: it.http.get("/register/nobody", headers=bearer("wrong")),
        _REFUSED,
    ),
    "introspection with a wrong secret": (lambda it: _wrong_secret(it).introspect("x"), _REFUSED),
    "revocation with a wrong secret": (lambda it: _wrong_secret(it).revoke("x"), _REFUSED),
}


@pytest.mark.parametrize("what", _OF_STRANGERS)
def test_nothing_is_asked_of_the_store_before_somebody_is_known(
    scene: Scene, stranger: Replica, what: str
) -> None:
    act, statuses = _OF_STRANGERS[what]

    with scene.store.api_requests.recorded() as recorded:
        for _ in range(_REPEATED):
            assert act(stranger).status_code in statuses

    assert _asked(recorded) == [], str(recorded)


def test_hint_of_somebody_elses_session_signs_nobody_out(
    scene: Scene, person: Person, stranger: Replica
) -> None:
    tokens = person.sign_in()

    with scene.store.api_requests.recorded() as recorded:
        for _ in range(_REPEATED):
            assert _logout({"id_token_hint": tokens.id_token}, stranger).status_code == 200

    assert _asked(recorded) == [], str(recorded)
    assert person.browser[1].shop.userinfo(tokens.access_token).status_code == 200


def _asked(recorded: Recorded) -> list[ApiRequest]:
    """Return what was asked, without the looks after sessions that other tests ended before."""
    return [
        each
        for each in recorded.of_operations
        if each.is_write or not each.query.get("labelSelector", "").startswith(SESSION_LABEL)
    ]


def _question(replica: Replica) -> tuple[Attempt, Form]:
    """Return an authorization request of the example, and the page that asks for approval."""
    attempt = replica.example.depart(scopes=("openid", "email"), prompt="consent")
    return attempt, form_at(replica.http, attempt.url)


def _say(replica: Replica, form: Form, answer: str) -> str:
    """Return where an answer to the question leads, "" for a page that says why it does not."""
    sent = {**form.fields, "approval": answer}
    return str(replica.http.post(form.action, data=sent).headers.get("location", ""))
