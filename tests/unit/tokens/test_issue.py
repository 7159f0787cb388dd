"""Token contents by scope, against claim sets that are written out (RFC 9068, OIDC Core 2)."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import chain, combinations, count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.keys.jwks import new_signing_key
from idp.keys.signer import ClaimOfWrongKind, Signer
from idp.oauth.claim_names import OF_IDENTITY, OURS
from idp.oauth.claims import Person
from idp.oauth.client import Client, IdTokenClaims
from idp.tokens.authorization import Authorization, client_itself
from idp.tokens.issue import TokenIssuer, TokenSet, left_half_hash
from storage.records import KeyRing

ISSUER = "https://idp.example.com"
NOW = datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
NOW_SECONDS = 1767268800
LOGIN = NOW - timedelta(hours=5)
SUBJECT = "CgZ1c2VyLTESBWxvY2Fs"
ALICE = Person(
    subject=SUBJECT,
    connector_id="local",
    user_id="user-1",
    username="Alice Liddell",
    preferred_username="alice",
    email="alice@example.com",
    email_verified=True,
    groups=("developers", "admins"),
)
OPTIONAL = ("email", "profile", "groups", "offline_access", "federated:id")
BY_SCOPE: dict[str, dict[str, Any]] = {
    "email": {"email": "alice@example.com", "email_verified": True},
    "profile": {"name": "Alice Liddell", "preferred_username": "alice"},
    "groups": {"groups": ["developers", "admins"]},
    "offline_access": {},
    "federated:id": {"federated_claims": {"connector_id": "local", "user_id": "user-1"}},
}


@pytest.fixture(scope="session")
def signer() -> Signer:
    key = replace(new_signing_key("ES256", NOW), signs_from=NOW)
    return Signer(KeyRing(name="keys", keys=(key,)), default_alg="ES256")


@pytest.fixture
def issuer(signer: Signer) -> TokenIssuer:
    ids = count(1)
    return TokenIssuer(
        issuer=ISSUER,
        lifetime=timedelta(hours=1),
        signer=signer,
        clock=lambda: NOW,
        new_id=lambda: f"id-{next(ids)}",
    )


def alice(*scopes: str, peers: tuple[str, ...] = (), person: Person = ALICE) -> Authorization:
    return Authorization(
        client_id="app",
        person=person,
        scopes=scopes,
        peers=peers,
        nonce="the nonce",
        authenticated_at=LOGIN,
        grant_name="grant-1",
    )


def part(token: str | None, index: int) -> dict[str, Any]:
    assert token is not None
    text = token.split(".")[index]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return claims


def id_claims(tokens: TokenSet) -> dict[str, Any]:
    claims = part(tokens.id_token, 1)
    claims.pop("at_hash")
    return claims


def subsets(scopes: tuple[str, ...]) -> list[tuple[str, ...]]:
    return list(chain.from_iterable(combinations(scopes, size) for size in range(len(scopes) + 1)))


@pytest.mark.covers("R-40")
@pytest.mark.parametrize("optional", subsets(OPTIONAL), ids=" ".join)
def test_claims_are_exactly_those_of_the_scopes(
    issuer: TokenIssuer, optional: tuple[str, ...]
) -> None:
    scopes = ("openid", *optional)
    granted = {k: v for scope in optional for k, v in BY_SCOPE[scope].items()}
    times = {"iat": NOW_SECONDS, "exp": NOW_SECONDS + 3600, "auth_time": NOW_SECONDS - 5 * 3600}

    tokens = issuer.issue(alice(*scopes), refresh_token=None)

    assert part(tokens.access_token, 1) == {
        "iss": ISSUER,
        "sub": SUBJECT,
        "aud": ISSUER,
        "client_id": "app",
        "scope": " ".join(scopes),
        "grant": "grant-1",
        "jti": "id-1",
        **times,
        **granted,
    }
    assert id_claims(tokens) == {
        "iss": ISSUER,
        "sub": SUBJECT,
        "aud": "app",
        "nonce": "the nonce",
        "jti": "id-2",
        **times,
        **granted,
    }


@pytest.mark.covers("R-40")
@pytest.mark.spec("OIDC Core", "5.4")
def test_a_minimal_id_token_tells_of_the_login_and_not_of_the_person(issuer: TokenIssuer) -> None:
    full = alice("openid", *OPTIONAL)
    minimal = issuer.issue(replace(full, id_token_claims="minimal"), refresh_token=None)
    usual = issuer.issue(full, refresh_token=None)
    assert set(id_claims(minimal)) == {"iss", "sub", "aud", "nonce", "jti", "iat", "exp",
                                       "auth_time"}  # fmt: skip
    assert set(part(minimal.access_token, 1)) == set(part(usual.access_token, 1))


@pytest.mark.spec("OIDC Core", "5.5")
@pytest.mark.parametrize("where", ["all", "minimal"])
def test_what_is_asked_for_by_name_goes_where_it_was_asked_for(
    issuer: TokenIssuer, where: IdTokenClaims
) -> None:
    asking = replace(
        alice("openid"),
        id_token_claims=where,
        asked_for_id_token=("email", "motto"),
        asked_for_userinfo=("groups", "nickname"),
    )
    tokens = issuer.issue(asking, refresh_token=None)
    plain = issuer.issue(alice("openid"), refresh_token=None)
    assert set(id_claims(tokens)) - set(id_claims(plain)) == {"email"}
    access, before = part(tokens.access_token, 1), part(plain.access_token, 1)
    assert set(access) - set(before) == {"groups"}


@pytest.mark.covers("R-40")
@given(
    st.lists(
        st.tuples(
            st.sampled_from((*sorted(OURS | OF_IDENTITY), "ISS", "Groups", "Exp")),
            st.tuples(st.text(min_size=1, max_size=5)),
        )
    )
)
def test_no_source_of_users_reaches_what_the_protocol_owns(
    signer: Signer, claims: list[tuple[str, tuple[str, ...]]]
) -> None:
    """Even where the client asks for it by name, and whatever the scopes."""
    ids = count(1)
    issuer = TokenIssuer(
        issuer=ISSUER,
        lifetime=timedelta(hours=1),
        signer=signer,
        clock=lambda: NOW,
        new_id=lambda: f"id-{next(ids)}",
    )
    names = tuple(name for name, _ in claims)

    def of(person: Person) -> list[dict[str, Any]]:
        asking = replace(
            alice("openid", *OPTIONAL, "address", "phone", peers=("other",), person=person),
            asked_for_id_token=names,
            asked_for_userinfo=names,
        )
        made = (issuer.id_claims(asking), issuer.access_claims(asking))
        return [{k: v for k, v in claims.items() if k != "jti"} for claims in made]

    assert of(replace(ALICE, claims=tuple(claims))) == of(ALICE)


def test_every_claim_of_a_token_is_the_protocols_or_the_persons(issuer: TokenIssuer) -> None:
    """Userinfo repeats what is not the protocol's, so a new claim must be entered in the table."""
    authorization = alice("openid", *OPTIONAL, peers=("other",))
    tokens = issuer.issue(authorization, refresh_token=None)
    for token in (tokens.access_token, tokens.id_token):
        assert set(part(token, 1)) <= OURS | OF_IDENTITY


@pytest.mark.covers("R-40")
def test_headers_tell_the_two_kinds_apart(issuer: TokenIssuer) -> None:
    tokens = issuer.issue(alice("openid"), refresh_token=None)
    access, identity = part(tokens.access_token, 0), part(tokens.id_token, 0)
    assert access.pop("typ") == "at+jwt"
    assert identity.pop("typ") == "JWT"
    assert access == identity
    assert set(access) == {"alg", "kid"}


def test_without_openid_there_is_no_id_token(issuer: TokenIssuer) -> None:
    tokens = issuer.issue(alice("email"), refresh_token=None)
    assert tokens.id_token is None
    assert "id_token" not in tokens.members()


def test_groups_are_an_empty_list_for_a_person_without_groups(issuer: TokenIssuer) -> None:
    """CEL rules of kube-apiserver fail on a claim that is missing."""
    lonely = replace(ALICE, groups=())
    tokens = issuer.issue(alice("openid", "groups", person=lonely), refresh_token=None)
    assert part(tokens.id_token, 1)["groups"] == []
    assert part(tokens.access_token, 1)["groups"] == []


@pytest.mark.parametrize("verified", [True, False])
def test_email_verified_is_a_boolean(issuer: TokenIssuer, verified: bool) -> None:  # noqa: FBT001
    person = replace(ALICE, email_verified=verified)
    tokens = issuer.issue(alice("openid", "email", person=person), refresh_token=None)
    assert part(tokens.id_token, 1)["email_verified"] is verified


def test_a_person_without_an_address_has_neither_email_nor_email_verified(
    issuer: TokenIssuer,
) -> None:
    person = replace(ALICE, email="", email_verified=False)
    claims = id_claims(issuer.issue(alice("openid", "email", person=person), refresh_token=None))
    assert not {"email", "email_verified"} & set(claims)


def test_empty_names_are_left_out(issuer: TokenIssuer) -> None:
    person = replace(ALICE, username="", preferred_username="")
    claims = id_claims(issuer.issue(alice("openid", "profile", person=person), refresh_token=None))
    assert not {"name", "preferred_username"} & set(claims)


def test_without_a_nonce_there_is_no_nonce_claim(issuer: TokenIssuer) -> None:
    claims = id_claims(issuer.issue(replace(alice("openid"), nonce=""), refresh_token=None))
    assert "nonce" not in claims


@pytest.mark.parametrize(
    ("peers", "id_audience", "azp", "access_audience"),
    [
        ((), "app", None, ISSUER),
        (("app",), "app", None, ISSUER),
        (("kubernetes",), ["kubernetes", "app"], "app", [ISSUER, "kubernetes"]),
        (("app", "kubernetes"), ["kubernetes", "app"], "app", [ISSUER, "kubernetes"]),
        (("a", "b"), ["a", "b", "app"], "app", [ISSUER, "a", "b"]),
    ],
)
@pytest.mark.covers("R-40")
def test_audiences(
    issuer: TokenIssuer,
    peers: tuple[str, ...],
    id_audience: object,
    azp: str | None,
    access_audience: object,
) -> None:
    """`azp` names the client as soon as it is not the only audience; an access token never is
    for the client itself, or kube-apiserver would take it for an identity."""
    tokens = issuer.issue(alice("openid", peers=peers), refresh_token=None)
    assert part(tokens.id_token, 1)["aud"] == id_audience
    assert part(tokens.id_token, 1).get("azp") == azp
    assert part(tokens.access_token, 1)["aud"] == access_audience
    assert "azp" not in part(tokens.access_token, 1)


def test_at_hash_is_the_left_half_of_the_hash_of_the_access_token(issuer: TokenIssuer) -> None:
    tokens = issuer.issue(alice("openid"), refresh_token=None)
    at_hash = part(tokens.id_token, 1)["at_hash"]
    assert urlsafe_b64decode(at_hash + "==") == sha256(tokens.access_token.encode()).digest()[:16]
    # The example of OIDC Core A.3.
    example = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    assert left_half_hash(example) == "77QmUPtjPfzWtF2AnpK9RQ"


@pytest.mark.covers("R-23")
def test_the_answer_has_the_members_of_rfc_6749(issuer: TokenIssuer) -> None:
    members = issuer.issue(alice("openid", "email"), refresh_token="kir_x").members()
    assert set(members) == {
        "access_token", "token_type", "expires_in", "scope", "id_token", "refresh_token",
    }  # fmt: skip
    assert members["scope"] == "openid email"
    assert type(members["expires_in"]) is int


@given(
    seconds=st.integers(1, 7 * 86400),
    micros=st.integers(0, 999_999),
    age=st.timedeltas(timedelta(0), timedelta(days=400)),
)
def test_times_are_whole_seconds_and_never_in_the_future(
    signer: Signer, seconds: int, micros: int, age: timedelta
) -> None:
    now = datetime(2026, 7, 1, 1, 2, 3, micros, tzinfo=UTC)
    issuer = TokenIssuer(
        issuer=ISSUER,
        lifetime=timedelta(seconds=seconds),
        signer=signer,
        clock=lambda: now,
        new_id=lambda: "x",
    )
    tokens = issuer.issue(replace(alice("openid"), authenticated_at=now - age), refresh_token=None)
    for claims in (part(tokens.access_token, 1), part(tokens.id_token, 1)):
        assert [type(claims[name]) for name in ("iat", "exp", "auth_time")] == [int] * 3
        assert claims["iat"] <= now.timestamp() < claims["iat"] + 1
        assert claims["exp"] - claims["iat"] == tokens.expires_in == seconds
        assert claims["auth_time"] <= claims["iat"]
        assert "nbf" not in claims


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_names_arrive_as_they_are_in_any_script(signer: Signer, name: str) -> None:
    issuer = TokenIssuer(
        issuer=ISSUER,
        lifetime=timedelta(hours=1),
        signer=signer,
        clock=lambda: NOW,
        new_id=lambda: "x",
    )
    person = replace(ALICE, username=name, groups=(name, "日本"))
    tokens = issuer.issue(alice("openid", "profile", "groups", person=person), refresh_token=None)
    claims = part(tokens.id_token, 1)
    assert claims.get("name", "") == name
    assert claims["groups"] == [name, "日本"]


def client_tokens(issuer: TokenIssuer, *scopes: str) -> TokenSet:
    client = Client(id="robot", name="The Robot", credentials_groups=("machines",))
    return issuer.issue(client_itself(client, scopes), refresh_token=None)


@pytest.mark.covers("R-26")
def test_a_client_on_its_own_behalf_is_its_own_subject(issuer: TokenIssuer) -> None:
    claims = part(client_tokens(issuer).access_token, 1)
    # Dex: protobuf of user id = client id, and no connector.
    assert urlsafe_b64decode(claims["sub"] + "===") == b"\x0a\x05robot"
    assert not {"auth_time", "nonce", "grant", "email", "name", "groups"} & set(claims)
    assert claims["client_id"] == "robot"
    assert claims["aud"] == ISSUER


def test_a_client_gets_an_identity_only_if_it_asks_for_one(issuer: TokenIssuer) -> None:
    assert client_tokens(issuer, "email").id_token is None
    tokens = client_tokens(issuer, "openid", "profile", "groups", "email")
    claims = part(tokens.id_token, 1)
    assert claims["aud"] == "robot"
    assert claims["name"] == claims["preferred_username"] == "The Robot"
    assert claims["groups"] == ["machines"]
    assert not {"auth_time", "nonce", "email", "email_verified"} & set(claims)


def test_an_answer_never_has_an_empty_scope(issuer: TokenIssuer) -> None:
    """RFC 6749 section 3.3: a scope has at least one token; the member is left out instead."""
    tokens = client_tokens(issuer)
    assert tokens.members().get("scope", "something") != ""
    assert part(tokens.access_token, 1).get("scope", "something") != ""


@pytest.mark.parametrize("bad", [1.5, "3600", True, None])
def test_a_time_that_is_no_whole_number_is_a_bug_and_never_signed(
    signer: Signer, bad: object
) -> None:
    sign: Callable[..., str] = signer.sign
    with pytest.raises(ClaimOfWrongKind):
        sign({"exp": bad}, typ="JWT")
