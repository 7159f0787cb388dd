"""What `kubectl apply` says of a client's policies: what the server says, on a real API server."""

from typing import Any

import pytest

from idp.settings.client_policies import policies_in
from tests.kit.objects import TERMS
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.storage.definitions import Cause, Definitions, written
from tests.unit.settings.test_client_policies import ADDRESSES, EVERYTHING, KEY, KEYS

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def definitions(kube: KubeApiServer, crds: None) -> Definitions:
    kube.kubectl("create", "namespace", "client-rules").check()
    return Definitions(kube, "client-rules")


def client(**said: Any) -> dict[str, Any]:
    return written("OIDCClient", "shop", {"clientID": "shop", "redirectURIs": ADDRESSES, **said})


def test_everything_that_can_be_said_is_taken_and_kept(definitions: Definitions) -> None:
    item = client(**EVERYTHING)
    definitions.create(item)
    assert definitions.read(item)["spec"] == {**item["spec"], "public": False}


@pytest.mark.parametrize(
    "said",
    [
        {"expiry": {"refreshTokens": {"validIfNotUsedFor": "0", "absoluteLifetime": "none"}}},
        {"expiry": {"idTokens": "0h30m", "accessTokens": "0.5h"}},
        {"ssoSharedWith": [], "allowedConnectors": [], "grantTypes": []},
        {"grantTypes": ["authorization_code"], "offlineAccess": "never"},
        {"groupsFilter": ["team-*", "*", "a b"], "groupsPrefix": "idp:", "idTokenClaims": "all"},
        {"groupsFilter": [], "idTokenClaims": "minimal"},
        {"public": True, "tokenEndpointAuthMethod": "none", "pkce": "optional"},
        {"tokenEndpointAuthMethod": "client_secret_post", "secretRef": {"name": "s"}},
        {"secretRef": {"name": "s", "previousKey": "old"}},
        {"jwks": {"keys": [{**KEY, "kid": "k", "use": "sig", "alg": "ES256", "x5t": "extra"}]}},
        {"logoURL": "http://localhost:5555/logo.png", "tosURI": "https://a.example"},
        {"requestURIs": ["https://a.example/r#hash"]},
    ],
    ids=str,
)
def test_good_policies_are_taken(definitions: Definitions, said: dict[str, Any]) -> None:
    assert definitions.judge(client(**said)) == []
    policies, problems = policies_in({"redirectURIs": ADDRESSES, **said}, ("spec",), TERMS)
    assert (policies is not None, problems) == (True, ())


@pytest.mark.parametrize(
    "said",
    [
        {"expiry": {"idTokens": "soon"}},
        {"expiry": {"accessTokens": "none"}},
        {"expiry": {"refreshTokens": {"absoluteLifetime": "never"}}},
        {"jwks": KEYS, "jwksURI": "https://a.example/keys"},
        {"jwksURI": "http://a.example/keys"},
        {"jwksURI": "https://a.example/keys#1"},
        {"backchannelLogoutURI": "http://localhost/"},
        {"frontchannelLogoutURI": "ftp://a.example/", "redirectURIs": ["ftp://a.example/"]},
        {"initiateLoginURI": "http://127.0.0.1/"},
        {"policyURI": "http://a.example/"},
        {"postLogoutRedirectURIs": ["https://*.example/"]},
        {"postLogoutRedirectURIs": ["https://a.example/#x"]},
        {"requestURIs": ["http://a.example/r"]},
        {"tokenEndpointAuthMethod": "private_key_jwt"},
        {"tokenEndpointAuthMethod": "private_key_jwt", "jwks": KEYS, "public": True},
        {"tokenEndpointAuthMethod": "private_key_jwt", "jwks": KEYS, "secretRef": {"name": "s"}},
        {"tokenEndpointAuthMethod": "none"},
        {"tokenEndpointAuthMethod": "client_secret_basic", "public": True},
        {"grantTypes": ["client_credentials"], "public": True},
        {"grantTypes": ["authorization_code"], "offlineAccess": "always"},
        {"groupsFilter": ["team-*-x"]},
    ],
    ids=str,
)
def test_bad_policies_are_refused_with_the_sentence_of_the_server(
    definitions: Definitions, said: dict[str, Any]
) -> None:
    (cause,) = definitions.judge(client(**said))
    _, problems = policies_in({"redirectURIs": ADDRESSES, **said}, ("spec",), TERMS)
    assert f"{cause.field} {cause.message}." in problems


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"pkce": "plain"}, "spec.pkce"),
        ({"offlineAccess": "sometimes"}, "spec.offlineAccess"),
        ({"idTokenClaims": "none"}, "spec.idTokenClaims"),
        ({"groupsPrefix": ""}, "spec.groupsPrefix"),
        ({"refreshTokenLifetime": "1h"}, "spec.refreshTokenLifetime"),
        ({"idTokenSignedResponseAlg": "none"}, "spec.idTokenSignedResponseAlg"),
        ({"userinfoSignedResponseAlg": "none"}, "spec.userinfoSignedResponseAlg"),
        ({"requestObjectSigningAlg": "HS256"}, "spec.requestObjectSigningAlg"),
        ({"tokenEndpointAuthMethod": "client_secret_jwt"}, "spec.tokenEndpointAuthMethod"),
        ({"secretRef": {"name": "s", "previousKey": "a/b"}}, "spec.secretRef.previousKey"),
        ({"jwks": {}}, "spec.jwks.keys"),
    ],
    ids=str,
)
def test_other_words_than_there_are_are_refused(
    definitions: Definitions, said: dict[str, Any], field: str
) -> None:
    assert [cause.field for cause in definitions.judge(client(**said))] == [field]


def test_a_private_key_is_refused_and_not_repeated(definitions: Definitions) -> None:
    private = client(jwks={"keys": [{**KEY, "d": "hunter2-hunter2-hunter2"}]})
    assert definitions.judge(private) == [
        Cause(
            "spec.jwks.keys[0]",
            "holds a private or a symmetric key; give only the public halves, and replace the key,"
            " which has been seen",
        )
    ]


def test_the_most_that_the_limits_allow_is_within_the_cost_budget(definitions: Definitions) -> None:
    address = "https://app.example/".ljust(2048, "b")
    many = {
        "postLogoutRedirectURIs": [f"https://a.example/{i}/".ljust(2048, "b") for i in range(64)],
        "requestURIs": [f"https://a.example/{i}/".ljust(2048, "b") for i in range(32)],
        "redirectURIs": [f"https://a.example/{i}/".ljust(2048, "b") for i in range(64)],
        "jwks": {"keys": [{"kty": "RSA", "n": "A" * 1400, "e": "AQAB"}] * 16},
        **{key: address for key in ("backchannelLogoutURI", "logoURL", "tosURI", "policyURI")},
    }
    assert definitions.judge(client(**many)) == []
