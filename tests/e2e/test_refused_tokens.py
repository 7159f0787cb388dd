"""What the API server must refuse, and refuses."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import AUDIENCE, EXAMPLE_SECRET, JANE, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.stores import Store

pytestmark = pytest.mark.servers

_LIFETIME_SECONDS = 8


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    directory = tmp_path_factory.mktemp("provider")
    overrides = {"expiry": {"idTokens": f"{_LIFETIME_SECONDS}s"}}
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    clients = config["staticClients"]
    assert isinstance(clients, list)
    (kubernetes,) = (client for client in clients if client["id"] == AUDIENCE)
    kubernetes["userinfoSignedResponseAlg"] = "RS256"
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def application(provider: IdpProcess) -> Iterator[RelyingParty]:
    """Yield a client that the API server does not know."""
    with provider.client() as http:
        yield RelyingParty(
            http=http,
            issuer=provider.issuer,
            client_id="example-app",
            client_secret=EXAMPLE_SECRET,
            redirect_uri="http://127.0.0.1:5555/callback",
        )


@pytest.fixture
def good(cluster: KubeApiServer, party: RelyingParty) -> str:
    """Return a token that was accepted just now, so that a refusal says something."""
    token = party.sign_in(JANE.email, JANE.password).id_token
    assert cluster.whoami(token) is not None
    return token


def test_expired_token_is_refused(cluster: KubeApiServer, party: RelyingParty) -> None:
    # Nobody may show it before: a token that was good is remembered for 10 s, beyond its end.
    token = party.sign_in(JANE.email, JANE.password).id_token
    exp = party.claims(token)["exp"]
    assert isinstance(exp, int)

    time.sleep(max(0.0, exp - time.time()) + 0.5)

    assert cluster.whoami(token) is None
    assert cluster.whoami(party.sign_in(JANE.email, JANE.password).id_token) is not None


def test_token_for_another_audience_is_refused(
    cluster: KubeApiServer, application: RelyingParty, good: str
) -> None:
    token = application.sign_in(JANE.email, JANE.password).id_token

    assert application.claims(token)["aud"] == "example-app"
    assert cluster.whoami(token) is None


def test_token_that_a_trusted_peer_got_for_the_cluster_is_accepted(
    cluster: KubeApiServer, application: RelyingParty
) -> None:
    scopes = ["openid", "email", "groups", f"audience:server:client_id:{AUDIENCE}"]

    token = application.sign_in(JANE.email, JANE.password, scopes=scopes).id_token

    user = cluster.whoami(token)
    assert user is not None
    assert user["username"] == "oidc:jane@example.com"


def test_access_token_is_no_identity(
    cluster: KubeApiServer, party: RelyingParty, good: str
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)

    assert cluster.whoami(tokens.id_token) is not None
    assert cluster.whoami(tokens.access_token) is None


def test_signed_userinfo_is_no_identity(
    cluster: KubeApiServer, party: RelyingParty, good: str
) -> None:
    """Issuer, audience and signature are those of an ID token; it has no end."""
    answer = party.userinfo(party.sign_in(JANE.email, JANE.password).access_token)

    assert answer.headers["content-type"] == "application/jwt"
    assert party.claims(answer.text)["aud"] == AUDIENCE
    assert cluster.whoami(answer.text) is None


def test_access_token_of_client_credentials_is_no_identity(
    cluster: KubeApiServer, application: RelyingParty, good: str
) -> None:
    answer = application.token(grant_type="client_credentials", scope="groups")

    assert cluster.whoami(answer.raise_for_status().json()["access_token"]) is None


def test_refresh_token_is_no_identity(
    cluster: KubeApiServer, party: RelyingParty, good: str
) -> None:
    assert cluster.whoami(party.sign_in(JANE.email, JANE.password).refresh_token) is None


@pytest.mark.parametrize("kid", ["ours", "its own", None])
def test_token_signed_by_a_foreign_key_is_refused(
    cluster: KubeApiServer, party: RelyingParty, good: str, kid: str | None
) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    header = {"alg": "RS256", "typ": "JWT"}
    if kid is not None:
        header["kid"] = str(_header(good)["kid"]) if kid == "ours" else kid

    token = jwt.encode(header, party.claims(good), RSAKey.import_key(private))

    assert cluster.whoami(token) is None


def test_unsigned_token_is_refused(cluster: KubeApiServer, good: str) -> None:
    _, claims, signature = good.split(".")
    kid = _header(good)["kid"]

    for alg in ("none", "None", "NONE", ""):
        header = _encoded({"alg": alg, "kid": kid, "typ": "JWT"})
        assert cluster.whoami(f"{header}.{claims}.") is None
        assert cluster.whoami(f"{header}.{claims}.{signature}") is None


def test_token_whose_groups_were_changed_is_refused(
    cluster: KubeApiServer, party: RelyingParty, good: str
) -> None:
    header, _, signature = good.split(".")

    claims = _encoded(party.claims(good) | {"groups": ["system:masters"]})

    assert cluster.whoami(f"{header}.{claims}.{signature}") is None


def test_public_key_used_as_a_secret_is_refused(
    cluster: KubeApiServer, party: RelyingParty, good: str
) -> None:
    """The published key must be no key for HMAC, the classical confusion of algorithms."""
    keys = party.http.get(f"{party.issuer}/keys").json()["keys"]
    key = RSAKey.import_key(next(key for key in keys if key["kid"] == _header(good)["kid"]))
    message = f"{_encoded({'alg': 'HS256', 'kid': key.kid})}.{good.split('.')[1]}"
    tag = hmac.digest(key.as_pem(private=False), message.encode(), hashlib.sha256)

    signature = base64.urlsafe_b64encode(tag).rstrip(b"=").decode()

    assert cluster.whoami(f"{message}.{signature}") is None


def _header(token: str) -> Mapping[str, object]:
    text = token.split(".")[0]
    header = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(header, dict)
    return header


def _encoded(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
