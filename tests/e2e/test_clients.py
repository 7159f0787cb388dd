"""Other people's clients: Authlib as applications use it, and plain HTTP."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.kit.relying_party import SCOPES, RelyingParty, submit_login
from tests.kit.scene import EXAMPLE_SECRET, JANE
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess

pytestmark = pytest.mark.servers

_REDIRECT_URI = "http://127.0.0.1:5555/callback"


@pytest.fixture(scope="module")
def application(provider: IdpProcess) -> Iterator[RelyingParty]:
    with provider.client() as http:
        yield RelyingParty(
            http=http,
            issuer=provider.issuer,
            client_id="example-app",
            client_secret=EXAMPLE_SECRET,
            redirect_uri=_REDIRECT_URI,
        )


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_signs_in_refreshes_and_asks(
    provider: IdpProcess, ca: CertificateAuthority, method: str
) -> None:
    async def main() -> None:
        verifier, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
        async with AsyncOAuth2Client(
            client_id="example-app",
            client_secret=EXAMPLE_SECRET,
            token_endpoint_auth_method=method,
            redirect_uri=_REDIRECT_URI,
            scope=" ".join(SCOPES),
            code_challenge_method="S256",
            verify=ca.client_context(),
        ) as client:
            metadata = await _document(
                client, f"{provider.issuer}/.well-known/openid-configuration"
            )
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
            )
            location = await asyncio.to_thread(_sign_in, provider, url)
            token = await client.fetch_token(
                metadata["token_endpoint"],
                authorization_response=location,
                state=state,
                code_verifier=verifier,
            )
            keys = KeySet.import_key_set(await _document(client, metadata["jwks_uri"]))  # type: ignore[arg-type]
            claims = _validated(token, keys, metadata, nonce=nonce)
            told = (await client.get(metadata["userinfo_endpoint"])).json()
            renewed = await client.refresh_token(
                metadata["token_endpoint"], refresh_token=token["refresh_token"]
            )
            assert told["sub"] == claims["sub"]
            assert told["email"] == claims["email"] == JANE.email
            assert renewed["refresh_token"] != token["refresh_token"]
            assert _validated(renewed, keys, metadata, nonce=nonce)["sub"] == claims["sub"]

    asyncio.run(main())


def test_plain_http_signs_in_refreshes_and_asks(application: RelyingParty) -> None:
    tokens = application.sign_in(JANE.email, JANE.password)

    claims = application.claims(tokens.id_token)
    told = application.userinfo(tokens.access_token).json()
    renewed = application.refresh(tokens.refresh_token)

    own = ("name", "preferred_username", "groups", "department")
    assert told == {name: claims[name] for name in ("sub", "email", "email_verified", *own)}
    assert claims["email"] == JANE.email
    assert claims["groups"] == list(JANE.groups)
    assert tokens.expires_in == 3600
    assert application.claims(renewed.id_token)["sub"] == claims["sub"]
    assert application.userinfo(renewed.access_token).status_code == 200


def test_replayed_code_ends_what_it_issued(application: RelyingParty) -> None:
    attempt = application.depart()
    location = submit_login(application.http, attempt.url, login=JANE.email, password=JANE.password)
    code = application.code_of(location, attempt)
    tokens = application.redeem(code, attempt)

    with pytest.raises(httpx.HTTPStatusError, match="400"):
        application.redeem(code, attempt)

    refused = application.token(grant_type="refresh_token", refresh_token=tokens.refresh_token)
    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_grant"


async def _document(client: Any, url: str) -> dict[str, Any]:
    answer = await client.request("GET", url, withhold_token=True)
    answer.raise_for_status()
    return dict(answer.json())


def _validated(
    token: Mapping[str, Any], keys: KeySet, metadata: Mapping[str, Any], *, nonce: str
) -> Mapping[str, Any]:
    """Return the claims after joserfc's and Authlib's own checks of an ID token."""
    decoded = jwt.decode(token["id_token"], keys, ["RS256"])
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        options={
            "iss": {"essential": True, "value": metadata["issuer"]},
            "aud": {"essential": True, "value": "example-app"},
        },
        params={
            "client_id": "example-app",
            "nonce": nonce,
            "access_token": token["access_token"],
        },
    )
    claims.validate()
    return dict(claims)


def _sign_in(provider: IdpProcess, url: str) -> str:
    with provider.client() as http:
        return submit_login(http, url, login=JANE.email, password=JANE.password)
