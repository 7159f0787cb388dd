"""What the OpenID conformance suite asks in the plans config, dynamic and third-party login.

As in `test_suite_basic.py`: each test is marked with the module that it stands for.
"""

import asyncio
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from idp.commands.console import Console
from idp.commands.keys import Patience, rotate
from idp.commands.targets import Target
from tests.kit.client_answers import read_answer
from tests.kit.conformance_suite import (
    CALLBACK,
    SUITE,
    Party,
    ask_to_register,
    dynamic_party,
    good_tokens,
    provider_config,
    registration_request,
)
from tests.kit.provider import ISSUER, ProviderUnderTest, provider_under_test
from tests.kit.registration import bearer
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.static_pages import StaticPage, StaticPages
from tests.kit.signing_client import SigningClient
from tests.kit.waiting import eventually

MODULES = "OpenID conformance suite"
BY_KEY = "private_key_jwt"
NONCE = "nonce of the suite"


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority.create()


@pytest.fixture(scope="module")
def site(
    authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StaticPages]:
    """The suite's own server: key sets and request objects."""
    directory = tmp_path_factory.mktemp("suite")
    certificate = authority.issue(directory / "suite", names=["127.0.0.1"])
    with StaticPages(certificate=certificate) as pages:
        yield pages


@pytest.fixture(scope="module")
def idp(
    authority: CertificateAuthority, site: StaticPages, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProviderUnderTest]:
    """The provider of the guide, with a suite of one's own that is not at a public address."""
    host = urlsplit(site.url).netloc
    directory = tmp_path_factory.mktemp("provider")
    config = provider_config(directory)
    config["oauth2"]["requestURIHosts"] = [host]
    trusted = authority.write(directory / "ca.crt")
    config["outbound"] = {"allowedHosts": [host], "rootCA": str(trusted)}
    with provider_under_test(config) as provider:
        yield provider


def discovery(idp: ProviderUnderTest) -> dict[str, Any]:
    found: dict[str, Any] = idp.browser.get("/.well-known/openid-configuration").json()
    return found


def published(idp: ProviderUnderTest) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = idp.browser.get("/keys").json()["keys"]
    return keys


def refused_registration(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/json"
    return str(response.json()["error"])


@pytest.mark.spec(MODULES, "oidcc-discovery-endpoint-verification")
def test_discovery_has_what_is_demanded_and_what_is_recommended(idp: ProviderUnderTest) -> None:
    response = idp.browser.get("/.well-known/openid-configuration")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    found = response.json()
    assert found["issuer"] == ISSUER
    assert {"code", "id_token", "id_token token"} <= set(found["response_types_supported"])
    assert {"authorization_code", "implicit"} <= set(found["grant_types_supported"])
    assert found["subject_types_supported"] == ["public"]
    for alg in ("id_token_signing", "userinfo_signing", "request_object_signing"):
        assert "RS256" in found[f"{alg}_alg_values_supported"]
    assert "openid" in found["scopes_supported"]
    assert len(found["claims_supported"]) > 20
    for flag in ("claims_parameter", "request_parameter", "request_uri_parameter"):
        assert found[f"{flag}_supported"] is True
    assert found["jwks_uri"] == f"{ISSUER}/keys"
    for each in ("authorization", "token", "userinfo", "registration"):
        assert found[f"{each}_endpoint"].startswith(f"{ISSUER}/")
    addresses = [v for k, v in found.items() if k.endswith(("_endpoint", "_uri"))]
    assert all(urlsplit(address).scheme == "https" for address in addresses)
    assert found["code_challenge_methods_supported"] == ["S256"]


@pytest.mark.spec(MODULES, "oidcc-discovery-endpoint-verification")
def test_the_key_set_has_public_signing_keys_each_with_a_name_of_its_own(
    idp: ProviderUnderTest,
) -> None:
    keys = published(idp)
    assert len({key["kid"] for key in keys}) == len(keys) > 0
    for key in keys:
        assert key["use"] == "sig"
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()


@pytest.mark.spec(MODULES, "oidcc-idtoken-rs256")
def test_a_registered_client_gets_id_tokens_of_the_algorithm_that_it_named(
    idp: ProviderUnderTest,
) -> None:
    party = dynamic_party(idp, auth=BY_KEY, id_token_signed_response_alg="RS256")
    party.sign_in()
    party.unregister()


@pytest.mark.spec(MODULES, "oidcc-idtoken-unsigned")
@pytest.mark.spec(MODULES, "oidcc-request-uri-unsigned")
@pytest.mark.spec(
    MODULES, "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported"
)
@pytest.mark.spec(
    MODULES, "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported"
)
@pytest.mark.spec(MODULES, "oidcc-ensure-request-object-with-redirect-uri")
@pytest.mark.spec(MODULES, "oidcc-registration-sector-uri")
@pytest.mark.spec(MODULES, "oidcc-registration-sector-bad")
def test_what_the_suite_must_skip_is_not_in_discovery(idp: ProviderUnderTest) -> None:
    found = discovery(idp)
    assert "none" not in found["id_token_signing_alg_values_supported"]
    assert "none" not in found["request_object_signing_alg_values_supported"]
    assert "pairwise" not in found["subject_types_supported"]


@pytest.mark.spec(MODULES, "oidcc-userinfo-rs256")
def test_userinfo_is_signed_for_a_client_that_registered_for_it(idp: ProviderUnderTest) -> None:
    party = dynamic_party(idp, auth=BY_KEY, userinfo_signed_response_alg="RS256")
    tokens = party.redeem(party.authorize().members["code"])
    response = party.userinfo(tokens)
    assert response.headers["content-type"] == "application/jwt"
    header, claims = party.verified(response.text)
    assert header["alg"] == "RS256"
    subject = party.id_claims(tokens, nonce=NONCE)["sub"]
    assert claims == {"iss": ISSUER, "aud": party.client_id, "sub": subject}
    party.unregister()


@pytest.mark.spec(MODULES, "oidcc-ensure-redirect-uri-in-authorization-request")
def test_a_client_with_two_addresses_must_name_one(idp: ProviderUnderTest) -> None:
    both = [CALLBACK, "https://example.org/redirect"]
    party = dynamic_party(idp, auth=BY_KEY, redirect_uris=both)
    response = party.visit({"redirect_uri": None})
    assert response.status_code == 400
    assert "redirect_uri" in response.text
    party.unregister()


@pytest.mark.spec(MODULES, "oidcc-redirect-uri-query-OK")
def test_a_query_that_is_registered_stays_in_the_address(idp: ProviderUnderTest) -> None:
    party = dynamic_party(idp, auth=BY_KEY, redirect_uri=f"{CALLBACK}?dummy1=lorem&dummy2=ipsum")
    party.sign_in()
    party.unregister()


@pytest.mark.spec(MODULES, "oidcc-redirect-uri-query-mismatch")
@pytest.mark.spec(MODULES, "oidcc-redirect-uri-query-added")
@pytest.mark.parametrize(
    ("registered", "sent"), [("?dummy1=lorem", "?dummy1=ipsum"), ("", "?dummy1=lorem")]
)
def test_a_query_that_is_not_registered_is_a_page_that_says_so(
    idp: ProviderUnderTest, registered: str, sent: str
) -> None:
    party = dynamic_party(idp, auth=BY_KEY, redirect_uri=CALLBACK + registered)
    response = party.visit({"redirect_uri": CALLBACK + sent})
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "redirect" in response.text
    party.unregister()


@pytest.mark.spec(MODULES, "oidcc-redirect-uri-regfrag")
def test_an_address_with_a_fragment_cannot_be_registered(idp: ProviderUnderTest) -> None:
    signer = SigningClient("", ISSUER)
    request = registration_request(signer, auth=BY_KEY, redirect_uris=[f"{CALLBACK}#foobar"])
    assert refused_registration(ask_to_register(idp, request)) == "invalid_redirect_uri"


@pytest.mark.spec(MODULES, "oidcc-server")
@pytest.mark.spec(MODULES, "oidcc-ensure-client-assertion-with-iss-aud-succeeds")
@pytest.mark.parametrize("audience", [f"{ISSUER}/token", ISSUER])
def test_a_key_set_without_names_proves_the_client(idp: ProviderUnderTest, audience: str) -> None:
    party = dynamic_party(idp, auth=BY_KEY)
    form = party.code_form(party.authorize().members["code"])
    proof = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": party.assertion(audience),
    }
    tokens = good_tokens(idp.token({**form, **proof}, auth=None))
    party.id_claims(tokens, nonce=NONCE)
    assert party.userinfo(tokens).status_code == 200
    party.unregister()


@pytest.mark.spec(MODULES, "oidcc-registration-logo-uri")
@pytest.mark.spec(MODULES, "oidcc-registration-policy-uri")
@pytest.mark.spec(MODULES, "oidcc-registration-tos-uri")
@pytest.mark.parametrize(
    ("name", "address", "shown"),
    [
        ("logo_uri", f"{SUITE}/images/openid.png", 'src="{}"'),
        ("policy_uri", "https://openid.net", 'href="{}"'),
        ("tos_uri", "https://openid.net", 'href="{}"'),
    ],
)
def test_the_login_page_shows_what_a_client_registered(
    idp: ProviderUnderTest, name: str, address: str, shown: str
) -> None:
    party = dynamic_party(idp, auth=BY_KEY, **{name: address})
    response = party.visit()
    assert 'name="password"' in response.text
    assert shown.format(address) in response.text
    party.unregister()


def _keys_at(site: StaticPages, signer: SigningClient) -> str:
    """Put a client's key set, with names, where it says that it is."""
    site.pages["/client1_jwks"] = StaticPage(
        json.dumps(signer.jwks), content_type="application/json"
    )
    return f"{site.url}/client1_jwks"


def _named(party: Party, name: str) -> Party:
    """Return a client that signs with another key, and says which."""
    signer = SigningClient(party.client_id, ISSUER, name=name, typ=None)
    return replace(party, signer=signer)


@pytest.mark.spec(MODULES, "oidcc-registration-jwks-uri")
@pytest.mark.spec(MODULES, "oidcc-refresh-token-rp-key-rotation")
def test_a_client_may_replace_the_keys_that_it_publishes(
    idp: ProviderUnderTest, site: StaticPages
) -> None:
    first, second = (SigningClient("", ISSUER, name=name, typ=None) for name in ("one", "two"))
    party = dynamic_party(
        idp,
        auth=BY_KEY,
        jwks=None,
        jwks_uri=_keys_at(site, first),
        grant_types=["authorization_code", "refresh_token"],
    )
    scope = "openid offline_access"
    before, after = _named(party, "one"), _named(party, "two")
    tokens = before.sign_in({"scope": scope, "prompt": "consent"})

    _keys_at(site, second)
    idp.clock.turn(60)
    renewed = good_tokens(after.refresh(tokens["refresh_token"], scope=scope))
    assert after.userinfo(renewed).status_code == 200
    party.unregister()


@pytest.mark.spec(MODULES, "oidcc-request-uri-signed-rs256")
@pytest.mark.parametrize("fragment", ["", "#47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"])
@pytest.mark.parametrize("content_type", ["application/jwt", "application/jose"])
def test_a_signed_request_may_be_fetched_from_the_client(
    idp: ProviderUnderTest, site: StaticPages, fragment: str, content_type: str
) -> None:
    path = f"/requesturi/{'r' * 96}"
    address = f"{site.url}{path}{fragment}"
    party = dynamic_party(
        idp, auth=BY_KEY, request_uris=[address], request_object_signing_alg="RS256"
    )
    request = party.request({})
    site.pages[path] = StaticPage(party.request_object(request), content_type=content_type)
    outside = {
        name: request[name] for name in ("client_id", "response_type", "scope", "redirect_uri")
    }
    response = party.follow(party.browser.get("/auth", params={**outside, "request_uri": address}))
    answer = party.answer(party.through(response), request)
    tokens = party.redeem(answer.members["code"])
    assert party.id_claims(tokens, nonce=NONCE)
    party.unregister()


@pytest.mark.spec(MODULES, "oidcc-server-rotate-keys")
def test_a_rotation_publishes_a_new_key_and_keeps_the_old_one(tmp_path: Path) -> None:
    config = provider_config(tmp_path)
    config["expiry"] = {"keyCacheFor": "1s"}
    file = tmp_path / "idp.yaml"
    file.write_text(yaml.safe_dump(config), "utf-8")
    with provider_under_test(config) as idp:
        before = published(idp)
        idp.clock.turn(5)
        out = io.StringIO()
        terminal = Console(
            out=out, err=io.StringIO(), stdin=io.StringIO(), environ={}, clock=idp.clock
        )
        asyncio.run(rotate(terminal, Target(config=file), "routine", Patience()))
        eventually(lambda: published(idp) != before, within=10)
        after = published(idp)
    kept, added = ([key for key in after if (key in before) == old] for old in (True, False))
    assert kept == before
    assert added
    assert {key["kid"] for key in added}.isdisjoint(key["kid"] for key in before)
    assert {key["n"] for key in added}.isdisjoint(key["n"] for key in before)


@pytest.mark.spec(MODULES, "oidcc-3rd_party-init-login")
def test_where_a_login_may_begin_is_registered_and_read_again(idp: ProviderUnderTest) -> None:
    address = f"{SUITE}/initiate_login"
    party = dynamic_party(idp, initiate_login_uri=address)
    assert party.registration["initiate_login_uri"] == address
    path = urlsplit(party.registration["registration_client_uri"]).path
    token = bearer(party.registration["registration_access_token"])
    response = party.browser.get(path, headers=token)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json()["initiate_login_uri"] == address
    party.unregister()


@pytest.mark.spec(MODULES, "oidcc-3rd_party-init-login-nohttps")
def test_a_login_begins_at_no_address_without_tls(idp: ProviderUnderTest) -> None:
    request = registration_request(
        SigningClient("", ISSUER),
        auth="client_secret_basic",
        initiate_login_uri=f"{SUITE}/initiate_login".replace("https:", "http:"),
    )
    assert refused_registration(ask_to_register(idp, request)) == "invalid_client_metadata"


@pytest.mark.parametrize("response_type", ["id_token", "id_token token"])
def test_the_other_response_types_of_dynamic_providers_work_for_who_registers_them(
    idp: ProviderUnderTest, response_type: str
) -> None:
    """OIDC Core section 15.2; the suite looks at discovery, and at these where it is told to."""
    party = dynamic_party(idp, grant_types=["implicit"], response_types=[response_type], jwks=None)
    answer = read_answer(party.through(party.visit({"response_type": response_type})))
    assert answer.mode == "fragment"
    claims = party.id_claims({"id_token": answer.members["id_token"]}, nonce=NONCE)
    assert ("at_hash" in claims) == ("access_token" in answer.members) == (" " in response_type)
    party.unregister()
