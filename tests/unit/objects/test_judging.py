"""From what people write to what is served: every problem says where, what and how to mend it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.client import secret_hash
from idp.objects.clients import client_claims, client_need, judge_client
from idp.objects.secret_values import found_in
from idp.objects.user_states import judge_user_state
from idp.objects.users import is_locked, judge_user, signed_out_at, user_claims, user_need
from idp.objects.verdicts import BadSecret, GoodSecret, SecretNeed
from tests.kit.connectors import cheap_hash
from tests.kit.objects import TERMS, written
from tests.unit.settings.test_client_policies import KEYS

SECRET = GoodSecret(b"a secret that is long enough", "The entry `clientSecret` of the Secret `s`")
HASH = cheap_hash("correct horse")
CLIENT: dict[str, Any] = {
    "clientID": "app",
    "secretRef": {"name": "s"},
    "redirectURIs": ["https://app.example/cb"],
}
USER: dict[str, Any] = {"email": "Alice@Example.com", "passwordHash": HASH}


def client(spec: Any, secret: GoodSecret | BadSecret | None = SECRET) -> Any:
    return judge_client(written("oidc-clients", "app", spec), secret, generates=False, terms=TERMS)


def user(spec: Any, secret: GoodSecret | BadSecret | None = None) -> Any:
    return judge_user(written("local-users", "alice", spec), secret, signs_in=True)


def state(spec: Any) -> Any:
    return judge_user_state(written("user-states", "alice", spec))


def test_a_client_in_full() -> None:
    judged = client(
        {
            **CLIENT,
            "name": "The App",
            "trustedPeers": ["cli"],
            "clientCredentialsClaims": {"groups": ["bots"]},
            "logoURL": "https://app.example/logo.png",
            "somethingOfTomorrow": {"a": [1]},
        }
    )
    assert judged.problems == judged.doubts == ()
    assert judged.value.secret_hashes == (secret_hash("a secret that is long enough"),)
    assert judged.value.name == "The App"
    assert judged.value.redirect_uris == ("https://app.example/cb",)
    assert judged.value.trusted_peers == {"cli"}
    assert judged.value.credentials_groups == ("bots",)


def test_a_public_client_needs_nothing_but_its_id() -> None:
    judged = client({"clientID": "cli", "public": True}, None)
    assert judged.value.is_public
    assert judged.value.name == "cli"


def test_a_client_waits_for_its_secret() -> None:
    judged = client(CLIENT, None)
    assert (judged.value, judged.problems, judged.bad_secret) == (None, (), None)


@pytest.mark.covers("K-22")
@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (None, "spec must be an object with fields."),
        ([], "spec must be an object with fields."),
        ({}, "spec.clientID is required: the name by which the application introduces itself."),
        ({"clientID": 5}, "spec.clientID must be text; put it in quotes."),
        ({"clientID": ""}, "spec.clientID is required"),
        ({"clientID": "é"}, "spec.clientID `é` must be at most 255 printable ASCII characters"),
        ({"clientID": " a"}, "spec.clientID ` a` begins or ends with a space"),
        ({**CLIENT, "public": "true"}, "spec.public must be true or false, without quotes."),
        ({**CLIENT, "public": True}, "spec.secretRef is for clients that have a secret; remove it"),
        ({"clientID": "app"}, "spec.secretRef is required: name a Secret that holds the client's"),
        ({**CLIENT, "secretRef": "s"}, "spec.secretRef must be an object with fields."),
        ({**CLIENT, "secretRef": {}}, "spec.secretRef.name is required: the name of a Secret"),
        ({**CLIENT, "secretRef": {"name": "s", "key": []}}, "spec.secretRef.key must be text"),
        ({**CLIENT, "redirectURIs": "https://a.example"}, "spec.redirectURIs must be a list."),
        (
            {**CLIENT, "redirectURIs": ["https://ok.example", "https://*.example/cb"]},
            "spec.redirectURIs[1] `https://*.example/cb` contains a wildcard; list every URI in"
            " full, they are compared exactly.",
        ),
        ({**CLIENT, "redirectURIs": [7]}, "spec.redirectURIs[0] must be text; put it in quotes."),
        ({**CLIENT, "redirectURIs": ["javascript:x"]}, "has the scheme javascript"),
        (
            {**CLIENT, "redirectURIs": ["urn:ietf:wg:oauth:2.0:oob"]},
            "spec.redirectURIs holds urn:ietf:wg:oauth:2.0:oob, which is for public clients only.",
        ),
        ({**CLIENT, "redirectURIs": ["x"] * 10_001}, "spec.redirectURIs has more than 10000 items"),
        ({**CLIENT, "trustedPeers": [{}]}, "spec.trustedPeers[0] must be text"),
        ({**CLIENT, "name": "\ud800"}, "spec.name holds a character that UTF-8 has no form for"),
        (
            {**CLIENT, "clientCredentialsClaims": {"groups": [1]}},
            "spec.clientCredentialsClaims.groups[0] must be text",
        ),
    ],
)
def test_a_client_that_is_wrong_is_told_what_to_mend(spec: Any, problem: str) -> None:
    judged = client(spec)
    assert judged.value is None
    assert any(problem in each for each in judged.problems), judged.problems


def test_all_problems_are_told_at_once() -> None:
    judged = client({"clientID": "é", "public": 1, "redirectURIs": ["*", "a"], "name": {}})
    assert len(judged.problems) == 6


def test_what_is_probably_not_meant_is_served_and_told() -> None:
    uris = ["http://intranet.example/cb"]
    judged = client({**CLIENT, "redirectURIs": uris}, GoodSecret(b"short"))
    assert judged.value is not None
    assert judged.doubts == (
        "spec.redirectURIs[0] `http://intranet.example/cb` is http on another host: codes travel"
        " unprotected; use https.",
        "The secret has fewer than 16 characters and may be guessed.",
    )


@pytest.mark.parametrize(
    ("entries", "reason", "text"),
    [
        ({}, "SecretIncomplete", "The Secret `s` has no entry `clientSecret`. Add it."),
        ({"clientSecret": b""}, "SecretIncomplete", "has nothing in the entry `clientSecret`"),
        ({"clientSecret": b"0123456789abcdef\n"}, "SecretUnusable", "begins or ends with a space"),
        ({"clientSecret": b"\xff" * 32}, "SecretUnusable", "is not text in UTF-8"),
    ],
)
def test_a_secret_that_cannot_be_used(entries: Mapping[str, bytes], reason: str, text: str) -> None:
    need = client_need(written("oidc-clients", "app", CLIENT), generates=False)
    assert need == SecretNeed(
        name="s",
        key="clientSecret",
        field="spec.secretRef",
        previous_key="previousClientSecret",
    )
    bad = client(CLIENT, found_in(entries, need)).bad_secret
    assert bad is not None
    assert bad.reason == reason
    assert text in bad.message
    assert "0123456789abcdef" not in bad.message


@pytest.mark.parametrize("key", ["", "old"])
def test_two_secrets_count_while_one_is_replaced(key: str) -> None:
    spec = {**CLIENT, "secretRef": {"name": "s", "previousKey": key}}
    need = client_need(written("oidc-clients", "app", spec), generates=False)
    assert need is not None
    entries = {"clientSecret": b"new secret of the app", key or "previousClientSecret": b"the old"}
    judged = client(spec, found_in(entries, need))
    hashes = judged.value.secret_hashes
    assert hashes == (secret_hash("new secret of the app"), secret_hash("the old"))
    judged = client(spec, found_in({**entries, need.previous_key: b"old\n"}, need))
    assert judged.value.secret_hashes == (secret_hash("new secret of the app"),)
    assert f"The entry `{need.previous_key}` of the Secret `s` begins or ends" in judged.doubts[0]


def test_a_generated_secret_may_have_a_previous_one_too() -> None:
    need = client_need(written("oidc-clients", "app", {"clientID": "app"}), generates=True)
    assert need is not None
    entries = {"clientID": b"app", "clientSecret": b"s", "previousClientSecret": b"p"}
    assert found_in(entries, need) == GoodSecret(
        b"s", "The entry `clientSecret` of the Secret `app-oidc-client`", b"p"
    )


def test_a_client_that_signs_needs_no_secret_and_gets_none() -> None:
    spec = {"clientID": "app", "tokenEndpointAuthMethod": "private_key_jwt", "jwks": KEYS}
    assert client_need(written("oidc-clients", "app", spec), generates=True) is None
    judged = client(spec, None)
    assert judged.problems == ()
    assert (judged.value.secret_hashes, judged.value.is_public) == ((), False)


@pytest.mark.parametrize("spec", [{**CLIENT, "secretRef": {"name": 5}}, {"clientID": "a"}, None])
def test_nothing_is_read_for_a_reference_that_names_nothing(spec: Any) -> None:
    assert client_need(written("oidc-clients", "app", spec), generates=False) is None


def test_the_name_of_a_generated_secret_comes_from_the_object_alone() -> None:
    spec = {"clientID": "app"}
    status = {"secretName": "kube-idp-sealing-keys"}
    need = client_need(written("oidc-clients", "shop", spec, status=status), generates=True)
    assert need is not None
    assert need.name == "shop-oidc-client"
    assert client_need(written("oidc-clients", "shop", spec), generates=False) is None
    public = {"clientID": "app", "public": True}
    assert client_need(written("oidc-clients", "shop", public), generates=True) is None


def test_a_generated_secret_counts_for_its_own_client_id_only() -> None:
    need = client_need(written("oidc-clients", "app", {"clientID": "app"}), generates=True)
    assert need is not None
    entries = {"clientID": b"app", "clientSecret": b"s"}
    good = found_in(entries, need)
    assert isinstance(good, GoodSecret)
    assert good.value == b"s"
    for other in ({**entries, "clientID": b"other"}, {"clientSecret": b"s"}):
        bad = found_in(other, need)
        assert isinstance(bad, BadSecret)
        assert bad.reason == "SecretOfAnother"


def test_a_user_in_full() -> None:
    judged = user(
        {
            **USER,
            "username": "alice",
            "name": "Alice Liddell",
            "preferredUsername": "al",
            "emailVerified": False,
            "userID": "4711",
            "groups": ["admins"],
            "claims": {"department": ["r", "d"], "address.locality": ["Köln"], "none": []},
            "locked": True,
        }
    )
    person = judged.value
    assert person.claims == (("department", ("r", "d")), ("address.locality", ("Köln",)))
    assert (person.email, person.user_id, person.username) == ("Alice@Example.com", "4711", "alice")
    assert (person.name, person.preferred_username) == ("Alice Liddell", "al")
    assert (person.email_verified, person.groups, person.locked) == (False, ("admins",), True)
    assert person.password_hash == HASH


def test_a_user_is_known_by_the_name_of_the_object_unless_it_says_otherwise() -> None:
    person = user(USER).value
    assert (person.user_id, person.email_verified, person.locked) == ("alice", True, False)


@pytest.mark.covers("K-22")
@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({}, "spec.email is required: what the person types to sign in."),
        ({"email": "a@b"}, "spec.passwordHash is required: make one with `idp hash-password`"),
        ({**USER, "email": "a\u200blice@example.com"}, "spec.email cannot be signed in with"),
        ({**USER, "passwordHash": "plain text"}, "spec.passwordHash cannot be used"),
        ({**USER, "passwordHash": 5}, "spec.passwordHash must be text"),
        (
            {**USER, "passwordHashRef": {"name": "s"}},
            "spec.passwordHashRef is given beside spec.passwordHash; remove one of the two.",
        ),
        ({"email": "a@b", "passwordHashRef": {}}, "spec.passwordHashRef.name is required"),
        ({**USER, "locked": "yes"}, "spec.locked must be true or false"),
        ({**USER, "emailVerified": 1}, "spec.emailVerified must be true or false"),
        ({**USER, "groups": "admins"}, "spec.groups must be a list"),
        ({**USER, "userID": ["1"]}, "spec.userID must be text"),
        ({**USER, "claims": ["department"]}, "spec.claims must be an object with fields"),
        ({**USER, "claims": {"department": "r"}}, "spec.claims.department must be a list"),
        ({**USER, "claims": {"department": [1]}}, "spec.claims.department[0] must be text"),
        (
            {**USER, "claims": {"sub": ["root"]}},
            "spec.claims.sub has a field of its own; it cannot be set among the other claims.",
        ),
        (
            {**USER, "claims": {"iss": ["x"]}},
            "spec.claims.iss is said by the provider itself; it cannot be set for a person:"
            " choose another name.",
        ),
        ({**USER, "claims": {"Groups": ["x"]}}, "spec.claims.Groups has a field of its own"),
        ({**USER, "claims": {"address": ["x"]}}, "spec.claims.address is made of its members"),
        ({**USER, "claims": {"updated_at": ["x"]}}, "must be a number of seconds since 1970"),
        ({**USER, "claims": {"given_name": ["a", "b"]}}, "can have one value only"),
        (
            {**USER, "claims": {f"c{n}": ["x"] for n in range(10_001)}},
            "spec.claims has more than 10000 fields.",
        ),
    ],
)
def test_a_user_that_is_wrong_is_told_what_to_mend(spec: Any, problem: str) -> None:
    judged = user(spec)
    assert judged.value is None
    assert any(problem in each for each in judged.problems), judged.problems


def test_no_problem_shows_a_hash() -> None:
    judged = user({"email": "a@b", "passwordHash": "$2a$04$hunter2"})
    assert judged.problems
    assert "hunter2" not in repr(judged)


def test_a_password_hash_may_come_from_a_secret_with_a_line_break() -> None:
    spec = {"email": "a@b", "passwordHashRef": {"name": "s"}}
    need = user_need(written("local-users", "alice", spec))
    assert need == SecretNeed(name="s", key="passwordHash", field="spec.passwordHashRef")
    assert user(spec, GoodSecret(HASH.encode() + b"\n")).value.password_hash == HASH


@pytest.mark.parametrize("value", [b"hunter2", b"\xff", b"  "])
def test_a_hash_in_a_secret_that_cannot_be_used(value: bytes) -> None:
    judged = user({"email": "a@b", "passwordHashRef": {"name": "s"}}, GoodSecret(value))
    assert judged.value is None
    assert judged.bad_secret is not None
    assert judged.bad_secret.reason == "SecretUnusable"
    assert "hunter2" not in judged.bad_secret.message


def test_claims_are_made_by_objects_that_are_otherwise_wrong() -> None:
    broken = written("oidc-clients", "app", {"clientID": "app", "public": "?"})
    assert [claim.value for claim in client_claims(broken)] == ["app"]
    user_object = written("local-users", "alice", {"email": "ALICE@example.com"})
    assert [claim.value for claim in user_claims(user_object)] == ["alice@example.com", "alice"]
    assert user_claims(written("local-users", "a", {"email": 1})) == (("user id", "a"),)


@pytest.mark.parametrize(
    ("locked", "is_out"), [(True, True), (False, False), (None, False), ("true", True), (0, True)]
)
def test_what_is_not_clearly_open_is_locked(locked: Any, *, is_out: bool) -> None:
    assert is_locked(written("local-users", "alice", {"locked": locked})) is is_out


@pytest.mark.parametrize(
    ("said", "is_out"),
    [("2026-01-31T12:00:00Z", False), (" 2026-01-31T12:00:00.5+01:00 ", False), ("", False),
     ("now", True), ("2026-01-31", True), ("2026-13-31T12:00:00Z", True)],
)  # fmt: skip
def test_an_annotation_that_ends_logins_says_clearly_which_or_locks(
    said: str, *, is_out: bool
) -> None:
    annotations = {"kube-idp.dev/not-before": said}
    person = replace(written("local-users", "alice", USER), annotations=annotations)
    assert is_locked(person) is is_out
    problems = judge_user(person, None, signs_in=True).problems
    assert any("kube-idp.dev/not-before" in problem for problem in problems) is is_out
    if not is_out:
        assert (signed_out_at(person) is None) is (said == "")


def test_what_is_said_of_a_user() -> None:
    judged = state(
        {"connector": "ldap", "userID": "7", "user": "al", "notBefore": "2026-01-01T12:00:00+02:00"}
    )
    assert judged.problems == ()
    assert judged.value.sub == "CgE3EgRsZGFw"
    assert judged.value.standing.locked is False
    assert judged.value.standing.not_before.isoformat() == "2026-01-01T12:00:00+02:00"


@pytest.mark.parametrize("missing", ["connector", "userID"])
def test_a_state_of_nobody_is_refused(missing: str) -> None:
    spec = {"connector": "ldap", "userID": "7", "locked": True}
    del spec[missing]
    judged = state(spec)
    assert judged.value is None
    assert f"spec.{missing} is required" in judged.problems[0]


@pytest.mark.parametrize(
    "spec",
    [{"locked": "yes"}]
    + [
        {"notBefore": text}
        for text in ("tomorrow", "2026-01-01", "2026-01-01T12:00:00", "2026-02-30T12:00:00Z", 5)
    ],
)
def test_a_lock_that_was_mistyped_keeps_the_person_out(spec: Mapping[str, Any]) -> None:
    judged = state({"connector": "ldap", "userID": "7", **spec})
    assert judged.value.standing.locked
    assert len(judged.problems) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "clientID", "public", "secretRef", "redirectURIs", "trustedPeers", "name", "email", "userID",
    "passwordHash", "passwordHashRef", "locked", "groups", "clientCredentialsClaims", "connector",
    "notBefore",
)  # fmt: skip


@pytest.mark.covers("K-22")
@given(json_values | st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_nothing_that_is_written_raises(spec: Any) -> None:
    for judged in (client(spec), user(spec, SECRET), state(spec)):
        assert judged.value is not None or judged.problems or judged.bad_secret
    client_object = written("oidc-clients", "app", spec)
    client_claims(client_object)
    client_need(client_object, generates=True)
    user_claims(client_object)
    user_need(client_object)
    is_locked(client_object)


def test_a_local_user_where_nobody_signs_in_with_one_is_told_why() -> None:
    judged = judge_user(written("local-users", "alice", USER), None, signs_in=False)
    assert judged.value is None
    assert "`enablePasswordDB: false`" in judged.problems[0]
