"""Doubtful requests to userinfo, introspection, revocation and the end of a session."""

from collections.abc import Iterator, Mapping
from functools import partial

import httpx

from tests.kit.provider import CONFIDENTIAL, OTHER, PUBLIC
from tests.kit.signing_client import SigningClient
from tests.second_opinion.authorization import Question
from tests.second_opinion.provider import (
    HTML,
    POSTING,
    SIGNED_OUT,
    Pairs,
    Provider,
    redeem,
    request,
)


def userinfo() -> Iterator[tuple[str, Question]]:
    """Yield every question to userinfo and its name."""
    headers = {
        "no token": None,
        "a token that is none": "Bearer bogus",
        "an empty token": "Bearer",
        "another scheme": "Basic YTpi",
        "two tokens in one header": "Bearer a b",
        "a token with a comma": "Bearer a,b",
    }
    for name, header in headers.items():
        yield name, partial(_userinfo, header)
    for kind in ("access_token", "id_token", "refresh_token"):
        yield f"the {kind} of a login", partial(_userinfo_by, kind, "Bearer {}")
    yield "a scheme in small letters", partial(_userinfo_by, "access_token", "bearer {}")
    yield "a token with a character more", partial(_userinfo_by, "access_token", "Bearer {}A")
    yield "a token in the body", lambda p: p.post("userinfo", _access(p))
    yield "a token in the query", _in_the_query
    yield "a token in header and body", _in_header_and_body
    yield (
        "a token by POST in the header",
        partial(_userinfo_by, "access_token", "Bearer {}", method="POST"),
    )
    yield "by PUT", partial(_userinfo_by, "access_token", "Bearer {}", method="PUT")
    yield "a token without openid", _without_openid
    yield "a token of a client itself", _of_client
    yield "a token that was revoked", partial(_revoked, "access_token")
    yield "a token whose refresh token was revoked", partial(_revoked, "refresh_token")


def _access(provider: Provider) -> Pairs:
    return [("access_token", provider.tokens()["access_token"])]


def _userinfo(authorization: str | None, provider: Provider, method: str = "GET") -> httpx.Response:
    headers = {} if authorization is None else {"authorization": authorization}
    return provider.new_visitor().request(method, provider.path("userinfo"), headers=headers)


def _userinfo_by(
    kind: str, header: str, provider: Provider, *, method: str = "GET"
) -> httpx.Response:
    return _userinfo(header.format(provider.tokens()[kind]), provider, method)


def _in_the_query(provider: Provider) -> httpx.Response:
    path = provider.path("userinfo")
    return provider.new_visitor().request("GET", path, params=dict(_access(provider)))


def _in_header_and_body(provider: Provider) -> httpx.Response:
    pairs = _access(provider)
    return provider.post("userinfo", pairs, authorization=f"Bearer {pairs[0][1]}")


def _without_openid(provider: Provider) -> httpx.Response:
    code = provider.code({"scope": "email", "nonce": None})
    token = provider.token(redeem(code)).json()["access_token"]
    return _userinfo(f"Bearer {token}", provider)


def _of_client(provider: Provider) -> httpx.Response:
    token = provider.token([("grant_type", "client_credentials")]).json()["access_token"]
    return _userinfo(f"Bearer {token}", provider)


def _revoked(kind: str, provider: Provider) -> httpx.Response:
    tokens = provider.tokens()
    form = [("token", tokens[kind])]
    provider.post("revocation", form, auth=CONFIDENTIAL).raise_for_status()
    return _userinfo(f"Bearer {tokens['access_token']}", provider)


def introspection() -> Iterator[tuple[str, Question]]:
    """Yield every question to introspection and its name."""
    yield from _about_tokens("introspection")


def revocation() -> Iterator[tuple[str, Question]]:
    """Yield every question to revocation and its name."""
    yield from _about_tokens("revocation")
    yield "a refresh token a second time", partial(_twice, "refresh_token")
    yield "an access token a second time", partial(_twice, "access_token")


def _about_tokens(endpoint: str) -> Iterator[tuple[str, Question]]:
    for kind in ("access_token", "id_token", "refresh_token"):
        yield f"the {kind}", partial(_about, endpoint, kind, CONFIDENTIAL)
        yield f"the {kind} of another client", partial(_about, endpoint, kind, OTHER)
    yield (
        "a token with a wrong hint",
        partial(_about, endpoint, "access_token", CONFIDENTIAL, hint="refresh_token"),
    )
    yield (
        "a token with an unknown hint",
        partial(_about, endpoint, "access_token", CONFIDENTIAL, hint="bogus"),
    )
    bodies: Mapping[str, Pairs] = {
        "no token": [],
        "an empty token": [("token", "")],
        "a token that is none": [("token", "bogus")],
        "a token twice": [("token", "a"), ("token", "a")],
    }
    for name, pairs in bodies.items():
        yield name, partial(_send, endpoint, pairs, CONFIDENTIAL)
    yield "nobody who asks", partial(_send, endpoint, [("token", "bogus")], None)
    yield (
        "a public client that asks",
        partial(_send, endpoint, [("token", "bogus"), ("client_id", PUBLIC)], None),
    )
    yield "a wrong secret", partial(_send, endpoint, [("token", "bogus")], ("app", "wrong"))
    yield "a secret by the wrong way", partial(_send, endpoint, [("token", "bogus")], POSTING)
    yield "by GET", lambda p: p.new_visitor().request("GET", p.path(endpoint))
    yield (
        "as JSON",
        lambda p: p.new_visitor().request(
            "POST", p.path(endpoint), json={"token": "bogus"}, auth=CONFIDENTIAL
        ),
    )


def _send(
    endpoint: str, pairs: Pairs, auth: tuple[str, str] | None, provider: Provider
) -> httpx.Response:
    return provider.post(endpoint, pairs, auth=auth)


def _about(
    endpoint: str, kind: str, auth: tuple[str, str], provider: Provider, hint: str = ""
) -> httpx.Response:
    form = [("token", provider.tokens()[kind]), *([("token_type_hint", hint)] if hint else [])]
    return provider.post(endpoint, form, auth=auth)


def _twice(kind: str, provider: Provider) -> httpx.Response:
    form = [("token", provider.tokens()[kind])]
    provider.post("revocation", form, auth=CONFIDENTIAL).raise_for_status()
    return provider.post("revocation", form, auth=CONFIDENTIAL)


def end_session() -> Iterator[tuple[str, Question]]:
    """Yield every question to the end session endpoint and its name; somebody is signed in."""
    foreign = SigningClient("elsewhere", "https://elsewhere.example.com")
    back = {"post_logout_redirect_uri": SIGNED_OUT}
    queries: Mapping[str, Mapping[str, str]] = {
        "nothing": {},
        "a client_id": {"client_id": CONFIDENTIAL[0]},
        "an unknown client_id": {"client_id": "ghost"},
        "an address to return to and nothing else": back,
        "an address to return to and client_id": {**back, "client_id": CONFIDENTIAL[0]},
        "an address of another client": {**back, "client_id": OTHER[0]},
        "an address that is not registered": {
            "post_logout_redirect_uri": "https://evil.example.com/", "client_id": CONFIDENTIAL[0]},
        "a hint that is none": {"id_token_hint": "bogus"},
        "a hint of somebody else": {
            "id_token_hint": foreign.jwt({"iss": foreign.issuer, "sub": "x", "aud": "app"})},
        "a logout_hint": {"logout_hint": "bogus"},
        "ui_locales that are none": {"ui_locales": "!!"},
    }  # fmt: skip
    for name, query in queries.items():
        yield name, partial(_leave, query)
    yield "client_id twice", _client_twice
    yield (
        "a hint and an address that is not registered",
        partial(_leave_hinted, {"post_logout_redirect_uri": "https://evil.example.com/"}),
    )
    yield "a hint and another client_id", partial(_leave_hinted, {"client_id": OTHER[0]})
    yield "a hint, an address and no session", _leave_without_session
    yield "by POST", partial(_leave, {"client_id": CONFIDENTIAL[0]}, method="POST")
    yield "by PUT", partial(_leave, {}, method="PUT")


def _leave(query: Mapping[str, str], provider: Provider, method: str = "GET") -> httpx.Response:
    visitor, path = provider.new_visitor(), provider.path("end_session")
    provider.sign_in(request(), visitor=visitor)
    if method == "POST":
        answer = visitor.request("POST", path, data=dict(query), headers=HTML)
        return provider.followed(answer, visitor)
    return visitor.request(method, path, params=query, headers=HTML)


def _client_twice(provider: Provider) -> httpx.Response:
    path = provider.path("end_session")
    return provider.new_visitor().request(
        "GET", f"{path}?client_id=app&client_id=app", headers=HTML
    )


def _leave_hinted(query: Mapping[str, str], provider: Provider) -> httpx.Response:
    visitor = provider.new_visitor()
    hint = provider.tokens(visitor=visitor)["id_token"]
    path = provider.path("end_session")
    return visitor.request("GET", path, params={"id_token_hint": hint, **query}, headers=HTML)


def _leave_without_session(provider: Provider) -> httpx.Response:
    query = {"id_token_hint": provider.tokens()["id_token"], "post_logout_redirect_uri": SIGNED_OUT}
    path = provider.path("end_session")
    return provider.new_visitor().request("GET", path, params=query, headers=HTML)
