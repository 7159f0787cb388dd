"""Client authentication at the token endpoint (RFC 6749 section 2.3, OIDC Core section 9)."""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest

from tests.kit.provider import (
    CALLBACK,
    CONFIDENTIAL,
    ISSUER,
    OTHER,
    PUBLIC,
    Pkce,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)

GRANT = {"grant_type": "client_credentials"}
ODD_ID = "odd: client+%20&="
ODD_SECRET = "a secret: with + and % and é and / long"


@pytest.fixture
def idp() -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["staticClients"].append(
        {"id": ODD_ID, "name": "Odd", "secret": ODD_SECRET, "redirectURIs": [CALLBACK]}
    )
    with provider_under_test(config) as provider:
        yield provider


def post(idp: ProviderUnderTest, address: str = "203.0.113.5", **options: Any) -> httpx.Response:
    return idp.new_browser(address).post("/token", **options)


def basic(text: str | bytes) -> dict[str, str]:
    octets = text if isinstance(text, bytes) else text.encode()
    return {"authorization": "Basic " + b64encode(octets).decode()}


def outcome(response: httpx.Response) -> tuple[int, str | None]:
    return response.status_code, response.json().get("error")


def without_request_id(response: httpx.Response) -> tuple[Any, ...]:
    body = {k: v for k, v in json.loads(response.text).items() if k != "request_id"}
    headers = {k: v for k, v in response.headers.items() if k != "x-request-id"}
    return response.status_code, body, headers


@pytest.mark.covers("R-18")
@pytest.mark.spec("OIDC Core", "9")
@pytest.mark.spec("RFC 6749", "2.3.1")
def test_a_secret_may_come_in_the_header_or_in_the_body(idp: ProviderUnderTest) -> None:
    client_id, secret = CONFIDENTIAL
    in_body = {**GRANT, "client_id": client_id, "client_secret": secret}
    assert post(idp, data=GRANT, headers=basic(f"{client_id}:{secret}")).status_code == 200
    assert post(idp, data=in_body).status_code == 200


@pytest.mark.covers("R-18")
@pytest.mark.spec("RFC 6749", "3.2.1")
@pytest.mark.spec("RFC 6749", "5.2")
@pytest.mark.parametrize(
    "attempt",
    [
        {"headers": basic("nobody:x")},
        {"headers": basic("app:wrong")},
        {"headers": basic("app:")},
        {"headers": basic(":")},
        {"headers": basic(f"APP:{CONFIDENTIAL[1]}")},
        {"headers": basic(f"app:{CONFIDENTIAL[1]} ")},
        {"headers": basic(f"app:{CONFIDENTIAL[1][:-1]}")},
        {"headers": basic(f"app:{CONFIDENTIAL[1]}\x00")},
        {"headers": basic(f"app:{OTHER[1]}")},
        {"headers": basic(f"{PUBLIC}:a secret")},
        {"headers": {"authorization": "Bearer x"}},
        {"headers": {"authorization": "Basic"}},
        {"headers": {"authorization": ""}},
        {"data": GRANT},
        {"data": {**GRANT, "client_id": "nobody"}},
        {"data": {**GRANT, "client_id": "app"}},
        {"data": {**GRANT, "client_id": "app", "client_secret": ""}},
        {"data": {**GRANT, "client_id": "app", "client_secret": "wrong"}},
        {"data": {**GRANT, "client_id": PUBLIC, "client_secret": "a secret"}},
        {"data": {**GRANT, "client_secret": CONFIDENTIAL[1]}},
        {"data": {**GRANT, "client_id": "日本\x00", "client_secret": "é"}},
    ],
)
def test_failed_authentication_is_always_401_with_a_challenge(
    idp: ProviderUnderTest, attempt: dict[str, Any]
) -> None:
    response = post(idp, **{"data": GRANT, **attempt})
    assert outcome(response) == (401, "invalid_client")
    assert response.headers["www-authenticate"] == f'Basic realm="{ISSUER}"'
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.covers("R-18", "CV-6")
def test_unknown_client_and_wrong_or_missing_secret_get_the_same_bytes(
    idp: ProviderUnderTest,
) -> None:
    answers = [
        without_request_id(post(idp, data=GRANT, headers=basic(f"{client_id}:{secret}")))
        for client_id in ("nobody", "app", "app2", "APP", PUBLIC)
        for secret in ("wrong", "x" * 200)
    ]
    bodies = [
        without_request_id(post(idp, data={**GRANT, **credentials}))
        for credentials in (
            {"client_id": "nobody", "client_secret": "wrong"},
            {"client_id": "app", "client_secret": "wrong"},
            {"client_id": "nobody"},
            {"client_id": "app"},
        )
    ]
    assert all(answer == answers[0] for answer in [*answers, *bodies])


@pytest.mark.covers("R-18")
@pytest.mark.spec("RFC 6749", "2.3")
@pytest.mark.parametrize(
    "more",
    [
        {"client_id": "app", "client_secret": CONFIDENTIAL[1]},
        {"client_secret": CONFIDENTIAL[1]},
        {"client_secret": "wrong"},
        {"client_id": OTHER[0]},
        {"client_id": OTHER[0], "client_secret": OTHER[1]},
        {"client_id": "nobody"},
    ],
)
def test_two_methods_at_once_are_refused(idp: ProviderUnderTest, more: dict[str, str]) -> None:
    response = post(idp, data={**GRANT, **more}, auth=CONFIDENTIAL)
    assert outcome(response) == (400, "invalid_request")


def test_the_same_client_id_may_be_repeated_in_the_body(idp: ProviderUnderTest) -> None:
    """Many clients do; only a second secret is a second method."""
    assert post(idp, data={**GRANT, "client_id": "app"}, auth=CONFIDENTIAL).status_code == 200


@pytest.mark.covers("R-18")
def test_two_authorization_headers_are_refused(idp: ProviderUnderTest) -> None:
    right = basic(":".join(CONFIDENTIAL))["authorization"]
    for second in (right, "Basic eDp5", "Bearer x", ""):
        for pair in ([right, second], [second, right]):
            headers = [("authorization", value) for value in pair]
            assert post(idp, data=GRANT, headers=headers).status_code in (400, 401)


@pytest.mark.covers("R-18", "CV-34")
@pytest.mark.spec("RFC 6749", "2.3.1")
@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_scheme_is_case_insensitive(idp: ProviderUnderTest, scheme: str) -> None:
    encoded = b64encode(":".join(CONFIDENTIAL).encode()).decode()
    headers = {"authorization": f"{scheme} {encoded}"}
    assert post(idp, data=GRANT, headers=headers).status_code == 200


def loosely_encoded() -> list[str]:
    """Texts that a loose decoder takes for the right credentials."""
    good = b64encode(":".join(CONFIDENTIAL).encode()).decode()
    assert good.endswith("Z2g=")
    return [
        f" {good}", f"{good} ", f"\t{good}", good.rstrip("="), good + "=", good + "==",
        good[:8] + " " + good[8:], good[:8] + "\t" + good[8:], good[:8] + "-" + good[8:],
        "Z2h=".join((good[:-4], "")), "Z2i=".join((good[:-4], "")), good + "AAAA", "=" + good,
        good[:4] + "====" + good[4:], good.replace("Z2g=", "Z2g=Z2g="), good + ",", f'"{good}"',
    ]  # fmt: skip


@pytest.mark.covers("R-18", "CV-34")
@pytest.mark.parametrize("encoded", loosely_encoded())
def test_basic_credentials_are_read_strictly(idp: ProviderUnderTest, encoded: str) -> None:
    response = post(idp, data=GRANT, headers={"authorization": f"Basic {encoded}"})
    assert outcome(response) == (401, "invalid_client")


@pytest.mark.covers("CV-34")
def test_no_altered_byte_of_basic_credentials_is_accepted(idp: ProviderUnderTest) -> None:
    good = b64encode(":".join(CONFIDENTIAL).encode()).decode()
    texts = set()
    for position, character in enumerate(good):
        texts.add(good[:position] + ("A" if character != "A" else "B") + good[position + 1 :])
        texts.add(good[:position] + good[position + 1 :])
        texts.add(good[:position] + character + good[position:])
    texts.discard(good)
    for number, text in enumerate(sorted(texts)):
        # Each from its own address, so that the throttle stays out of it.
        address = f"2001:db8:{number:x}::1"
        response = post(idp, address, data=GRANT, headers={"authorization": f"Basic {text}"})
        assert outcome(response) == (401, "invalid_client"), text


@pytest.mark.covers("R-18")
@pytest.mark.spec("RFC 6749", "2.3.1")
def test_both_parts_of_basic_credentials_are_form_encoded(idp: ProviderUnderTest) -> None:
    encoded = basic(f"{quote_plus(ODD_ID)}:{quote_plus(ODD_SECRET)}")
    assert post(idp, data=GRANT, headers=encoded).status_code == 200
    in_body = {**GRANT, "client_id": ODD_ID, "client_secret": ODD_SECRET}
    assert post(idp, data=in_body).status_code == 200


@pytest.mark.covers("R-18", "R-63")
@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe:\xff", b"app:\xff", b"%ff:x", b"app:%ff", b"app", b"", b":", b":x",
        b"app%00:x", b"\x00:x", b"a\r\nb:c", b"app:" + b"x" * 100_000, b"\xf0\x9f\x92\xa9:\xf0\x9f",
        "日本:x".encode(), b"%:%", b"%zz:%zz", b"app:%ed%a0%80",
    ],
)  # fmt: skip
def test_odd_bytes_in_basic_credentials_are_a_plain_refusal(
    idp: ProviderUnderTest, raw: bytes
) -> None:
    response = post(idp, data=GRANT, headers=basic(raw))
    assert outcome(response) == (401, "invalid_client")


@pytest.mark.covers("R-18")
@pytest.mark.spec("RFC 6749", "2.3.1")
@pytest.mark.parametrize(
    "how",
    [
        {"data": {"client_id": PUBLIC}},
        {"data": {"client_id": PUBLIC, "client_secret": ""}},
        {"headers": basic(f"{PUBLIC}:")},
        {"headers": basic(f"{PUBLIC}:"), "data": {"client_id": PUBLIC}},
    ],
)
def test_a_public_client_names_itself_and_an_empty_secret_is_none(
    idp: ProviderUnderTest, how: dict[str, Any]
) -> None:
    """kubectl sends Basic with an empty secret first."""
    pkce = Pkce()
    redirect_uri = "http://localhost:8000"
    changes = {
        "client_id": PUBLIC, "redirect_uri": redirect_uri,
        "code_challenge": pkce.challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    form = {
        "grant_type": "authorization_code",
        "code": idp.code(changes),
        "redirect_uri": redirect_uri,
        "code_verifier": pkce.verifier,
        **how.get("data", {}),
    }
    response = post(idp, data=form, headers=how.get("headers"))
    assert response.status_code == 200
    refresh = {"grant_type": "refresh_token", "refresh_token": response.json()["refresh_token"]}
    again = post(idp, data={**refresh, **how.get("data", {})}, headers=how.get("headers"))
    assert again.status_code == 200


@pytest.mark.covers("R-18", "R-21", "CV-8")
def test_failed_authentication_spends_nothing(idp: ProviderUnderTest) -> None:
    """Go clients try Basic first and the body second, after any error."""
    code = idp.code()
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    attempts: list[dict[str, Any]] = [
        {"auth": ("app", "wrong")},
        {"auth": ("nobody", "x")},
        {"data": {**form, "client_id": PUBLIC}},
        {"data": {**form, "client_id": "app"}},
    ]
    for attempt in attempts:
        assert post(idp, **{"data": form, **attempt}).status_code in (400, 401)
    assert idp.redeem(code).status_code == 200


@pytest.mark.covers("R-75", "R-18")
@pytest.mark.spec("RFC 6749", "2.3.1")
def test_guesses_of_a_client_secret_are_slowed_down_and_the_real_client_is_not(
    idp: ProviderUnderTest,
) -> None:
    guesses = [post(idp, data=GRANT, auth=("app", f"guess {n}")) for n in range(30)]
    statuses = [guess.status_code for guess in guesses]
    assert statuses[:10] == [401] * 10
    assert set(statuses[10:]) == {429}
    for guess in guesses[10:]:
        assert int(guess.headers["retry-after"]) >= 1
        assert guess.headers["cache-control"] == "no-store"
    assert post(idp, "198.51.100.20", data=GRANT, auth=CONFIDENTIAL).status_code == 200


@pytest.mark.covers("R-75")
def test_right_secrets_are_never_slowed_down(idp: ProviderUnderTest) -> None:
    statuses = {post(idp, data=GRANT, auth=CONFIDENTIAL).status_code for _ in range(50)}
    assert statuses == {200}
