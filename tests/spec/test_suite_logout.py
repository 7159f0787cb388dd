"""What the OpenID conformance suite asks in the plans RP-initiated, back- and front-channel logout.

As in `test_suite_basic.py`: each test is marked with the module that it stands for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from idp.keys import base64url
from tests.kit.conformance_suite import (
    POST_LOGOUT,
    SUITE,
    Party,
    dynamic_party,
    provider_config,
)
from tests.kit.logout_receiver import LogoutReceiver, logout_receiver
from tests.kit.provider import ISSUER, ProviderUnderTest, login_page, provider_under_test
from tests.kit.signing_client import SigningClient

MODULES = "OpenID conformance suite"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
NONCE = "nonce of the suite"
STATE = "S" * 128


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogoutReceiver]:
    directory: Path = tmp_path_factory.mktemp("suite")
    with logout_receiver(directory) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def idp(
    receiver: LogoutReceiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProviderUnderTest]:
    """The provider of the guide, with a suite of one's own that is not at a public address."""
    config = provider_config(tmp_path_factory.mktemp("provider"))
    allowed = [urlsplit(receiver.url).netloc]
    config["outbound"] = {"allowedHosts": allowed, "rootCA": str(receiver.ca)}
    with provider_under_test(config) as provider:
        yield provider


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A client and its tokens, in a browser in which somebody is signed in."""

    party: Party
    tokens: dict[str, Any]

    def leave(self, **changes: str | None) -> httpx.Response:
        """Return the answer of the end session endpoint; a change to None leaves one out."""
        said = {
            "id_token_hint": self.tokens["id_token"],
            "post_logout_redirect_uri": POST_LOGOUT,
            "state": STATE,
            **changes,
        }
        query = {name: value for name, value in said.items() if value is not None}
        return self.party.browser.get("/logout", params=query)

    def is_there(self) -> bool:
        """Return whether the person is still signed in."""
        changes = {"prompt": "none", "state": STATE}
        response = self.party.visit(changes)
        if "error" not in response.headers["location"]:
            return True
        assert self.party.error(changes) == "login_required"
        return False


def signed_in(idp: ProviderUnderTest, **metadata: Any) -> SignedIn:
    party = dynamic_party(idp, post_logout_redirect_uris=[POST_LOGOUT], **metadata)
    return SignedIn(party, party.sign_in())


@pytest.fixture
def person(idp: ProviderUnderTest) -> Iterator[SignedIn]:
    person = signed_in(idp)
    yield person
    person.party.unregister()


def is_error_page(response: httpx.Response) -> bool:
    return response.status_code == 400 and "location" not in response.headers


def query_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query, strict_parsing=True))


@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-discovery-endpoint-verification")
@pytest.mark.spec(MODULES, "oidcc-backchannel-logout-discovery-endpoint-verification")
@pytest.mark.spec(MODULES, "oidcc-frontchannel-logout-discovery-endpoint-verification")
def test_discovery_names_every_way_to_sign_out(idp: ProviderUnderTest) -> None:
    found = idp.browser.get("/.well-known/openid-configuration").json()
    assert found["end_session_endpoint"] == f"{ISSUER}/logout"
    for channel in ("backchannel", "frontchannel"):
        assert found[f"{channel}_logout_supported"] is True
        assert found[f"{channel}_logout_session_supported"] is True


@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout")
def test_the_person_is_sent_back_with_the_state_and_signed_out(person: SignedIn) -> None:
    response = person.leave()
    assert response.status_code == 303
    assert response.headers["location"].partition("?")[0] == POST_LOGOUT
    assert query_of(response.headers["location"]) == {"state": STATE}
    assert not person.is_there()


@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-no-state")
def test_without_a_state_nothing_is_put_into_the_address(person: SignedIn) -> None:
    assert person.leave(state=None).headers["location"] == POST_LOGOUT
    assert not person.is_there()


@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri")
@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri")
@pytest.mark.parametrize("added", ["/XaB3dE9kLm", "?foo=bar"])
def test_an_address_that_is_not_registered_is_a_page_that_says_so(
    person: SignedIn, added: str
) -> None:
    response = person.leave(post_logout_redirect_uri=POST_LOGOUT + added)
    assert is_error_page(response)
    assert "post_logout_redirect_uri" in response.text


@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-modified-id-token-hint")
@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-bad-id-token-hint")
@pytest.mark.parametrize("how", ["alg none", "key of the suite", "secret of the client"])
def test_a_hint_that_was_made_up_is_a_page_that_says_so(person: SignedIn, how: str) -> None:
    genuine = person.tokens["id_token"]
    _, claims = person.party.verified(genuine)
    signer = SigningClient(person.party.client_id, ISSUER, name="fake")
    unsigned = base64url.encode(b'{"alg":"none"}')
    hint = {
        "alg none": f"{unsigned}.{genuine.split('.')[1]}.",
        "key of the suite": signer.jwt(claims, header={"alg": "RS256"}),
        "secret of the client": signer.jwt(claims, header={"alg": "HS256"}),
    }[how]
    response = person.leave(id_token_hint=hint)
    assert is_error_page(response)
    assert "id_token_hint" in response.text


@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-no-id-token-hint")
def test_an_address_without_a_hint_is_not_gone_to(person: SignedIn) -> None:
    assert is_error_page(person.leave(id_token_hint=None))


@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-no-params")
@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-only-state")
@pytest.mark.parametrize("state", [None, STATE])
def test_without_a_hint_the_person_confirms_and_is_told_that_they_are_signed_out(
    person: SignedIn, state: str | None
) -> None:
    page = login_page(person.leave(id_token_hint=None, post_logout_redirect_uri=None, state=state))
    said = {"state": page.state, "logout": "yes"}
    response = person.party.browser.post(page.action, data=said)
    assert response.status_code == 200
    assert "signed out" in response.text
    assert POST_LOGOUT not in response.text
    assert not person.is_there()


@pytest.mark.spec(MODULES, "oidcc-rp-initiated-logout-no-post-logout-redirect-uri")
def test_with_nowhere_to_go_the_person_is_told_that_they_are_signed_out(person: SignedIn) -> None:
    response = person.leave(post_logout_redirect_uri=None)
    assert response.status_code == 200
    assert "signed out" in response.text
    assert POST_LOGOUT not in response.text
    assert not person.is_there()


@pytest.mark.spec(MODULES, "oidcc-backchannel-rp-initiated-logout")
def test_a_client_is_told_over_the_back_channel_what_ended(
    idp: ProviderUnderTest, receiver: LogoutReceiver
) -> None:
    person = signed_in(
        idp,
        backchannel_logout_uri=receiver.url,
        backchannel_logout_session_required=True,
    )
    id_token = person.party.id_claims(person.tokens, nonce=NONCE)
    assert person.leave().headers["location"].startswith(f"{POST_LOGOUT}?")

    (token,) = receiver.tokens(1)
    ((content_type, body),) = receiver.bodies
    assert content_type == "application/x-www-form-urlencoded"
    assert parse_qs(body).keys() == {"logout_token"}
    header, claims = person.party.verified(token)
    assert header["alg"] == "RS256"
    assert claims["iss"] == ISSUER
    assert claims["aud"] == person.party.client_id
    assert claims["iat"] <= idp.clock().timestamp()
    assert claims["events"] == {EVENT: {}}
    assert claims["jti"]
    assert [claims["sub"], claims["sid"]] == [id_token["sub"], id_token["sid"]]
    assert "nonce" not in claims
    assert not person.is_there()
    person.party.unregister()


@pytest.mark.spec(MODULES, "oidcc-frontchannel-rp-initiated-logout")
def test_a_client_is_loaded_in_the_page_with_issuer_and_session_and_gone_on_to(
    idp: ProviderUnderTest,
) -> None:
    address = f"{SUITE}/frontchannel_logout"
    person = signed_in(
        idp, frontchannel_logout_uri=address, frontchannel_logout_session_required=True
    )
    id_token = person.party.id_claims(person.tokens, nonce=NONCE)
    response = person.leave()
    page = unescape(response.text)
    (frame,) = re.findall(r'<iframe[^>]* src="([^"]+)"', page)
    assert frame.partition("?")[0] == address
    assert query_of(frame) == {"iss": ISSUER, "sid": id_token["sid"]}
    assert urlsplit(SUITE).netloc in response.headers["content-security-policy"]
    (onward,) = re.findall(r'content="\d+;url=([^"]+)"', page)
    assert onward.partition("?")[0] == POST_LOGOUT
    assert query_of(onward) == {"state": STATE}
    assert not person.is_there()
    person.party.unregister()
