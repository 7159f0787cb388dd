"""A client by plain HTTP: no library hides what is on the wire."""

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet

SCOPES = ("offline_access", "email", "profile", "groups", "openid")


class SignInFailed(Exception):
    """A sign-in did not end where it should; the text says where it ended instead."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in: where the browser goes, and what the client remembers."""

    url: str
    state: str
    nonce: str
    code_verifier: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """An answer of the token endpoint; the refresh token is empty where there is none."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a page, and what its fields hold."""

    action: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelyingParty:
    """A client of one issuer. `http` trusts the issuer's certificate and follows nothing.

    With `client_secret` it authenticates by Basic, else by its id in the body.
    """

    http: httpx.Client
    issuer: str
    client_id: str
    redirect_uri: str
    client_secret: str | None = None

    def depart(self, *, scopes: Sequence[str] = SCOPES, **extra: str) -> Attempt:
        """Return where to send the browser; `extra` goes into the request as it is."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **extra,
        }
        url = f"{self._metadata('authorization_endpoint')}?{urlencode(query)}"
        return Attempt(url, query["state"], nonce, verifier)

    def code_of(self, location: str, attempt: Attempt) -> str:
        """Return the code that the browser brought back; raises `SignInFailed` for any error."""
        answer = dict(parse_qsl(urlsplit(location).query))
        if answer.get("state") != attempt.state or answer.get("iss") != self.issuer:
            raise SignInFailed(f"an answer to somebody else: {location}")
        if not location.startswith(self.redirect_uri) or "code" not in answer:
            raise SignInFailed(f"no code for us: {location}")
        return answer["code"]

    def redeem(self, code: str, attempt: Attempt) -> Tokens:
        """Exchange a code; raises `httpx.HTTPStatusError` for a refusal."""
        answer = self.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.redirect_uri,
            code_verifier=attempt.code_verifier,
        )
        return _tokens(answer)

    def refresh(self, refresh_token: str) -> Tokens:
        """Renew; raises `httpx.HTTPStatusError` for a refusal."""
        return _tokens(self.token(grant_type="refresh_token", refresh_token=refresh_token))

    def token(self, **form: str) -> httpx.Response:
        """Ask the token endpoint as this client; whatever it says is returned."""
        return self._post("token_endpoint", form)

    def revoke(self, token: str) -> httpx.Response:
        """Give a token up (RFC 7009); whatever the provider says is returned."""
        return self._post("revocation_endpoint", {"token": token})

    def introspect(self, token: str) -> httpx.Response:
        """Ask whether a token is good (RFC 7662); whatever the provider says is returned."""
        return self._post("introspection_endpoint", {"token": token})

    def userinfo(self, access_token: str) -> httpx.Response:
        """Ask about the person; whatever it says is returned."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.http.get(self._metadata("userinfo_endpoint"), headers=headers)

    def claims(self, id_token: str) -> dict[str, object]:
        """Return the claims of an ID token whose signature the published keys verify."""
        keys = self.http.get(self._metadata("jwks_uri")).raise_for_status().json()
        decoded = jwt.decode(id_token, KeySet.import_key_set(keys), ["RS256", "ES256"])
        return dict(decoded.claims)

    def sign_in(self, login: str, password: str, *, scopes: Sequence[str] = SCOPES) -> Tokens:
        """Sign somebody in as a browser with no screen would, and return the tokens."""
        attempt = self.depart(scopes=scopes)
        location = submit_login(self.http, attempt.url, login=login, password=password)
        return self.redeem(self.code_of(location, attempt), attempt)

    def _post(self, endpoint: str, form: Mapping[str, str]) -> httpx.Response:
        url = self._metadata(endpoint)
        if self.client_secret is None:
            return self.http.post(url, data={**form, "client_id": self.client_id})
        return self.http.post(url, data=form, auth=(self.client_id, self.client_secret))

    def _metadata(self, name: str) -> str:
        url = f"{self.issuer}/.well-known/openid-configuration"
        return str(self.http.get(url).raise_for_status().json()[name])


def submit_login(http: httpx.Client, url: str, *, login: str, password: str) -> str:
    """Open the login page, send its form and return where it leads; raises `SignInFailed`."""
    page = http.get(url)
    form = read_form(page.text)
    answer = http.post(
        urljoin(url, form.action), data={**form.fields, "login": login, "password": password}
    )
    if answer.status_code != 303:
        raise SignInFailed(f"{answer.status_code} instead of a redirect:\n{answer.text}")
    return answer.headers["location"]


def read_form(html: str) -> Form:
    """Return the one form of a page; raises `SignInFailed` if there is none."""
    reader = _FormReader()
    reader.feed(html)
    if reader.action is None:
        raise SignInFailed(f"no form in this page:\n{html}")
    return Form(reader.action, reader.fields)


def form_at(http: httpx.Client, url: str) -> Form:
    """Return the form of a page, with the address that it is sent to."""
    form = read_form(http.get(url).text)
    return Form(urljoin(url, form.action), form.fields)


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            self.action = attributes.get("action")
        name = attributes.get("name")
        if tag == "input" and name:
            self.fields[name] = attributes.get("value") or ""


def _tokens(answer: httpx.Response) -> Tokens:
    document = answer.raise_for_status().json()
    return Tokens(
        id_token=document["id_token"],
        access_token=document["access_token"],
        refresh_token=document.get("refresh_token", ""),
        expires_in=document["expires_in"],
    )
