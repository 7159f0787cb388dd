"""Doubtful requests to the authorization endpoint, and what a login makes of some of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from urllib.parse import urlencode

import httpx

from tests.kit.provider import CONFIDENTIAL, OTHER, PUBLIC
from tests.kit.signing_client import SigningClient
from tests.second_opinion.provider import (
    ACR,
    OTHER_CALLBACK,
    PKCE,
    SIGNING,
    Provider,
    request,
)

Question = Callable[[Provider], httpx.Response]
LOOPBACK = "http://127.0.0.1:8000/done"
_S256 = {"code_challenge": PKCE.challenge, "code_challenge_method": "S256"}
_TOKEN_BEFORE = {"response_type": "id_token"}
_HYBRID = {"response_type": "code id_token"}
_NATIVE = {"client_id": PUBLIC, "redirect_uri": LOOPBACK, **_S256}
_FOREIGN = SigningClient("elsewhere", "https://elsewhere.example.com")

# Changes to a good request of a confidential client; None leaves a parameter out.
_CHANGES: Mapping[str, Mapping[str, str | None]] = {
    "as it should be": {},
    "no client_id": {"client_id": None},
    "an unknown client_id": {"client_id": "ghost"},
    "no redirect_uri": {"redirect_uri": None},
    "redirect_uri of another client": {"redirect_uri": OTHER_CALLBACK},
    "redirect_uri with a slash behind": {"redirect_uri": "https://app.example.com/callback/"},
    "redirect_uri in capitals": {"redirect_uri": "https://APP.example.com/callback"},
    "redirect_uri with a query": {"redirect_uri": "https://app.example.com/callback?a=b"},
    "redirect_uri with a fragment": {"redirect_uri": "https://app.example.com/callback#a"},
    "redirect_uri with the default port": {"redirect_uri": "https://app.example.com:443/callback"},
    "redirect_uri with dots": {"redirect_uri": "https://app.example.com/x/../callback"},
    "redirect_uri with a user": {"redirect_uri": "https://evil@app.example.com/callback"},
    "redirect_uri by http": {"redirect_uri": "http://app.example.com/callback"},
    "redirect_uri that is none": {"redirect_uri": "callback"},
    "redirect_uri on this machine": {"redirect_uri": "http://127.0.0.1:9/callback"},
    "no response_type": {"response_type": None},
    "response_type token": {"response_type": "token"},
    "response_type none": {"response_type": "none"},
    "response_type nobody knows": {"response_type": "codes"},
    "response_type code twice in one": {"response_type": "code code"},
    "response_type in capitals": {"response_type": "CODE"},
    "response_type in another order": {"response_type": "id_token code"},
    "response_type with a space behind": {"response_type": "code "},
    "an ID token without a nonce": {**_TOKEN_BEFORE, "nonce": None},
    "an ID token without openid": {**_TOKEN_BEFORE, "scope": "email"},
    "code and ID token without a nonce": {**_HYBRID, "nonce": None},
    "code and ID token without openid": {**_HYBRID, "scope": "email"},
    "an ID token and offline_access": {**_TOKEN_BEFORE, "scope": "openid offline_access"},
    "response_mode nobody knows": {"response_mode": "bogus"},
    "response_mode in capitals": {"response_mode": "QUERY"},
    "response_mode jwt": {"response_mode": "jwt"},
    "response_mode web_message": {"response_mode": "web_message"},
    "an ID token in the query": {**_TOKEN_BEFORE, "response_mode": "query"},
    "code and ID token in the query": {**_HYBRID, "response_mode": "query"},
    "an error that comes in the fragment": {"response_mode": "fragment", "prompt": "none"},
    "an error that comes as a form": {"response_mode": "form_post", "prompt": "none"},
    "an error of a hybrid request": {**_HYBRID, "prompt": "none"},
    "no scope": {"scope": None},
    "an empty scope": {"scope": ""},
    "an unknown scope beside openid": {"scope": "openid bogus"},
    "an unknown scope alone": {"scope": "bogus"},
    "a nonce without openid": {"scope": "email"},
    "no nonce and no openid": {"scope": "email", "nonce": None},
    "max_age without openid": {"scope": "email", "nonce": None, "max_age": "5"},
    "display without openid": {"scope": "email", "nonce": None, "display": "page"},
    "offline_access without consent": {"scope": "openid offline_access"},
    "offline_access alone": {"scope": "offline_access"},
    "scope with two spaces": {"scope": "openid  email"},
    "scope with a space behind": {"scope": "openid "},
    "scope with a tab": {"scope": "openid\temail"},
    "scope with a quotation mark": {"scope": 'openid "email"'},
    "scope beyond ASCII": {"scope": "openid é"},
    "the same scope twice": {"scope": "openid openid"},
    "no state": {"state": None},
    "a state with a NUL": {"state": "\0"},
    "a state with a line feed": {"state": "a\r\nb"},
    "a state of 4000 characters": {"state": "a" * 4000},
    "an empty nonce": {"nonce": ""},
    "prompt none and nobody there": {"prompt": "none"},
    "prompt none login": {"prompt": "none login"},
    "prompt login none": {"prompt": "login none"},
    "prompt none consent": {"prompt": "none consent"},
    "prompt login": {"prompt": "login"},
    "prompt consent": {"prompt": "consent"},
    "prompt select_account": {"prompt": "select_account"},
    "prompt create": {"prompt": "create"},
    "prompt nobody knows": {"prompt": "bogus"},
    "prompt login bogus": {"prompt": "login bogus"},
    "prompt in capitals": {"prompt": "LOGIN"},
    "prompt login twice in one": {"prompt": "login login"},
    "prompt empty": {"prompt": ""},
    "max_age abc": {"max_age": "abc"},
    "max_age -1": {"max_age": "-1"},
    "max_age 0": {"max_age": "0"},
    "max_age 1.5": {"max_age": "1.5"},
    "max_age +1": {"max_age": "+1"},
    "max_age 1e3": {"max_age": "1e3"},
    "max_age 0x10": {"max_age": "0x10"},
    "max_age with a space": {"max_age": " 1"},
    "max_age empty": {"max_age": ""},
    "max_age beyond all numbers": {"max_age": "9" * 30},
    "display nobody knows": {"display": "bogus"},
    "ui_locales that are none": {"ui_locales": "!!"},
    "acr_values nobody knows": {"acr_values": "bogus"},
    "a parameter nobody knows": {"bogus": "1"},
    "an id_token_hint that is none": {"id_token_hint": "bogus"},
    "an id_token_hint of somebody else": {
        "id_token_hint": _FOREIGN.jwt({"iss": _FOREIGN.issuer, "sub": "x", "aud": "app"})
    },
    "a login_hint": {"login_hint": "somebody"},
    "registration": {"registration": "{}"},
    "a challenge that is too short": {**_S256, "code_challenge": "a" * 42},
    "a challenge that is too long": {**_S256, "code_challenge": "a" * 129},
    "a challenge of 44 characters": {**_S256, "code_challenge": "a" * 44},
    "a challenge with other characters": {**_S256, "code_challenge": "!" * 43},
    "challenge method plain": {**_S256, "code_challenge_method": "plain"},
    "a challenge without a method": {"code_challenge": PKCE.challenge},
    "challenge method nobody knows": {**_S256, "code_challenge_method": "S512"},
    "a method without a challenge": {"code_challenge_method": "S256"},
    "a public client": _NATIVE,
    "a public client without a challenge": {
        "client_id": PUBLIC, "redirect_uri": LOOPBACK},
    "a public client at another port": {
        **_NATIVE, "redirect_uri": "http://127.0.0.1:4711/done"},
    "a public client at localhost instead": {
        **_NATIVE, "redirect_uri": "http://localhost:8000/done"},
    "a public client at another path": {
        **_NATIVE, "redirect_uri": "http://127.0.0.1:8000/other"},
    "a response type that is not the client's": {**_NATIVE, **_TOKEN_BEFORE},
}  # fmt: skip

_CLAIMS: Mapping[str, str] = {
    "no JSON": "bogus",
    "a list": "[]",
    "a text": '"a"',
    "null": "null",
    "an empty object": "{}",
    "members nobody knows": '{"bogus": {"a": null}}',
    "userinfo a list": '{"userinfo": []}',
    "userinfo null": '{"userinfo": null}',
    "id_token a number": '{"id_token": 1}',
    "a claim a number": '{"id_token": {"email": 1}}',
    "a claim null": '{"id_token": {"email": null}}',
    "a claim nobody knows": '{"id_token": {"bogus": null}}',
    "essential a text": '{"id_token": {"email": {"essential": "yes"}}}',
    "values no list": '{"id_token": {"email": {"values": "a"}}}',
    "value and values": '{"id_token": {"email": {"value": "a", "values": ["a"]}}}',
    "sub no text": '{"id_token": {"sub": {"value": 5}}}',
    "one member twice": '{"id_token": {"email": null}, "id_token": {}}',
    "an essential acr that is not served": json.dumps(
        {"id_token": {"acr": {"essential": True, "values": ["bogus"]}}}
    ),
    "an essential acr that is served": json.dumps(
        {"id_token": {"acr": {"essential": True, "values": [ACR]}}}
    ),
}

_TWICE = ("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "prompt",
          "max_age", "response_mode", "bogus")  # fmt: skip


def questions() -> Iterator[tuple[str, Question]]:
    """Yield every question and its name."""
    for name, changes in _CHANGES.items():
        yield name, partial(_ask, changes)
    for name, claims in _CLAIMS.items():
        yield f"claims: {name}", partial(_ask, {"claims": claims})
    for parameter in _TWICE:
        yield f"{parameter} twice", partial(_ask_twice, parameter)
    yield (
        "claims of userinfo without an access token",
        partial(_ask, {**_TOKEN_BEFORE, "claims": '{"userinfo": {"email": null}}'}),
    )
    yield "a sub that is not the person's", _another_sub
    yield "by POST", lambda provider: provider.ask(request(), method="POST")
    yield (
        "by POST with an unknown prompt",
        lambda provider: provider.ask(request(prompt="bogus"), method="POST"),
    )
    yield "by PUT", lambda provider: provider.ask(request(), method="PUT")
    yield "by POST as JSON", _posted_as_json
    yield "octets that are no UTF-8", _no_utf8
    yield "an id_token_hint of the person, without a session", _hinted
    yield "an id_token_hint of another client's token", partial(_hinted, client=OTHER[0])
    yield "prompt none in a session", _silent
    yield "prompt none and an id_token_hint of the session", _silent_and_hinted
    yield "prompt none and an id_token_hint of another person", _silent_for_another
    yield "prompt none and max_age 0 in a session", partial(_silent, max_age="0")
    yield "prompt login in a session", partial(_silent, prompt="login")
    yield "prompt select_account in a session", partial(_silent, prompt="select_account")
    for name, parameters in _request_objects():
        yield name, parameters


def _ask(changes: Mapping[str, str | None], provider: Provider) -> httpx.Response:
    return provider.ask(request(**changes))


def _ask_twice(parameter: str, provider: Provider) -> httpx.Response:
    pairs = [*request(prompt="login", max_age="5", response_mode="query", bogus="1")]
    return provider.ask([*pairs, next(pair for pair in pairs if pair[0] == parameter)])


def _posted_as_json(provider: Provider) -> httpx.Response:
    visitor = provider.new_visitor()
    return visitor.request("POST", provider.path("authorization"), json=dict(request()))


def _no_utf8(provider: Provider) -> httpx.Response:
    query = urlencode(request(state=None)) + "&state=%ff%fe"
    return provider.new_visitor().request("GET", f"{provider.path('authorization')}?{query}")


def _hinted(provider: Provider, client: str = CONFIDENTIAL[0]) -> httpx.Response:
    hint = provider.tokens()["id_token"]
    uri = None if client == CONFIDENTIAL[0] else OTHER_CALLBACK
    changes = {"client_id": client, "redirect_uri": uri} if uri else {}
    return provider.ask(request(id_token_hint=hint, **changes))


def _silent(provider: Provider, **changes: str) -> httpx.Response:
    visitor = provider.new_visitor()
    provider.sign_in(request(), visitor=visitor)
    return provider.ask(request(**{"prompt": "none", **changes}), visitor=visitor)


def _silent_and_hinted(provider: Provider) -> httpx.Response:
    visitor = provider.new_visitor()
    hint = provider.tokens(visitor=visitor)["id_token"]
    return provider.ask(request(prompt="none", id_token_hint=hint), visitor=visitor)


def _silent_for_another(provider: Provider) -> httpx.Response:
    hint = provider.tokens()["id_token"]
    visitor = provider.new_visitor()
    provider.sign_in(request(), visitor=visitor, person="bob")
    return provider.ask(request(prompt="none", id_token_hint=hint), visitor=visitor)


def _another_sub(provider: Provider) -> httpx.Response:
    visitor = provider.new_visitor()
    provider.sign_in(request(), visitor=visitor)
    claims = '{"id_token": {"sub": {"value": "somebody else"}}}'
    return provider.ask(request(prompt="none", claims=claims), visitor=visitor)


def _request_objects() -> Iterator[tuple[str, Question]]:
    yield "request that is no JWT", partial(_ask, {"request": "bogus"})
    yield (
        "request and request_uri",
        partial(_ask, {"request": "a.b.c", "request_uri": "https://app.example.com/r"}),
    )
    yield "request_uri by http", partial(_ask, {"request_uri": "http://app.example.com/r"})
    yield (
        "request_uri that is not registered",
        partial(_ask, {"request_uri": "https://app.example.com/r"}),
    )
    yield (
        "request_uri of a pushed request nobody made",
        partial(_ask, {"request_uri": "urn:ietf:params:oauth:request_uri:bogus"}),
    )
    changes: dict[str, dict[str, object]] = {
        "as it should be": {},
        "without iss": {"iss": None},
        "without aud": {"aud": None},
        "for another provider": {"aud": "https://elsewhere.example.com"},
        "with another client_id": {"client_id": "app"},
        "that is over": {"exp": 1_000_000_000},
        "with a request inside": {"request": "a.b.c"},
        "with a number for scope": {"scope": 5},
        "with prompt none login": {"prompt": "none login"},
    }
    for name, members in changes.items():
        yield f"a request object {name}", partial(_request_object, members)
    yield "a request object that is not signed", _unsigned
    yield "a request object signed by somebody else", partial(_request_object, {}, key="second")


def _request_object(
    members: Mapping[str, object], provider: Provider, key: str = "first"
) -> httpx.Response:
    signing = SigningClient(SIGNING, provider.issuer, name=key)
    inside = dict(request(client_id=SIGNING))
    # The key id is always that of the registered key.
    header = {**signing.header, "kid": SigningClient(SIGNING, "").kid}
    claims = {"iss": SIGNING, "aud": provider.issuer, **inside, **members}
    signed = signing.jwt({k: v for k, v in claims.items() if v is not None}, header)
    return provider.ask(request(client_id=SIGNING, request=signed))


def _unsigned(provider: Provider) -> httpx.Response:
    signing = SigningClient(SIGNING, provider.issuer)
    claims = {"iss": SIGNING, "aud": provider.issuer, **dict(request(client_id=SIGNING))}
    text = signing.jwt(claims, {"alg": "none"}).rpartition(".")[0] + "."
    return provider.ask(request(client_id=SIGNING, request=text))
