"""Doubtful requests to the registration endpoint and to a registration that is there."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.kit.registration import CALLBACK, INITIAL_TOKEN, METADATA, bearer
from tests.kit.signing_client import SigningClient, key_for
from tests.second_opinion.authorization import Question
from tests.second_opinion.provider import ACR, Provider

_KEYS = SigningClient("registered", "").jwks
_PRIVATE = {"keys": [key_for("RS256", "first").as_dict(private=True)]}

_MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "as it should be": {},
    "no redirect_uris": {"redirect_uris": None},
    "an empty list of redirect_uris": {"redirect_uris": []},
    "redirect_uris a text": {"redirect_uris": CALLBACK},
    "a redirect_uri a number": {"redirect_uris": [5]},
    "a redirect_uri twice": {"redirect_uris": [CALLBACK, CALLBACK]},
    "a relative redirect_uri": {"redirect_uris": ["/callback"]},
    "a redirect_uri with a fragment": {"redirect_uris": [CALLBACK + "#a"]},
    "a redirect_uri of javascript": {"redirect_uris": ["javascript:alert(1)"]},
    "a redirect_uri by http": {"redirect_uris": ["http://app.example.com/"]},
    "a redirect_uri by http on this machine": {"redirect_uris": ["http://localhost/callback"]},
    "a redirect_uri with a star": {"redirect_uris": ["https://*.example.com/"]},
    "a redirect_uri of a scheme": {"redirect_uris": ["com.example.app:/callback"]},
    "a native scheme": {
        "redirect_uris": ["com.example.app:/callback"], "application_type": "native"},
    "a native scheme without a dot": {
        "redirect_uris": ["myapp:/callback"], "application_type": "native"},
    "a native redirect_uri by http elsewhere": {
        "redirect_uris": ["http://app.example.com/"], "application_type": "native"},
    "a native redirect_uri by http on this machine": {
        "redirect_uris": ["http://127.0.0.1/callback"], "application_type": "native"},
    "an unknown application_type": {"application_type": "bogus"},
    "an unknown grant type": {"grant_types": ["bogus"]},
    "grant_types a text": {"grant_types": "authorization_code"},
    "an empty list of grant_types": {"grant_types": []},
    "an unknown response type": {"response_types": ["bogus"]},
    "response type token": {"response_types": ["token"]},
    "response types without their grant": {
        "response_types": ["id_token"], "grant_types": ["authorization_code"]},
    "a code without its grant": {"response_types": ["code"], "grant_types": ["implicit"]},
    "an unknown way to authenticate": {"token_endpoint_auth_method": "bogus"},
    "client_secret_jwt": {"token_endpoint_auth_method": "client_secret_jwt"},
    "a way to authenticate by a number": {"token_endpoint_auth_method": 5},
    "a public client": {"token_endpoint_auth_method": "none"},
    "private_key_jwt without keys": {"token_endpoint_auth_method": "private_key_jwt"},
    "private_key_jwt with keys": {
        "token_endpoint_auth_method": "private_key_jwt", "jwks": _KEYS},
    "private_key_jwt with private keys": {
        "token_endpoint_auth_method": "private_key_jwt", "jwks": _PRIVATE},
    "keys and where keys are": {"jwks": _KEYS, "jwks_uri": "https://app.example.com/keys"},
    "keys that are none": {"jwks": {"keys": ["bogus"]}},
    "keys a list": {"jwks": []},
    "jwks_uri by http": {"jwks_uri": "http://app.example.com/keys"},
    "jwks_uri that is none": {"jwks_uri": "bogus"},
    "an ID token that is not signed": {"id_token_signed_response_alg": "none"},
    "an ID token signed by HS256": {"id_token_signed_response_alg": "HS256"},
    "an unknown algorithm": {"id_token_signed_response_alg": "bogus"},
    "an encrypted ID token": {"id_token_encrypted_response_alg": "RSA-OAEP"},
    "signed userinfo": {"userinfo_signed_response_alg": "RS256"},
    "pairwise subjects": {"subject_type": "pairwise"},
    "unknown subjects": {"subject_type": "bogus"},
    "a client_uri that is none": {"client_uri": "bogus"},
    "a client_uri of javascript": {"client_uri": "javascript:alert(1)"},
    "a logo_uri of data": {"logo_uri": "data:image/png,a"},
    "a policy_uri a number": {"policy_uri": 5},
    "client_name a number": {"client_name": 5},
    "client_name null": {"client_name": None, "contacts": []},
    "contacts a text": {"contacts": "somebody@example.com"},
    "a contact a number": {"contacts": [5]},
    "default_max_age a text": {"default_max_age": "5"},
    "default_max_age negative": {"default_max_age": -1},
    "default_max_age a fraction": {"default_max_age": 1.5},
    "require_auth_time a text": {"require_auth_time": "yes"},
    "default_acr_values a text": {"default_acr_values": ACR},
    "an unknown default_acr_values": {"default_acr_values": ["bogus"]},
    "initiate_login_uri by http": {"initiate_login_uri": "http://app.example.com/"},
    "post_logout_redirect_uris relative": {"post_logout_redirect_uris": ["/out"]},
    "post_logout_redirect_uris a text": {"post_logout_redirect_uris": CALLBACK},
    "a scope a list": {"scope": ["openid"]},
    "a scope nobody knows": {"scope": "openid bogus"},
    "a scope without openid": {"scope": "email"},
    "request_uris by http": {"request_uris": ["http://app.example.com/r"]},
    "request_uris a text": {"request_uris": "https://app.example.com/r"},
    "request objects that are not signed": {"request_object_signing_alg": "none"},
    "a backchannel_logout_uri by http": {"backchannel_logout_uri": "http://app.example.com/"},
    "a backchannel_logout_uri with a fragment": {
        "backchannel_logout_uri": "https://app.example.com/#a"},
    "backchannel_logout_session_required a text": {
        "backchannel_logout_uri": "https://app.example.com/",
        "backchannel_logout_session_required": "yes"},
    "a member nobody knows": {"bogus": "1"},
    "a client_id of one's own": {"client_id": "mine"},
    "a client_secret of one's own": {"client_secret": "mine"},
    "a software statement": {"software_statement": "a.b.c"},
    "a sector_identifier_uri": {"sector_identifier_uri": "https://app.example.com/s"},
}  # fmt: skip


def questions() -> Iterator[tuple[str, Question]]:
    """Yield every question and its name."""
    for name, members in _MEMBERS.items():
        yield name, partial(_register, members)
    bodies = {"no JSON": "bogus", "a list": "[]", "null": "null", "nothing": "", "a member twice": (
        '{"redirect_uris": ["https://a.example.com"], "redirect_uris": ["https://b.example.com"]}'
    )}  # fmt: skip
    for name, body in bodies.items():
        yield f"a body: {name}", partial(_send, body, "application/json", INITIAL_TOKEN)
    good = json.dumps(METADATA)
    yield (
        "as a form",
        partial(_send, "redirect_uris=a", "application/x-www-form-urlencoded", INITIAL_TOKEN),
    )
    yield "as plain text", partial(_send, good, "text/plain", INITIAL_TOKEN)
    yield "without a token", partial(_send, good, "application/json", None)
    yield "with a wrong token", partial(_send, good, "application/json", "bogus")
    yield "by GET", lambda p: p.new_visitor().request("GET", p.path("registration"))
    yield from _management()


def _register(members: Mapping[str, Any], provider: Provider) -> httpx.Response:
    sent = {**METADATA, **members}
    body = json.dumps({name: value for name, value in sent.items() if value is not None})
    return _send(body, "application/json", INITIAL_TOKEN, provider)


def _send(body: str, media_type: str, token: str | None, provider: Provider) -> httpx.Response:
    headers = {"content-type": media_type, **({} if token is None else bearer(token))}
    visitor = provider.new_visitor()
    return visitor.request("POST", provider.path("registration"), content=body, headers=headers)


def _management() -> Iterator[tuple[str, Question]]:
    for method in ("GET", "DELETE", "PATCH"):
        yield f"{method} of a registration", partial(_manage, method)
        yield f"{method} with another token", partial(_manage, method, token="bogus")
    yield "GET of a registration without a token", partial(_manage, "GET", token="")
    changes: Mapping[str, Mapping[str, Any]] = {
        "as it was": {},
        "with another client_id": {"client_id": "another"},
        "without client_id": {"client_id": None},
        "with another secret": {"client_secret": "another"},
        "without its redirect_uris": {"redirect_uris": None},
        "with its registration_access_token": {"registration_access_token": "a"},
        "with client_id_issued_at": {"client_id_issued_at": 5},
    }
    for name, members in changes.items():
        yield f"PUT of a registration {name}", partial(_replace, members)
    yield "GET of a registration that was deleted", _after_deletion


def _registered(provider: Provider) -> Mapping[str, Any]:
    found: dict[str, Any] = _register({}, provider).raise_for_status().json()
    return found


def _at(
    method: str, found: Mapping[str, Any], provider: Provider, token: str | None = None, **more: Any
) -> httpx.Response:
    shown = found["registration_access_token"] if token is None else token
    path = urlsplit(str(found["registration_client_uri"])).path
    headers = bearer(shown) if shown else {}
    return provider.new_visitor().request(method, path, headers=headers, **more)


def _manage(method: str, provider: Provider, token: str | None = None) -> httpx.Response:
    return _at(method, _registered(provider), provider, token)


def _replace(changes: Mapping[str, Any], provider: Provider) -> httpx.Response:
    found = _registered(provider)
    sent = {**METADATA, "client_id": found["client_id"], **changes}
    body = {name: value for name, value in sent.items() if value is not None}
    return _at("PUT", found, provider, json=body)


def _after_deletion(provider: Provider) -> httpx.Response:
    found = _registered(provider)
    _at("DELETE", found, provider).raise_for_status()
    return _at("GET", found, provider)
