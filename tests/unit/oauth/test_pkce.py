"""PKCE with S256 only, and no downgrade in either direction (RFC 7636, RFC 9700 section 4.8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.errors import InvalidGrant, InvalidRequest
from idp.oauth.pkce import challenge_of, check_challenge, check_verifier

# RFC 7636 appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
verifiers = st.text(st.sampled_from(_UNRESERVED), min_size=43, max_size=128)


@pytest.mark.spec("RFC 7636", "appendix B")
@pytest.mark.spec("RFC 7636", "4.2")
def test_the_example_of_the_specification() -> None:
    assert challenge_of(VERIFIER) == CHALLENGE
    check_verifier(VERIFIER, check_challenge(CHALLENGE, "S256"))


@pytest.mark.covers("R-12")
@given(verifiers)
def test_every_verifier_fits_its_own_challenge(verifier: str) -> None:
    check_verifier(verifier, check_challenge(challenge_of(verifier), "S256"))


@pytest.mark.covers("R-12", "CV-31")
@given(verifiers, verifiers)
def test_no_other_verifier_fits(verifier: str, other: str) -> None:
    if verifier != other:
        with pytest.raises(InvalidGrant):
            check_verifier(other, challenge_of(verifier))


@pytest.mark.covers("R-10", "CV-9")
@pytest.mark.parametrize("method", [None, "plain", "s256", "S512", "S256 ", "none", "S256\n", "x"])
def test_every_method_but_s256_is_refused(method: str | None) -> None:
    with pytest.raises(InvalidRequest):
        check_challenge(CHALLENGE, method)


@pytest.mark.covers("R-10")
@pytest.mark.parametrize(
    "challenge",
    [CHALLENGE[:-1], CHALLENGE + "A", CHALLENGE + "=", CHALLENGE + "\n", CHALLENGE[:-1] + "+",
     CHALLENGE[:-1] + "/", CHALLENGE[:-1] + ".", CHALLENGE[:-1] + "é", " " + CHALLENGE[1:],
     "a", "a" * 128, "x" * 10_000],
)  # fmt: skip
def test_a_challenge_that_no_hash_can_be_is_refused(challenge: str) -> None:
    with pytest.raises(InvalidRequest):
        check_challenge(challenge, "S256")


@pytest.mark.covers("R-10")
def test_a_method_without_a_challenge_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        check_challenge(None, "S256")
    assert check_challenge(None, None) == ""


@pytest.mark.covers("R-12", "CV-31")
@pytest.mark.spec("RFC 9700", "4.8.2")
def test_neither_direction_can_be_downgraded() -> None:
    check_verifier(None, "")
    for verifier, challenge in ((None, CHALLENGE), (VERIFIER, ""), ("", CHALLENGE)):
        with pytest.raises(InvalidGrant):
            check_verifier(verifier, challenge)


@pytest.mark.covers("R-12")
@pytest.mark.parametrize(
    "verifier",
    ["a" * 42, "a" * 129, VERIFIER + "\n", VERIFIER + "=", VERIFIER + " ", VERIFIER.lower(),
     VERIFIER[:-1], CHALLENGE, "é" * 43, "\ud800" * 43, "\0" * 43],
)  # fmt: skip
def test_a_verifier_that_is_not_the_one_is_refused_with_one_text(verifier: str) -> None:
    with pytest.raises(InvalidGrant) as refusal:
        check_verifier(verifier, CHALLENGE)
    with pytest.raises(InvalidGrant) as other:
        check_verifier(None, CHALLENGE)
    assert refusal.value.description == other.value.description


@pytest.mark.covers("R-12", "CV-36")
@given(st.text(max_size=150), st.text(max_size=150))
def test_any_texts_are_accepted_or_refused(verifier: str, challenge: str) -> None:
    try:
        check_verifier(verifier, challenge)
    except InvalidGrant:
        return
    assert challenge == challenge_of(verifier)


@pytest.mark.covers("R-10", "CV-36")
@given(st.text(max_size=60), st.one_of(st.none(), st.text(max_size=5), st.just("S256")))
def test_any_challenge_is_kept_as_it_is_or_refused(challenge: str, method: str | None) -> None:
    try:
        assert check_challenge(challenge, method) == challenge
    except InvalidRequest:
        return
    assert method == "S256"
    assert len(challenge) == 43
