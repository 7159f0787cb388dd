"""What the file, and an object alike, can say of one client."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from idp.app.values import clients_of
from idp.oauth.client import (
    NO_END,
    Allowed,
    ClaimRules,
    Client,
    ClientLinks,
    LogoutRules,
    RequestObjectRules,
    TokenRules,
)
from idp.settings import Problem, Settings
from idp.settings.client_policies import policies_in
from idp.settings.client_rules import ClientTerms
from tests.kit.objects import TERMS

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]

KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
KEYS = {"keys": [KEY]}

EVERYTHING: dict[str, Any] = {
    "disabled": True,
    "allowedConnectors": ["ldap"],
    "grantTypes": ["authorization_code", "refresh_token"],
    "allowedScopes": ["openid", "groups"],
    "allowedAudiences": ["kubernetes"],
    "expiry": {
        "idTokens": "10m",
        "accessTokens": "5m",
        "refreshTokens": {"validIfNotUsedFor": "none", "absoluteLifetime": "24h"},
    },
    "refreshTokenLifetime": "session",
    "idTokenSignedResponseAlg": "ES256",
    "userinfoSignedResponseAlg": "RS256",
    "idTokenClaims": "minimal",
    "groupsFilter": ["team-*", "admins"],
    "groupsPrefix": "idp:",
    "offlineAccess": "always",
    "pkce": "required",
    "skipApprovalScreen": True,
    "ssoSharedWith": ["*"],
    "tokenEndpointAuthMethod": "private_key_jwt",
    "jwks": KEYS,
    "postLogoutRedirectURIs": ["https://app.example/out"],
    "backchannelLogoutURI": "https://app.example/back",
    "backchannelLogoutSessionRequired": True,
    "frontchannelLogoutURI": "https://app.example/front",
    "frontchannelLogoutSessionRequired": True,
    "requestURIs": ["https://app.example/request#hash"],
    "requestObjectSigningAlg": "ES256",
    "logoURL": "https://app.example/logo.png",
    "tosURI": "https://app.example/terms",
    "policyURI": "https://app.example/privacy",
    "initiateLoginURI": "https://app.example/login",
}
ADDRESSES = ["https://app.example/cb"]


def said_of_app(said: dict[str, Any]) -> str:
    """Return a file with one client of which this is said."""
    clients = json.dumps([{"id": "app", "redirectURIs": ADDRESSES, **said}])
    return f"staticClients: {clients}\nsigner: {{config: {{additionalAlgorithms: [ES256]}}}}\n"


def test_everything_that_can_be_said_of_a_client(read: Read) -> None:
    client = clients_of(read(said_of_app(EVERYTHING)))["app"]
    assert (client.disabled, client.skip_approval, client.pkce_required) == (True, True, True)
    assert client.allowed == Allowed(
        connectors=frozenset({"ldap"}),
        grant_types=frozenset({"authorization_code", "refresh_token"}),
        scopes=frozenset({"openid", "groups"}),
        audiences=frozenset({"kubernetes"}),
    )
    assert client.claims == ClaimRules(
        id_token_claims="minimal", groups_filter=("team-*", "admins"), groups_prefix="idp:"
    )
    assert client.tokens == TokenRules(
        id_token_lifetime=timedelta(minutes=10),
        access_token_lifetime=timedelta(minutes=5),
        refresh_idle=NO_END,
        refresh_absolute=timedelta(days=1),
        id_token_alg="ES256",
        userinfo_alg="RS256",
        offline_access="always",
        ends_with_session=True,
    )
    assert client.logout == LogoutRules(
        redirect_uris=("https://app.example/out",),
        backchannel_uri="https://app.example/back",
        backchannel_session_required=True,
        frontchannel_uri="https://app.example/front",
        frontchannel_session_required=True,
    )
    assert client.request_objects == RequestObjectRules(
        request_uris=("https://app.example/request#hash",), signing_alg="ES256"
    )
    assert client.links == ClientLinks(
        logo_uri="https://app.example/logo.png",
        tos_uri="https://app.example/terms",
        policy_uri="https://app.example/privacy",
        initiate_login_uri="https://app.example/login",
    )
    assert client.sso_shared_with == frozenset({"*"})
    assert client.auth_method == "private_key_jwt"
    assert not client.is_public
    assert json.loads(client.keys.jwks) == KEYS


def test_a_client_of_which_nothing_is_said_is_what_it_always_was(read: Read) -> None:
    client = clients_of(read("staticClients: [{id: app, public: true}]"))["app"]
    assert client == Client(id="app", name="app")
    assert client.is_public


def test_an_object_says_the_same_as_the_file(read: Read) -> None:
    in_file = clients_of(read(said_of_app(EVERYTHING)))["app"]
    fields = {
        **EVERYTHING,
        "redirectURIs": ADDRESSES,
        "clientID": "app",
        "unknown": 1,
        "pkce": None,
    }
    policies, problems = policies_in({**fields, "pkce": "required"}, ("spec",), TERMS)
    assert problems == ()
    assert policies is not None
    client = policies.said_of(Client(id="app", name="app", redirect_uris=tuple(ADDRESSES)))
    assert client == in_file


@pytest.mark.spec("OIDC Front-Channel Logout", "2")
@pytest.mark.parametrize(
    ("said", "field", "text"),
    [
        ({"allowedConnectors": "ldap"}, "allowedConnectors", "must be a list, but is a single"),
        ({"grantTypes": ["password"]}, "grantTypes[0]", "is a grant type of Dex that kube"),
        ({"grantTypes": ["x"]}, "grantTypes[0]", "`x` is not a grant type; served are"),
        ({"expiry": {"idTokens": "61m"}}, "expiry.idTokens",
         "is longer than any token of this provider may live; raise `expiry.longestTokens`"),
        ({"expiry": {"accessTokens": "2h"}}, "expiry.accessTokens", "raise `expiry.longestTokens`"),
        ({"expiry": {"idTokens": "0s"}}, "expiry.idTokens", "at least 1s and at most 168h"),
        ({"expiry": {"idTokens": "none"}}, "expiry.idTokens", "`none` is not a duration"),
        ({"expiry": {"refreshTokens": {"absoluteLifetime": "never"}}},
         "expiry.refreshTokens.absoluteLifetime", "is not a duration"),
        ({"refreshTokenLifetime": "1h"}, "refreshTokenLifetime", "not one of standalone, session"),
        ({"idTokenSignedResponseAlg": "PS256"}, "idTokenSignedResponseAlg", "not one of RS256"),
        ({"idTokenSignedResponseAlg": "none"}, "idTokenSignedResponseAlg", "not one of RS256"),
        ({"userinfoSignedResponseAlg": "none"}, "userinfoSignedResponseAlg", "not one of RS256"),
        ({"idTokenClaims": "none"}, "idTokenClaims", "`none` is not one of all, minimal"),
        ({"groupsFilter": ["a", "*-x"]}, "groupsFilter[1]", "`*-x` has a `*` before its end"),
        ({"groupsFilter": "team-*"}, "groupsFilter", "must be a list"),
        ({"groupsPrefix": ["idp:"]}, "groupsPrefix", "must be text, but is a list"),
        ({"offlineAccess": True}, "offlineAccess", "is not one of requested, always, never"),
        ({"pkce": "plain"}, "pkce", "`plain` is not one of required, optional"),
        ({"tokenEndpointAuthMethod": "client_secret_jwt"}, "tokenEndpointAuthMethod",
         "`client_secret_jwt` is not served: the provider would have to keep the secret readable"),
        ({"tokenEndpointAuthMethod": "tls_client_auth"}, "tokenEndpointAuthMethod", "not one of"),
        ({"tokenEndpointAuthMethod": "none"}, "tokenEndpointAuthMethod",
         "`none` is for clients with `public: true` only"),
        ({"tokenEndpointAuthMethod": "private_key_jwt"}, "tokenEndpointAuthMethod",
         "`private_key_jwt` needs `jwks` or `jwksURI`"),
        ({"jwks": {}}, "jwks", "the value has no list `keys`"),
        ({"jwks": "{"}, "jwks", "is not a JSON object"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "jwks", "has no key that could verify"),
        ({"jwks": {"keys": [{**KEY, "d": "hunter2hunter2"}]}}, "jwks", "private or a symmetric"),
        ({"jwks": {"keys": [KEY] * 17}}, "jwks", "has more than 16 keys"),
        ({"jwks": KEYS, "jwksURI": "https://a.example/k"}, "jwksURI", "beside `jwks`; remove one"),
        ({"jwksURI": "http://a.example/k"}, "jwksURI", "must begin with https://"),
        ({"jwksURI": "https://a.example/k#x"}, "jwksURI", "contains a fragment"),
        ({"backchannelLogoutURI": "http://localhost/"}, "backchannelLogoutURI", "with https://"),
        ({"frontchannelLogoutURI": "https://app.example:444/"}, "frontchannelLogoutURI",
         "must have scheme, host and port of one of the `redirectURIs`"),
        ({"postLogoutRedirectURIs": ["https://*.example/"]}, "postLogoutRedirectURIs[0]",
         "contains a wildcard"),
        ({"postLogoutRedirectURIs": ["urn:ietf:wg:oauth:2.0:oob"]}, "postLogoutRedirectURIs[0]",
         "is an address for codes"),
        ({"requestURIs": ["http://app.example/r"]}, "requestURIs[0]", "must begin with https://"),
        ({"requestObjectSigningAlg": "HS256"}, "requestObjectSigningAlg", "`HS256` is not served"),
        ({"tosURI": "javascript:alert(1)"}, "tosURI", "has no host"),
        ({"initiateLoginURI": "http://127.0.0.1/"}, "initiateLoginURI", "must begin with https://"),
        ({"offlineAccess": "always", "grantTypes": ["authorization_code"]}, "offlineAccess",
         "`always` needs `refresh_token` among `grantTypes`"),
        ({"ssoSharedWith": "all"}, "ssoSharedWith", "must be a list"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_same_sentence_everywhere(
    refuse: Refuse, said: dict[str, Any], field: str, text: str
) -> None:
    problems = refuse(said_of_app({"secret": "0123456789abcdef", **said}))
    (in_file,) = [each for each in problems if each.path != "staticClients[0].secret"]
    assert in_file.path == f"staticClients[0].{field}"
    assert text in in_file.message
    assert "hunter2" not in in_file.message
    policies, (in_object,) = policies_in({"redirectURIs": ADDRESSES, **said}, ("spec",), TERMS)
    assert policies is None
    assert in_object == f"spec.{field} {in_file.message}."


@pytest.mark.parametrize(
    ("said", "field", "text"),
    [
        ({"secret": "x" * 16}, "secret", "is not used with `private_key_jwt`"),
        ({"public": True}, "public", "a client with `private_key_jwt` is not public"),
        ({"secretRef": {"name": "s"}}, "secretRef", "is not used with `private_key_jwt`"),
    ],
)
def test_a_client_that_signs_has_neither_a_secret_nor_none(
    said: dict[str, Any], field: str, text: str
) -> None:
    fields = {"tokenEndpointAuthMethod": "private_key_jwt", "jwks": KEYS, **said}
    _, (problem,) = policies_in(fields, ("spec",), TERMS)
    assert problem.startswith(f"spec.{field} {text}")


def test_a_public_client_cannot_use_what_needs_a_proof() -> None:
    fields = {"public": True, "grantTypes": ["client_credentials"]}
    _, (problem,) = policies_in(fields, ("spec",), TERMS)
    assert "`client_credentials` is for clients that can prove who they are" in problem
    fields = {"public": True, "tokenEndpointAuthMethod": "client_secret_post"}
    _, (problem,) = policies_in(fields, ("spec",), TERMS)
    assert "needs a secret, which a public client has not" in problem


def test_two_secrets_count_while_one_is_replaced(read: Read) -> None:
    text = "staticClients: [{id: app, secretEnv: NEW, previousSecretEnv: OLD}]"
    environ = {"NEW": "a new secret, long enough", "OLD": "an old secret, long enough"}
    assert len(clients_of(read(text, environ))["app"].secret_hashes) == 2


def test_a_previous_secret_needs_a_secret(refuse: Refuse) -> None:
    problems = refuse("staticClients: [{id: app, previousSecret: 0123456789abcdef}]")
    assert "staticClients[0].previousSecret" in {problem.path for problem in problems}


@pytest.mark.parametrize("key", ["idTokenSignedResponseAlg", "userinfoSignedResponseAlg"])
def test_an_algorithm_that_the_provider_does_not_sign_with_is_refused(
    refuse: Refuse, key: str
) -> None:
    said = {"id": "a", "public": True, key: "ES256"}
    (problem,) = refuse("staticClients: " + json.dumps([said]))
    assert problem.path == f"staticClients[0].{key}"
    assert "add it to `signer.config.additionalAlgorithms`" in problem.message
    rsa_only = ClientTerms(algorithms=("RS256",), longest_tokens=timedelta(hours=1))
    _, (in_object,) = policies_in(said, ("spec",), rsa_only)
    assert in_object == f"spec.{key} {problem.message}."


def test_longer_lives_are_for_clients_of_a_provider_that_remembers_for_so_long(
    read: Read, refuse: Refuse
) -> None:
    client = "staticClients: [{id: a, public: true, expiry: {idTokens: 24h}}]\n"
    settings = read(client + "expiry: {longestTokens: 24h}")
    assert settings.longest_tokens == timedelta(hours=24)
    assert read("expiry: {idTokens: 2h}").longest_tokens == timedelta(hours=2)
    (problem,) = refuse("expiry: {longestTokens: 30m}")
    assert problem.message == "is shorter than `expiry.idTokens`"


@pytest.mark.parametrize(
    ("said", "field", "text"),
    [
        ({"grantTypes": ["client_credentials"]}, "grantTypes[0]", "not among `oauth2.grantTypes`"),
        ({"allowedConnectors": ["ldap"]}, "allowedConnectors[0]", "is the id of no connector"),
        ({"allowedAudiences": ["ghost"]}, "allowedAudiences[0]", "is the id of no client"),
        ({"ssoSharedWith": ["app", "ghost"]}, "ssoSharedWith[1]", "is the id of no client"),
        ({"allowedScopes": ["email"]}, "allowedScopes", "does not hold `openid`"),
        ({"previousSecret": "short"}, "previousSecret", "is shorter than 16 characters"),
    ],
)
def test_what_is_probably_not_meant_is_warned_of(
    read: Read, said: dict[str, Any], field: str, text: str
) -> None:
    rest = "oauth2: {}\nconnectors: []\nenablePasswordDB: true\n"
    fragment = said_of_app({"secret": "0123456789abcdef", **said}) + rest
    found = [each for each in read(fragment).warnings if each.path.startswith("staticClients")]
    (warning,) = found
    assert warning.path == f"staticClients[0].{field}"
    assert text in warning.message


def test_offline_access_that_cannot_be_is_warned_of(read: Read) -> None:
    fragment = said_of_app({"secret": "0123456789abcdef", "offlineAccess": "always"})
    rest = "oauth2: {grantTypes: [authorization_code]}\nenablePasswordDB: true\n"
    messages = [each.message for each in read(fragment + rest).warnings]
    assert any("`refresh_token` is not among" in message for message in messages)


def test_what_is_meant_is_not_warned_of(read: Read) -> None:
    said = {
        "secret": "0123456789abcdef",
        "allowedConnectors": ["local"],
        "ssoSharedWith": ["*"],
        "allowedAudiences": ["app"],
        "allowedScopes": ["openid"],
    }
    warnings = read(said_of_app(said) + "enablePasswordDB: true\n").warnings
    assert [each for each in warnings if each.path.startswith("staticClients")] == []
