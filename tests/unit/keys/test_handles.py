"""Codes and refresh tokens: forged, mixed up and damaged ones are refused before any look-up."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.keys.handles import HandleBroken, HandleKeyUnknown, Handles, ParsedHandle
from idp.keys.seal import SealingKey, SealingKeys
from tests.vectors.hostile_jose import ALPHABET

SEED = b"seed" * 8
KEY = SealingKey(b"k" * 32)
HANDLES = Handles(SealingKeys([KEY], random=secrets.token_bytes))

names = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
generations = st.integers(0, 2**53 - 1)
seeds = st.binary(min_size=16, max_size=64)


@given(names, seeds)
def test_a_code_is_read_as_it_was_made(name: str, seed: bytes) -> None:
    parsed = HANDLES.parse_code(HANDLES.code(name, seed))
    assert (parsed.name, parsed.generation) == (name, 0)
    HANDLES.check(parsed, seed)


@given(names, generations, seeds)
def test_a_refresh_token_is_read_as_it_was_made(name: str, generation: int, seed: bytes) -> None:
    text = HANDLES.refresh_token(name, generation, seed)
    assert text == HANDLES.refresh_token(name, generation, seed)
    assert set(text) <= set(ALPHABET + ".")
    parsed = HANDLES.parse_refresh_token(text)
    assert (parsed.name, parsed.generation) == (name, generation)
    HANDLES.check(parsed, seed)


@given(names, generations, seeds, seeds)
def test_the_seed_of_another_record_does_not_fit(
    name: str, generation: int, seed: bytes, other: bytes
) -> None:
    # HMAC pads keys with zeros, so seeds that differ only in those are the same key.
    if seed.rstrip(b"\0") != other.rstrip(b"\0"):
        parsed = HANDLES.parse_refresh_token(HANDLES.refresh_token(name, generation, seed))
        with pytest.raises(HandleBroken):
            HANDLES.check(parsed, other)


@pytest.mark.covers("CV-34")
@pytest.mark.parametrize("kind", ["code", "refresh token"])
def test_no_changed_byte_is_accepted(kind: str) -> None:
    text = HANDLES.code("abc", SEED) if kind == "code" else HANDLES.refresh_token("abc", 17, SEED)
    parse = HANDLES.parse_code if kind == "code" else HANDLES.parse_refresh_token
    for index in range(len(text)):
        before, after = text[:index], text[index + 1 :]
        others = [before + other + after for other in [*ALPHABET, ".", "=", "\0", "Ä", "\ud800"]]
        for other in [*others, before + after, before, before + "A" + text[index:], text + "A"]:
            if other != text:
                with pytest.raises(HandleBroken):
                    parse(other)


@pytest.mark.covers("R-45")
def test_no_kind_is_taken_for_another() -> None:
    code, token = HANDLES.code("abc", SEED), HANDLES.refresh_token("abc", 0, SEED)
    for text in (token, token.replace("kir_", "kic_"), token.replace(".0.", ".", 1)):
        with pytest.raises(HandleBroken):
            HANDLES.parse_code(text)
        with pytest.raises(HandleBroken):
            HANDLES.parse_code(text.replace("kir_", "kic_").replace(".0.", ".", 1))
    for text in (code, code.replace("kic_", "kir_"), code.replace("kic_abc", "kir_abc.0")):
        with pytest.raises(HandleBroken):
            HANDLES.parse_refresh_token(text)


@pytest.mark.covers("R-45")
def test_the_inner_mac_tells_kinds_names_and_generations_apart() -> None:
    code = HANDLES.parse_code(HANDLES.code("abc", SEED))
    token = HANDLES.parse_refresh_token(HANDLES.refresh_token("abc", 0, SEED))
    assert code.mac != token.mac
    for other in (
        ParsedHandle(token.kind, token.name, 0, code.mac),
        ParsedHandle(token.kind, token.name, 1, token.mac),
        ParsedHandle(token.kind, "abcd", 0, token.mac),
        ParsedHandle(code.kind, code.name, 0, token.mac),
    ):
        with pytest.raises(HandleBroken):
            HANDLES.check(other, SEED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kir_",
        "kir_a.1",
        "kir_a.01.{mac}.{tag}",
        "kir_a.-1.{mac}.{tag}",
        "kir_a.+1.{mac}.{tag}",
        "kir_a.1e3.{mac}.{tag}",
        "kir_a.\u0661.{mac}.{tag}",
        "kir_a.9007199254740992.{mac}.{tag}",
        "kir_a.99999999999999999999999999.{mac}.{tag}",
        "kir_A.1.{mac}.{tag}",
        "kir_a/../b.1.{mac}.{tag}",
        "kir_a b.1.{mac}.{tag}",
        "kir_.1.{mac}.{tag}",
        "kir_" + "a" * 64 + ".1.{mac}.{tag}",
        "kir_a.1.{mac}.{tag}\n",
        "\nkir_a.1.{mac}.{tag}",
        "kir_a.1.{mac}=.{tag}",
        "kir_a.1.{mac}.{tag}.",
        "kir_a\n.1.{mac}.{tag}",
    ],
)
def test_other_forms_are_refused_even_when_tagged(text: str) -> None:
    mac = "A" * 24
    signed = text.partition(".{tag}")[0].format(mac=mac)
    tagged = text.format(mac=mac, tag=HANDLES.sealing.tag("refresh token", signed.encode()))
    with pytest.raises(HandleBroken, match="no refresh token"):
        HANDLES.parse_refresh_token(tagged)


@given(st.text(max_size=150))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(HandleBroken):
        HANDLES.parse_code(text)
    with pytest.raises(HandleBroken):
        HANDLES.parse_refresh_token(text)


def test_a_lost_outer_key_leaves_the_proof_by_the_seed() -> None:
    before = Handles(SealingKeys([SealingKey(b"o" * 32)], random=secrets.token_bytes))
    with pytest.raises(HandleKeyUnknown) as caught:
        HANDLES.parse_refresh_token(before.refresh_token("abc", 3, SEED))
    parsed = caught.value.parsed
    assert (parsed.name, parsed.generation) == ("abc", 3)
    HANDLES.check(parsed, SEED)
    with pytest.raises(HandleBroken):
        HANDLES.check(parsed, b"x" * 32)


@pytest.mark.covers("R-90")
def test_neither_mac_nor_seed_is_shown() -> None:
    parsed = HANDLES.parse_code(HANDLES.code("abc", SEED))
    assert parsed.mac not in repr(parsed)
    with pytest.raises(HandleBroken) as caught:
        HANDLES.check(parsed, b"x" * 32)
    assert parsed.mac not in str(caught.value)


@pytest.mark.parametrize("name", ["", "A", "a.b", "a" * 64, "a_b", "a\n", "ä"])
def test_names_that_a_token_cannot_hold_are_a_bug(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        HANDLES.code(name, SEED)
    with pytest.raises(ValueError, match="name"):
        HANDLES.refresh_token(name, 0, SEED)


def test_generations_out_of_range_and_short_seeds_are_a_bug() -> None:
    for generation in (-1, 2**53):
        with pytest.raises(ValueError, match="out of range"):
            HANDLES.refresh_token("a", generation, SEED)
    with pytest.raises(ValueError, match="16 bytes"):
        HANDLES.code("a", b"short")


def test_what_cannot_be_guessed_has_128_bits_and_more() -> None:
    _, mac, tag = HANDLES.code("abc", SEED).split(".")
    assert len(mac) * 6 >= 128
    assert (len(tag) - len(KEY.id)) * 6 >= 128
