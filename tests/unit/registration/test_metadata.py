"""What an application may say of itself (RFC 7591 section 2, OIDC Registration section 2)."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.keys.jwks import ALGORITHMS
from idp.oauth.authentication import ACR_VALUES_SUPPORTED
from idp.oauth.errors import (
    InvalidClientMetadata,
    InvalidRedirectUri,
    OAuthError,
    UnapprovedSoftwareStatement,
)
from idp.registration.metadata import RegistrationTerms, read_metadata
from tests.vectors.redirects.hostile import hostile_to_exact

CALLBACK = "https://app.example.com/callback"
EVERYTHING = RegistrationTerms(
    auth_methods=("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
    grant_types=("authorization_code", "client_credentials", "implicit", "refresh_token"),
    response_types=("code", "code id_token", "code id_token token", "id_token"),
    signing_algorithms=("RS256",),
)
MODEST = RegistrationTerms(
    auth_methods=("client_secret_basic", "none"),
    grant_types=("authorization_code",),
    response_types=("code",),
    signing_algorithms=("ES256",),
)
KEY = {
    "kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256", "use": "sig",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}  # fmt: skip
JWKS = {"keys": [KEY]}
HONEST = re.compile(
    r"https://[A-Za-z0-9.-]+(:[0-9]+)?([/?][!-~]*)?|http://(localhost|127\.0\.0\.1|\[::1\])[!-~]*"
    r"|[a-z][a-z0-9+-]*\.[a-z0-9+.-]*:[!-~]*"
)
HYBRID = {
    "response_types": ["code id_token"],
    "grant_types": ["authorization_code", "implicit"],
}


def read(terms: RegistrationTerms = EVERYTHING, /, **sent: Any) -> dict[str, Any]:
    return read_metadata({"redirect_uris": [CALLBACK], **sent}, terms)


def refusal(terms: RegistrationTerms = EVERYTHING, /, **sent: Any) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        read(terms, **sent)
    return caught.value


@pytest.mark.spec("RFC 7591", "2")
def test_the_defaults_are_those_of_the_specification() -> None:
    assert read() == {
        "redirect_uris": [CALLBACK],
        "application_type": "web",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "subject_type": "public",
    }


@pytest.mark.spec("OIDC Dynamic Client Registration", "3.1")
@pytest.mark.spec("RFC 7591", "2")
def test_what_nobody_understands_is_ignored() -> None:
    assert read(client_name_x="y", tls_client_auth_subject_dn="z", __class__=1) == read()
    assert read(**{"client_name#ja": "クライアント名", "": [{}]}) == read()


@pytest.mark.spec("RFC 7592", "2.2")
def test_null_is_the_same_as_absent() -> None:
    nulls = dict.fromkeys(("client_name", "jwks", "sector_identifier_uri", "grant_types", "scope"))
    assert read(**nulls) == read()


GOOD: list[dict[str, Any]] = [
    {"client_name": "Wiki der Gruppe 日本"},
    {"client_name": "x" * 255},
    {"client_uri": "https://app.example.com", "logo_uri": "https://cdn.example.com/l.png"},
    {"tos_uri": "https://app.example.com/tos", "policy_uri": "https://app.example.com/policy"},
    {"contacts": ["ops@example.com", "Jane <jane@example.com>"]},
    {"contacts": []},
    {"scope": "openid email offline_access"},
    {"jwks": JWKS},
    {"jwks_uri": "https://app.example.com/keys"},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks": JWKS},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://a.example.com/k"},
    {"token_endpoint_auth_method": "none"},
    {"token_endpoint_auth_method": "client_secret_post"},
    {"token_endpoint_auth_signing_alg": "ES256"},
    {"software_id": "4NRB1-0XZABZI9E6-5SM3R", "software_version": "2.1"},
    {"subject_type": "public"},
    {"id_token_signed_response_alg": "RS256"},
    {"userinfo_signed_response_alg": "none"},
    {"userinfo_signed_response_alg": "RS256"},
    {"request_object_signing_alg": "PS256", "jwks": JWKS},
    {"default_max_age": 0},
    {"default_max_age": 3600, "require_auth_time": True},
    {"default_acr_values": list(ACR_VALUES_SUPPORTED)},
    {"initiate_login_uri": "https://app.example.com/login?x=y"},
    {"request_uris": ["https://app.example.com/r.jwt#fragment"]},
    {"post_logout_redirect_uris": ["https://app.example.com/out"]},
    {"backchannel_logout_uri": "https://app.example.com/bc"},
    {
        "backchannel_logout_uri": "https://app.example.com/bc",
        "backchannel_logout_session_required": True,
    },
    {"frontchannel_logout_uri": "https://app.example.com/fc"},
    {"frontchannel_logout_uri": "https://app.example.com:443/fc"},
    {"application_type": "native", "redirect_uris": ["com.example.app:/cb", "http://127.0.0.1/"]},
    {"application_type": "native", "redirect_uris": ["http://localhost:8000", "http://[::1]/x"]},
    {"redirect_uris": ["http://127.0.0.1:8000/cb"]},
    {"redirect_uris": [f"https://app.example.com/{n}" for n in range(64)]},
    {"grant_types": ["authorization_code", "refresh_token"]},
    {"grant_types": ["authorization_code", "client_credentials"]},
    {"response_types": ["code", "code id_token"], "grant_types": HYBRID["grant_types"]},
    {**HYBRID},
    {"response_types": ["id_token"], "grant_types": ["implicit"]},
    {"grant_types": ["client_credentials"], "redirect_uris": []},
    {"grant_types": ["client_credentials"], "redirect_uris": [], "response_types": []},
]  # fmt: skip


@pytest.mark.spec("RFC 7591", "3.2.1")
@pytest.mark.parametrize("sent", GOOD, ids=json.dumps)
def test_what_is_right_is_registered_as_it_was_sent(sent: dict[str, Any]) -> None:
    assert {name: read(**sent)[name] for name in sent} == sent


BAD: list[tuple[dict[str, Any], str]] = [
    ({"client_name": ""}, "client_name must have 1 to 255 characters."),
    ({"client_name": "x" * 256}, "client_name must have"),
    ({"client_name": 7}, "client_name must be a string."),
    ({"client_name": ["x"]}, "client_name must be a string."),
    ({"client_name": "a\nb"}, "client_name must be one line"),
    ({"client_name": "a\u202eb"}, "client_name must be one line"),
    ({"client_name": " a"}, "client_name must be one line"),
    ({"client_uri": "http://app.example.com"}, "client_uri must begin with https://."),
    ({"client_uri": "javascript:alert(1)"}, "client_uri has no host"),
    ({"logo_uri": "data:image/png;base64,AA"}, "logo_uri has no host"),
    ({"tos_uri": "https://a@b.example.com"}, "tos_uri contains a user name"),
    ({"policy_uri": "https://app.example.com/#x"}, "policy_uri contains a fragment"),
    ({"policy_uri": 7}, "policy_uri must be a string."),
    ({"contacts": "ops@example.com"}, "contacts must be an array."),
    ({"contacts": ["a"] * 17}, "contacts has more than 16 entries."),
    ({"contacts": ["ok", ""]}, "contacts (entry 2) must have"),
    ({"contacts": [None]}, "contacts (entry 1) must be a string."),
    ({"scope": ["openid"]}, "scope must be a string of scopes"),
    ({"scope": 'a"b'}, "scope is too long, or holds"),
    ({"scope": "x" * 2000}, "scope is too long, or holds"),
    ({"jwks": []}, "jwks must be an object"),
    ({"jwks": json.dumps(JWKS)}, "jwks must be an object"),
    ({"jwks": {}}, "jwks has no list"),
    ({"jwks": {"keys": []}}, "jwks has no key that could verify"),
    ({"jwks": {"keys": [{**KEY, "d": "AA"}]}}, "jwks holds a private"),
    ({"jwks": JWKS, "jwks_uri": "https://a.example.com/k"}, "jwks_uri is given beside jwks"),
    ({"jwks_uri": "http://app.example.com/keys"}, "jwks_uri must begin with https://."),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "private_key_jwt needs jwks or jwks_uri."),
    ({"token_endpoint_auth_method": "client_secret_jwt"}, "use private_key_jwt."),
    ({"token_endpoint_auth_method": "tls_client_auth"}, "is not served; served are"),
    ({"token_endpoint_auth_method": ["none"]}, "token_endpoint_auth_method is not served"),
    ({"token_endpoint_auth_signing_alg": "HS256"}, "token_endpoint_auth_signing_alg is not"),
    ({"software_id": 7}, "software_id must be a string."),
    ({"subject_type": "pairwise"}, "subject_type is not served; served are public."),
    ({"sector_identifier_uri": "https://x.example.com"}, "the same `sub` at every client"),
    ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg is not served"),
    ({"id_token_signed_response_alg": "HS256"}, "served are RS256."),
    ({"id_token_signed_response_alg": True}, "id_token_signed_response_alg is not served"),
    ({"userinfo_signed_response_alg": "HS256"}, "userinfo_signed_response_alg is not served"),
    ({"id_token_encrypted_response_alg": "RSA-OAEP"}, "nothing is encrypted here"),
    ({"id_token_encrypted_response_enc": "A256GCM"}, "nothing is encrypted here"),
    ({"userinfo_encrypted_response_alg": "RSA-OAEP"}, "nothing is encrypted here"),
    ({"userinfo_encrypted_response_enc": "A256GCM"}, "nothing is encrypted here"),
    ({"request_object_encryption_alg": "RSA-OAEP"}, "nothing is encrypted here"),
    ({"request_object_encryption_enc": "A256GCM"}, "nothing is encrypted here"),
    ({"request_object_signing_alg": "none", "jwks": JWKS}, "request_object_signing_alg is not"),
    ({"request_object_signing_alg": "ES256"}, "request_object_signing_alg needs jwks"),
    ({"default_max_age": -1}, "default_max_age must be a whole number"),
    ({"default_max_age": "60"}, "default_max_age must be a whole number"),
    ({"default_max_age": 1.0}, "default_max_age must be a whole number"),
    ({"default_max_age": True}, "default_max_age must be a whole number"),
    ({"default_max_age": 2**60}, "default_max_age must be a whole number"),
    ({"require_auth_time": "true"}, "require_auth_time must be true or false."),
    ({"require_auth_time": 1}, "require_auth_time must be true or false."),
    ({"default_acr_values": "pwd"}, "default_acr_values must be an array."),
    ({"default_acr_values": ["pwd"]}, "default_acr_values (entry 1) is not served; served are "),
    ({"initiate_login_uri": "http://app.example.com/"}, "initiate_login_uri must begin with https"),
    ({"request_uris": ["http://app.example.com/r"]}, "request_uris (entry 1) must begin with"),
    ({"request_uris": "https://app.example.com/r"}, "request_uris must be an array."),
    ({"post_logout_redirect_uris": ["/out"]}, "post_logout_redirect_uris (entry 1) is not a URL"),
    (
        {"post_logout_redirect_uris": [CALLBACK, "http://app.example.com/"]},
        "post_logout_redirect_uris (entry 2) is http on another host",
    ),
    ({"post_logout_redirect_uris": ["com.example:/x"]}, "needs application_type native."),
    ({"backchannel_logout_uri": "http://app.example.com/bc"}, "must begin with https://."),
    ({"backchannel_logout_uri": "https://app.example.com/bc#x"}, "contains a fragment"),
    ({"backchannel_logout_uri": "/bc"}, "backchannel_logout_uri"),
    ({"backchannel_logout_session_required": True}, "means nothing without"),
    ({"backchannel_logout_session_required": "yes"}, "must be true or false."),
    ({"frontchannel_logout_uri": "https://other.example.com/"}, "of one of the redirect_uris"),
    ({"frontchannel_logout_session_required": True}, "means nothing without"),
    ({"grant_types": ["password"]}, "grant_types (entry 1) is not served; served are"),
    ({"grant_types": "authorization_code"}, "grant_types must be an array."),
    ({"grant_types": ["authorization_code", None]}, "grant_types (entry 2) is not served"),
    ({"grant_types": ["implicit"]}, "response_types must have one with id_token"),
    ({"grant_types": ["refresh_token"], "response_types": []}, "for refresh_token to come from."),
    ({"grant_types": ["implicit"], "response_types": ["code"]}, "must have authorization_code for"),
    ({"response_types": ["id_token"]}, "must have implicit for a response type"),
    ({"response_types": ["code id_token"]}, "must have implicit for a response type"),
    ({"response_types": []}, "response_types must have one with code"),
    ({"response_types": ["token"]}, "response_types (entry 1) is not served"),
    ({"response_types": ["none"]}, "response_types (entry 1) is not served"),
    ({"response_types": "code"}, "response_types must be an array."),
    (
        {"grant_types": ["authorization_code", "client_credentials"],
         "token_endpoint_auth_method": "none"},
        "which needs a client that authenticates.",
    ),
    ({"application_type": "mobile"}, "application_type is not served; served are web, native."),
]  # fmt: skip


@pytest.mark.covers("R-105")
@pytest.mark.spec("OIDC Back-Channel Logout", "2.2")
@pytest.mark.spec("OIDC Dynamic Client Registration", "2")
@pytest.mark.spec("OIDC Front-Channel Logout", "2")
@pytest.mark.spec("OIDC RP-Initiated Logout", "3.1")
@pytest.mark.spec("RFC 7591", "2")
@pytest.mark.spec("RFC 7591", "2.1")
@pytest.mark.spec("RFC 7591", "3.2.2")
@pytest.mark.parametrize(("sent", "said"), BAD, ids=[json.dumps(sent)[:80] for sent, _ in BAD])
def test_what_is_wrong_is_told_in_a_sentence(sent: dict[str, Any], said: str) -> None:
    error = refusal(**sent)
    assert isinstance(error, InvalidClientMetadata)
    assert said in error.description
    assert error.description.endswith(".")


BAD_ADDRESSES: list[tuple[dict[str, Any], str]] = [
    ({"redirect_uris": None}, "redirect_uris must name where people are sent back to"),
    ({"redirect_uris": []}, "redirect_uris must name where people are sent back to"),
    ({"redirect_uris": "https://app.example.com"}, "redirect_uris must be an array."),
    ({"redirect_uris": [7]}, "redirect_uris (entry 1) must be a string."),
    ({"redirect_uris": [CALLBACK, CALLBACK + "#x"]}, "redirect_uris (entry 2) contains a fragment"),
    ({"redirect_uris": ["https://*.example.com/"]}, "contains a wildcard"),
    ({"redirect_uris": ["javascript:alert(1)"]}, "has the scheme javascript"),
    ({"redirect_uris": ["http://app.example.com/"]}, "is http on another host"),
    ({"redirect_uris": ["com.example.app:/cb"]}, "needs application_type native."),
    ({"redirect_uris": ["myapp:/cb"], "application_type": "native"}, "a scheme without a dot"),
    ({"redirect_uris": ["https://localhost/"], "application_type": "native"}, "use http there."),
    ({"redirect_uris": ["urn:ietf:wg:oauth:2.0:oob"], "application_type": "native"}, "an operator"),
    ({"redirect_uris": ["http://127.0.0.1/"], **HYBRID}, "is no address for tokens"),
    ({"redirect_uris": ["https://localhost/"], **HYBRID}, "is no address for tokens"),
    ({"redirect_uris": [f"https://a.example.com/{n}" for n in range(65)]}, "more than 64 entries."),
    ({"redirect_uris": ["x"], "client_name": 7}, "client_name must be a string."),
]


@pytest.mark.covers("R-2", "R-105")
@pytest.mark.spec("OIDC Dynamic Client Registration", "2")
@pytest.mark.spec("RFC 7591", "2")
@pytest.mark.spec("RFC 7591", "3.2.2")
@pytest.mark.parametrize(
    ("sent", "said"), BAD_ADDRESSES, ids=[json.dumps(sent)[:80] for sent, _ in BAD_ADDRESSES]
)
def test_a_wrong_redirect_uri_has_a_code_of_its_own(sent: dict[str, Any], said: str) -> None:
    error = refusal(**sent)
    assert isinstance(error, InvalidRedirectUri)
    assert said in error.description


@pytest.mark.covers("R-2", "CV-7")
@pytest.mark.spec("RFC 7591", "5")
@pytest.mark.parametrize("uri", sorted({uri for _, uri in hostile_to_exact()}))
def test_no_hostile_address_is_registered(uri: str) -> None:
    for application_type in ("web", "native"):
        sent = {"redirect_uris": [uri], "application_type": application_type}
        try:
            registered = read(**sent)["redirect_uris"]
        except OAuthError:
            continue
        # An honest address of somebody else stands as it was sent, byte for byte.
        assert registered == [uri]
        assert HONEST.fullmatch(uri)


@pytest.mark.spec("RFC 7591", "3.2.2")
def test_a_software_statement_is_not_approved() -> None:
    error = refusal(software_statement="eyJhbGciOiJSUzI1NiJ9.e30.x", client_name=7)
    assert isinstance(error, UnapprovedSoftwareStatement)
    assert error.code == "unapproved_software_statement"


def test_only_what_this_provider_serves_can_be_had() -> None:
    for sent in (
        {"token_endpoint_auth_method": "client_secret_post"},
        {"grant_types": ["authorization_code", "refresh_token"]},
        {"response_types": ["code id_token"]},
        {"id_token_signed_response_alg": "RS256"},
        {"userinfo_signed_response_alg": "RS256"},
    ):
        assert isinstance(refusal(MODEST, **sent), InvalidClientMetadata)
    assert read(MODEST, id_token_signed_response_alg="ES256")
    assert set(MODEST.signing_algorithms) <= set(ALGORITHMS)


def test_words_of_a_response_type_may_come_in_any_order() -> None:
    sent = {**HYBRID, "response_types": ["id_token code"]}
    assert read(**sent)["response_types"] == ["code id_token"]


def test_what_comes_twice_counts_once() -> None:
    assert read(redirect_uris=[CALLBACK, CALLBACK])["redirect_uris"] == [CALLBACK]


def test_at_most_three_problems_are_told_and_the_address_first() -> None:
    wrong = dict.fromkeys(("client_name", "client_uri", "contacts", "scope", "jwks"), 7)
    description = refusal(**wrong, redirect_uris=["x"]).description
    assert description.startswith("redirect_uris (entry 1)")
    assert description.count(" must ") == 2


@pytest.mark.covers("R-90", "R-63")
def test_nothing_that_was_sent_is_repeated() -> None:
    secret = "canary-7f3a"
    names = (*read(), "client_name", "client_uri", "contacts", "jwks", "jwks_uri", "scope")
    said = [
        answer(**{name: value})
        for name in names
        for value in (secret, [secret], {"keys": secret}, f"https://{secret}@x/", f"{secret}\n")
    ]
    refused = [text for text in said if isinstance(text, str)]
    assert len(refused) > 30
    assert not any(secret in text for text in refused)


def answer(**sent: Any) -> dict[str, Any] | str:
    """Return the metadata, or the sentences of a refusal."""
    try:
        return read(**sent)
    except OAuthError as error:
        return error.description


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted({name for sent, _ in BAD for name in sent} | {"redirect_uris"}))


@pytest.mark.covers("R-82", "CV-36", "CV-9")
@given(st.dictionaries(NAMES | st.text(max_size=9), JSON, max_size=6))
def test_any_json_is_registered_or_refused_in_words(sent: Mapping[str, Any]) -> None:
    came = answer(**{"redirect_uris": [CALLBACK], **sent})
    if isinstance(came, dict):
        assert json.loads(json.dumps(came)) == came
        assert read_metadata(came, EVERYTHING) == came
