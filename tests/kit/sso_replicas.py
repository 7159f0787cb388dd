"""Three replicas with single sign-on, and a browser that is handed from one to the next."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from connectors.passwords import new_hash
from tests.kit.registration import registration_section
from tests.kit.relying_party import Attempt, Form, RelyingParty, Tokens, form_at, submit_login
from tests.kit.scene import example_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.waiting import eventually

SHOP = "shop"
SHOP_CALLBACK = "https://shop.example.com/callback"
WARDEN = ("warden", "the-secret-of-the-warden")
"""A resource server: tokens of the shop are for it too, so that it may ask about them."""

SCOPES = (
    "openid",
    "offline_access",
    "email",
    f"audience:server:client_id:{WARDEN[0]}",
)
_WARDEN_CALLBACK = "https://warden.example.com/callback"
_PASSWORD = "correct horse"
_HASH = new_hash(_PASSWORD)
_GROUP = "kube-idp.dev/v1beta1"


@dataclass(frozen=True, slots=True)
class Replica:
    """One browser at one replica, with the parties that live there. They share its cookies."""

    http: httpx.Client
    issuer: str

    @property
    def shop(self) -> RelyingParty:
        """Return the client that was written as an object."""
        return RelyingParty(
            http=self.http, issuer=self.issuer, client_id=SHOP, redirect_uri=SHOP_CALLBACK
        )

    @property
    def example(self) -> RelyingParty:
        """Return the client of the configuration."""
        return example_party(self.http, self.issuer)

    def silently(self, party: RelyingParty) -> dict[str, str]:
        """Return what a client hears of a browser that it may ask nothing; {} for a page."""
        attempt = party.depart(scopes=("openid", "offline_access"), prompt="none")
        answer = self.http.get(attempt.url)
        return dict(parse_qsl(urlsplit(answer.headers.get("location", "")).query))

    def sign_on(self, party: RelyingParty, **extra: str) -> Tokens:
        """Sign in by the session that the browser has; raises `SignInFailed` for a form."""
        attempt = party.depart(scopes=("openid", "offline_access"), **extra)
        return party.redeem(self.sent_back(party, attempt), attempt)

    def sent_back(self, party: RelyingParty, attempt: Attempt) -> str:
        """Return the code that an authorization request is answered with, without a page."""
        answer = self.http.get(attempt.url)
        return party.code_of(answer.headers.get("location", answer.text), attempt)

    def is_active(self, access_token: str) -> bool:
        """Return what introspection says of an access token of the shop."""
        name, secret = WARDEN
        warden = RelyingParty(
            http=self.http,
            issuer=self.issuer,
            client_id=name,
            client_secret=secret,
            redirect_uri=_WARDEN_CALLBACK,
        )
        return bool(warden.introspect(access_token).raise_for_status().json()["active"])


@dataclass(frozen=True, slots=True)
class Person:
    """A `LocalUser`, and the browser that only they use."""

    name: str
    browser: tuple[Replica, ...]

    @property
    def email(self) -> str:
        """Return what they type to sign in."""
        return f"{self.name}@example.com"

    @property
    def user_id(self) -> str:
        """Return the id by which the connector knows them."""
        return f"id-of-{self.name}"

    def sign_in(self, replica: int = 0, *, party: RelyingParty | None = None) -> Tokens:
        """Sign in by password for a client, by default the shop."""
        there = self.browser[replica]
        client = party or there.shop
        scopes = SCOPES if client.client_id == SHOP else ("openid", "offline_access")
        attempt = client.depart(scopes=scopes)
        location = submit_login(there.http, attempt.url, login=self.email, password=_PASSWORD)
        return client.redeem(client.code_of(location, attempt), attempt)

    def send_password(self, there: Replica, form: Form) -> str:
        """Fill in the form of a login page and return where it leads, "" for a page."""
        sent = {**form.fields, "login": self.email, "password": _PASSWORD}
        return str(there.http.post(form.action, data=sent).headers.get("location", ""))


@dataclass(frozen=True, slots=True)
class Scene:
    """What these tests work with."""

    replicas: Replicas
    store: KubernetesStore

    @property
    def issuer(self) -> str:
        """Return the issuer, which is the address in front of all replicas."""
        return self.replicas.issuer

    @contextmanager
    def browser(self) -> Iterator[tuple[Replica, ...]]:
        """Yield a fresh browser, at each replica in turn."""
        jar = CookieJar()
        with ExitStack() as stack:
            found = []
            for replica in self.replicas.each:
                http = stack.enter_context(replica.client())
                http.cookies = jar
                found.append(Replica(http, self.issuer))
            yield tuple(found)

    @contextmanager
    def person(self) -> Iterator[Person]:
        """Write somebody new, and yield them once every replica knows them."""
        with self.browser() as browser:
            person = Person(f"person-{secrets.token_hex(4)}", browser)
            self.store.apply(local_user(person))
            for replica in browser:
                eventually(partial(_knows, replica, person), within=30)
                replica.http.cookies.jar.clear()
            yield person


def _knows(replica: Replica, person: Person) -> bool:
    form = form_at(replica.http, replica.shop.depart().url)
    return bool(person.send_password(replica, form))


def local_user(
    person: Person, *, annotations: Mapping[str, str] | None = None, **said: Any
) -> dict[str, Any]:
    """Return the object of a person."""
    return {
        "apiVersion": _GROUP,
        "kind": "LocalUser",
        "metadata": {"name": person.name, "annotations": dict(annotations or {})},
        "spec": {
            "email": person.email,
            "userID": person.user_id,
            "passwordHash": _HASH,
            "username": person.name,
            **said,
        },
    }


def shop_client(**said: Any) -> dict[str, Any]:
    """Return the object of the shop."""
    return {
        "apiVersion": _GROUP,
        "kind": "OIDCClient",
        "metadata": {"name": SHOP},
        "spec": {
            "clientID": SHOP,
            "public": True,
            "redirectURIs": [SHOP_CALLBACK],
            **said,
        },
    }


@contextmanager
def sso_scene(
    directory: Path,
    *,
    ca: CertificateAuthority,
    store: KubernetesStore,
    shop: Mapping[str, Any] | None = None,
    **overrides: object,
) -> Iterator[Scene]:
    """Start three replicas with sessions that all clients share; `shop` is more of its spec."""
    name, secret = WARDEN
    warden = {
        "id": name,
        "name": "Warden",
        "secret": secret,
        "redirectURIs": [_WARDEN_CALLBACK],
        "trustedPeers": [SHOP],
    }
    config = provider_config(
        directory,
        ca=ca,
        store=store,
        clients=[warden],
        overrides={
            "sessions": {"ssoSharedWithDefault": "all"},
            "registration": registration_section(),
            **overrides,
        },
    )
    store.apply(shop_client(**(shop or {})))
    with Replicas(config, directory=directory, ca=ca) as running:
        yield Scene(running, store)
