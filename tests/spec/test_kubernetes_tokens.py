"""What kube-apiserver and kubectl demand of tokens, keys and discovery.

A token is judged here by the rules of kube-apiserver's OIDC authenticator, written down again from
its sources; the real one has its turn in the end-to-end tests.
"""

import json
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from tests.kit.provider import (
    ISSUER,
    PUBLIC,
    Pkce,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend

KUBELOGIN_REDIRECT = "http://localhost:8000"
DEFAULT_ALGORITHMS = ("RS256",)
"""`--oidc-signing-algs` when it is not given."""


class Unauthenticated(Exception):
    """kube-apiserver would answer 401."""


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["staticClients"].append(
        {"id": "kubernetes", "name": "The cluster", "public": True, "trustedPeers": [PUBLIC],
         "redirectURIs": [KUBELOGIN_REDIRECT]}
    )  # fmt: skip
    with provider_under_test(config) as provider:
        yield provider


def decoded(part: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def authenticate(
    idp: ProviderUnderTest, token: str, *, audience: str = PUBLIC, username_claim: str = "sub"
) -> dict[str, Any]:
    """Return name, groups and extra as kube-apiserver 1.34 reads them. Raises Unauthenticated."""
    keys = idp.browser.get("/keys").json()
    header, claims = decoded(token.split(".")[0]), decoded(token.split(".")[1])
    if header["alg"] not in DEFAULT_ALGORITHMS:
        raise Unauthenticated("algorithm")
    jws.deserialize_compact(token, KeySet.import_key_set(keys), algorithms=[header["alg"]])
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if claims["iss"] != ISSUER or audience not in audiences:
        raise Unauthenticated("issuer or audience")
    if type(claims["exp"]) is not int or claims["exp"] <= idp.clock().timestamp():
        raise Unauthenticated("expired")
    if username_claim == "email" and claims.get("email_verified", True) is not True:
        raise Unauthenticated("email_verified")
    groups = claims.get("groups", [])
    if not isinstance(groups, list) or not all(type(group) is str for group in groups):
        raise Unauthenticated("groups")
    return {
        "username": claims[username_claim],
        "groups": groups,
        "extra": {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]},
    }


def kubelogin(
    idp: ProviderUnderTest,
    *,
    scope: str = "email groups offline_access openid",
    client_id: str = PUBLIC,
    redirect_uri: str = KUBELOGIN_REDIRECT,
) -> dict[str, Any]:
    """Return the tokens of a login as kubelogin makes it: public, S256, `access_type=offline`."""
    pkce = Pkce()
    request = {
        "client_id": client_id, "redirect_uri": redirect_uri, "scope": scope,
        "access_type": "offline", "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }  # fmt: skip
    form = {
        "grant_type": "authorization_code", "client_id": client_id, "code": idp.code(request),
        "redirect_uri": redirect_uri, "code_verifier": pkce.verifier,
    }  # fmt: skip
    response = idp.token(form, auth=None)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def kubectl_refresh(idp: ProviderUnderTest, refresh_token: str) -> httpx.Response:
    """Refresh as x/oauth2 inside kubectl does: Basic with an empty secret first."""
    headers = {"authorization": "Basic " + b64encode(f"{PUBLIC}:".encode()).decode()}
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return idp.new_browser("198.51.100.9").post("/token", data=form, headers=headers)


@pytest.mark.covers("R-40")
def test_an_id_token_makes_a_user_with_groups(idp: ProviderUnderTest) -> None:
    tokens = kubelogin(idp)
    user = authenticate(idp, tokens["id_token"])
    assert user["username"] == "CgZ1c2VyLTESBWxvY2Fs"
    assert user["groups"] == ["developers", "admins"]
    by_email = authenticate(idp, tokens["id_token"], username_claim="email")
    assert by_email["username"] == "alice@example.com"


def test_the_audit_log_can_tell_tokens_apart(idp: ProviderUnderTest) -> None:
    tokens = kubelogin(idp)
    again = kubectl_refresh(idp, tokens["refresh_token"]).json()
    users = [authenticate(idp, answer["id_token"]) for answer in (tokens, again)]
    ids = [user["extra"]["authentication.kubernetes.io/credential-id"][0] for user in users]
    assert len(set(ids)) == 2
    assert all(len(text) > len("JTI=") + 20 for text in ids)


@pytest.mark.covers("R-45")
def test_an_access_token_is_no_identity(idp: ProviderUnderTest) -> None:
    tokens = kubelogin(idp)
    for audience in (PUBLIC, "kubernetes", "app"):
        with pytest.raises(Unauthenticated):
            authenticate(idp, tokens["access_token"], audience=audience)


def test_a_token_for_one_client_is_nothing_to_a_cluster_of_another(idp: ProviderUnderTest) -> None:
    token = kubelogin(idp)["id_token"]
    with pytest.raises(Unauthenticated):
        authenticate(idp, token, audience="kubernetes")


def test_a_client_of_its_own_may_ask_for_the_clusters_audience(idp: ProviderUnderTest) -> None:
    """Headlamp and oauth2-proxy keep their own client and forward the token."""
    scope = "openid groups audience:server:client_id:kubernetes"
    token = kubelogin(idp, scope=scope)["id_token"]
    assert authenticate(idp, token, audience="kubernetes")["groups"] == ["developers", "admins"]
    assert authenticate(idp, token, audience=PUBLIC)
    assert decoded(token.split(".")[1])["azp"] == PUBLIC


def test_an_expired_token_is_refused_without_leeway(idp: ProviderUnderTest) -> None:
    token = kubelogin(idp)["id_token"]
    idp.clock.turn(3599)
    assert authenticate(idp, token)
    idp.clock.turn(1)
    with pytest.raises(Unauthenticated):
        authenticate(idp, token)


def test_groups_are_there_for_cel_as_soon_as_their_scope_was_granted() -> None:
    config = base_config()
    config["staticPasswords"][0]["groups"] = []
    with provider_under_test(config) as idp:
        claims = decoded(kubelogin(idp)["id_token"].split(".")[1])
        assert claims["groups"] == []
        without = decoded(kubelogin(idp, scope="openid")["id_token"].split(".")[1])
        assert "groups" not in without


def test_an_address_that_is_not_verified_is_said_to_be_so() -> None:
    config = base_config()
    config["staticPasswords"][0]["emailVerified"] = False
    with provider_under_test(config) as idp:
        token = kubelogin(idp)["id_token"]
        assert authenticate(idp, token)
        with pytest.raises(Unauthenticated):
            authenticate(idp, token, username_claim="email")


@pytest.mark.parametrize(
    "redirect_uri",
    ["http://localhost:8000", "http://localhost:18000", "http://localhost:8000/",
     "http://localhost:54321"],
)  # fmt: skip
def test_kubelogin_may_listen_on_any_port(idp: ProviderUnderTest, redirect_uri: str) -> None:
    assert kubelogin(idp, redirect_uri=redirect_uri)["id_token"]


@pytest.mark.parametrize(
    "scope",
    ["openid", "groups openid", "openid openid email", "email openid groups"],
)
def test_scopes_come_in_any_order_and_more_than_once(idp: ProviderUnderTest, scope: str) -> None:
    assert authenticate(idp, kubelogin(idp, scope=scope)["id_token"])


@pytest.mark.covers("R-31")
def test_kubectl_refreshes_and_always_gets_an_id_token(idp: ProviderUnderTest) -> None:
    token = kubelogin(idp)["refresh_token"]
    for _ in range(5):
        idp.clock.turn(3600)
        answer = kubectl_refresh(idp, token).raise_for_status().json()
        assert authenticate(idp, answer["id_token"])["groups"] == ["developers", "admins"]
        token = answer["refresh_token"]


@pytest.mark.covers("R-31", "R-33")
def test_two_kubectls_with_one_kubeconfig_do_not_lose_the_session(idp: ProviderUnderTest) -> None:
    """Each refreshes when it likes with whatever it read from the file a moment ago."""
    kubeconfig = kubelogin(idp)["refresh_token"]
    for turn in range(30):
        one, two = kubeconfig, kubeconfig
        first = kubectl_refresh(idp, one).raise_for_status().json()
        idp.clock.turn(turn)
        second = kubectl_refresh(idp, two).raise_for_status().json()
        assert first["refresh_token"] == second["refresh_token"]
        kubeconfig = second["refresh_token"]
        idp.clock.turn(3600)


@pytest.mark.covers("R-46")
def test_every_key_is_one_that_go_jose_2_can_read(idp: ProviderUnderTest) -> None:
    """One key of an unknown kind makes the whole set unreadable."""
    keys = idp.browser.get("/keys").json()
    assert set(keys) == {"keys"}
    for key in keys["keys"]:
        assert key["kty"] in ("RSA", "EC")
        assert (key["use"], key["alg"]) in (("sig", "RS256"), ("sig", "ES256"))
        assert set(key) in ({"kid", "use", "alg", "kty", "n", "e"},
                            {"kid", "use", "alg", "kty", "crv", "x", "y"})  # fmt: skip
    assert len({key["kid"] for key in keys["keys"]}) == len(keys["keys"])


@pytest.mark.covers("R-46", "R-92")
def test_the_key_set_may_be_kept_for_a_minute_at_most(idp: ProviderUnderTest) -> None:
    cache = idp.browser.get("/keys").headers["cache-control"]
    directives = dict(part.strip().partition("=")[::2] for part in cache.split(","))
    assert "public" in directives
    assert 0 < int(directives["max-age"]) <= 60


@pytest.mark.spec("OIDC Core", "5.1")
def test_numbers_are_integers_on_the_wire(idp: ProviderUnderTest) -> None:
    """kubelogin decodes `exp` into an int64; 1.5e9 would fail there."""
    token = kubelogin(idp)["id_token"].split(".")[1]
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    floats: list[str] = []
    json.loads(raw, parse_float=floats.append)
    assert floats == []
    assert "e+" not in raw


def test_kubectl_finds_everything_in_discovery(idp: ProviderUnderTest) -> None:
    found = idp.browser.get("/.well-known/openid-configuration").json()
    assert found["issuer"] == ISSUER
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert "RS256" in found["id_token_signing_alg_values_supported"]
    assert "none" in found["token_endpoint_auth_methods_supported"]
    assert {"authorization_endpoint", "token_endpoint", "jwks_uri"} <= set(found)


@pytest.mark.covers("K-17")
def test_a_token_too_large_for_a_header_is_refused_before_anything_is_written() -> None:
    faults = Faults()
    config = base_config()
    config["staticPasswords"][0]["groups"] = [f"group-number-{n}" for n in range(1000)]
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as idp:
        before = faults.writes
        page = idp.sign_in()
        assert page.status_code == 403
        assert "location" not in page.headers
        assert "1000" in page.text
        assert "group-number" not in page.text
        assert faults.writes == before
        assert idp.sign_in({"scope": "openid email"}).status_code == 303
