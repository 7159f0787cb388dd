"""The part that the OpenID conformance suite plays: a client that looks at everything it gets.

What it sends, and what it takes for a failure or a warning, is that of the suite; the files are
those of `docs/conformance-suite.md`, as they are written there.
"""

import hashlib
import json
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import yaml
from joserfc import jws
from joserfc.jwk import KeySet

from tests.kit.client_answers import ClientAnswer, read_answer
from tests.kit.conformance import ROOT
from tests.kit.provider import ISSUER, Browser, ProviderUnderTest, login_page
from tests.kit.registration import bearer
from tests.kit.signing_client import SigningClient

SUITE = "https://www.certification.openid.net/test/a/kube-idp"
CALLBACK = f"{SUITE}/callback"
POST_LOGOUT = f"{SUITE}/post_logout_redirect"
PERSON = "jane.doe@example.com"
PASSWORD = "conformance suite"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_GUIDE = ROOT / "docs" / "conformance-suite.md"
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")
_OF_THE_LOGIN = {
    "iss", "sub", "aud", "exp", "iat", "nbf", "jti", "auth_time", "nonce", "acr", "amr", "azp",
    "at_hash", "c_hash", "sid",
}  # fmt: skip
"""What an ID token may say that nobody asked for."""

_ERROR_MEMBERS = {"error", "error_description", "error_uri", "state", "iss"}


@cache
def _block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", _GUIDE.read_text("utf-8"), re.DOTALL)
    assert len(found) == 1, f"{len(found)} blocks of {language} in {_GUIDE}"
    return str(found[0])


def provider_config(directory: Path) -> dict[str, Any]:
    """Return the provider's configuration out of the guide, with its database in `directory`."""
    found: dict[str, Any] = yaml.safe_load(_block("yaml"))
    database = found["storage"]["config"]
    database["file"] = str(directory / database["file"])
    return found


def plan_config() -> dict[str, Any]:
    """Return the configuration of the suite's plans out of the guide."""
    found: dict[str, Any] = json.loads(_block("json"))
    return found


@dataclass(frozen=True, slots=True)
class Party:
    """One client of the suite, with a browser of its own.

    `signer` is there for one that authenticates with its key. `registration` is the answer to one
    that registered itself.
    """

    idp: ProviderUnderTest
    browser: Browser
    client_id: str
    secret: str = field(default="", repr=False)
    auth: str = "client_secret_basic"
    response_mode: str = "default"
    redirect_uri: str = CALLBACK
    signer: SigningClient | None = None
    registration: Mapping[str, Any] = field(default_factory=dict)

    def request(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Return the parameters of an authorization request; a change to None leaves one out."""
        form_post = {"response_mode": "form_post"} if self.response_mode == "form_post" else {}
        said: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "state": "state of the suite",
            "nonce": "nonce of the suite",
            "response_type": "code",
            **form_post,
            **changes,
        }
        return {name: value for name, value in said.items() if value is not None}

    def visit(self, changes: Mapping[str, str | None] | None = None) -> httpx.Response:
        """Return the first answer to an authorization request."""
        return self.follow(self.browser.get("/auth", params=self.request(changes or {})))

    def follow(self, response: httpx.Response) -> httpx.Response:
        """Follow redirects that stay at the provider, as a browser does."""
        while response.is_redirect and response.headers["location"].startswith("/"):
            response = self.browser.get(response.headers["location"])
        return response

    def through(self, response: httpx.Response) -> httpx.Response:
        """Do what a person does on each page, until there is an answer to the client."""
        for _ in range(4):
            if 'name="login"' in response.text:
                page = login_page(response)
                person = {"login": PERSON, "password": PASSWORD}
                response = self.browser.post(page.action, data={**person, "state": page.state})
            elif 'value="approve"' in response.text:
                page = login_page(response)
                said = {"approval": "approve", "state": page.state}
                response = self.browser.post(page.action, data=said)
            else:
                return response
        raise AssertionError("the pages never end")

    def authorize(self, changes: Mapping[str, str | None] | None = None) -> ClientAnswer:
        """Return the successful answer to a request, whatever pages are between."""
        answer = self.answer(self.through(self.visit(changes)), self.request(changes or {}))
        assert "error" not in answer.members, answer
        return answer

    def answer(self, response: httpx.Response, request: Mapping[str, str]) -> ClientAnswer:
        """Return an answer to the client: to the right address, in the right mode, with state."""
        answer = read_answer(response)
        by_form = self.response_mode == "form_post"
        where = urlsplit(self.redirect_uri)
        assert answer.mode == ("form_post" if by_form else "query")
        assert answer.address == (where if by_form else where._replace(query="")).geturl()
        if not by_form:
            assert dict(parse_qsl(where.query)).items() <= answer.members.items()
        assert answer.members["state"] == request["state"]
        assert answer.members["iss"] == ISSUER
        assert len(answer.members.get("code", "c" * 43)) >= 43
        return answer

    def error(self, changes: Mapping[str, str | None]) -> str:
        """Return the error that a request is answered with, and nothing that does not belong."""
        answer = self.answer(self.visit(changes), self.request(changes))
        assert answer.members.keys() <= _ERROR_MEMBERS
        assert _DESCRIPTION.fullmatch(answer.members.get("error_description", ""))
        return answer.members["error"]

    def ask_token(self, form: Mapping[str, str]) -> httpx.Response:
        """Return the answer of the token endpoint, with the client's proof in the request."""
        said = dict(form)
        basic = None
        if self.signer is not None:
            said |= {"client_assertion_type": ASSERTION, "client_assertion": self.assertion()}
        elif self.auth == "client_secret_post":
            said |= {"client_id": self.client_id, "client_secret": self.secret}
        else:
            basic = (self.client_id, self.secret)
        return self.idp.new_browser("198.51.100.9").post("/token", data=said, auth=basic)

    def assertion(self, audience: str = f"{ISSUER}/token") -> str:
        """Return what proves the client, as the suite writes it: a minute to live."""
        assert self.signer is not None
        now = int(self.idp.clock().timestamp())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "jti": secrets.token_hex(16),
            "iat": now,
            "exp": now + 60,
        }
        return self.signer.jwt(claims, header=self._header)

    def request_object(self, request: Mapping[str, str]) -> str:
        """Return a signed request object, as the suite writes it: without type or end."""
        assert self.signer is not None
        claims = {**request, "iss": self.client_id, "aud": ISSUER}
        return self.signer.jwt(claims, header=self._header)

    @property
    def _header(self) -> dict[str, Any]:
        assert self.signer is not None
        # Keys that were registered by value have no names.
        named = {"kid": self.signer.kid} if "jwks_uri" in self.registration else {}
        return {"alg": self.signer.alg, **named}

    def code_form(self, code: str, **more: str) -> dict[str, str]:
        """Return the form that redeems a code."""
        grant = {"grant_type": "authorization_code", "redirect_uri": self.redirect_uri}
        return {**grant, "code": code, **more}

    def redeem(self, code: str, **more: str) -> dict[str, Any]:
        """Redeem a code; the answer is one that the suite takes."""
        return good_tokens(self.ask_token(self.code_form(code, **more)))

    def sign_in(self, changes: Mapping[str, str | None] | None = None) -> dict[str, Any]:
        """Return the tokens of a whole login, and look at all of them."""
        tokens = self.redeem(self.authorize(changes).members["code"])
        self.id_claims(tokens, nonce=self.request(changes or {}).get("nonce"))
        assert self.userinfo(tokens).status_code == 200
        return tokens

    def id_claims(self, tokens: Mapping[str, Any], *, nonce: str | None) -> dict[str, Any]:
        """Return the claims of an ID token: verified, and nothing there that is userinfo's."""
        header, claims = self.verified(str(tokens["id_token"]))
        now = self.idp.clock().timestamp()
        assert (header["alg"], bool(header["kid"])) == ("RS256", True)
        assert claims["iss"] == ISSUER
        assert claims["aud"] == self.client_id
        assert claims["iat"] <= now < claims["exp"]
        assert claims.get("nonce") == nonce
        assert 0 < len(claims["sub"]) <= 255
        assert claims.keys() <= _OF_THE_LOGIN
        if "access_token" in tokens:
            assert claims["at_hash"] == _left_half(str(tokens["access_token"]))
        return claims

    def verified(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return header and claims of what the provider signed."""
        keys = KeySet.import_key_set(self.browser.get("/keys").json())
        found = jws.deserialize_compact(token, keys, algorithms=["RS256"])
        return found.headers(), json.loads(found.payload)

    def userinfo(self, tokens: Mapping[str, Any]) -> httpx.Response:
        """Return the answer of userinfo."""
        return self.browser.get("/userinfo", headers=bearer(str(tokens["access_token"])))

    def refresh(self, refresh_token: str, **more: str) -> httpx.Response:
        """Return the answer to a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **more}
        return self.ask_token(form)

    def unregister(self) -> None:
        """Delete the registration, as the suite does at the end."""
        location = urlsplit(self.registration["registration_client_uri"]).path
        token = str(self.registration["registration_access_token"])
        assert self.browser.request("DELETE", location, headers=bearer(token)).status_code == 204


def _left_half(value: str) -> str:
    digest = hashlib.sha256(value.encode()).digest()
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


def good_tokens(response: httpx.Response) -> dict[str, Any]:
    """Return the tokens of an answer that the suite takes."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert "no-store" in response.headers["cache-control"]
    tokens: dict[str, Any] = response.json()
    assert tokens["token_type"].lower() == "bearer"
    assert type(tokens["expires_in"]) is int
    assert tokens["expires_in"] > 0
    return tokens


def refused_token(response: httpx.Response) -> str:
    """Return the error of the token endpoint, whose answer is one that the suite takes."""
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert _DESCRIPTION.fullmatch(body.get("error_description", ""))
    return str(body["error"])


def static_party(idp: ProviderUnderTest, name: str = "client", **options: Any) -> Party:
    """Return a client that the guide's two files know."""
    said = plan_config()[name]
    return Party(idp, idp.new_browser(), said["client_id"], said["client_secret"], **options)


def registration_request(signer: SigningClient, *, auth: str, **more: Any) -> dict[str, Any]:
    """Return what the suite registers: always a key set, whatever proves the client."""
    return {
        "client_name": "conformance abcdefghij",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "redirect_uris": [CALLBACK],
        "contacts": ["certification@oidf.org"],
        "token_endpoint_auth_method": auth,
        "jwks": keys_without_kid(signer),
        **more,
    }


def keys_without_kid(signer: SigningClient) -> dict[str, Any]:
    """Return a key set whose key has no id, as the suite makes it."""
    keys = signer.jwks["keys"]
    return {"keys": [{k: v for k, v in key.items() if k != "kid"} for key in keys]}


def ask_to_register(idp: ProviderUnderTest, request: Mapping[str, Any]) -> httpx.Response:
    """Return the answer to a registration with the guide's initial access token."""
    headers = bearer(plan_config()["client"]["initial_access_token"])
    return idp.new_browser("203.0.113.30").post("/register", json=dict(request), headers=headers)


def dynamic_party(
    idp: ProviderUnderTest,
    *,
    auth: str = "client_secret_basic",
    response_mode: str = "default",
    redirect_uri: str = CALLBACK,
    name: str = "suite",
    **more: Any,
) -> Party:
    """Register a client as the suite does; a None among `more` leaves a member out.

    Clients of one `name` have one key.
    """
    signer = SigningClient("", ISSUER, name=name)
    request = registration_request(signer, auth=auth, **{"redirect_uris": [redirect_uri], **more})
    response = ask_to_register(idp, {k: v for k, v in request.items() if v is not None})
    assert response.status_code == 201, response.text
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert answer["registration_client_uri"]
    assert answer["registration_access_token"]
    return Party(
        idp,
        idp.new_browser(),
        answer["client_id"],
        answer.get("client_secret", ""),
        auth=auth,
        response_mode=response_mode,
        redirect_uri=redirect_uri,
        signer=signer if auth == "private_key_jwt" else None,
        registration=answer,
    )
