"""Sealed values open as what they were sealed as, or not at all."""

import secrets
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.keys import base64url
from idp.keys.seal import (
    SealBroken,
    SealingKey,
    SealingKeys,
    SealingKeyUnknown,
    SealTooLarge,
    key_id_of,
)
from storage.base import Sealer, SealKeyUnknown
from tests.vectors.hostile_jose import ALPHABET

OLD = SealingKey(b"o" * 32)
NEW = SealingKey(b"n" * 32)
SEALING = SealingKeys([NEW], random=secrets.token_bytes)


def test_it_is_the_sealer_of_the_storage() -> None:
    sealer: Sealer = SEALING
    sealed = sealer.seal("record:grants", b"body", context=b"place")
    assert sealer.open("record:grants", sealed, context=b"place") == b"body"


@given(st.text(st.characters(codec="utf-8")), st.binary(max_size=2000), st.binary(max_size=100))
def test_what_is_sealed_opens(purpose: str, plaintext: bytes, context: bytes) -> None:
    sealed = SEALING.seal(purpose, plaintext, context=context)
    assert SEALING.open(purpose, sealed, context=context) == plaintext
    assert set(sealed) <= set(ALPHABET)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_sealing_twice_gives_two_texts(plaintext: bytes, context: bytes) -> None:
    first, second = (SEALING.seal("x", plaintext, context=context) for _ in range(2))
    assert first != second


@pytest.mark.covers("CV-34", "R-45")
def test_no_changed_byte_opens() -> None:
    sealed = SEALING.seal("login", b"state of a login", context=b"cookie")
    assert_no_change_is_accepted(
        sealed, lambda text: SEALING.open("login", text, context=b"cookie"), SealBroken
    )


@pytest.mark.covers("CV-34")
def test_no_changed_byte_of_a_tag_is_accepted() -> None:
    tag = SEALING.tag("code", b"message")
    SEALING.check_tag("code", b"message", tag)
    assert_no_change_is_accepted(
        tag, lambda text: SEALING.check_tag("code", b"message", text), SealBroken
    )


def assert_no_change_is_accepted(
    text: str, accept: Callable[[str], object], refused: type[Exception]
) -> None:
    for index, letter in enumerate(text):
        before, after = text[:index], text[index + 1 :]
        others = [before + other + after for other in [*ALPHABET, ".", "=", "+", "Ä", "\0"]]
        others += [before + after, before + letter + letter + after, before]
        for other in others:
            if other != text:
                with pytest.raises(refused):
                    accept(other)
    for other in (text + "A", text + "=", text + "\n", " " + text, text + text, ""):
        with pytest.raises(refused):
            accept(other)


@pytest.mark.covers("R-45")
@pytest.mark.parametrize(
    ("purpose", "context"),
    [
        ("login", b"b"),
        ("session", b"a"),
        ("login", b""),
        ("logi", b"na"),
        ("logina", b""),
        ("", b""),
    ],
)
def test_another_purpose_or_context_does_not_open(purpose: str, context: bytes) -> None:
    sealed = SEALING.seal("login", b"x", context=b"a")
    with pytest.raises(SealBroken):
        SEALING.open(purpose, sealed, context=context)


@pytest.mark.covers("R-45")
def test_another_purpose_or_message_does_not_fit_a_tag() -> None:
    tag = SEALING.tag("code", b"message")
    for purpose, message in (("refresh token", b"message"), ("code", b"messag"), ("code", b"")):
        with pytest.raises(SealBroken):
            SEALING.check_tag(purpose, message, tag)


@given(st.text(max_size=200) | st.text(ALPHABET, max_size=300))
def test_garbage_is_refused_as_broken(text: str) -> None:
    with pytest.raises(SealBroken):
        SEALING.open("x", text)
    with pytest.raises(SealBroken):
        SEALING.check_tag("x", b"", text)


@pytest.mark.covers("R-94")
def test_both_keys_open_and_the_first_one_seals() -> None:
    before = SealingKeys([OLD], random=secrets.token_bytes)
    during = SealingKeys([NEW, OLD], random=secrets.token_bytes)
    sealed, tag = before.seal("x", b"old"), before.tag("x", b"old")
    assert during.open("x", sealed) == b"old"
    during.check_tag("x", b"old", tag)
    assert SEALING.open("x", during.seal("x", b"new")) == b"new"


@pytest.mark.covers("R-94")
def test_a_removed_key_is_named_as_unknown() -> None:
    before = SealingKeys([OLD], random=secrets.token_bytes)
    with pytest.raises(SealingKeyUnknown, match=NEW.id) as caught:
        SEALING.open("x", before.seal("x", b"old"))
    assert isinstance(caught.value, SealKeyUnknown), "which is how the storage knows it"
    with pytest.raises(SealingKeyUnknown, match=NEW.id):
        SEALING.check_tag("x", b"old", before.tag("x", b"old"))


def test_another_version_is_refused() -> None:
    raw = base64url.decode(SEALING.seal("x", b"plain"))
    with pytest.raises(SealBroken, match="version"):
        SEALING.open("x", base64url.encode(b"\x02" + raw[1:]))


def test_the_header_is_authenticated() -> None:
    # Two keys that share everything but their id: only the associated data can tell.
    both = SealingKeys([NEW, OLD], random=secrets.token_bytes)
    raw = base64url.decode(both.seal("x", b"plain"))
    with pytest.raises(SealBroken):
        both.open("x", base64url.encode(raw[:1] + base64url.decode(OLD.id) + raw[7:]))


def test_too_long_texts_are_refused_unread_and_never_made() -> None:
    small = SealingKeys([NEW], random=secrets.token_bytes, max_length=100)
    assert small.open("x", small.seal("x", b"p" * 40)) == b"p" * 40
    with pytest.raises(SealTooLarge):
        small.seal("x", b"p" * 41)
    with pytest.raises(SealBroken, match="too long"):
        small.open("x", "A" * 101)


def test_the_nonce_comes_from_the_randomness_handed_in() -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return b"\0" * count

    fixed = SealingKeys([NEW], random=random)
    assert fixed.seal("x", b"p") == fixed.seal("x", b"p")
    assert asked == [12, 12]


@pytest.mark.covers("R-90")
def test_secrets_are_not_shown() -> None:
    assert repr(NEW) == f"SealingKey(id={NEW.id!r})"
    assert repr(SEALING) == f"SealingKeys({NEW.id})"
    with pytest.raises(SealBroken) as caught:
        SEALING.open("x", "A" * 90)
    assert "AAAA" not in str(caught.value)
    with pytest.raises(SealBroken) as caught:
        SEALING.check_tag("x", b"", "B" * 32)
    assert "BBBB" not in str(caught.value)


def test_keys_must_be_sound() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SealingKey(b"short")
    with pytest.raises(ValueError, match="at least one"):
        SealingKeys([], random=secrets.token_bytes)
    with pytest.raises(ValueError, match="twice"):
        SealingKeys([NEW, OLD, NEW], random=secrets.token_bytes)


def test_ids_differ_and_reveal_no_byte_of_the_key() -> None:
    keys = [SealingKey(bytes([number]) * 32) for number in range(256)]
    assert len({key.id for key in keys}) == 256
    assert {len(key.id) for key in keys} == {8}


def test_threads_may_share_it() -> None:
    shared = SealingKeys([NEW, OLD], random=secrets.token_bytes)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(200):
                plain = f"{number} {turn}".encode()
                purpose = f"p{turn % 7}"
                assert shared.open(purpose, shared.seal(purpose, plain)) == plain
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.covers("R-94")
def test_keys_are_exchanged_while_it_serves() -> None:
    serving = SealingKeys([OLD], random=secrets.token_bytes)
    sealed, tag = serving.seal("x", b"old"), serving.tag("x", b"old")
    serving.use([NEW, OLD])
    assert serving.keys == (NEW, OLD)
    assert serving.open("x", sealed) == b"old"
    serving.check_tag("x", b"old", tag)
    assert SEALING.open("x", serving.seal("x", b"new")) == b"new"
    serving.use([NEW])
    with pytest.raises(SealingKeyUnknown):
        serving.open("x", sealed)
    with pytest.raises(SealingKeyUnknown):
        serving.check_tag("x", b"old", tag)
    with pytest.raises(ValueError, match="at least one"):
        serving.use([])
    assert list(serving.keys) == [NEW], "what is refused changes nothing"


def test_threads_see_one_set_of_keys_or_the_other() -> None:
    shared = SealingKeys([NEW, OLD], random=secrets.token_bytes)
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                assert shared.open("x", shared.seal("x", b"text")) == b"text"
                shared.check_tag("x", b"text", shared.tag("x", b"text"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(300):
        shared.use([OLD, NEW] if turn % 2 else [NEW, OLD])
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_key_of_a_sealed_text_is_read_off_it() -> None:
    assert key_id_of(SEALING.seal("x", b"")) == NEW.id
    assert key_id_of(SealingKeys([OLD], random=secrets.token_bytes).seal("y", b"z" * 99)) == OLD.id
    other_version = base64url.encode(b"\x02" + base64url.decode(SEALING.seal("x", b""))[1:])
    for text in ("", "A", "AAAA", "????????????????", "Ä" * 16, other_version):
        with pytest.raises(SealBroken):
            key_id_of(text)


def test_whoever_wants_to_hears_of_unknown_keys_but_not_of_forgeries_or_tags() -> None:
    serving = SealingKeys([NEW], random=secrets.token_bytes)
    foreign = SealingKeys([OLD], random=secrets.token_bytes)
    heard: list[int] = []
    serving.tell_of_unknown(lambda: heard.append(1))
    with pytest.raises(SealBroken):
        serving.open("another purpose", serving.seal("x", b"text"))
    with pytest.raises(SealingKeyUnknown):
        serving.check_tag("x", b"text", foreign.tag("x", b"text"))
    assert heard == []
    for _ in range(2):
        with pytest.raises(SealingKeyUnknown):
            serving.open("x", foreign.seal("x", b"text"))
    assert heard == [1, 1]
    serving.tell_of_unknown(None)
    with pytest.raises(SealingKeyUnknown):
        serving.open("x", foreign.seal("x", b"text"))
    assert heard == [1, 1]
