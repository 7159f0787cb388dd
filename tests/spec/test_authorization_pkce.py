"""PKCE from the authorization endpoint to the token endpoint: no way around it (RFC 7636)."""

from collections.abc import Iterator

import httpx
import pytest

from tests.kit.provider import (
    PUBLIC,
    Pkce,
    ProviderUnderTest,
    answer_of,
    base_config,
    provider_under_test,
)

LOCALHOST = "http://localhost:53211"
AS_PUBLIC = {"client_id": PUBLIC, "redirect_uri": LOCALHOST}


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    with provider_under_test() as provider:
        yield provider


def s256(pkce: Pkce) -> dict[str, str]:
    return {"code_challenge": pkce.challenge, "code_challenge_method": "S256"}


def redeem_as_public(provider: ProviderUnderTest, code: str, **more: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, **AS_PUBLIC, **more}
    return provider.token(form, auth=None)


@pytest.mark.covers("R-10", "R-12")
def test_a_public_client_signs_in_with_pkce(provider: ProviderUnderTest) -> None:
    pkce = Pkce()
    code = provider.code({**AS_PUBLIC, **s256(pkce)})
    assert redeem_as_public(provider, code, code_verifier=pkce.verifier).status_code == 200


@pytest.mark.covers("R-10", "CV-31")
@pytest.mark.spec("RFC 7636", "4.4.1")
@pytest.mark.spec("RFC 8252", "8.1")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"code_challenge": ""},
        {"code_challenge_method": "S256"},
        {"code_challenge": Pkce().challenge},
        {"code_challenge": Pkce().challenge, "code_challenge_method": ""},
        {"code_challenge": Pkce().challenge, "code_challenge_method": "plain"},
        {"code_challenge": Pkce().verifier, "code_challenge_method": "plain"},
        {"code_challenge": Pkce().challenge, "code_challenge_method": "s256"},
        {"code_challenge": Pkce().challenge + "=", "code_challenge_method": "S256"},
        {"code_challenge": Pkce().challenge[:-1], "code_challenge_method": "S256"},
        {"code_challenge": "+" * 43, "code_challenge_method": "S256"},
        {"code_challenge": "é" * 43, "code_challenge_method": "S256"},
    ],
)
def test_a_public_client_without_a_good_challenge_is_refused(
    provider: ProviderUnderTest, changes: dict[str, str]
) -> None:
    response = provider.authorize({**AS_PUBLIC, **changes})
    assert response.headers["location"].startswith(LOCALHOST + "?")
    assert answer_of(response)["error"] == "invalid_request"


@pytest.mark.covers("R-10")
@pytest.mark.spec("RFC 7636", "4.3")
def test_plain_is_refused_of_a_confidential_client_too(provider: ProviderUnderTest) -> None:
    fields = {"code_challenge": Pkce().verifier, "code_challenge_method": "plain"}
    assert answer_of(provider.authorize(fields))["error"] == "invalid_request"


@pytest.mark.covers("R-12", "CV-31")
@pytest.mark.spec("RFC 9700", "2.1.1")
def test_a_challenge_cannot_be_forgotten_at_the_token_endpoint(
    provider: ProviderUnderTest,
) -> None:
    code = provider.code(s256(Pkce()))
    assert provider.redeem(code).json()["error"] == "invalid_grant"


@pytest.mark.covers("R-12", "CV-31")
@pytest.mark.spec("RFC 9700", "2.1.1")
def test_a_verifier_without_a_challenge_is_refused(provider: ProviderUnderTest) -> None:
    response = provider.redeem(provider.code(), {"code_verifier": Pkce().verifier})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


@pytest.mark.covers("R-12", "R-21")
@pytest.mark.spec("RFC 7636", "4.6")
def test_wrong_verifiers_are_refused_alike_and_do_not_burn_the_code(
    provider: ProviderUnderTest,
) -> None:
    pkce = Pkce()
    code = provider.code({**AS_PUBLIC, **s256(pkce)})
    answers = set()
    for wrong in (Pkce().verifier, pkce.challenge, pkce.verifier[:-1], pkce.verifier + "A", "",
                  pkce.verifier.swapcase(), "a", "é" * 50, "a" * 129):  # fmt: skip
        response = redeem_as_public(provider, code, code_verifier=wrong)
        answers.add((response.status_code, response.json()["error"]))
    assert answers == {(400, "invalid_grant")}
    assert redeem_as_public(provider, code, code_verifier=pkce.verifier).status_code == 200


@pytest.mark.covers("R-12")
@pytest.mark.spec("RFC 7636", "4.4")
def test_a_challenge_is_that_of_its_own_login(provider: ProviderUnderTest) -> None:
    mine, theirs = Pkce(), Pkce()
    code = provider.code({**AS_PUBLIC, **s256(mine)})
    provider.code({**AS_PUBLIC, **s256(theirs)})
    response = redeem_as_public(provider, code, code_verifier=theirs.verifier)
    assert response.json()["error"] == "invalid_grant"


@pytest.mark.covers("R-10", "CV-3")
def test_pkce_can_be_demanded_of_every_client() -> None:
    config = base_config()
    config["oauth2"]["pkce"] = {"enforce": True}
    with provider_under_test(config) as provider:
        assert answer_of(provider.authorize())["error"] == "invalid_request"
        pkce = Pkce()
        code = provider.code(s256(pkce))
        assert provider.redeem(code, {"code_verifier": pkce.verifier}).status_code == 200
