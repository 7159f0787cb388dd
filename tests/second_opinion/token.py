"""Doubtful requests to the token endpoint."""

import base64
import secrets
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import httpx

from idp.oauth.client_assertion import JWT_BEARER
from tests.kit.provider import CONFIDENTIAL, OTHER, PUBLIC
from tests.kit.signing_client import SigningClient
from tests.second_opinion.authorization import LOOPBACK, Question
from tests.second_opinion.provider import (
    FORM,
    PKCE,
    POSTING,
    SIGNING,
    Pairs,
    Provider,
    redeem,
)

_S256 = {"code_challenge": PKCE.challenge, "code_challenge_method": "S256"}

_CODES: Mapping[str, Mapping[str, str | None]] = {
    "as it should be": {},
    "no code": {"code": None},
    "a code that is none": {"code": "bogus"},
    "no redirect_uri": {"redirect_uri": None},
    "another redirect_uri": {"redirect_uri": "https://app.example.com/other"},
    "a verifier where no challenge was": {"code_verifier": PKCE.verifier},
    "a scope beside a code": {"scope": "openid email profile"},
    "a parameter nobody knows": {"bogus": "1"},
}
_VERIFIERS: Mapping[str, str | None] = {
    "the right verifier": PKCE.verifier,
    "no verifier": None,
    "an empty verifier": "",
    "another verifier": "b" * 64,
    "a verifier that is too short": "b" * 42,
    "a verifier that is too long": "b" * 129,
    "a verifier with other characters": "é" * 50,
    "the challenge for a verifier": PKCE.challenge,
}
_GRANT_TYPES = ("", "bogus", "implicit", "password", "AUTHORIZATION_CODE",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "urn:ietf:params:oauth:grant-type:device_code")  # fmt: skip


def questions() -> Iterator[tuple[str, Question]]:
    """Yield every question and its name."""
    for name, changes in _CODES.items():
        yield name, partial(_redeem, changes)
    for name, verifier in _VERIFIERS.items():
        yield name, partial(_verify, verifier)
    for grant_type in _GRANT_TYPES:
        yield f"grant_type {grant_type or 'empty'}", partial(_grant_type, grant_type)
    yield "no grant_type", lambda provider: provider.token([("a", "b")])
    yield "grant_type twice", _twice
    yield "code twice", partial(_twice, name="code")
    yield "a code a second time", _again
    yield "a code after it was tried a second time", _after_replay
    yield "a code of another client", _of_another
    yield "by GET", _by_get
    yield "as JSON", _as_json
    yield "in the query", _in_the_query
    yield from _refreshing()
    yield from _own_tokens()
    yield from _authentication()
    yield from _assertions()


def _redeem(changes: Mapping[str, str | None], provider: Provider) -> httpx.Response:
    return provider.token(redeem(provider.code(), **changes))


def _verify(verifier: str | None, provider: Provider) -> httpx.Response:
    return provider.token(redeem(provider.code(_S256), code_verifier=verifier))


def _grant_type(grant_type: str, provider: Provider) -> httpx.Response:
    return provider.token(redeem("bogus", grant_type=grant_type))


def _twice(provider: Provider, name: str = "grant_type") -> httpx.Response:
    form = [*redeem(provider.code())]
    return provider.token([*form, next(pair for pair in form if pair[0] == name)])


def _again(provider: Provider) -> httpx.Response:
    code = provider.code()
    provider.token(redeem(code)).raise_for_status()
    return provider.token(redeem(code))


def _after_replay(provider: Provider) -> httpx.Response:
    """Return what the access token of a code is worth once the code came twice."""
    code = provider.code()
    token = provider.token(redeem(code)).raise_for_status().json()["access_token"]
    provider.token(redeem(code))
    headers = {"authorization": f"Bearer {token}"}
    return provider.new_visitor().request("GET", provider.path("userinfo"), headers=headers)


def _of_another(provider: Provider) -> httpx.Response:
    return provider.token(redeem(provider.code()), auth=OTHER)


def _by_get(provider: Provider) -> httpx.Response:
    return provider.new_visitor().request("GET", provider.path("token"))


def _as_json(provider: Provider) -> httpx.Response:
    form = dict(redeem(provider.code()))
    visitor = provider.new_visitor()
    return visitor.request("POST", provider.path("token"), json=form, auth=CONFIDENTIAL)


def _in_the_query(provider: Provider) -> httpx.Response:
    form = dict(redeem(provider.code()))
    visitor = provider.new_visitor()
    return visitor.request(
        "POST", provider.path("token"), params=form, auth=CONFIDENTIAL, headers=FORM
    )


def _refreshing() -> Iterator[tuple[str, Question]]:
    scopes = {
        "as it should be": None,
        "for less": "openid",
        "for more": "openid email profile offline_access",
        "for an unknown scope": "openid bogus",
        "for an unknown scope alone": "bogus",
        "for an empty scope": "",
        "without openid": "email",
        "with a quotation mark in the scope": '"',
    }
    for name, scope in scopes.items():
        yield f"a refresh {name}", partial(_refresh, scope)
    yield "a refresh without a token", lambda p: p.token([("grant_type", "refresh_token")])
    yield "a refresh by a token that is none", lambda p: p.token(_by_refresh("bogus"))
    yield "a refresh by an access token", lambda p: p.token(_by_refresh(p.tokens()["access_token"]))
    yield (
        "a refresh of another client",
        lambda p: p.token(_by_refresh(p.tokens()["refresh_token"]), auth=OTHER),
    )
    yield "a refresh that was revoked", _revoked
    yield "a refresh a second time at once", _spent
    yield "a refresh two generations ago", partial(_spent, times=2)


def _by_refresh(token: str, scope: str | None = None) -> Pairs:
    form = [("grant_type", "refresh_token"), ("refresh_token", token)]
    return form if scope is None else [*form, ("scope", scope)]


def _refresh(scope: str | None, provider: Provider) -> httpx.Response:
    return provider.token(_by_refresh(provider.tokens()["refresh_token"], scope))


def _revoked(provider: Provider) -> httpx.Response:
    token = provider.tokens()["refresh_token"]
    provider.post("revocation", [("token", token)], auth=CONFIDENTIAL).raise_for_status()
    return provider.token(_by_refresh(token))


def _spent(provider: Provider, times: int = 1) -> httpx.Response:
    first = token = provider.tokens()["refresh_token"]
    for _ in range(times):
        token = provider.token(_by_refresh(token)).raise_for_status().json()["refresh_token"]
    return provider.token(_by_refresh(first))


def _own_tokens() -> Iterator[tuple[str, Question]]:
    for scope in (None, "openid", "offline_access", "bogus", "email"):
        yield f"client credentials for {scope or 'no scope'}", partial(_own, scope)
    yield (
        "client credentials of a public client",
        lambda provider: provider.token(
            [("grant_type", "client_credentials"), ("client_id", PUBLIC)], auth=None
        ),
    )


def _own(scope: str | None, provider: Provider) -> httpx.Response:
    form = [("grant_type", "client_credentials")]
    return provider.token(form if scope is None else [*form, ("scope", scope)])


def _authentication() -> Iterator[tuple[str, Question]]:
    app, secret = CONFIDENTIAL
    right = f"{app}:{secret}".replace(" ", "+")
    headers = {
        "in another scheme": "Bearer bogus",
        "that is no base64": "Basic !!!",
        "without padding": "Basic " + _base64(right).rstrip("="),
        "in base64 for addresses": "Basic "
        + base64.urlsafe_b64encode(b"app:\xff\xff\xff").decode(),
        "without a colon": "Basic " + _base64("app"),
        "with a wrong secret": "Basic " + _base64("app:wrong"),
        "with an empty secret": "Basic " + _base64("app:"),
        "with an empty name": "Basic " + _base64(":secret"),
        "of an unknown client": "Basic " + _base64("ghost:secret"),
        "with a percent sign that escapes nothing": "Basic " + _base64("app:100%"),
        "with two spaces behind Basic": "Basic  " + _base64(right),
        "in small letters": "basic " + _base64(right),
        "as it should be": "Basic " + _base64(right),
        "of a public client": "Basic " + _base64(f"{PUBLIC}:"),
    }
    for name, header in headers.items():
        yield f"a Basic header {name}", partial(_with_header, header)
    bodies: dict[str, Pairs] = {
        "a secret in the body of a client of Basic": [
            ("client_id", app),
            ("client_secret", secret),
        ],
        "a wrong secret in the body": [("client_id", POSTING[0]), ("client_secret", "wrong")],
        "no secret in the body": [("client_id", POSTING[0])],
        "an unknown client in the body": [("client_id", "ghost"), ("client_secret", "wrong")],
        "no client at all": [],
        "a secret without a client": [("client_secret", secret)],
        "a public client with a secret": [("client_id", PUBLIC), ("client_secret", "bogus")],
        "a public client with an empty secret": [("client_id", PUBLIC), ("client_secret", "")],
    }
    for name, pairs in bodies.items():
        yield name, partial(_with_body, pairs)
    yield (
        "Basic of a client that posts its secret",
        lambda p: p.token(redeem("bogus"), auth=POSTING),
    )
    yield (
        "header and body at once",
        lambda p: p.token(redeem("bogus", client_id=app, client_secret=secret)),
    )
    yield "the client's name in the body too", lambda p: p.token(redeem(p.code(), client_id=app))
    yield (
        "another client's name in the body",
        lambda p: p.token(redeem(p.code(), client_id=OTHER[0])),
    )
    yield "a public client that redeems", _public


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _with_header(header: str, provider: Provider) -> httpx.Response:
    return provider.post("token", redeem("bogus"), authorization=header)


def _with_body(pairs: Pairs, provider: Provider) -> httpx.Response:
    return provider.token([*redeem("bogus"), *pairs], auth=None)


def _public(provider: Provider) -> httpx.Response:
    code = provider.code({"client_id": PUBLIC, "redirect_uri": LOOPBACK, **_S256})
    changes = {"client_id": PUBLIC, "redirect_uri": LOOPBACK, "code_verifier": PKCE.verifier}
    return provider.token(redeem(code, **changes), auth=None)


def _assertions() -> Iterator[tuple[str, Question]]:
    claims: dict[str, dict[str, Any]] = {
        "as it should be": {},
        "without jti": {"jti": None},
        "without exp": {"exp": None},
        "without sub": {"sub": None},
        "of another issuer": {"iss": "app"},
        "for another provider": {"aud": "https://elsewhere.example.com"},
        "that is over": {"exp": 1_000_000_000},
        "for a list of one": {"aud": "list"},
    }
    for name, changes in claims.items():
        yield f"an assertion {name}", partial(_assert, changes)
    yield "an assertion that came before", partial(_assert, {}, times=2)
    yield "an assertion of an unknown type", partial(_assert, {}, kind="bogus")
    yield "an assertion beside a secret", partial(_assert, {}, client_secret="bogus")
    yield "an assertion of a key nobody registered", partial(_assert, {}, key="second")
    yield (
        "a client of assertions without one",
        lambda provider: provider.token(redeem("bogus", client_id=SIGNING), auth=None),
    )


def _assert(
    changes: Mapping[str, Any],
    provider: Provider,
    *,
    times: int = 1,
    kind: str = JWT_BEARER,
    key: str = "first",
    **more: str,
) -> httpx.Response:
    """Return the last answer to an assertion that was sent with a fresh code each time."""
    now = int(provider.clock().timestamp())
    signing = SigningClient(SIGNING, provider.issuer, name=key, typ=None)
    aud: object = provider.issuer
    if changes.get("aud") == "list":
        changes = {"aud": [provider.issuer]}
    claims = {"iss": SIGNING, "sub": SIGNING, "aud": aud, "exp": now + 60, "iat": now,
              "jti": secrets.token_hex(16), **changes}  # fmt: skip
    header = {**signing.header, "kid": SigningClient(SIGNING, "").kid}
    signed = signing.jwt({k: v for k, v in claims.items() if v is not None}, header)
    presented = {"client_assertion_type": kind, "client_assertion": signed, **more}
    for _ in range(times):
        code = provider.code({"client_id": SIGNING})
        answer = provider.token(redeem(code, **presented), auth=None)
    return answer
