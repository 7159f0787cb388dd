"""`private_key_jwt` at every endpoint that authenticates clients (RFC 7523, OIDC Core, 9)."""

import hmac
import json
import secrets
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from idp.keys import base64url
from idp.oauth.client_assertion import JWT_BEARER
from tests.kit.provider import (
    CALLBACK,
    ISSUER,
    OTHER,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.signing_client import SigningClient
from tests.kit.storage import Fails, Faults, FlakyBackend

TOKEN_ENDPOINT = f"{ISSUER}/token"
APP = SigningClient("app", ISSUER, alg="ES256", typ=None)


def config(**said: Any) -> dict[str, Any]:
    """Return a configuration whose confidential client signs."""
    configuration = base_config()
    configuration["signer"] = {"config": {"algorithm": "ES256"}}
    client = configuration["staticClients"][0]
    del client["secret"]
    client.update({"tokenEndpointAuthMethod": "private_key_jwt", "jwks": APP.jwks, **said})
    return configuration


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def idp(faults: Faults) -> Iterator[ProviderUnderTest]:
    with provider_under_test(
        config(), wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as provider:
        yield provider


def proof(idp: ProviderUnderTest, signer: SigningClient = APP, **changes: Any) -> dict[str, str]:
    """Return the parameters by which the client proves itself; a change to None leaves one out."""
    now = int(idp.clock().timestamp())
    claims = {
        "iss": signer.client_id,
        "sub": signer.client_id,
        "aud": ISSUER,
        "exp": now + 60,
        "iat": now,
        "jti": secrets.token_hex(8),
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return {"client_assertion_type": JWT_BEARER, "client_assertion": signer.jwt(claims)}


def post(idp: ProviderUnderTest, path: str, form: Mapping[str, str]) -> httpx.Response:
    return idp.new_browser("198.51.100.7").post(path, data=dict(form))


def by_itself(idp: ProviderUnderTest, **form: str) -> httpx.Response:
    return post(idp, "/token", {"grant_type": "client_credentials", **form})


@pytest.mark.spec("OIDC Core", "9")
@pytest.mark.spec("RFC 7523", "2.2")
def test_a_client_that_signs_is_known_at_every_endpoint(idp: ProviderUnderTest) -> None:
    code = {"grant_type": "authorization_code", "code": idp.code(), "redirect_uri": CALLBACK}
    tokens = post(idp, "/token", {**code, **proof(idp)}).raise_for_status().json()
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    tokens = post(idp, "/token", {**refresh, **proof(idp), "client_id": "app"}).json()
    question = {"token": tokens["refresh_token"]}
    assert post(idp, "/token/introspect", {**question, **proof(idp)}).json()["active"] is True
    assert post(idp, "/token/revoke", {**question, **proof(idp)}).status_code == 200
    assert post(idp, "/token/introspect", {**question, **proof(idp)}).json() == {"active": False}
    assert by_itself(idp, **proof(idp)).status_code == 200


@pytest.mark.spec("RFC 7523", "3")
@pytest.mark.parametrize("audience", [ISSUER, TOKEN_ENDPOINT])
def test_the_audience_is_the_issuer_or_the_token_endpoint(
    idp: ProviderUnderTest, audience: str
) -> None:
    assert by_itself(idp, **proof(idp, aud=audience)).status_code == 200
    token = by_itself(idp, **proof(idp)).json()["access_token"]
    asked = {"token": token, **proof(idp, aud=audience)}
    assert post(idp, "/token/introspect", asked).json()["active"] is True


@pytest.mark.covers("R-18", "R-24", "CV-11")
@pytest.mark.spec("RFC 7521", "4.2.1")
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [ISSUER]}, {"aud": [ISSUER, "https://other.example"]}, {"aud": None},
        {"aud": ISSUER + "/"}, {"aud": "https://other.example/token"}, {"iss": "other"},
        {"sub": "other"}, {"sub": None}, {"exp": None}, {"exp": 1}, {"exp": 2**40}, {"jti": None},
        {"nbf": 2**40},
    ],
)  # fmt: skip
def test_what_is_wrong_is_invalid_client_and_writes_nothing(
    idp: ProviderUnderTest, faults: Faults, changes: dict[str, Any]
) -> None:
    answer = by_itself(idp, **proof(idp, **changes))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert answer.headers["cache-control"] == "no-store"
    assert faults.calls["create"] == 1  # the signing keys


@pytest.mark.covers("R-18", "R-24")
def test_another_key_and_another_client_get_the_same_answer(idp: ProviderUnderTest) -> None:
    stranger = SigningClient("app", ISSUER, alg="ES256", name="stranger", typ=None)
    ghost = SigningClient("ghost", ISSUER, alg="ES256", typ=None)
    other = SigningClient(OTHER[0], ISSUER, alg="ES256", typ=None)
    answers = {
        by_itself(idp, **proof(idp, signer)).json()["error_description"]
        for signer in (stranger, ghost, other)
    }
    answers.add(by_itself(idp, client_id="app", client_secret="x").json()["error_description"])
    answers.add(by_itself(idp, client_id="app").json()["error_description"])
    assert len(answers) == 1


@pytest.mark.covers("R-24", "CV-11")
@pytest.mark.spec("RFC 7523", "3")
def test_a_used_assertion_is_refused_by_another_replica_too(tmp_path: Path) -> None:
    shared = config()
    shared["storage"] = {"type": "sqlite3", "config": {"file": str(tmp_path / "idp.db")}}
    with provider_under_test(shared) as one, provider_under_test(shared, clock=one.clock) as other:
        used = proof(one)
        assert by_itself(one, **used).status_code == 200
        for replica in (one, other):
            answer = by_itself(replica, **used)
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
            assert "used before" in answer.json()["error_description"]
        assert by_itself(other, **proof(other)).status_code == 200


@pytest.mark.covers("K-1", "CV-10")
def test_while_the_store_is_away_an_assertion_proves_nothing(
    idp: ProviderUnderTest, faults: Faults
) -> None:
    faults.always("create", Fails())
    answer = by_itself(idp, **proof(idp))
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    faults.clear()
    assert by_itself(idp, **proof(idp)).status_code == 200


@pytest.mark.spec("RFC 7521", "4.2")
@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_assertion_type": ""}, "invalid_request"),
        ({"client_assertion": ""}, "invalid_request"),
        ({"client_assertion_type": "saml"}, "invalid_client"),
        ({"client_secret": "x"}, "invalid_request"),
        ({"client_id": "other"}, "invalid_client"),
    ],
)
def test_an_assertion_stands_alone_and_whole(
    idp: ProviderUnderTest, form: dict[str, str], error: str
) -> None:
    assert by_itself(idp, **{**proof(idp), **form}).json()["error"] == error


@pytest.mark.covers("R-17", "R-18")
def test_an_assertion_beside_a_header_or_in_the_url_is_refused(idp: ProviderUnderTest) -> None:
    form = {"grant_type": "client_credentials", **proof(idp)}
    browser = idp.new_browser("198.51.100.7")
    answer = browser.post("/token", data=form, auth=("app", "x"))
    assert answer.json()["error"] == "invalid_request"
    answer = browser.post("/token", params=proof(idp), data={"grant_type": "client_credentials"})
    assert answer.json()["error"] == "invalid_request"


def test_a_client_that_signs_is_not_public(idp: ProviderUnderTest) -> None:
    """It need not use PKCE, and nobody speaks for it by its name alone."""
    code = {"grant_type": "authorization_code", "code": idp.code(), "redirect_uri": CALLBACK}
    for named in ({"client_id": "app"}, {"client_id": "app", "client_secret": ""}):
        assert post(idp, "/token", {**code, **named}).json()["error"] == "invalid_client"


@dataclass(slots=True)
class KeySite:
    """A server on this machine that publishes key sets; `asked` counts."""

    url: str = ""
    document: bytes = b""
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[KeySite, Path]]:
    authority = CertificateAuthority.create()
    serving = authority.issue(tmp_path / "serving")
    site = KeySite(document=json.dumps(APP.jwks).encode())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(site.document)))
            self.end_headers()
            self.wfile.write(site.document)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(serving.certificate, serving.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    site.url = f"https://127.0.0.1:{server.server_port}/keys"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield site, authority.write(tmp_path / "ca.crt")
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)


def test_keys_may_be_at_an_address(site: tuple[KeySite, Path]) -> None:
    keys, ca = site
    published = config(jwksURI=keys.url)
    del published["staticClients"][0]["jwks"]
    published["outbound"] = {"allowedHosts": ["127.0.0.1"], "rootCA": str(ca)}
    with provider_under_test(published) as idp:
        for _ in range(3):
            assert by_itself(idp, **proof(idp)).status_code == 200
        assert keys.asked == ["/keys"]


@pytest.mark.covers("R-83", "CV-21")
def test_keys_at_an_address_that_only_the_provider_could_reach_are_not_fetched(
    site: tuple[KeySite, Path],
) -> None:
    keys, ca = site
    published = config(jwksURI=keys.url)
    del published["staticClients"][0]["jwks"]
    published["outbound"] = {"rootCA": str(ca)}
    with provider_under_test(published) as idp:
        answer = by_itself(idp, **proof(idp))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert "127.0.0.1" not in answer.text
    assert keys.asked == []


@pytest.mark.spec("RFC 8414", "2")
def test_discovery_says_so(idp: ProviderUnderTest) -> None:
    document = idp.browser.get("/.well-known/openid-configuration").json()
    for door in ("token", "revocation", "introspection"):
        methods = document[f"{door}_endpoint_auth_methods_supported"]
        assert "private_key_jwt" in methods
        assert "client_secret_jwt" not in methods
        algorithms = document[f"{door}_endpoint_auth_signing_alg_values_supported"]
        assert "ES256" in algorithms
        assert not any(alg.startswith("HS") or alg == "none" for alg in algorithms)


@pytest.mark.covers("R-24", "CV-12")
def test_a_secret_of_a_client_signs_nothing(idp: ProviderUnderTest) -> None:
    """`client_secret_jwt` is not offered, for whom it would be convenient."""
    now = int(idp.clock().timestamp())
    claims = {"iss": "other", "sub": "other", "aud": ISSUER, "exp": now + 60, "jti": "1"}
    head, body = (json.dumps(part).encode() for part in ({"alg": "HS256"}, claims))
    start = f"{base64url.encode(head)}.{base64url.encode(body)}"
    mac = hmac.digest(OTHER[1].encode(), start.encode(), "sha256")
    form = {
        "client_assertion_type": JWT_BEARER,
        "client_assertion": f"{start}.{base64url.encode(mac)}",
    }
    assert by_itself(idp, **form).json()["error"] == "invalid_client"
