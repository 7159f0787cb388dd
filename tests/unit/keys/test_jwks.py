"""The published set: bytes that every replica agrees on and every client can read."""

import json
from dataclasses import replace
from datetime import datetime

import pytest
from joserfc.jwk import KeySet
from jwcrypto.jwk import JWK, JWKSet  # type: ignore[import-untyped]

from idp.keys.jwks import ALGORITHMS, KeyUnusable, key_set_json, new_signing_key
from storage.records import KeyRing

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}


@pytest.mark.covers("R-46", "R-40")
def test_only_public_members_of_rsa_and_ec_keys_are_published(ring: KeyRing) -> None:
    keys = json.loads(key_set_json(ring))["keys"]
    assert len(keys) == len(ring.keys) == 4
    for key in keys:
        members = {"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}}[key["kty"]]
        assert set(key) == members | {"kid", "use", "alg", "kty"}
        assert not PRIVATE & set(key)
        assert key["use"] == "sig"
        assert key["alg"] in ALGORITHMS
    assert len({key["kid"] for key in keys}) == 4


@pytest.mark.covers("R-46")
def test_the_bytes_depend_on_nothing_but_the_set(ring: KeyRing) -> None:
    turned = replace(ring, keys=tuple(reversed(ring.keys)))
    reworded = tuple(
        replace(key, public_jwk=json.dumps(json.loads(key.public_jwk), indent=2, sort_keys=True))
        for key in ring.keys
    )
    assert key_set_json(ring) == key_set_json(turned)
    assert key_set_json(ring) == key_set_json(replace(ring, keys=reworded))
    assert b" " not in key_set_json(ring)


def test_other_libraries_read_the_set(ring: KeyRing) -> None:
    text = key_set_json(ring)
    assert {key.kid for key in KeySet.import_key_set(json.loads(text)).keys} == {
        key.kid for key in ring.keys
    }
    assert len(JWKSet.from_json(text.decode())["keys"]) == 4


def test_the_kid_is_the_thumbprint(ring: KeyRing) -> None:
    for key in ring.keys:
        assert JWK.from_json(key.public_jwk).thumbprint() == key.kid


def test_private_members_in_the_public_text_still_do_not_get_out(ring: KeyRing) -> None:
    key = ring.keys[0]
    leaky = replace(ring, keys=(replace(key, public_jwk=key.private_jwk),))
    (published,) = json.loads(key_set_json(leaky))["keys"]
    assert not PRIVATE & set(published)


@pytest.mark.parametrize(
    "public",
    [
        '{"kty":"OKP","crv":"Ed25519","x":"AA"}',
        '{"kty":"oct","k":"AA"}',
        '{"kty":"AKP","pub":"AA"}',
        '{"kty":"RSA","n":"AA"}',
        "[]",
        "",
        "null",
    ],
)
def test_a_key_that_would_break_the_set_is_not_published(ring: KeyRing, public: str) -> None:
    key = replace(ring.keys[0], public_jwk=public)
    with pytest.raises(KeyUnusable, match=key.kid):
        key_set_json(replace(ring, keys=(key,)))


def test_a_kid_is_published_once(ring: KeyRing) -> None:
    with pytest.raises(KeyUnusable, match="same kid"):
        key_set_json(replace(ring, keys=(ring.keys[0], ring.keys[0])))


def test_new_keys_are_of_the_stated_kind(now: datetime) -> None:
    es256, rs256 = new_signing_key("ES256", now), new_signing_key("RS256", now)
    assert json.loads(es256.public_jwk)["crv"] == "P-256"
    assert JWK.from_json(rs256.public_jwk).get_op_key("verify").key_size == 2048
    assert (es256.created_at, es256.signs_from) == (now, None)
    for key in (es256, rs256):
        assert "private" not in repr(key)
        assert json.loads(key.private_jwk)["d"] not in repr(key)
        assert not PRIVATE & set(json.loads(key.public_jwk))


@pytest.mark.parametrize("alg", ["none", "HS256", "EdDSA", "PS256", ""])
def test_no_other_algorithm_is_made(now: datetime, alg: str) -> None:
    with pytest.raises(KeyUnusable, match="RS256, ES256"):
        new_signing_key(alg, now)
