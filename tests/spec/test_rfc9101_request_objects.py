"""Authorization requests as signed JWTs: RFC 9101, OIDC Core section 6.1."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.kit.client_answers import ClientAnswer, read_answer
from tests.kit.provider import (
    ALICE,
    CALLBACK,
    CONFIDENTIAL,
    ISSUER,
    OTHER,
    PASSWORD,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.signing_client import SigningClient, key_for
from tests.vectors.hostile_jose import Good, hostile_tokens
from tests.vectors.redirects import EXACT
from tests.vectors.redirects.hostile import hostile_to_exact

RFC = "RFC 9101"
CORE = "OIDC Core"
CLIENT = CONFIDENTIAL[0]
INVALID = "invalid_request_object"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
GOOD = {
    "client_id": CLIENT,
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid email",
    "state": "state inside",
    "nonce": "nonce inside",
}
OUTSIDE = {"client_id": CLIENT, "redirect_uri": CALLBACK, "state": "state outside"}


@pytest.fixture(scope="module")
def signer() -> SigningClient:
    return SigningClient(CLIENT, ISSUER)


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    keys = [
        SigningClient(CLIENT, ISSUER, alg=alg).jwks["keys"][0] for alg in (*ALGORITHMS, "EdDSA")
    ]
    config = base_config()
    config["oauth2"]["responseTypes"] = ["code", "id_token", "token"]
    config["staticClients"][0] |= {
        "jwks": {"keys": keys},
        "redirectURIs": [CALLBACK, EXACT],
    }
    config["staticClients"][1]["jwks"] = SigningClient(OTHER[0], ISSUER, name="other").jwks
    config["staticClients"].append(
        {
            "id": "strict",
            "name": "Strict",
            "secret": "s" * 32,
            "redirectURIs": [CALLBACK],
            "requestObjectSigningAlg": "ES256",
            "jwks": {"keys": keys},
        }
    )
    with provider_under_test(config) as provider:
        yield provider


def ask(provider: ProviderUnderTest, request: str, **outside: str | None) -> httpx.Response:
    parameters = {**OUTSIDE, **outside, "request": request}
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return provider.browser.get(f"/auth?{query}")


def refusal(provider: ProviderUnderTest, request: str, **outside: str | None) -> ClientAnswer:
    """Return how a request object is refused, by the way that stands outside of it."""
    answer = read_answer(ask(provider, request, **outside))
    assert answer.members["state"] == "state outside"
    assert answer.members["iss"] == ISSUER
    return answer


def sign_in(provider: ProviderUnderTest, response: httpx.Response) -> ClientAnswer:
    page = login_page(response)
    form = {"login": ALICE, "password": PASSWORD, "state": page.state}
    return read_answer(provider.browser.post(page.action, data=form))


@pytest.mark.spec(RFC, "6.2")
@pytest.mark.parametrize("alg", [*ALGORITHMS, "EdDSA"])
def test_a_request_object_of_any_served_algorithm_is_a_request(
    provider: ProviderUnderTest, alg: str
) -> None:
    request = SigningClient(CLIENT, ISSUER, alg=alg).request_object(GOOD)
    answer = sign_in(provider, ask(provider, request))
    assert answer.members["state"] == "state inside"
    assert provider.redeem(answer.members["code"]).status_code == 200


@pytest.mark.spec(RFC, "6.3")
@pytest.mark.spec("OIDC Core", "6.1")
@pytest.mark.spec(RFC, "5")
def test_only_what_is_inside_counts(provider: ProviderUnderTest, signer: SigningClient) -> None:
    inside = {name: value for name, value in GOOD.items() if name not in ("state", "nonce")}
    response = ask(
        provider,
        signer.request_object(inside),
        redirect_uri="https://evil.example/",
        scope="openid groups profile",
        nonce="outside",
        prompt="none",
        max_age="nonsense",
        response_mode="nonsense",
        registration="{}",
    )
    answer = sign_in(provider, response)
    assert (answer.mode, answer.address) == ("query", CALLBACK)
    assert "state" not in answer.members
    tokens = provider.redeem(answer.members["code"]).json()
    assert set(tokens["scope"].split()) == {"openid", "email"}


@pytest.mark.spec(RFC, "5")
def test_the_client_id_is_all_that_is_needed_outside(
    provider: ProviderUnderTest, signer: SigningClient
) -> None:
    request = signer.request_object(GOOD)
    response = provider.browser.get(f"/auth?{urlencode({'client_id': CLIENT, 'request': request})}")
    assert sign_in(provider, response).members["state"] == "state inside"


@pytest.mark.spec(CORE, "6.1")
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_the_answer_goes_the_way_that_is_asked_for_inside(
    provider: ProviderUnderTest, signer: SigningClient, mode: str
) -> None:
    inside = {**GOOD, "response_mode": mode}
    assert sign_in(provider, ask(provider, signer.request_object(inside))).mode == mode
    refused = read_answer(ask(provider, signer.request_object({**inside, "prompt": "none"})))
    assert (refused.mode, refused.members["error"]) == (mode, "login_required")
    assert refused.members["state"] == "state inside"


@pytest.mark.spec(RFC, "4")
def test_numbers_and_objects_inside_are_parameters(
    provider: ProviderUnderTest, signer: SigningClient
) -> None:
    inside = {**GOOD, "max_age": 600, "claims": {"id_token": {"auth_time": None}}, "x": [1, None]}
    assert ask(provider, signer.request_object(inside)).status_code == 200
    for name in ("scope", "max_age", "nonce", "redirect_uri", "state", "prompt", "response_mode"):
        wrong: list[Any] = [[], ["openid"], True, 1.5, [GOOD], {"a": "b"}]
        # A number stands only where a number is meant, an object only where an object is.
        wrong += [] if name == "max_age" else [5]
        for value in wrong:
            text = signer.request_object({**GOOD, name: value})
            assert refusal(provider, text).members["error"] == INVALID
        assert (
            refusal(provider, signer.jwt(_claims(signer, {name: None}))).members["error"] == INVALID
        )


def _claims(signer: SigningClient, changes: Mapping[str, Any]) -> dict[str, Any]:
    return {"iss": signer.client_id, "aud": ISSUER, **GOOD, **changes}


@pytest.mark.covers("R-49")
@pytest.mark.spec(RFC, "6.3")
def test_what_is_inside_is_judged_as_any_request_is(
    provider: ProviderUnderTest, signer: SigningClient
) -> None:
    mistakes: dict[str, dict[str, Any]] = {
        "invalid_request": {"prompt": "nonsense"},
        "invalid_scope": {"scope": '"'},
        "registration_not_supported": {"registration": {}},
        "unsupported_response_type": {"response_type": "token"},
    }
    for error, change in mistakes.items():
        answer = read_answer(ask(provider, signer.request_object({**GOOD, **change})))
        assert answer.members["error"] == error
        assert answer.members["state"] == "state inside"
    for change in ({"redirect_uri": "https://evil.example/"}, {"redirect_uri": ""}):
        response = ask(provider, signer.request_object({**GOOD, **change}))
        assert response.status_code == 400


@pytest.mark.covers("R-49", "R-45")
@pytest.mark.spec("RFC 9101", "4")
@pytest.mark.spec(RFC, "6.3")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": OTHER[0]},
        {"client_id": "APP"},
        {"client_id": [CLIENT]},
        {"iss": None},
        {"iss": OTHER[0]},
        {"iss": ISSUER},
        {"aud": None},
        {"aud": CLIENT},
        {"aud": ISSUER + "/"},
        {"aud": []},
        {"aud": [ISSUER, 1]},
        {"aud": {"x": ISSUER}},
        {"sub": CLIENT},
        {"request": "x"},
        {"request_uri": "https://app.example.com/request"},
        {"exp": 1},
        {"exp": "9999999999"},
        {"exp": 9999999999.5},
        {"nbf": 9999999999},
        {"nbf": True},
        {"iat": "now"},
    ],
)
def test_a_request_object_that_is_not_this_clients_for_us_now_is_refused(
    provider: ProviderUnderTest, signer: SigningClient, changes: dict[str, Any]
) -> None:
    answer = refusal(provider, signer.request_object(GOOD, **changes))
    assert answer.members["error"] == INVALID


@pytest.mark.spec(RFC, "4")
def test_times_and_several_audiences_may_be_told(
    provider: ProviderUnderTest, signer: SigningClient
) -> None:
    now = int(provider.clock().timestamp())
    for changes in (
        {"exp": now + 1, "nbf": now, "iat": now, "jti": "1"},
        {"nbf": now + 60},
        {"aud": [ISSUER]},
        {"aud": ["https://other.example", ISSUER]},
        {"sub": "somebody"},
    ):
        assert ask(provider, signer.request_object(GOOD, **changes)).status_code == 200
    for late in ({"exp": now}, {"nbf": now + 61}):
        assert refusal(provider, signer.request_object(GOOD, **late)).members["error"] == INVALID


@pytest.mark.covers("R-45")
@pytest.mark.spec(RFC, "10.8")
def test_a_jwt_of_another_type_is_no_request_object(
    provider: ProviderUnderTest, signer: SigningClient
) -> None:
    claims = _claims(signer, {})
    good: list[Any] = ["oauth-authz-req+jwt", "JWT", "application/oauth-authz-req+jwt", None]
    for typ in good:
        header = {name: value for name, value in {**signer.header, "typ": typ}.items() if value}
        assert ask(provider, signer.jwt(claims, header)).status_code == 200
    for typ in ("at+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "x"):
        answer = refusal(provider, signer.jwt(claims, {**signer.header, "typ": typ}))
        assert answer.members["error"] == INVALID


@pytest.mark.spec(CORE, "6.1")
def test_a_response_type_outside_must_be_the_same(
    provider: ProviderUnderTest, signer: SigningClient
) -> None:
    request = signer.request_object(GOOD)
    assert ask(provider, request, response_type="code").status_code == 200
    answer = refusal(provider, request, response_type="id_token")
    assert (answer.mode, answer.members["error"]) == ("fragment", INVALID)


@pytest.mark.covers("R-49", "CV-8")
@pytest.mark.spec("RFC 9101", "6.2")
def test_a_request_object_in_another_clients_name_is_refused(provider: ProviderUnderTest) -> None:
    for client_id, name in ((CLIENT, "other"), (OTHER[0], "first")):
        forger = SigningClient(client_id, ISSUER, name=name)
        claims = {**_claims(forger, {}), "client_id": client_id}
        for header in (forger.header, {**forger.header, "kid": "RS256-first"}):
            answer = refusal(provider, forger.jwt(claims, header), client_id=CLIENT)
            assert answer.members["error"] == INVALID


@pytest.mark.covers("R-49")
def test_a_client_without_keys_has_no_request_objects(provider: ProviderUnderTest) -> None:
    outside = {"client_id": "cli", "redirect_uri": "http://localhost:8000"}
    signer = SigningClient("cli", ISSUER)
    request = signer.request_object({**GOOD, **outside})
    assert refusal(provider, request, **outside).members["error"] == INVALID


@pytest.mark.spec("OIDC Dynamic Client Registration", "2")
def test_a_registered_algorithm_is_the_only_one(provider: ProviderUnderTest) -> None:
    inside = {**GOOD, "client_id": "strict"}
    right = SigningClient("strict", ISSUER, alg="ES256").request_object(inside)
    assert ask(provider, right, client_id="strict").status_code == 200
    for alg in ("RS256", "ES384", "PS256"):
        wrong = SigningClient("strict", ISSUER, alg=alg).request_object(inside)
        answer = refusal(provider, wrong, client_id="strict")
        assert answer.members["error"] == INVALID


@pytest.mark.covers("R-9", "R-49")
@pytest.mark.spec(RFC, "5")
def test_request_uri_and_request_are_not_used_together(
    provider: ProviderUnderTest, signer: SigningClient
) -> None:
    uri = "https://app.example.com/request.jwt"
    answer = read_answer(
        provider.browser.get(f"/auth?{urlencode({**OUTSIDE, 'request_uri': uri})}")
    )
    assert answer.members["error"] == "request_uri_not_supported"
    both = refusal(provider, signer.request_object(GOOD), request_uri=uri)
    assert both.members["error"] == "invalid_request"


@pytest.mark.covers("R-49", "R-5")
def test_parameters_outside_come_once(provider: ProviderUnderTest, signer: SigningClient) -> None:
    request = signer.request_object(GOOD)
    pairs = [*OUTSIDE.items(), ("request", request)]
    for name, expected in (("request", 303), ("scope", 303), ("client_id", 400)):
        twice = [*pairs, (name, dict(pairs).get(name, "openid")), (name, "x")]
        response = provider.browser.get(f"/auth?{urlencode(twice)}")
        assert response.status_code == expected
        if expected == 303:
            assert read_answer(response).members["error"] == "invalid_request"


@pytest.mark.covers("R-1", "R-49")
@pytest.mark.spec("RFC 9101", "10.2")
def test_without_an_address_that_is_trusted_a_broken_one_is_a_page(
    provider: ProviderUnderTest, signer: SigningClient
) -> None:
    broken = signer.request_object(GOOD, iss="x")
    for outside in (
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/"},
        {"client_id": "ghost"},
        {"client_id": None},
    ):
        response = ask(provider, broken, **outside)
        assert response.status_code == 400
        assert "location" not in response.headers
    # What is in a request object that nobody vouches for decides nothing.
    forger = SigningClient(CLIENT, ISSUER, name="stranger")
    response = ask(provider, forger.request_object(GOOD), redirect_uri=None)
    assert response.status_code == 400
    assert "registered keys" in response.text


@pytest.mark.covers("R-41", "R-42", "R-43", "R-44", "R-49", "CV-12", "CV-13", "CV-14", "CV-16")
@pytest.mark.spec("RFC 9101", "6.2")
@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_no_hostile_request_object_is_accepted(provider: ProviderUnderTest, alg: str) -> None:
    good = _good(provider, alg)
    assert ask(provider, good.text()).status_code == 200
    # What is optional in a request object may be left out or said otherwise.
    harmless = {"kid missing", "typ missing", "exp missing", "iat missing", f"iss {CLIENT!r}"}
    harmless |= {f"typ {typ!r}" for typ in ("JWT", "jwt", "Jwt", "application/jwt")}
    harmless |= {f"nbf {int(provider.clock().timestamp()) + 1}"}
    cases = [
        case for case in hostile_tokens(good) if case[0] not in harmless and len(case[1]) < 9000
    ]
    assert len(cases) >= 300
    assert [name for name, text in cases if not _is_refused(_posted(provider, text))] == []


def _good(provider: ProviderUnderTest, alg: str) -> Good:
    signer = SigningClient(CLIENT, ISSUER, alg=alg)
    now = int(provider.clock().timestamp())
    public = key_for(alg, "first").public_key
    info = PublicFormat.SubjectPublicKeyInfo
    pem: bytes = public.public_bytes(Encoding.PEM, info)
    return Good(
        header=signer.header,
        claims=_claims(signer, {"exp": now + 600, "iat": now}),
        sign=signer.sign,
        sign_as_stranger=SigningClient(CLIENT, ISSUER, alg=alg, name="stranger").sign,
        public_forms={
            "PEM": pem,
            "PEM without newline": pem.strip(),
            "DER": public.public_bytes(Encoding.DER, info),
            "jwk": json.dumps(signer.jwks["keys"][0]).encode(),
            "client secret": CONFIDENTIAL[1].encode(),
        },
        now=now,
    )


def _posted(provider: ProviderUnderTest, request: str) -> httpx.Response:
    body = urlencode({**OUTSIDE, "request": request}, errors="surrogatepass")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return provider.browser.post("/auth", content=body, headers=headers)


def _is_refused(response: httpx.Response) -> bool:
    if response.status_code == 400:
        return "location" not in response.headers
    answer = read_answer(response)
    return answer.address == CALLBACK and answer.members.get("error") in (
        INVALID,
        "invalid_request",
    )


@pytest.mark.covers("R-2", "R-49", "CV-7")
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_no_hostile_address_is_accepted_through_a_request_object(
    provider: ProviderUnderTest, signer: SigningClient, mode: str
) -> None:
    # One signature costs a millisecond: each mode takes its third of the addresses.
    every = list(hostile_to_exact())
    assert len(every) >= 300
    cases = every[["query", "fragment", "form_post"].index(mode) :: 3]
    for name, uri in cases:
        inside = {**GOOD, "redirect_uri": uri, "response_mode": mode}
        response = ask(provider, signer.request_object(inside), redirect_uri=EXACT)
        assert response.status_code == 400, name
        assert "location" not in response.headers


@pytest.mark.covers("R-11")
@pytest.mark.spec(CORE, "3.1.2.1")
def test_a_posted_request_object_outlives_its_exp_once_it_was_checked(
    signer: SigningClient,
) -> None:
    config = base_config()
    config["staticClients"][0]["jwks"] = signer.jwks
    config["oauth2"]["alwaysShowLoginScreen"] = True
    with provider_under_test(config) as provider:
        now = int(provider.clock().timestamp())
        request = signer.request_object(GOOD, exp=now + 5)
        there = provider.browser.post("/auth", data={**OUTSIDE, "request": request})
        chooser = ask(provider, request)
        provider.clock.turn(60)
        assert provider.browser.get(there.headers["location"]).status_code == 200
        link = chooser.text.split('href="/auth/local?')[1].split('"')[0]
        assert "request=" not in link
        answer = sign_in(provider, provider.browser.get(f"/auth/local?{link}"))
        assert answer.members["state"] == "state inside"
        assert refusal(provider, request).members["error"] == INVALID


@pytest.mark.covers("R-106")
@pytest.mark.spec("RFC 9101", "10.5")
def test_discovery_says_what_is_served(provider: ProviderUnderTest) -> None:
    document = provider.browser.get("/.well-known/openid-configuration").json()
    assert document["request_parameter_supported"] is True
    assert document["request_uri_parameter_supported"] is False
    assert document["require_request_uri_registration"] is True
    assert "none" not in document["request_object_signing_alg_values_supported"]
    assert set(ALGORITHMS) <= set(document["request_object_signing_alg_values_supported"])
