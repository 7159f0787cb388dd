"""The discovery document says what is served, and nothing else (R-106)."""

import json
from collections.abc import Collection
from typing import Any

import pytest

from idp.oauth.client_auth import METHODS
from idp.oauth.metadata import Served, discovery_document
from idp.oauth.pkce import challenge_of, check_challenge
from idp.oauth.prompt import read_prompt
from idp.oauth.scopes import split_scope

ISSUER = "https://idp.example.com/dex"


def document(issuer: str = ISSUER, claims: Collection[str] = ()) -> dict[str, Any]:
    served = Served(
        issuer=issuer,
        grant_types=("refresh_token", "authorization_code"),
        signing_algorithms=("RS256", "ES256"),
        claims=claims,
    )
    parsed: dict[str, Any] = json.loads(discovery_document(served))
    return parsed


@pytest.mark.covers("R-106")
@pytest.mark.parametrize("issuer", [ISSUER, "https://idp.example.com", "http://127.0.0.1:5556"])
def test_the_issuer_is_the_configured_one_byte_for_byte(issuer: str) -> None:
    found = document(issuer)
    assert found["issuer"] == issuer
    assert found["authorization_endpoint"] == f"{issuer}/auth"
    assert found["token_endpoint"] == f"{issuer}/token"
    assert found["jwks_uri"] == f"{issuer}/keys"
    assert found["userinfo_endpoint"] == f"{issuer}/userinfo"
    assert found["revocation_endpoint"] == f"{issuer}/token/revoke"
    assert found["introspection_endpoint"] == f"{issuer}/token/introspect"


@pytest.mark.covers("R-9", "R-13", "R-14", "R-106")
def test_what_is_not_served_is_said_not_to_be() -> None:
    found = document()
    assert found["response_types_supported"] == ["code"]
    assert found["response_modes_supported"] == ["query", "fragment", "form_post"]
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["request_uri_parameter_supported"] is False
    assert found["authorization_response_iss_parameter_supported"] is True
    for endpoint in ("registration", "end_session", "device_authorization",
                     "pushed_authorization_request"):  # fmt: skip
        assert f"{endpoint}_endpoint" not in found


@pytest.mark.spec("OIDC Discovery", "3")
def test_everything_that_must_be_there_is_there() -> None:
    found = document()
    assert found["subject_types_supported"] == ["public"]
    assert found["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]
    assert "openid" in found["scopes_supported"]
    assert found["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert found["token_endpoint_auth_methods_supported"] == list(METHODS)
    assert {"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce"} <= set(
        found["claims_supported"]
    )


@pytest.mark.covers("R-105")
@pytest.mark.spec("RFC 8414", "2")
def test_where_clients_register_is_told_only_where_they_may() -> None:
    assert "registration_endpoint" not in document()
    served = Served(issuer=ISSUER, grant_types=(), signing_algorithms=("RS256",), registration=True)
    assert json.loads(discovery_document(served))["registration_endpoint"] == ISSUER + "/register"


@pytest.mark.spec("RFC 8414", "2")
def test_clients_authenticate_everywhere_as_at_the_token_endpoint() -> None:
    """Only that introspection is nothing for a client that can prove nothing."""
    found = document()
    methods = found["token_endpoint_auth_methods_supported"]
    assert found["revocation_endpoint_auth_methods_supported"] == methods
    confidential = [method for method in methods if method != "none"]
    assert found["introspection_endpoint_auth_methods_supported"] == confidential


@pytest.mark.covers("R-106")
def test_what_is_advertised_is_understood() -> None:
    found = document()
    for prompt in found["prompt_values_supported"]:
        assert read_prompt(prompt, None) == {prompt}
    for method in found["code_challenge_methods_supported"]:
        assert check_challenge(challenge_of("x"), method)
    assert split_scope(" ".join(found["scopes_supported"])) == tuple(found["scopes_supported"])


@pytest.mark.covers("R-106")
@pytest.mark.spec("OIDC Core", "5.4")
def test_scopes_of_which_nobody_has_anything_are_not_promised() -> None:
    assert not {"address", "phone"} & set(document()["scopes_supported"])
    assert "birthdate" not in document()["claims_supported"]
    found = document(claims=("address", "birthdate"))
    assert "address" in found["scopes_supported"]
    assert "phone" not in found["scopes_supported"]
    assert {"address", "birthdate"} <= set(found["claims_supported"])
    assert "phone" in document(claims=("phone_number",))["scopes_supported"]


def test_every_replica_writes_the_same_bytes() -> None:
    served = Served(issuer=ISSUER, grant_types=("b", "a"), signing_algorithms=("ES256", "RS256"))
    other = Served(issuer=ISSUER, grant_types=("a", "b"), signing_algorithms=("RS256", "ES256"))
    assert discovery_document(served) == discovery_document(other)
