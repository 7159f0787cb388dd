"""Key sets of clients: what is taken, what is passed over, what makes the whole unusable."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.keys import base64url
from idp.keys.client_keys import (
    CLIENT_ALGORITHMS,
    LONGEST_SET,
    MOST_KEYS,
    KeySetUnusable,
    key_set_text,
    read_key_set,
)
from tests.kit.signing_client import key_for


def public(made_for: str, /, **changes: Any) -> dict[str, Any]:
    """Return the public key made for an algorithm with other members; None takes one away."""
    known = {**key_for(made_for, "first").as_dict(private=False), **changes}
    return {name: value for name, value in known.items() if value is not None}


def a_set(*keys: Any) -> str:
    return json.dumps({"keys": list(keys)})


RSA = frozenset(alg for alg in CLIENT_ALGORITHMS if alg[0] in "RP")


@pytest.mark.spec("RFC 7517", "5")
@pytest.mark.parametrize("alg", CLIENT_ALGORITHMS)
def test_a_key_verifies_what_it_is_registered_for(alg: str) -> None:
    (key,) = read_key_set(a_set(public(alg)))
    assert (key.kid, key.algorithms) == (f"{alg}-first", frozenset({alg}))


@pytest.mark.parametrize(("alg", "fits"), [("RS256", RSA), ("ES384", frozenset({"ES384"}))])
def test_a_key_without_an_algorithm_has_those_that_fit_it(alg: str, fits: frozenset[str]) -> None:
    (key,) = read_key_set(a_set(public(alg, alg=None, use=None, kid=None)))
    assert (key.kid, key.algorithms) == ("", fits)


def weak_rsa(bits: int, exponent: int = 65537) -> dict[str, Any]:
    n, e = ((1 << (bits - 1)) + 1), exponent
    return {
        "kty": "RSA",
        "n": base64url.encode(n.to_bytes((bits + 7) // 8, "big")),
        "e": base64url.encode(e.to_bytes(max(1, (e.bit_length() + 7) // 8), "big")),
    }


PASSED_OVER: list[Any] = [
    None, 1, "x", [], {}, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA"}, {"kty": "EC"}, {"kty": 5},
    {"kty": ["RSA"]}, public("RS256", use="enc"), public("RS256", key_ops=["sign"]),
    public("RS256", alg="ES256"), public("RS256", alg="HS256"), public("RS256", alg="none"),
    public("RS256", alg=5), public("RS256", kid=5), public("RS256", kid="k" * 257),
    public("RS256", n="!!!"), public("RS256", n=5), public("RS256", n=public("RS256")["n"] + "="),
    public("RS256", e=None), public("ES256", crv="P-384"), public("ES256", crv="secp256k1"),
    public("ES256", crv=["P-256"]), public("ES256", x="AAAA"), public("ES256", y=None),
    public("ES256", x=public("ES256")["y"]), public("EdDSA", crv="X25519"), public("EdDSA", x="AA"),
    public("EdDSA", crv="Ed448"), weak_rsa(1024), weak_rsa(2047), weak_rsa(8193), weak_rsa(2048, 1),
    weak_rsa(2048, 2), weak_rsa(2048, 65536), weak_rsa(2048, 2**32 + 1), {"kty": "AKP"},
]  # fmt: skip


@pytest.mark.covers("CV-16", "CV-12")
@pytest.mark.spec("RFC 7517", "5")
@pytest.mark.parametrize("member", PASSED_OVER, ids=range(len(PASSED_OVER)))
def test_what_cannot_verify_a_signature_is_passed_over(member: Any) -> None:
    (key,) = read_key_set(a_set(member, public("ES256")))
    assert key.kid == "ES256-first"
    with pytest.raises(KeySetUnusable, match="no key that could verify"):
        read_key_set(a_set(member))


@pytest.mark.covers("CV-16")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ("{" * 100, "is not a JSON object"),
        ('{"keys":[],"keys":[]}', "is not a JSON object"),
        ("{}", "has no list `keys`"),
        ('{"keys":{}}', "has no list `keys`"),
        ('{"keys":[]}', "has no key that could"),
        (a_set(*[public("ES256")] * (MOST_KEYS + 1)), "has more than 16 keys"),
        (" " * (LONGEST_SET + 1), "is longer than 65536 bytes"),
        ("\ud800", "is not a JSON object"),
    ],
)
def test_what_is_no_key_set_is_told(text: str, problem: str) -> None:
    with pytest.raises(KeySetUnusable, match=problem):
        read_key_set(text)


def test_a_set_has_one_form_however_it_was_written() -> None:
    keys = {"keys": [public("ES256")]}
    text = key_set_text(keys)
    assert text == key_set_text(json.dumps(keys, indent=3))
    assert json.loads(text) == keys


@pytest.mark.covers("R-90")
@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_a_private_key_is_refused_and_not_repeated(alg: str) -> None:
    private = key_for(alg, "first").as_dict(private=True)
    with pytest.raises(KeySetUnusable, match="private or a symmetric key") as refused:
        key_set_text({"keys": [private]})
    assert str(private["d"]) not in str(refused.value)


@pytest.mark.covers("CV-36")
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "key_ops"]),
                inner,
            )
        ),
        max_leaves=20,
    ).map(lambda keys: json.dumps({"keys": [keys, public("ES256")]}).encode())
)
def test_anything_is_a_key_set_or_told_to_be_none(data: bytes) -> None:
    try:
        keys = read_key_set(data)
    except KeySetUnusable:
        return
    assert keys
