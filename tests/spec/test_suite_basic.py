"""What the OpenID conformance suite asks in the plans basic and form post basic.

Each test is marked with the module that it stands for, and asserts what that module would call a
failure or a warning. The provider and its clients are those of `docs/conformance-suite.md`; the
modules are gone through as the plans do: with clients of the operator and with such that register
themselves, answered in the query and by form.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.conformance_suite import (
    CALLBACK,
    PERSON,
    Party,
    dynamic_party,
    good_tokens,
    provider_config,
    refused_token,
    static_party,
)
from tests.kit.provider import Pkce, ProviderUnderTest, provider_under_test
from tests.kit.registration import bearer
from tests.kit.sizes import in_quick_runs

SUITE = "OpenID conformance suite"
TEXTS = {
    "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username",
    "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale",
}  # fmt: skip
BY_SCOPE = {
    "profile": {*TEXTS, "updated_at"},
    "email": {"email", "email_verified"},
    "address": {"address"},
    "phone": {"phone_number", "phone_number_verified"},
}


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderUnderTest]:
    with provider_under_test(provider_config(tmp_path_factory.mktemp("provider"))) as provider:
        yield provider


PLANS = [(by, mode) for by in ("static", "dynamic") for mode in ("default", "form_post")]


@pytest.fixture(params=in_quick_runs([PLANS[0], PLANS[3]], otherwise=PLANS), ids="-".join)
def plan(request: pytest.FixtureRequest) -> tuple[str, str]:
    by, mode = request.param
    return by, mode


@pytest.fixture
def party(idp: ProviderUnderTest, plan: tuple[str, str]) -> Iterator[Party]:
    by, mode = plan
    if by == "static":
        yield static_party(idp, response_mode=mode)
        return
    client = dynamic_party(idp, response_mode=mode)
    yield client
    client.unregister()


@pytest.mark.spec(SUITE, "oidcc-server")
@pytest.mark.spec(SUITE, "oidcc-idtoken-signature")
def test_a_login_ends_with_tokens_that_stand_up_to_a_look(party: Party) -> None:
    tokens = party.sign_in()
    assert party.userinfo(tokens).json().keys() == {"sub"}


@pytest.mark.spec(SUITE, "oidcc-server-client-secret-post")
@pytest.mark.parametrize("mode", ["default", "form_post"])
def test_a_client_may_send_its_secret_in_the_body(idp: ProviderUnderTest, mode: str) -> None:
    auth = "client_secret_post"
    static_party(idp, "client_secret_post", auth=auth, response_mode=mode).sign_in()
    registered = dynamic_party(idp, auth=auth, response_mode=mode)
    registered.sign_in()
    registered.unregister()


@pytest.mark.spec(SUITE, "oidcc-response-type-missing")
def test_without_a_response_type_the_client_hears_of_it(party: Party) -> None:
    assert party.error({"response_type": None}) == "invalid_request"


@pytest.mark.spec(SUITE, "oidcc-userinfo-get")
@pytest.mark.spec(SUITE, "oidcc-userinfo-post-header")
@pytest.mark.spec(SUITE, "oidcc-userinfo-post-body")
def test_userinfo_takes_the_token_in_three_ways(party: Party) -> None:
    tokens = party.sign_in()
    subject = party.id_claims(tokens, nonce="nonce of the suite")["sub"]
    token = tokens["access_token"]
    for response in (
        party.browser.get("/userinfo", headers=bearer(token)),
        party.browser.post("/userinfo", headers=bearer(token)),
        party.browser.post("/userinfo", data={"access_token": token}),
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.json()["sub"] == subject


@pytest.mark.spec(SUITE, "oidcc-ensure-request-without-nonce-succeeds-for-code-flow")
def test_a_request_without_nonce_is_fine(party: Party) -> None:
    party.sign_in({"nonce": None})


@pytest.mark.spec(SUITE, "oidcc-scope-profile")
@pytest.mark.spec(SUITE, "oidcc-scope-email")
@pytest.mark.spec(SUITE, "oidcc-scope-address")
@pytest.mark.spec(SUITE, "oidcc-scope-phone")
@pytest.mark.spec(SUITE, "oidcc-scope-all")
@pytest.mark.spec(SUITE, "oidcc-ensure-other-scope-order-succeeds")
@pytest.mark.parametrize(
    "scope",
    ["openid profile", "openid email", "openid address", "openid phone", "email openid",
     "openid email phone address profile"],
)  # fmt: skip
def test_userinfo_has_every_claim_of_a_scope_in_its_type(party: Party, scope: str) -> None:
    advertised = party.browser.get("/.well-known/openid-configuration").json()["scopes_supported"]
    assert set(scope.split()) <= set(advertised)
    told = party.userinfo(party.sign_in({"scope": scope})).json()
    assert told.keys() == {"sub"}.union(*(BY_SCOPE.get(each, set()) for each in scope.split()))
    _check_types(told, now=party.idp.clock().timestamp())


def _check_types(told: dict[str, Any], *, now: float) -> None:
    for name, value in told.items():
        if name in TEXTS | {"email", "phone_number", "sub"}:
            assert isinstance(value, str), name
        elif name in ("email_verified", "phone_number_verified"):
            assert isinstance(value, bool), name
        elif name == "address":
            parts = {"formatted", "street_address", "locality", "region", "postal_code", "country"}
            assert value.keys() == parts
            assert all(isinstance(part, str) for part in value.values())
        else:
            # Not before there was a web, and not to come.
            assert (name, type(value)) == ("updated_at", int)
            assert 631152000 < value <= now
    assert re.fullmatch(r"\d{4}(-\d\d-\d\d)?", told.get("birthdate", "1990"))


@pytest.mark.spec(SUITE, "oidcc-display-page")
@pytest.mark.spec(SUITE, "oidcc-display-popup")
@pytest.mark.spec(SUITE, "oidcc-ui-locales")
@pytest.mark.spec(SUITE, "oidcc-claims-locales")
@pytest.mark.spec(SUITE, "oidcc-login-hint")
@pytest.mark.spec(SUITE, "oidcc-ensure-request-with-unknown-parameter-succeeds")
@pytest.mark.parametrize(
    "wish",
    [
        {"display": "page"},
        {"display": "popup"},
        {"ui_locales": "se"},
        {"claims_locales": "se"},
        {"login_hint": PERSON},
        {"login_hint": "buffy@idp.example.com"},
        {"extra": "foobar"},
    ],
    ids=lambda wish: "-".join(*wish.items()),
)
def test_a_wish_that_may_be_left_unfulfilled_is_no_error(
    party: Party, wish: dict[str, str | None]
) -> None:
    party.sign_in(wish)


@pytest.mark.spec(SUITE, "oidcc-ensure-request-with-acr-values-succeeds")
def test_one_of_the_acr_values_that_were_asked_for_is_claimed(party: Party) -> None:
    served = party.browser.get("/.well-known/openid-configuration").json()["acr_values_supported"]
    tokens = party.sign_in({"acr_values": " ".join(served)})
    assert party.id_claims(tokens, nonce="nonce of the suite")["acr"] in served


@pytest.mark.spec(SUITE, "oidcc-prompt-login")
@pytest.mark.spec(SUITE, "oidcc-max-age-1")
@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"max_age": "1"}], ids=str)
def test_who_must_sign_in_again_sees_the_form_and_a_later_time_is_told(
    party: Party, changes: dict[str, str | None]
) -> None:
    nonce = "nonce of the suite"
    first = party.id_claims(party.sign_in(), nonce=nonce)
    party.idp.clock.turn(2)
    assert 'name="password"' in party.visit(changes).text
    second = party.id_claims(party.sign_in(changes), nonce=nonce)
    assert second["auth_time"] == int(party.idp.clock().timestamp()) > first["auth_time"]
    assert second["sub"] == first["sub"]


@pytest.mark.spec(SUITE, "oidcc-prompt-none-not-logged-in")
def test_nobody_is_signed_in_silently_who_is_not_there(party: Party) -> None:
    changes = {"prompt": "none", "state": "s" * 128}
    assert party.error(changes) == "login_required"


@pytest.mark.spec(SUITE, "oidcc-prompt-none-logged-in")
@pytest.mark.spec(SUITE, "oidcc-id-token-hint")
@pytest.mark.spec(SUITE, "oidcc-max-age-10000")
@pytest.mark.parametrize("how", ["prompt", "hint", "max_age"])
def test_who_is_there_is_answered_at_once_and_is_the_same(party: Party, how: str) -> None:
    nonce = "nonce of the suite"
    tokens = party.sign_in({"max_age": "15000"} if how == "max_age" else None)
    first = party.id_claims(tokens, nonce=nonce)
    party.idp.clock.turn(5)
    changes: dict[str, str | None] = {
        "prompt": {"prompt": "none"},
        "hint": {"prompt": "none", "id_token_hint": tokens["id_token"]},
        "max_age": {"max_age": "10000"},
    }[how]
    answer = party.answer(party.visit(changes), party.request(changes))
    second = party.id_claims(party.redeem(answer.members["code"]), nonce=nonce)
    assert [second["sub"], second["auth_time"]] == [first["sub"], first["auth_time"]]


@pytest.mark.spec(SUITE, "oidcc-codereuse")
@pytest.mark.spec(SUITE, "oidcc-codereuse-30seconds")
@pytest.mark.parametrize("after", [0, 30])
def test_a_code_works_once_and_its_second_use_takes_the_access_token_back(
    party: Party, after: float
) -> None:
    code = party.authorize().members["code"]
    tokens = party.redeem(code)
    assert party.userinfo(tokens).status_code == 200
    party.idp.clock.turn(after)
    assert refused_token(party.ask_token(party.code_form(code))) == "invalid_grant"
    assert party.userinfo(tokens).status_code == 401


@pytest.mark.spec(SUITE, "oidcc-ensure-registered-redirect-uri")
def test_an_address_that_is_not_registered_is_a_page_that_says_so(party: Party) -> None:
    response = party.visit({"redirect_uri": f"{CALLBACK}/x2Vd9aPq0L"})
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "redirect" in response.text
    assert "<form" not in response.text


@pytest.mark.spec(SUITE, "oidcc-ensure-post-request-succeeds")
def test_a_request_may_be_posted(party: Party) -> None:
    request = party.request({})
    response = party.through(party.follow(party.browser.post("/auth", data=request)))
    party.redeem(party.answer(response, request).members["code"])


@pytest.mark.spec(SUITE, "oidcc-claims-essential")
def test_an_essential_claim_of_userinfo_is_there_and_not_in_the_id_token(party: Party) -> None:
    tokens = party.sign_in({"claims": '{"userinfo":{"name":{"essential":true}}}'})
    assert party.userinfo(tokens).json().keys() == {"sub", "name"}
    assert "name" not in party.id_claims(tokens, nonce="nonce of the suite")


@pytest.mark.spec(SUITE, "oidcc-ensure-request-with-valid-pkce-succeeds")
def test_a_request_with_pkce_is_fine(party: Party) -> None:
    pkce = Pkce()
    challenge = {"code_challenge": pkce.challenge, "code_challenge_method": "S256"}
    code = party.authorize(challenge).members["code"]
    party.redeem(code, code_verifier=pkce.verifier)


@pytest.mark.spec(SUITE, "oidcc-refresh-token")
def test_a_refresh_token_renews_a_login_for_its_own_client(
    idp: ProviderUnderTest, plan: tuple[str, str]
) -> None:
    grants: dict[str, Any] = {"grant_types": ["authorization_code", "refresh_token"]}
    by, mode = plan
    first, second = (
        static_party(idp, name, response_mode=mode)
        if by == "static"
        else dynamic_party(idp, response_mode=mode, **grants)
        for name in ("client", "client2")
    )
    scope = "openid offline_access"
    changes = {"scope": scope, "prompt": "consent"}
    tokens = first.sign_in(changes)
    before = first.id_claims(tokens, nonce="nonce of the suite")
    idp.clock.turn(1)
    renewed = good_tokens(first.refresh(tokens["refresh_token"], scope=scope))
    assert renewed["access_token"] != tokens["access_token"]
    assert len(renewed["refresh_token"]) >= 43
    _, after = first.verified(renewed["id_token"])
    assert after["iat"] > before["iat"]
    same = ("iss", "sub", "aud", "auth_time")
    assert [after.get(name) for name in (*same, "azp")] == [*(before[name] for name in same), None]
    assert first.userinfo(renewed).status_code == 200

    of_second = second.sign_in(changes)["refresh_token"]
    assert refused_token(first.refresh(of_second, scope=scope)) == "invalid_grant"
