"""Signing: other libraries verify it, wrong claims never get that far, keys are swapped as one."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from jwcrypto.jwk import JWKSet  # type: ignore[import-untyped]
from jwcrypto.jws import JWS  # type: ignore[import-untyped]

from idp.keys.errors import TokenKeyUnknown
from idp.keys.jwks import KeyUnusable, key_set_json, new_signing_key
from idp.keys.live import LiveKeys
from idp.keys.loading import load_private, load_public
from idp.keys.ring import RingIncomplete, RotationPolicy, due, emergency, signing_key
from idp.keys.signer import NUMERIC_DATES, ClaimOfWrongKind, Signer
from storage.records import KeyRing

ALGORITHMS = ("RS256", "ES256")
CLAIMS = {"iss": "i", "sub": "日本", "exp": 2**40, "iat": 1, "groups": ["a"], "nested": {"a": [1]}}


@pytest.mark.covers("R-40")
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_joserfc_and_jwcrypto_verify_with_the_published_set(ring: KeyRing, alg: str) -> None:
    text = Signer(ring, default_alg="RS256").sign(CLAIMS, typ="at+jwt", alg=alg)
    key_set = key_set_json(ring)
    read = joserfc_jwt.decode(text, KeySet.import_key_set(json.loads(key_set)), algorithms=[alg])
    assert read.claims == CLAIMS
    assert set(read.header) == {"alg", "kid", "typ"}
    assert (read.header["alg"], read.header["typ"]) == (alg, "at+jwt")
    jws = JWS()
    jws.allowed_algs = [alg]
    jws.deserialize(text)
    jws.verify(JWKSet.from_json(key_set.decode()).get_key(read.header["kid"]))
    assert json.loads(jws.payload) == CLAIMS


@pytest.mark.parametrize("claim", NUMERIC_DATES)
@pytest.mark.parametrize("value", [1.5, 1.0, True, "1", None, datetime(2026, 1, 1)])  # noqa: DTZ001
def test_times_that_are_not_whole_seconds_are_a_bug(ring: KeyRing, claim: str, value: Any) -> None:
    signer = Signer(ring, default_alg="ES256")
    with pytest.raises(ClaimOfWrongKind, match=claim):
        signer.sign({**CLAIMS, claim: value}, typ="JWT")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_claims_that_are_no_json_are_never_signed(ring: KeyRing, value: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        Signer(ring, default_alg="ES256").sign({"x": value}, typ="JWT")


def test_without_a_wish_the_default_signs_or_what_has_signed_so_far(ring: KeyRing) -> None:
    only_rsa = replace(ring, keys=tuple(key for key in ring.keys if key.alg == "RS256"))
    signer = Signer(only_rsa, default_alg="ES256")
    assert signer.algorithms == ("RS256",)
    assert header(signer.sign({}, typ="JWT"))["alg"] == "RS256"
    with pytest.raises(RingIncomplete, match="ES256"):
        signer.sign({}, typ="JWT", alg="ES256")
    signer.use(signer.load(ring))
    assert header(signer.sign({}, typ="JWT"))["alg"] == "ES256"
    with pytest.raises(RingIncomplete):
        Signer(replace(ring, keys=()), default_alg="RS256").sign({}, typ="JWT")


def header(text: str) -> dict[str, Any]:
    return dict(joserfc_header(text))


def joserfc_header(text: str) -> dict[str, Any]:
    jws = JWS()
    jws.deserialize(text)
    return dict(jws.jose_header)


def test_a_key_is_loaded_once(ring: KeyRing) -> None:
    signer = Signer(ring, default_alg="RS256")
    first, second = signer.load(ring), signer.load(ring)
    assert all(first[alg] is second[alg] for alg in ALGORITHMS)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_that_does_not_load_is_named_and_never_shown(ring: KeyRing, alg: str) -> None:
    key = next(key for key in ring.keys if key.alg == alg)
    other = next(other for other in ring.keys if other.alg == alg and other is not key)
    wrong_alg = "ES256" if alg == "RS256" else "RS256"
    members = json.loads(key.private_jwk)
    bad = [
        replace(key, private_jwk=""),
        replace(key, private_jwk="[]"),
        replace(key, private_jwk=json.dumps({**members, "p": "AA", "d": "AA"})),
        replace(key, private_jwk=json.dumps({**members, "kty": "oct"})),
        replace(key, private_jwk=key.public_jwk),
        replace(key, private_jwk=other.private_jwk),
        replace(key, alg=wrong_alg),
        replace(key, alg="none"),
        replace(key, alg="HS256"),
    ]
    for broken in bad:
        with pytest.raises(KeyUnusable, match=key.kid) as caught:
            load_private(broken)
        assert members["d"] not in str(caught.value)
    for public in ("", "[]", "{}", '{"kty":"RSA"}', '{"kty":"EC","crv":"P-999","x":"A","y":"A"}'):
        with pytest.raises(KeyUnusable, match=key.kid):
            load_public(replace(key, public_jwk=public))


@pytest.mark.covers("R-93")
def test_signer_verifier_and_set_are_swapped_as_one(
    ring: KeyRing, policy: RotationPolicy, now: datetime
) -> None:
    live = LiveKeys(policy)
    live.adopt(ring, ring)
    old = live.signer.sign({**CLAIMS, "iss": "i"}, typ="JWT")
    later = now + policy.rotation_period
    rotated = due(ring, policy, later, [new_signing_key(alg, later) for alg in policy.algorithms])
    live.adopt(rotated, rotated)
    assert live.key_set == key_set_json(rotated)
    assert header(live.signer.sign({}, typ="JWT"))["kid"] == ring.keys[1].kid
    live.verifier.verify(old, typ="JWT", issuer="i", now=now)

    fresh = [new_signing_key(alg, later) for alg in policy.algorithms for _ in range(2)]
    swapped = emergency(rotated, policy, later, fresh)
    etag = live.etag
    live.adopt(swapped, rotated)
    assert (live.key_set, live.etag != etag) == (key_set_json(swapped), True)
    assert header(live.signer.sign({}, typ="JWT"))["kid"] == ring.keys[1].kid
    with pytest.raises(TokenKeyUnknown):
        live.verifier.verify(old, typ="JWT", issuer="i", now=now)
    live.adopt(swapped, swapped)
    assert header(live.signer.sign({}, typ="JWT"))["kid"] == fresh[0].kid


def test_a_ring_that_does_not_load_changes_nothing(
    ring: KeyRing, policy: RotationPolicy, now: datetime
) -> None:
    live = LiveKeys(policy)
    live.adopt(ring, ring)
    key_set, text = live.key_set, live.signer.sign(CLAIMS, typ="JWT")
    signing = signing_key(ring, "RS256")
    assert signing is not None
    new = new_signing_key("RS256", now)
    stolen = replace(new, signs_from=now, private_jwk=signing.private_jwk)
    for broken in (
        replace(ring, keys=(stolen,)),
        replace(ring, keys=(*ring.keys, replace(new, public_jwk="{}"))),
        replace(ring, keys=(*ring.keys, replace(new, alg="ES256", retired_at=now))),
    ):
        with pytest.raises(KeyUnusable):
            live.adopt(broken, broken)
        assert live.key_set == key_set
        assert live.signer.sign(CLAIMS, typ="JWT") == text
        live.verifier.verify(text, typ="JWT", issuer="i", now=now - timedelta(days=1))
