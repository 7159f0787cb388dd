"""How a token request must look (RFC 6749 sections 3.2, 4.1.3 and 5.2)."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.kit.provider import (
    CONFIDENTIAL,
    PUBLIC,
    ProviderUnderTest,
    base_config,
    provider_under_test,
)
from tests.kit.sizes import examples

FORM = "application/x-www-form-urlencoded"
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture(scope="module")
def idp() -> Iterator[ProviderUnderTest]:
    config = base_config()
    # Keys that are made in no time.
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    with provider_under_test(config) as provider:
        yield provider


def refused(response: httpx.Response, error: str, status: int = 400) -> None:
    """Assert a refusal of section 5.2: JSON of known members, never cached, printable."""
    body = response.json()
    assert (response.status_code, body["error"]) == (status, error), response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert set(body) == {"error", "error_description", "request_id"}
    description = body["error_description"]
    assert all(" " <= character <= "~" and character not in '"\\' for character in description)
    assert body["request_id"] == response.headers["x-request-id"]


def post(idp: ProviderUnderTest, **options: Any) -> httpx.Response:
    return idp.new_browser("203.0.113.5").post("/token", **options)


@pytest.mark.covers("R-17")
@pytest.mark.spec("RFC 6749", "3.2")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "FOO"])
def test_only_post_is_taken(idp: ProviderUnderTest, method: str) -> None:
    code = idp.code()
    query = {"grant_type": "authorization_code", "code": code}
    response = idp.browser.request(method, "/token", params=query, auth=CONFIDENTIAL)
    assert response.status_code == 405
    assert "POST" in response.headers["allow"].split(", ")
    assert response.headers["cache-control"] == "no-store"
    assert code not in response.text
    assert idp.redeem(code).status_code == 200


@pytest.mark.covers("R-17")
@pytest.mark.spec("RFC 6749", "3.2")
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "multipart/form-data; boundary=x", "", "x", "*/*", None,
     "application/x-www-form-urlencoded-not", "text/x-www-form-urlencoded"],
)  # fmt: skip
def test_only_forms_are_taken(idp: ProviderUnderTest, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    body = b"grant_type=client_credentials"
    refused(post(idp, content=body, headers=headers, auth=CONFIDENTIAL), "invalid_request")


@pytest.mark.covers("R-17")
def test_a_json_body_is_refused(idp: ProviderUnderTest) -> None:
    refused(post(idp, json=GRANT, auth=CONFIDENTIAL), "invalid_request")


@pytest.mark.parametrize(
    "content_type", [FORM, FORM.upper(), f"{FORM}; charset=utf-8", f"{FORM};charset=UTF-8"]
)
def test_a_form_may_be_labelled_as_clients_label_it(
    idp: ProviderUnderTest, content_type: str
) -> None:
    body = b"grant_type=client_credentials"
    response = post(idp, content=body, headers={"content-type": content_type}, auth=CONFIDENTIAL)
    assert response.status_code == 200


@pytest.mark.covers("R-17")
@pytest.mark.spec("RFC 6749", "2.3.1")
@pytest.mark.parametrize(
    "query",
    [
        {"client_id": CONFIDENTIAL[0], "client_secret": CONFIDENTIAL[1]},
        {"client_secret": CONFIDENTIAL[1]},
        {"client_id": CONFIDENTIAL[0]},
        {"code": "x"},
        {"refresh_token": "x"},
        {"client_secret": ""},
    ],
)
def test_credentials_in_the_query_are_refused(
    idp: ProviderUnderTest, query: dict[str, str]
) -> None:
    """They end up in logs; also when right ones stand where they belong."""
    refused(post(idp, params=query, data=GRANT, auth=CONFIDENTIAL), "invalid_request")
    refused(post(idp, params=query, data=GRANT), "invalid_request")


def test_parameters_in_the_query_do_not_count(idp: ProviderUnderTest) -> None:
    refused(post(idp, params=GRANT, data={"x": "y"}, auth=CONFIDENTIAL), "invalid_request")


@pytest.mark.covers("R-19")
@pytest.mark.spec("RFC 6749", "5.2")
@pytest.mark.parametrize("form", [{"x": "y"}, {"grant_type": ""}, {"Grant_Type": "refresh_token"}])
def test_a_missing_grant_type_is_an_invalid_request(
    idp: ProviderUnderTest, form: dict[str, str]
) -> None:
    response = post(idp, data=form, auth=CONFIDENTIAL)
    refused(response, "invalid_request")
    assert "grant_type" in response.json()["error_description"]


@pytest.mark.covers("R-19", "R-25", "CV-9")
@pytest.mark.spec("RFC 9700", "2.4")
@pytest.mark.spec("RFC 6749", "5.2")
@pytest.mark.parametrize(
    "grant_type",
    [
        "password", "implicit", "token", "none", "authorization-code", "AUTHORIZATION_CODE",
        " authorization_code", "authorization_code ", "authorization_code\x00", "refresh",
        "urn:ietf:params:oauth:grant-type:device_code", "device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange", "token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:openid:params:grant-type:ciba",
        "authorization_code,refresh_token", "client_credentials;", "日本", "a" * 5000, '"\\',
        "__class__", "{{7*7}}",
    ],
)  # fmt: skip
def test_an_unknown_grant_type_is_refused(idp: ProviderUnderTest, grant_type: str) -> None:
    """Everything is there that any grant could want, so that only the name can refuse it."""
    refresh_token = idp.tokens()["refresh_token"]
    form = {
        "grant_type": grant_type, "code": idp.code(), "refresh_token": refresh_token,
        "username": "alice@example.com", "password": "correct horse battery staple",
        "redirect_uri": "https://app.example.com/callback", "assertion": "x",
    }  # fmt: skip
    refused(idp.token(form), "unsupported_grant_type")


@pytest.mark.covers("CV-9")
@settings(
    deadline=None,
    max_examples=examples(200),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(max_size=40))
@example("authorization_code\n")
def test_no_made_up_grant_type_is_served(idp: ProviderUnderTest, grant_type: str) -> None:
    if grant_type in ("authorization_code", "refresh_token", "client_credentials"):
        return
    body = httpx.QueryParams({"grant_type": grant_type.encode("utf-8", "replace").decode()})
    headers = {"content-type": FORM}
    response = post(idp, content=str(body), headers=headers, auth=CONFIDENTIAL)
    assert response.status_code == 400
    assert response.json()["error"] in ("unsupported_grant_type", "invalid_request")


@pytest.mark.covers("R-26", "R-19")
@pytest.mark.spec("RFC 6749", "4.4")
def test_a_public_client_may_not_use_client_credentials(idp: ProviderUnderTest) -> None:
    refused(post(idp, data={**GRANT, "client_id": PUBLIC}), "unauthorized_client")


@pytest.mark.covers("R-5", "R-17")
@pytest.mark.spec("RFC 6749", "3.2")
@pytest.mark.parametrize(
    "body",
    [
        "grant_type=client_credentials&grant_type=client_credentials",
        "grant_type=client_credentials&grant_type=refresh_token",
        "grant_type=client_credentials&grant%5Ftype=password",
        "grant_type=client_credentials&scope=openid&scope=groups",
        "grant_type=client_credentials&x=1&x=1",
        "grant_type=client_credentials&x=&x=",
        "grant_type=client_credentials&%00=&%00=",
    ],
)
def test_a_parameter_that_comes_twice_is_refused(idp: ProviderUnderTest, body: str) -> None:
    headers = {"content-type": FORM}
    refused(post(idp, content=body, headers=headers, auth=CONFIDENTIAL), "invalid_request")


@pytest.mark.covers("R-81")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"grant_type=client_credentials&scope=" + b"a" * 70_000, 413),
        (b"grant_type=client_credentials&" + b"&".join(b"x%d=y" % n for n in range(5000)), 400),
        (b"grant_type=client_credentials&" + b"&".join(b"x%d=y" % n for n in range(80)), 400),
        (b"grant_type=client_credentials&x=" + b"a" * 20_000, 400),
        (b"grant_type=client_credentials&scope=" + b"a" * 2_000, 400),
        (b"grant_type=client_credentials&x=%ff", 400),
        (b"grant_type=client_credentials&\xff=1", 400),
        (b"grant_type=client_credentials&scope=%22", 400),
        (b"grant_type=client_credentials&scope=%00", 400),
        (b"grant_type=client_credentials&scope=openid%0a", 400),
        (b"", 400),
        (b"&&&&", 400),
        (b"=", 400),
        (b"\x00", 400),
        (b"%", 400),
    ],
)
def test_garbage_is_a_4xx(idp: ProviderUnderTest, body: bytes, status: int) -> None:
    response = post(idp, content=body, headers={"content-type": FORM}, auth=CONFIDENTIAL)
    assert response.status_code == status
    assert response.json()["error"] in ("invalid_request", "invalid_scope")
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.covers("R-81")
@settings(
    deadline=None,
    max_examples=examples(200),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.binary(max_size=300), authorization=st.binary(max_size=80))
def test_no_bytes_make_a_fault(idp: ProviderUnderTest, body: bytes, authorization: bytes) -> None:
    printable = bytes(byte for byte in authorization if byte >= 0x20 and byte != 0x7F)
    headers = [(b"content-type", FORM.encode()), (b"authorization", b"Basic " + printable)]
    response = post(idp, content=body, headers=headers)
    assert 400 <= response.status_code < 500
    json.loads(response.text)


@pytest.mark.covers("R-63")
def test_what_the_sender_wrote_never_becomes_a_header_or_raw_json(idp: ProviderUnderTest) -> None:
    nasty = 'x"},\r\nset-cookie: a=b\r\n\\\u2028<script>'
    response = post(idp, data={**GRANT, nasty: "1", "scope": nasty}, auth=CONFIDENTIAL)
    refused(response, "invalid_scope")
    doubled = str(httpx.QueryParams([(nasty, "1"), (nasty, "2")]))
    response = post(idp, content=doubled, headers={"content-type": FORM}, auth=CONFIDENTIAL)
    refused(response, "invalid_request")
    assert "set-cookie" not in response.headers


@pytest.mark.covers("I-8")
def test_no_token_request_sets_a_cookie(idp: ProviderUnderTest) -> None:
    for response in (post(idp, data=GRANT, auth=CONFIDENTIAL), post(idp, data=GRANT)):
        assert "set-cookie" not in response.headers
