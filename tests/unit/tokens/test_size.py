"""The size limit of ID tokens, measured against tokens that were really signed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.keys.jwks import new_signing_key
from idp.keys.signer import Signer
from idp.oauth.claims import Person
from idp.tokens.authorization import Authorization
from idp.tokens.issue import TokenIssuer
from idp.tokens.size import REFUSE_AT, WARN_AT, TokenTooLarge, check_tokens, measure_token
from storage.records import KeyRing

VALUES = st.lists(st.text(max_size=200), max_size=3).map(tuple)
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def issuer() -> TokenIssuer:
    key = replace(new_signing_key("RS256", NOW), signs_from=NOW)
    return TokenIssuer(
        issuer="https://idp.example.com",
        lifetime=timedelta(hours=1),
        signer=Signer(KeyRing(name="keys", keys=(key,)), default_alg="RS256"),
        clock=lambda: NOW,
        new_id=lambda: "0" * 32,
    )


def with_groups(number: int, name: str = "group-of-people") -> Authorization:
    return Authorization(
        client_id="app",
        person=Person(
            subject="s" * 40,
            connector_id="ldap",
            user_id="u",
            username="",
            preferred_username="",
            email="",
            email_verified=False,
            groups=tuple(f"{name}-{n}" for n in range(number)),
        ),
        scopes=("openid", "groups"),
        peers=(),
        nonce="n" * 20,
        authenticated_at=NOW,
        grant_name="grant-1",
    )


@pytest.mark.covers("K-17")
@pytest.mark.parametrize("name", ["group-of-people", "日本語グループ", 'with "quotes"\\'])
@pytest.mark.parametrize("number", [0, 1, 7, 40, 120])
def test_the_measure_is_never_less_than_the_token_and_close_to_it(
    issuer: TokenIssuer, number: int, name: str
) -> None:
    authorization = with_groups(number, name)
    token = issuer.issue(authorization, refresh_token=None).id_token
    assert token is not None
    measured = measure_token(issuer.id_claims(authorization)).size
    assert len(token) <= measured <= len(token) + 150


@pytest.mark.covers("K-17")
def test_a_token_that_no_header_would_hold_is_refused(issuer: TokenIssuer) -> None:
    with pytest.raises(TokenTooLarge) as refused:
        measure_token(issuer.id_claims(with_groups(1000)))
    assert refused.value.groups == 1000
    assert refused.value.size > REFUSE_AT
    assert "group-of-people" not in str(refused.value)


def test_a_large_token_deserves_a_warning_before_it_is_refused(issuer: TokenIssuer) -> None:
    sizes = {}
    for number in range(0, 400, 10):
        try:
            sizes[number] = measure_token(issuer.id_claims(with_groups(number)))
        except TokenTooLarge:
            break
    assert {size.size > WARN_AT for size in sizes.values()} == {True, False}
    assert all(size.deserves_warning == (size.size > WARN_AT) for size in sizes.values())
    assert max(size.size for size in sizes.values()) > REFUSE_AT - 400


@given(
    st.lists(st.text(max_size=80), max_size=60),
    st.text(max_size=400),
    st.lists(
        st.tuples(st.sampled_from(("a", "b" * 128, "phone_number", "address.region")), VALUES),
        max_size=20,
    ),
)
def test_what_is_passed_unmeasured_could_never_have_been_refused(
    issuer: TokenIssuer,
    groups: list[str],
    name: str,
    claims: list[tuple[str, tuple[str, ...]]],
) -> None:
    person = replace(
        with_groups(0).person, groups=tuple(groups), username=name, claims=tuple(claims)
    )
    scopes = ("openid", "groups", "profile", "phone", "address")
    authorization = replace(with_groups(0), person=person, scopes=scopes)
    checked = check_tokens(issuer, authorization)
    measured = [
        measure_token(claims).size
        for claims in (issuer.id_claims(authorization), issuer.access_claims(authorization))
    ]
    if checked.size <= WARN_AT:
        assert max(measured) < REFUSE_AT
    else:
        assert checked.size == max(measured)


@pytest.mark.covers("K-17")
def test_claims_count_like_groups_wherever_they_go(issuer: TokenIssuer) -> None:
    """A minimal ID token is small, but the access token has what userinfo answers."""
    person = replace(with_groups(0).person, claims=(("motto", ("x" * 9000,)),))
    for scopes, more in (
        (("openid", "profile"), {}),
        (("openid", "profile"), {"id_token_claims": "minimal"}),
        (("profile",), {}),
        (("openid",), {"asked_for_id_token": ("motto",)}),
        (("openid",), {"asked_for_userinfo": ("motto",)}),
    ):
        authorization = replace(with_groups(0), person=person, scopes=scopes, **more)
        with pytest.raises(TokenTooLarge) as refused:
            check_tokens(issuer, authorization)
        assert refused.value.groups == 0
    assert check_tokens(issuer, replace(with_groups(0), person=person)).size < WARN_AT
