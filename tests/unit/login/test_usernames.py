"""All spellings of one name are one name, and what can be nobody's name is refused."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from precis_i18n import get_profile

from idp.login.usernames import UsernameRefused, as_typed, canonical, throttle_name

ASCII = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


def to_fullwidth(name: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) for letter in name)


@pytest.mark.covers("R-68")
@pytest.mark.spec("RFC 8265", "3.3")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Alice", "alice"),
        ("alice ", "alice"),
        ("   alice", "alice"),
        ("ＡＬＩＣＥ", "alice"),
        ("ＡＬＩＣＥ＠Example.com", "alice@example.com"),
        ("O'Neil (ext)", "o'neil (ext)"),
        ("O'Neil   (ext)", "o'neil (ext)"),
        ("Müller\\x", "müller\\x"),
        ("Mu\u0308ller", "müller"),
        ("a*b", "a*b"),
        ("日本", "日本"),
        ("ﾊﾞ", "バ"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("ΣΑΣ", "σασ"),
        ("σας", "σασ"),
        ("\u212aelvin", "kelvin"),
        ("ﬁsh", "fish"),
        ("ſam", "sam"),
        ("שלום", "שלום"),
        ("CN=a,DC=b)(uid=*", "cn=a,dc=b)(uid=*"),
    ],
)
def test_spellings_of_one_name_meet(typed: str, expected: str) -> None:
    assert canonical(typed) == expected


@pytest.mark.covers("R-68")
@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "a\u00adlice",
        "a\u200blice",
        "a\u200dlice",
        "a\u2060lice",
        "\ufeffalice",
        "a\u034flice",
        "alice\u202e",
        "alice\x00",
        "alice\n",
        "\talice",
        "alice\x7f",
        "alice\u0085",
        "a\u00a0lice",
        "alice\u3000",
        "①",
        "аlice\ud800",
        "\udcff",
        "\ufdfa",
        "אlice",
        "a\u05d0",
        "\ue000",
        "\uffff",
        "a" * 256,
        "é" * 128,
        "日" * 86,
        "a" * 1_000_000,
    ],
    ids=lambda typed: ascii(typed)[:40],
)
def test_what_can_be_nobodys_name_is_refused(typed: str) -> None:
    with pytest.raises(UsernameRefused):
        canonical(typed)


def test_the_longest_name_passes() -> None:
    assert canonical("a" * 255) == "a" * 255
    assert canonical(" " * 10_000 + "日" * 85 + " ") == "日" * 85


def test_a_name_that_grows_too_long_when_folded_is_refused() -> None:
    assert len("ΐ".casefold()) == 3
    with pytest.raises(UsernameRefused):
        canonical("ŉ" * 127)


def test_a_refusal_does_not_repeat_what_was_typed() -> None:
    with pytest.raises(UsernameRefused) as refusal:
        canonical("hunter2\u00ad")
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.covers("R-68")
@given(st.text(max_size=40))
def test_the_canonical_form_is_its_own_canonical_form(typed: str) -> None:
    try:
        name = canonical(typed)
    except UsernameRefused:
        return
    assert canonical(name) == name


@pytest.mark.covers("R-68", "R-82")
@given(st.text(st.characters(codec=None), max_size=300))
def test_any_text_is_a_name_or_a_refusal(typed: str) -> None:
    try:
        name = canonical(typed)
    except UsernameRefused:
        return
    assert 0 < len(name.encode()) <= 255
    assert not name.startswith(" ")
    assert not name.endswith(" ")
    assert all(unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co"} for letter in name)


@pytest.mark.covers("R-68")
@pytest.mark.parametrize("respell", [str.upper, str.lower, str.swapcase, to_fullwidth])
@given(name=ASCII)
def test_case_and_width_do_not_make_a_second_name(respell: Callable[[str], str], name: str) -> None:
    assert canonical(respell(name)) == canonical(name)


@pytest.mark.covers("R-68")
@given(st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=1, max_size=20))
def test_composed_and_decomposed_names_meet(name: str) -> None:
    try:
        expected = canonical(name)
        respelt = canonical(unicodedata.normalize("NFD", name))
    except UsernameRefused:
        reject()
    assert respelt == expected


def test_a_connector_is_asked_for_what_was_typed() -> None:
    assert as_typed(" Ｍüller  X ") == "Ｍüller  X"


@pytest.mark.covers("R-68", "R-70")
@pytest.mark.parametrize(
    ("typed", "counted"),
    [
        ("Müller", "muller"),
        ("Mu\u0308ller", "muller"),
        ("álicé", "alice"),
        ("日本", "日本"),
        ("バ", "ハ"),
        ("한국", "한국"),
        ("alice", "alice"),
    ],
)
def test_accents_bring_no_fresh_tries(typed: str, counted: str) -> None:
    assert throttle_name(typed) == counted


@pytest.mark.covers("R-68")
@given(st.text(max_size=40))
def test_spellings_of_one_name_are_counted_together(typed: str) -> None:
    try:
        name = canonical(typed)
    except UsernameRefused:
        with pytest.raises(UsernameRefused):
            throttle_name(typed)
        return
    assert throttle_name(typed) == throttle_name(name)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40))
def test_plain_names_take_a_short_cut_to_the_same_place(name: str) -> None:
    assert canonical(name) == get_profile("UsernameCaseMapped:CaseFold").enforce(name)
