"""What is in the tokens, read by verifiers that are not ours (RFC 9068, OIDC Core 2 and 12.2)."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt as joserfc_jwt
from joserfc.errors import ExpiredTokenError
from joserfc.jwk import KeySet
from jwcrypto.jwk import JWKSet  # type: ignore[import-untyped]
from jwcrypto.jws import JWS  # type: ignore[import-untyped]

from tests.kit.provider import (
    CONFIDENTIAL,
    ISSUER,
    OTHER,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)

SUBJECT = "CgZ1c2VyLTESBWxvY2Fs"
"""Alice as Dex writes her: protobuf of "user-1" and "local"."""


@pytest.fixture(scope="module", params=["RS256", "ES256"])
def idp(request: pytest.FixtureRequest) -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": request.param}}
    config["staticClients"][0]["clientCredentialsClaims"] = {"groups": ["machines"]}
    config["staticPasswords"].append(
        {**config["staticPasswords"][0], "email": "bob@example.com", "userID": "user-2",
         "groups": [], "emailVerified": False, "name": "", "preferredUsername": ""}
    )  # fmt: skip
    with provider_under_test(config) as provider:
        yield provider


def key_set(idp: ProviderUnderTest) -> dict[str, Any]:
    found: dict[str, Any] = idp.browser.get("/keys").json()
    return found


def header_of(token: str) -> dict[str, Any]:
    text = token.split(".")[0]
    header: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return header


def claims_of(idp: ProviderUnderTest, token: str) -> dict[str, Any]:
    """Return the claims as two strangers read them, both of whom check the signature."""
    keys = key_set(idp)
    algorithm = header_of(token)["alg"]
    theirs = JWS()
    theirs.allowed_algs = [algorithm]
    theirs.deserialize(token)
    theirs.verify(JWKSet.from_json(json.dumps(keys)))
    claims: dict[str, Any] = json.loads(theirs.payload)
    again = joserfc_jwt.decode(token, KeySet.import_key_set(keys), algorithms=[algorithm])  # type: ignore[arg-type]
    assert claims == again.claims
    return claims


def as_relying_party(
    idp: ProviderUnderTest, tokens: dict[str, Any], *, client_id: str = "app", **params: Any
) -> dict[str, Any]:
    """Return the claims of the ID token, judged by Authlib's rules for relying parties."""
    claims = claims_of(idp, tokens["id_token"])
    judged = CodeIDToken(
        claims,
        header_of(tokens["id_token"]),
        options={"iss": {"values": [ISSUER]}, "aud": {"value": client_id}},
        params={"client_id": client_id, "access_token": tokens["access_token"], **params},
    )
    judged.validate(now=int(idp.clock().timestamp()), leeway=0)
    return claims


@pytest.mark.covers("R-40")
@pytest.mark.spec("OIDC Core", "2")
@pytest.mark.spec("RFC 9068", "2.2")
@pytest.mark.spec("RFC 9068", "2.2.3")
@pytest.mark.spec("RFC 9068", "2")
def test_the_whole_login_to_the_letter(idp: ProviderUnderTest) -> None:
    """The golden set: every claim of a login with all scopes, and none besides."""
    scope = "openid email profile groups offline_access federated:id"
    now = int(idp.clock().timestamp())
    tokens = idp.tokens(scope)
    identity, access = claims_of(idp, tokens["id_token"]), claims_of(idp, tokens["access_token"])
    person = {
        "iss": ISSUER,
        "sub": SUBJECT,
        "email": "alice@example.com",
        "email_verified": True,
        "name": "Alice Liddell",
        "preferred_username": "alice",
        "groups": ["developers", "admins"],
        "federated_claims": {"connector_id": "local", "user_id": "user-1"},
        "iat": now,
        "exp": now + 3600,
        "auth_time": now,
    }
    at_hash, id_jti = identity.pop("at_hash"), identity.pop("jti")
    grant, access_jti = access.pop("grant"), access.pop("jti")
    method = {
        "acr": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
        "amr": ["pwd"],
    }
    assert identity == {**person, **method, "aud": "app", "nonce": "the nonce"}
    assert access == {**person, "aud": ISSUER, "client_id": "app", "scope": scope}
    assert [len(value) for value in (at_hash, id_jti, access_jti, grant)] == [22, 32, 32, 32]


@pytest.mark.covers("R-40")
@pytest.mark.spec("OIDC Core", "2")
@pytest.mark.spec("RFC 9068", "2.1")
def test_headers_name_kind_key_and_algorithm(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    published = {key["kid"]: key for key in key_set(idp)["keys"]}
    for name, kind in (("id_token", "JWT"), ("access_token", "at+jwt")):
        header = header_of(tokens[name])
        assert set(header) == {"alg", "kid", "typ"}
        assert header["typ"] == kind
        assert published[header["kid"]]["alg"] == header["alg"]


@pytest.mark.covers("R-40")
@pytest.mark.spec("OIDC Core", "3.1.3.7")
def test_a_relying_party_that_is_not_ours_accepts_the_id_token(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    as_relying_party(idp, tokens, nonce="the nonce")
    again = idp.refresh(tokens["refresh_token"]).json()
    as_relying_party(idp, again)


@pytest.mark.spec("OIDC Core", "3.1.3.6")
def test_at_hash_belongs_to_the_access_token_beside_it(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    for answer in (tokens, idp.refresh(tokens["refresh_token"]).json()):
        at_hash = claims_of(idp, answer["id_token"])["at_hash"]
        digest = sha256(answer["access_token"].encode()).digest()
        assert urlsafe_b64decode(at_hash + "==") == digest[:16]


def test_every_token_has_a_jti_of_its_own(idp: ProviderUnderTest) -> None:
    """kube-apiserver writes it to the audit log, others keep replay caches by it."""
    tokens = idp.tokens()
    answers = [tokens, *(idp.refresh(tokens["refresh_token"]).json() for _ in range(10))]
    seen = [claims_of(idp, answer[name])["jti"] for answer in answers
            for name in ("id_token", "access_token")]  # fmt: skip
    assert len(set(seen)) == len(seen) == 22
    assert all(len(jti) >= 22 for jti in seen)


@pytest.mark.spec("OIDC Core", "12.2")
def test_a_refreshed_id_token_tells_of_the_same_login(idp: ProviderUnderTest) -> None:
    """Same `iss`, `sub`, `aud` and `auth_time`; `nonce`, if any, is the first one, as with Dex."""
    tokens = idp.tokens()
    first = claims_of(idp, tokens["id_token"])
    idp.clock.turn(1800)
    second = claims_of(idp, idp.refresh(tokens["refresh_token"]).json()["id_token"])
    changing = {"iat", "exp", "jti", "at_hash"}
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in second.items() if k not in changing
    }
    assert second["nonce"] == "the nonce"
    assert second["iat"] == first["iat"] + 1800
    assert second["exp"] == first["exp"] + 1800
    assert second["auth_time"] == first["auth_time"]
    assert not {first[name] for name in ("jti", "at_hash")} & {second["jti"], second["at_hash"]}


@pytest.mark.spec("OIDC Core", "2")
def test_a_login_without_nonce_never_gets_one(idp: ProviderUnderTest) -> None:
    tokens = idp.redeem(idp.code({"nonce": None})).json()
    assert "nonce" not in claims_of(idp, tokens["id_token"])
    again = idp.refresh(tokens["refresh_token"]).json()
    assert "nonce" not in claims_of(idp, again["id_token"])


@pytest.mark.covers("R-40")
def test_somebody_without_groups_and_names(idp: ProviderUnderTest) -> None:
    """`groups` is there as soon as its scope was granted; booleans are booleans."""
    tokens = idp.redeem(idp.code(username="bob@example.com")).json()
    for name in ("id_token", "access_token"):
        claims = claims_of(idp, tokens[name])
        assert claims["groups"] == []
        assert claims["email_verified"] is False
    assert idp.userinfo(tokens["access_token"]).json()["groups"] == []


@pytest.mark.covers("R-40", "CV-3")
def test_an_audience_of_a_trusting_peer(idp: ProviderUnderTest) -> None:
    """The ID token is for both and says who asked; the access token is never for the client."""
    tokens = idp.tokens("openid offline_access audience:server:client_id:other")
    for answer in (tokens, idp.refresh(tokens["refresh_token"]).json()):
        identity = as_relying_party(idp, answer)
        assert identity["aud"] == [OTHER[0], "app"]
        assert identity["azp"] == "app"
        access = claims_of(idp, answer["access_token"])
        assert access["aud"] == [ISSUER, OTHER[0]]
    narrow = idp.refresh(tokens["refresh_token"], scope="openid").json()
    assert claims_of(idp, narrow["id_token"])["aud"] == "app"
    assert claims_of(idp, narrow["access_token"])["aud"] == ISSUER


@pytest.mark.covers("R-40", "R-45")
@pytest.mark.spec("RFC 9068", "3")
def test_no_access_token_is_ever_for_the_client_itself(idp: ProviderUnderTest) -> None:
    """kube-apiserver looks at `aud` and not at `typ`."""
    scopes = [
        "openid", "openid audience:server:client_id:app",
        "openid audience:server:client_id:other audience:server:client_id:app",
    ]  # fmt: skip
    for scope in scopes:
        tokens = [
            idp.tokens(scope),
            idp.token({"grant_type": "client_credentials", "scope": scope}).json(),
        ]
        for answer in tokens:
            audience = claims_of(idp, answer["access_token"])["aud"]
            assert "app" not in (audience if isinstance(audience, list) else [audience])


@pytest.mark.covers("R-45", "R-15")
@pytest.mark.spec("RFC 8725", "3.11")
def test_only_an_id_token_is_a_hint(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    hint = idp.authorize({"id_token_hint": tokens["id_token"], "prompt": "login"})
    assert hint.status_code == 200
    for other in (tokens["access_token"], tokens["refresh_token"], idp.code()):
        refused = idp.authorize({"id_token_hint": other})
        assert "error=invalid_request" in refused.headers["location"]


@pytest.mark.covers("R-26")
def test_a_client_on_its_own_behalf(idp: ProviderUnderTest) -> None:
    now = int(idp.clock().timestamp())
    scope = "openid profile groups email"
    answer = idp.token({"grant_type": "client_credentials", "scope": scope}).json()
    assert "refresh_token" not in answer
    claims = claims_of(idp, answer["id_token"])
    assert {k: v for k, v in claims.items() if k not in ("jti", "at_hash")} == {
        "iss": ISSUER,
        "sub": "CgNhcHA",
        "aud": "app",
        "iat": now,
        "exp": now + 3600,
        "name": "The App",
        "preferred_username": "The App",
        "groups": ["machines"],
    }
    assert urlsafe_b64decode("CgNhcHA=") == b"\x0a\x03app"


@pytest.mark.covers("R-26")
@pytest.mark.parametrize("scope", [None, "profile", "groups email"])
def test_a_client_gets_an_id_token_only_for_openid(
    idp: ProviderUnderTest, scope: str | None
) -> None:
    form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
    answer = idp.token(form).json()
    assert set(answer) <= {"access_token", "token_type", "expires_in", "scope"}
    assert claims_of(idp, answer["access_token"])["client_id"] == CONFIDENTIAL[0]


@pytest.mark.covers("R-26")
@pytest.mark.parametrize("scope", ["openid offline_access", "federated:id", 'openid "', "a\nb"])
def test_a_client_may_not_ask_for_what_needs_a_person(idp: ProviderUnderTest, scope: str) -> None:
    answer = idp.token({"grant_type": "client_credentials", "scope": scope})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


@pytest.mark.covers("R-40", "I-4")
def test_times_are_integers_and_iat_is_not_in_the_future(idp: ProviderUnderTest) -> None:
    idp.clock.turn(0.999_999)
    tokens = idp.tokens()
    for name in ("id_token", "access_token"):
        claims = claims_of(idp, tokens[name])
        assert {type(claims[time]) for time in ("iat", "exp", "auth_time")} == {int}
        assert claims["iat"] <= idp.clock().timestamp()
        assert "nbf" not in claims


@pytest.mark.covers("I-4")
def test_tokens_are_good_until_the_second_in_which_they_expire(idp: ProviderUnderTest) -> None:
    tokens = idp.tokens()
    exp = claims_of(idp, tokens["access_token"])["exp"]
    idp.clock.turn(exp - 0.001 - idp.clock().timestamp())
    as_relying_party(idp, tokens)
    assert idp.userinfo(tokens["access_token"]).status_code == 200
    idp.clock.turn(0.001)
    with pytest.raises(ExpiredTokenError):
        as_relying_party(idp, tokens)
    assert idp.userinfo(tokens["access_token"]).status_code == 401
