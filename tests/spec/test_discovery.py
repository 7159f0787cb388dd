"""Discovery and keys (OIDC Discovery sections 3 and 4, RFC 8414, RFC 7517)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest

from tests.kit.clock import HandClock
from tests.kit.provider import (
    CALLBACK,
    ISSUER,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.storage import Fails, Faults, FlakyBackend, Verb

PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
GRANT_TYPES = ("authorization_code", "client_credentials", "refresh_token")
ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "revocation_endpoint",
    "introspection_endpoint",
)


def quick_config() -> dict[str, Any]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["web"]["allowedOrigins"] = ["https://spa.example.com"]
    return config


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    with provider_under_test(quick_config()) as provider:
        yield provider


@pytest.fixture(scope="module")
def below() -> Iterator[ProviderUnderTest]:
    """A provider whose issuer has a path, as Dex's often has."""
    with provider_under_test({**quick_config(), "issuer": ISSUER + "/dex"}) as provider:
        yield provider


def document(idp: ProviderUnderTest, path: str = PATHS[0]) -> dict[str, Any]:
    response = idp.browser.get(path)
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.covers("R-106")
@pytest.mark.spec("RFC 8414", "3")
@pytest.mark.spec("OIDC Discovery", "4")
@pytest.mark.parametrize("path", PATHS)
def test_both_well_known_names_lead_to_the_same_document(idp: ProviderUnderTest, path: str) -> None:
    response = idp.browser.get(path)
    assert response.content == idp.browser.get(PATHS[0]).content
    assert response.headers["content-type"] == "application/json"


@pytest.mark.covers("R-106")
@pytest.mark.spec("OIDC Discovery", "4.1")
@pytest.mark.spec("RFC 8414", "3.1")
@pytest.mark.parametrize(
    "path",
    [
        "/dex/.well-known/openid-configuration",
        "/.well-known/openid-configuration/dex",
        "/.well-known/oauth-authorization-server/dex",
    ],
)
def test_an_issuer_with_a_path_is_found_in_all_three_ways(
    below: ProviderUnderTest, path: str
) -> None:
    """Spring tries them in turn."""
    found = document(below, path)
    assert found["issuer"] == ISSUER + "/dex"
    assert {found[name] for name in ENDPOINTS} == {
        f"{ISSUER}/dex{path}"
        for path in (
            "/auth",
            "/token",
            "/userinfo",
            "/keys",
            "/token/revoke",
            "/token/introspect",
        )
    }


@pytest.mark.covers("R-106")
@pytest.mark.parametrize(
    "path",
    ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/keys",
     "/token", "/userinfo", "/auth", "/dex/dex/keys", "/dex/.well-known/openid-configuration/",
     "/dex/.well-known/oauth-authorization-server", "/.well-known/openid-configuration/dex/x"],
)  # fmt: skip
def test_elsewhere_is_nothing_and_never_a_fault(below: ProviderUnderTest, path: str) -> None:
    """A 5xx would stop clients that try one address after the other."""
    response = below.browser.get(path)
    assert response.status_code == 404
    assert "location" not in response.headers


@pytest.mark.covers("R-106")
@pytest.mark.spec("RFC 8414", "3.3")
@pytest.mark.spec("OIDC Discovery", "4.3")
@pytest.mark.parametrize(
    "issuer",
    ["https://idp.example.com", "https://idp.example.com:8443", "https://idp.example.com/dex",
     "https://idp.example.com/a/b", "https://xn--bcher-kva.example.com",
     "http://127.0.0.1:5556/dex", "http://localhost:5556"],
)  # fmt: skip
def test_the_issuer_is_the_configured_one_byte_for_byte(issuer: str) -> None:
    with provider_under_test({**quick_config(), "issuer": issuer}) as provider:
        path = urlsplit(issuer).path + PATHS[0]
        for name in ("host", "x-forwarded-host", "x-forwarded-server", "x-original-host"):
            response = provider.browser.get(path, headers={name: "evil.example"})
            assert response.json()["issuer"] == issuer
            assert "evil" not in response.text


ALGORITHMS = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA".split()  # noqa: SIM905


@pytest.mark.covers("R-106")
@pytest.mark.spec("OIDC Discovery", "3")
@pytest.mark.spec("RFC 9207", "3")
@pytest.mark.spec("RFC 8414", "2")
def test_the_members_are_exactly_these(idp: ProviderUnderTest) -> None:
    """A member more is a promise more: it belongs into this test."""
    assert document(idp) == {
        "issuer": ISSUER,
        "authorization_endpoint": ISSUER + "/auth",
        "token_endpoint": ISSUER + "/token",
        "jwks_uri": ISSUER + "/keys",
        "userinfo_endpoint": ISSUER + "/userinfo",
        "revocation_endpoint": ISSUER + "/token/revoke",
        "introspection_endpoint": ISSUER + "/token/introspect",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "userinfo_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "email", "groups", "profile", "offline_access"],
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "none",
        ],
        "revocation_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "none",
        ],
        "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "introspection_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "claims_supported": [
            "iss", "sub", "aud", "azp", "exp", "iat", "jti", "auth_time", "nonce", "at_hash",
            "acr", "amr", "email", "email_verified", "name", "preferred_username", "groups",
            "federated_claims",
        ],
        "acr_values_supported": [
            "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
        ],
        "claim_types_supported": ["normal"],
        "prompt_values_supported": ["consent", "login", "none", "select_account"],
        "display_values_supported": ["page"],
        "claims_parameter_supported": True,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": False,
        "require_request_uri_registration": True,
        "request_object_signing_alg_values_supported": ALGORITHMS,
        "authorization_response_iss_parameter_supported": True,
    }  # fmt: skip


@pytest.mark.covers("R-106", "CV-9")
@pytest.mark.parametrize("path", ["", "/dex"])
def test_every_endpoint_that_is_named_answers(
    idp: ProviderUnderTest, below: ProviderUnderTest, path: str
) -> None:
    provider = below if path else idp
    found = document(provider, path + PATHS[0])
    statuses = {
        name: provider.new_browser("203.0.113.3").get(urlsplit(found[name]).path).status_code
        for name in ENDPOINTS
    }
    assert statuses == {
        "authorization_endpoint": 400,
        "token_endpoint": 405,
        "userinfo_endpoint": 401,
        "jwks_uri": 200,
        "revocation_endpoint": 405,
        "introspection_endpoint": 405,
    }


@pytest.mark.covers("R-106")
@pytest.mark.parametrize(
    "served",
    [
        ["authorization_code"],
        ["authorization_code", "refresh_token"],
        ["authorization_code", "client_credentials"],
        ["authorization_code", "refresh_token", "client_credentials"],
    ],
)
def test_only_grants_that_are_served_are_promised(served: list[str]) -> None:
    config = quick_config()
    config["oauth2"]["grantTypes"] = served
    with provider_under_test(config) as provider:
        found = document(provider)
        assert found["grant_types_supported"] == sorted(served)
        for grant_type in GRANT_TYPES:
            error = provider.token({"grant_type": grant_type}).json().get("error")
            assert (error == "unsupported_grant_type") == (grant_type not in served)


@pytest.mark.covers("R-106")
def test_offline_access_is_promised_only_with_refresh_tokens() -> None:
    """Argo CD asks for the scope if it is listed, Spring asks for all that are."""
    config = quick_config()
    config["oauth2"]["grantTypes"] = ["authorization_code"]
    with provider_under_test(config) as provider:
        assert "offline_access" not in document(provider)["scopes_supported"]


@pytest.mark.covers("R-106")
def test_the_default_grants_are_served_when_none_is_configured() -> None:
    config = quick_config()
    del config["oauth2"]["grantTypes"]
    with provider_under_test(config) as provider:
        found = document(provider)
        assert found["grant_types_supported"] == ["authorization_code", "refresh_token"]


@pytest.mark.covers("R-40")
@pytest.mark.spec("OIDC Discovery", "3")
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_the_algorithm_is_the_one_that_signs(algorithm: str) -> None:
    config = quick_config()
    config["signer"]["config"]["algorithm"] = algorithm
    with provider_under_test(config) as provider:
        assert document(provider)["id_token_signing_alg_values_supported"] == [algorithm]
        keys = provider.browser.get("/keys").json()["keys"]
        assert {key["alg"] for key in keys} == {algorithm}


@pytest.mark.covers("R-46")
@pytest.mark.spec("OIDC Discovery", "3")
@pytest.mark.spec("RFC 7517", "5")
def test_the_key_set_has_public_halves_only(idp: ProviderUnderTest) -> None:
    keys = idp.browser.get("/keys").json()["keys"]
    assert keys
    for key in keys:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth", "x5c", "key_ops"} & set(key)
        assert key["use"] == "sig"
        assert key["alg"]
        assert key["kid"]


@pytest.mark.covers("R-46")
@pytest.mark.parametrize("path", [*PATHS, "/keys"])
def test_documents_can_be_kept_for_a_minute_and_checked_by_their_etag(
    idp: ProviderUnderTest, path: str
) -> None:
    first = idp.browser.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "public, max-age=60"
    for held in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        unchanged = idp.browser.get(path, headers={"if-none-match": held})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == etag
        assert unchanged.headers["cache-control"] == first.headers["cache-control"]
    for other in ('"x"', "", etag.strip('"')):
        assert idp.browser.get(path, headers={"if-none-match": other}).status_code == 200
    assert idp.browser.get(path).headers["etag"] == etag


@pytest.mark.parametrize("path", [*PATHS, "/keys"])
def test_documents_have_the_common_headers_and_set_no_cookie(
    idp: ProviderUnderTest, path: str
) -> None:
    headers = idp.browser.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["strict-transport-security"]
    assert "set-cookie" not in headers


@pytest.mark.covers("R-58")
@pytest.mark.parametrize("path", [*PATHS, "/keys"])
def test_pages_of_allowed_origins_may_read_documents(idp: ProviderUnderTest, path: str) -> None:
    allowed = idp.browser.get(path, headers={"origin": "https://spa.example.com"})
    assert allowed.headers["access-control-allow-origin"] == "https://spa.example.com"
    assert "access-control-allow-credentials" not in allowed.headers
    for origin in ("null", "https://evil.example", "*", "https://spa.example.com.evil.example"):
        response = idp.browser.get(path, headers={"origin": origin})
        assert response.status_code == 200
        assert "access-control-allow-origin" not in response.headers
        assert "Origin" in response.headers["vary"]


@pytest.mark.parametrize("path", [*PATHS, "/keys"])
def test_documents_are_for_reading_only(idp: ProviderUnderTest, path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert idp.browser.request(method, path).status_code in (404, 405)
    assert idp.browser.request("HEAD", path).status_code == 200


@pytest.mark.covers("R-46")
def test_two_replicas_publish_the_same_bytes(tmp_path: Path) -> None:
    config = quick_config()
    config["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    clock = HandClock()
    with (
        provider_under_test(config, clock=clock) as first,
        provider_under_test(config, clock=clock) as second,
    ):
        for path in (*PATHS, "/keys"):
            ours, theirs = first.browser.get(path), second.browser.get(path)
            assert ours.content == theirs.content
            assert ours.headers["etag"] == theirs.headers["etag"]
        token = first.tokens()["access_token"]
        assert second.userinfo(token).status_code == 200


def test_the_order_of_the_configuration_does_not_change_a_byte() -> None:
    first, second = quick_config(), quick_config()
    second["oauth2"]["grantTypes"] = second["oauth2"]["grantTypes"][::-1]
    second["staticClients"] = second["staticClients"][::-1]
    with provider_under_test(first) as one, provider_under_test(second) as other:
        assert one.browser.get(PATHS[0]).content == other.browser.get(PATHS[0]).content


@pytest.mark.covers("K-1", "R-46")
def test_documents_are_served_while_the_store_is_away() -> None:
    faults = Faults()
    with provider_under_test(
        quick_config(), wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        before = [provider.browser.get(path).content for path in (*PATHS, "/keys")]
        faults.calls.clear()
        verbs: tuple[Verb, ...] = get_args(Verb)
        for verb in verbs:
            faults.always(verb, Fails())
        after = [provider.browser.get(path).content for path in (*PATHS, "/keys")]
        assert after == before
        assert faults.calls["read"] == 0


@pytest.mark.spec("OIDC Discovery", "4.2")
@pytest.mark.spec("RFC 8414", "3.2")
def test_the_document_is_plain_json_without_surprises(idp: ProviderUnderTest) -> None:
    raw = idp.browser.get(PATHS[0]).content
    pairs = json.loads(raw, object_pairs_hook=lambda found: found)
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names))
    assert raw.isascii()
    assert CALLBACK.encode() not in raw
