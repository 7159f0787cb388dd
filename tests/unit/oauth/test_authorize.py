"""What must be true before the browser may be sent anywhere, in the right order."""

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.authorize import (
    AuthorizationRequest,
    AuthorizeRules,
    Refused,
    read_authorization,
    target_of,
)
from idp.oauth.client import Client
from idp.oauth.errors import InvalidRequest, OAuthError, Untrusted, printable
from idp.oauth.params import parse_parameters
from idp.oauth.pkce import challenge_of
from idp.oauth.redirects import redirect_uri_allowed

CALLBACK = "https://app.example.com/callback"
CLIENTS = {
    "app": Client(id="app", name="App", secret_hashes=(b"x",), redirect_uris=(CALLBACK,)),
    "cli": Client(id="cli", name="Command line", redirect_uris=("http://localhost:8000",)),
}
CHALLENGE = challenge_of("v" * 43)
GOOD = {
    "client_id": "app",
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid",
    "state": "the state",
}


def subject_of_hint(hint: str, client_id: str) -> str:
    if hint != "good" or client_id not in CLIENTS:
        raise InvalidRequest("no hint of ours")
    return "alice"


RULES = AuthorizeRules(clients=CLIENTS, subject_of_hint=subject_of_hint, pkce_for_all=False)
STRICT = AuthorizeRules(clients=CLIENTS, subject_of_hint=subject_of_hint, pkce_for_all=True)


def read(
    changes: dict[str, str | None] | None = None, rules: AuthorizeRules = RULES
) -> AuthorizationRequest:
    fields = {
        name: value for name, value in {**GOOD, **(changes or {})}.items() if value is not None
    }
    return read_authorization(parse_parameters(urlencode(fields).encode()), rules)


def refusal(changes: dict[str, str | None], rules: AuthorizeRules = RULES) -> OAuthError:
    with pytest.raises(Refused) as refused:
        read(changes, rules)
    assert refused.value.target.redirect_uri == {**GOOD, **changes}["redirect_uri"]
    assert refused.value.target.state == "the state"
    return refused.value.error


def test_a_good_request_is_read_whole() -> None:
    request = read(
        {"nonce": "n", "code_challenge": CHALLENGE, "code_challenge_method": "S256", "max_age": "5",
         "prompt": "login", "login_hint": "alice", "id_token_hint": "good",
         "connector_id": "ldap"}
    )  # fmt: skip
    assert (request.target.client_id, request.target.state) == ("app", "the state")
    assert (request.scopes, request.nonce, request.max_age) == (("openid",), "n", 5)
    assert (set(request.prompts), request.code_challenge) == ({"login"}, CHALLENGE)
    assert (request.login_hint, request.hinted_subject) == ("alice", "alice")
    assert request.connector_id == "ldap"


def test_what_was_not_sent_is_empty() -> None:
    request = read({"state": None, "scope": None})
    assert request.target.state is None
    assert (request.scopes, request.nonce, request.max_age) == ((), "", None)
    assert (request.code_challenge, request.login_hint, request.hinted_subject) == ("", "", "")
    assert not request.prompts


@pytest.mark.covers("R-1", "R-5")
@pytest.mark.parametrize(
    "query",
    [
        {"client_id": None},
        {"client_id": ""},
        {"client_id": "APP"},
        {"client_id": "app "},
        {"client_id": "ghost"},
        {"redirect_uri": None},
        {"redirect_uri": ""},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": CALLBACK + "/"},
        {"client_id": "cli"},
        {"client_id": "ghost", "prompt": "none"},
        {"redirect_uri": "https://evil.example/", "response_type": None, "scope": '"'},
    ],
)
def test_without_trust_every_error_is_for_the_person(query: dict[str, str | None]) -> None:
    with pytest.raises(Untrusted):
        read(query)


@pytest.mark.covers("R-5")
@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
@pytest.mark.parametrize("second", [None, "", "https://evil.example/"])
def test_a_target_that_comes_twice_is_no_target(name: str, second: str | None) -> None:
    again = GOOD[name] if second is None else second
    for pairs in ([*GOOD.items(), (name, again)], [(name, again), *GOOD.items()]):
        with pytest.raises(Untrusted):
            target_of(parse_parameters(urlencode(pairs).encode()), CLIENTS)


@pytest.mark.covers("R-5")
def test_a_state_that_comes_twice_is_not_sent_back() -> None:
    raw = urlencode([*GOOD.items(), ("state", "another")]).encode()
    with pytest.raises(Refused) as refused:
        read_authorization(parse_parameters(raw), RULES)
    assert refused.value.error.code == "invalid_request"
    assert refused.value.target.state is None


@pytest.mark.covers("R-3", "R-4", "R-6", "R-8", "R-9", "R-10", "R-14", "CV-9")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "CODE"}, "unsupported_response_type"),
        ({"response_type": "code "}, "unsupported_response_type"),
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"response_mode": "form_post.jwt"}, "invalid_request"),
        ({"response_mode": "x"}, "invalid_request"),
        ({"scope": 'openid "'}, "invalid_scope"),
        ({"scope": "a" * 1025}, "invalid_scope"),
        ({"scope": "audience:server:client_id:cli"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "x"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"code_challenge": CHALLENGE}, "invalid_request"),
        ({"code_challenge": CHALLENGE, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
        ({"client_id": "cli", "redirect_uri": "http://localhost:1"}, "invalid_request"),
        ({"id_token_hint": "forged"}, "invalid_request"),
        ({"nonce": "n" * 9000}, "invalid_request"),
    ],
)
def test_with_trust_every_error_is_for_the_client(
    changes: dict[str, str | None], code: str
) -> None:
    assert refusal(changes).code == code


@pytest.mark.covers("R-10", "CV-31")
def test_pkce_can_be_demanded_of_everybody() -> None:
    assert refusal({}, STRICT).code == "invalid_request"
    changes: dict[str, str | None] = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    assert read(changes, STRICT).code_challenge == CHALLENGE


@pytest.mark.covers("R-9")
def test_empty_parameters_count_as_omitted() -> None:
    names = ("request", "request_uri", "registration", "response_mode", "prompt", "max_age")
    assert read(dict.fromkeys(names, "")) == read()


@pytest.mark.spec("OIDC Dynamic Client Registration", "2")
def test_the_max_age_of_a_client_counts_where_a_request_says_none() -> None:
    impatient = {**CLIENTS, "app": replace(CLIENTS["app"], default_max_age=60)}
    rules = replace(RULES, clients=impatient)
    assert read(rules=rules).max_age == 60
    assert read({"max_age": "5"}, rules).max_age == 5
    assert read({"max_age": "0"}, rules).max_age == 0


def test_a_login_hint_is_cut_before_it_is_shown() -> None:
    assert len(read({"login_hint": "x" * 5000}).login_hint) == 255


texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.sampled_from(
    ("client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
     "prompt", "max_age", "id_token_hint", "request", "code_challenge", "code_challenge_method",
     "connector_id", "login_hint", "approval_prompt", "unknown", "")
)  # fmt: skip
words = (*GOOD.values(), "cli", "http://localhost:1", CHALLENGE, "S256", "none", "good", "-1")
values = st.one_of(texts, st.sampled_from(words))


@pytest.mark.covers("R-62", "CV-36")
@given(st.lists(st.tuples(names, values), max_size=12), st.sampled_from(((), tuple(GOOD.items()))))
def test_any_parameters_are_a_request_or_an_error_at_the_right_door(
    pairs: list[tuple[str, str]], start: tuple[tuple[str, str], ...]
) -> None:
    sent = [*start, *pairs]
    try:
        target = read_authorization(parse_parameters(urlencode(sent).encode()), RULES).target
    except Untrusted:
        return
    except Refused as refused:
        target = refused.target
        description = refused.error.description
        assert description == printable(description)
    assert redirect_uri_allowed(target.redirect_uri, CLIENTS[target.client_id])
    assert [value for name, value in sent if name == "redirect_uri"] == [target.redirect_uri]


@pytest.mark.covers("R-65")
@given(st.text(max_size=80))
def test_a_description_is_printable_ascii_without_quotes(text: str) -> None:
    description = InvalidRequest(text).description
    assert description.isascii()
    assert not description or description.isprintable()
    assert not set(description) & set('"\\')
