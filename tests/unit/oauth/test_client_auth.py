"""Client credentials are read in one way only, and every wrong one gets the same answer."""

import base64
from base64 import b64encode
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.client import Client, secret_hash
from idp.oauth.client_assertion import JWT_BEARER, ClientAssertion
from idp.oauth.client_auth import Credentials, SecretMethod, authenticate, read_credentials
from idp.oauth.errors import InvalidClient, InvalidRequest, OAuthError
from idp.oauth.params import Parameters

SECRET = "a secret of the app, long enough"
APP = Client(id="app", name="App", secret_hashes=(secret_hash("old one"), secret_hash(SECRET)))
CLI = Client(id="cli", name="Command line")
BASIC: Final = "client_secret_basic"
CLIENTS = {"app": APP, "cli": CLI}

texts = st.text(st.characters(codec="utf-8"), max_size=30)


def form(**values: str) -> Parameters:
    return Parameters(values=values, repeated=frozenset())


def basic(pair: bytes) -> str:
    return "Basic " + b64encode(pair).decode()


def encoded(client_id: str, secret: str) -> str:
    return basic(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode())


@pytest.mark.spec("RFC 6749", "2.3.1")
@given(texts.filter(bool), texts)
def test_basic_credentials_come_back_as_they_were_encoded(client_id: str, secret: str) -> None:
    credentials = read_credentials(encoded(client_id, secret), form())
    assert credentials == Credentials(client_id, secret or None, BASIC)


@pytest.mark.covers("CV-36")
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60).map(basic)))
def test_any_header_is_credentials_or_a_refusal(header: str) -> None:
    try:
        credentials = read_credentials(header, form())
    except OAuthError:
        return
    assert credentials.client_id


@pytest.mark.covers("CV-34")
@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", max_size=40))
def test_credentials_have_one_spelling_in_base64(text: str) -> None:
    try:
        read_credentials(f"Basic {text}", form())
    except OAuthError:
        return
    assert b64encode(base64.b64decode(text)).decode() == text


@pytest.mark.covers("R-18", "CV-34")
@pytest.mark.parametrize(
    "header",
    [
        "Basic", "Basic ", "Basic  YTpi", "Basic YTpi ", "Basic YTpi\n", "Basic\tYTpi",
        "Basic YTpi,",
        "Basic YTp", "Basic YTpi=", "Basic YTpi====", "Basic YTpiYw", "Basic YTpiYw=",
        "Basic YTp-", "Basic YTp_", "Basic Y!Tpi", "Basic =YTpi", "Basic YT=pi", "Basic ÿTpi",
        "Basic YTpiYx==",  # b64encode(b"a:bc") with spare bits set
        "Bearer YTpi", "Digest YTpi", "YTpi", "", " Basic YTpi", "Basic:YTpi", "BasicYTpi",
        basic(b""), basic(b":"), basic(b":secret"), basic(b"app"), basic(b"app\xff:x"),
        basic(b"app:\xff"), basic(b"app:%ff"), basic(b"%c3:x"), basic(b"app:%ed%a0%80"),
    ],
)  # fmt: skip
def test_a_header_that_is_not_exactly_basic_is_no_authentication(header: str) -> None:
    with pytest.raises(InvalidClient):
        read_credentials(header, form())


@pytest.mark.spec("RFC 9110", "11.1")
def test_the_scheme_has_no_case() -> None:
    for scheme in ("basic", "BASIC", "BaSiC"):
        assert read_credentials(f"{scheme} YTpi", form()) == Credentials("a", "b", BASIC)


@pytest.mark.spec("RFC 6749", "2.3.1")
@pytest.mark.parametrize(
    ("pair", "client_id", "secret"),
    [
        (b"app:a:b", "app", "a:b"),
        (b"a%3Ab:c", "a:b", "c"),
        (b"app:a+b%2Bc%25", "app", "a b+c%"),
        (b"app:", "app", None),
        (b"app:100%", "app", "100%"),
    ],
)
def test_both_parts_are_form_decoded(pair: bytes, client_id: str, secret: str | None) -> None:
    assert read_credentials(basic(pair), form()) == Credentials(client_id, secret, BASIC)


def test_credentials_of_the_body() -> None:
    assert read_credentials(None, form(client_id="app", client_secret="x")) == Credentials(
        "app", "x"
    )
    assert read_credentials(None, form(client_id="cli")) == Credentials("cli", None)


@pytest.mark.covers("R-18")
def test_no_client_at_all_is_invalid_client() -> None:
    for fields in (form(), form(client_secret="x"), form(client_id="")):
        with pytest.raises(InvalidClient):
            read_credentials(None, fields)


@pytest.mark.covers("R-18")
def test_two_methods_at_once_are_refused() -> None:
    header = encoded("app", SECRET)
    for fields in (form(client_secret=SECRET), form(client_id="cli")):
        with pytest.raises(InvalidRequest):
            read_credentials(header, fields)
    assert read_credentials(header, form(client_id="app")).client_id == "app"


ASSERTION = {"client_assertion_type": JWT_BEARER, "client_assertion": "a.b.c"}


@pytest.mark.spec("RFC 7521", "4.2")
def test_an_assertion_is_presented_alone() -> None:
    assert read_credentials(None, form(**ASSERTION)) == ClientAssertion("a.b.c", None)
    presented = read_credentials(None, form(**ASSERTION, client_id="app"))
    assert presented == ClientAssertion("a.b.c", "app")
    with pytest.raises(InvalidRequest):
        read_credentials(encoded("app", SECRET), form(**ASSERTION))
    with pytest.raises(InvalidRequest):
        read_credentials(None, form(**ASSERTION, client_id="app", client_secret=SECRET))


@pytest.mark.spec("RFC 7521", "4.2")
def test_an_assertion_and_its_type_belong_together() -> None:
    for name, value in ASSERTION.items():
        with pytest.raises(InvalidRequest):
            read_credentials(None, form(**{name: value}, client_id="app"))
    for kind in ("urn:ietf:params:oauth:client-assertion-type:saml2-bearer", JWT_BEARER + " ", "x"):
        with pytest.raises(InvalidClient, match="jwt-bearer"):
            read_credentials(None, form(**{**ASSERTION, "client_assertion_type": kind}))


def test_no_assertion_shows_in_a_representation() -> None:
    assert "a.b.c" not in repr(ClientAssertion("a.b.c", "app"))


@pytest.mark.covers("R-18")
@pytest.mark.spec("OIDC Core", "9")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_client_that_registered_a_method_uses_no_other(method: Any) -> None:
    clients = {"app": replace(APP, auth_method=method)}
    assert authenticate(Credentials("app", SECRET, method), clients).id == "app"
    methods: tuple[SecretMethod, ...] = ("client_secret_basic", "client_secret_post")
    (other,) = [each for each in methods if each != method]
    with pytest.raises(InvalidClient):
        authenticate(Credentials("app", SECRET, other), clients)


@pytest.mark.covers("R-18")
def test_a_client_that_signs_has_no_secret_to_send() -> None:
    clients = {"app": Client(id="app", name="App", auth_method="private_key_jwt")}
    for secret in (None, "", SECRET):
        with pytest.raises(InvalidClient):
            authenticate(Credentials("app", secret), clients)


@pytest.mark.covers("R-18")
def test_every_secret_of_a_client_proves_it() -> None:
    for secret in (SECRET, "old one"):
        assert authenticate(Credentials("app", secret), CLIENTS) is APP
    assert authenticate(Credentials("cli", None), CLIENTS) is CLI


@pytest.mark.covers("R-18", "CV-6")
@pytest.mark.parametrize(
    "credentials",
    [
        Credentials("app", "wrong"),
        Credentials("app", None),
        Credentials("app", ""),
        Credentials("app", SECRET + " "),
        Credentials("app", SECRET[:-1]),
        Credentials("app", "\ud800"),
        Credentials("APP", SECRET),
        Credentials("ghost", SECRET),
        Credentials("ghost", None),
        Credentials("", None),
        Credentials("", "\0" * 32),
        Credentials("cli", "a secret for a public client"),
        Credentials("cli", ""),
    ],
)
def test_every_wrong_credential_gets_one_answer(credentials: Credentials) -> None:
    with pytest.raises(InvalidClient) as refusal:
        authenticate(credentials, CLIENTS)
    with pytest.raises(InvalidClient) as other:
        authenticate(Credentials("nobody", "x"), CLIENTS)
    assert refusal.value.description == other.value.description
    assert (
        credentials.secret is None
        or len(credentials.secret) < 4
        or (credentials.secret not in refusal.value.description)
    )


@pytest.mark.covers("CV-30", "R-90")
def test_a_secret_shows_in_no_representation() -> None:
    assert SECRET not in repr(Credentials("app", SECRET))
    assert "secret_hashes" not in repr(APP)


@pytest.mark.covers("R-18", "CV-36")
@given(st.text(max_size=20), st.one_of(st.none(), st.text(max_size=40)))
def test_any_credentials_are_refused_or_right(client_id: str, secret: str | None) -> None:
    try:
        client = authenticate(Credentials(client_id, secret), CLIENTS)
    except InvalidClient:
        return
    assert client_id == client.id
    assert secret in (None, SECRET, "old one")
