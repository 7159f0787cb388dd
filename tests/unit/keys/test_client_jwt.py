"""A JWT of a client: signed by a registered key with a served algorithm, or refused."""

import json

import pytest

from idp.keys.client_jwt import read_client_jwt
from idp.keys.client_keys import CLIENT_ALGORITHMS, ClientKey, read_key_set
from idp.keys.errors import TokenInvalid, TokenKeyUnknown, TokenSignatureBad
from tests.kit.signing_client import SigningClient, key_for

ISSUER = "https://idp.example.com"
CLAIMS = {"iss": "app", "aud": ISSUER}


def client(alg: str = "ES256", name: str = "first") -> SigningClient:
    return SigningClient("app", ISSUER, alg=alg, name=name)


def keys_of(*clients: SigningClient) -> tuple[ClientKey, ...]:
    return read_key_set(json.dumps({"keys": [each.jwks["keys"][0] for each in clients]}))


@pytest.mark.parametrize("alg", CLIENT_ALGORITHMS)
def test_every_served_algorithm_verifies(alg: str) -> None:
    signer = client(alg)
    jwt = read_client_jwt(signer.jwt(CLAIMS), keys_of(signer), algorithms=CLIENT_ALGORITHMS)
    assert jwt.claims == CLAIMS
    assert jwt.header == signer.header


@pytest.mark.covers("R-41", "CV-12")
def test_an_algorithm_that_is_not_asked_for_is_refused() -> None:
    signer = client("RS256")
    with pytest.raises(TokenSignatureBad):
        read_client_jwt(signer.jwt(CLAIMS), keys_of(signer), algorithms=("PS256", "ES256"))


@pytest.mark.covers("R-41", "CV-8")
def test_a_key_of_somebody_else_is_refused() -> None:
    stranger = client(name="stranger")
    for header in (client().header, stranger.header, {"alg": "ES256"}):
        with pytest.raises((TokenSignatureBad, TokenKeyUnknown)):
            read_client_jwt(
                stranger.jwt(CLAIMS, header), keys_of(client()), algorithms=CLIENT_ALGORITHMS
            )


def test_without_a_kid_there_must_be_one_key_that_fits() -> None:
    one, another, third = client(), client(name="second"), client("PS256")
    text = one.jwt(CLAIMS, {"alg": "ES256"})
    jwt = read_client_jwt(text, keys_of(one, third), algorithms=CLIENT_ALGORITHMS)
    assert jwt.claims == CLAIMS
    with pytest.raises(TokenKeyUnknown):
        read_client_jwt(text, keys_of(one, another), algorithms=CLIENT_ALGORITHMS)


def test_one_key_with_two_algorithms_verifies_only_what_it_registered() -> None:
    key = key_for("RS256", "first").as_dict(private=False)
    del key["alg"]
    both = read_key_set(json.dumps({"keys": [key]}))
    one = read_key_set(json.dumps({"keys": [{**key, "alg": "RS256"}]}))
    signer = client("RS256")
    for keys in (both, one):
        jwt = read_client_jwt(signer.jwt(CLAIMS), keys, algorithms=CLIENT_ALGORITHMS)
        assert jwt.claims == CLAIMS
    with pytest.raises(TokenInvalid):
        read_client_jwt(
            signer.jwt(CLAIMS, {**signer.header, "alg": "PS256"}),
            one,
            algorithms=CLIENT_ALGORITHMS,
        )
