"""The table of CV-3: every use of a code or token, every policy, and the answer where it is broken.

**A new grant type** or endpoint that takes tokens gets a `Use` in `USES` and a column in `ANSWERS`.
**A new policy** (consent that was withdrawn) gets a `Breach` in `BREACHES`, a row in `ANSWERS`, and
its fields a line in `POLICIES`. `test_token_policies.py` fails until it has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from storage.base import Backend
from tests.kit.provider import (
    CALLBACK,
    CONFIDENTIAL,
    OTHER,
    PUBLIC,
    ProviderUnderTest,
    answer_of,
)
from tests.kit.sessions import claims_of
from tests.kit.waiting import eventually

PEER_SCOPE: Final = f"openid groups offline_access audience:server:client_id:{OTHER[0]}"
MANY_GROUPS = [f"group-number-{n}" for n in range(1000)]

SESSION = "session"

Ticket = Mapping[str, str]
"""What a use is made of, drawn while nothing is broken; SESSION names the browser's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One way to break a policy while everything else is right.

    `config` changes the configuration, `locked` locks the person, `auth` and `form` change the
    request, and `act` does something to the provider first, which may be `final` for the ticket. A
    ticket is drawn by signing in to the client, or `by_session` of an earlier sign-in elsewhere.
    """

    config: Callable[[dict[str, Any]], None] | None = None
    locked: bool = False
    auth: tuple[str, str] | None = CONFIDENTIAL
    form: Mapping[str, str] = field(default_factory=dict)
    act: Callable[["Scene", Ticket], None] | None = None
    final: bool = False
    by_session: bool = False

    @property
    def place(self) -> tuple[object, ...]:
        """Return what a provider is started for; so few share one that no throttle interferes."""
        return self.config, self.locked, self.act, self.auth


@dataclass(frozen=True, slots=True)
class Scene:
    """A provider, and its store as somebody with kubectl has it."""

    provider: ProviderUnderTest
    store: Backend


@dataclass(frozen=True, slots=True)
class Login:
    """A code for the client, and how it was come by."""

    code: str
    session: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Use:
    """A grant, or a token at a door: how to come by it, and how to use it."""

    draw: Callable[[ProviderUnderTest, Login], Ticket]
    use: Callable[[ProviderUnderTest, Ticket, Breach], httpx.Response]


# How to use them.


def at_token(provider: ProviderUnderTest, ticket: Ticket, breach: Breach) -> httpx.Response:
    return provider.token({**ticket, **breach.form}, auth=breach.auth)


def at_userinfo(provider: ProviderUnderTest, ticket: Ticket, _: Breach) -> httpx.Response:
    return provider.userinfo(ticket["token"])


def by_its_client(provider: ProviderUnderTest, ticket: Ticket, breach: Breach) -> httpx.Response:
    return introspect(provider, {**ticket, **breach.form}, breach.auth)


def by_its_audience(provider: ProviderUnderTest, ticket: Ticket, breach: Breach) -> httpx.Response:
    auth = OTHER if breach.auth == CONFIDENTIAL else breach.auth
    return introspect(provider, {**ticket, **breach.form}, auth)


def introspect(
    provider: ProviderUnderTest, form: Ticket, auth: tuple[str, str] | None
) -> httpx.Response:
    browser = provider.new_browser("198.51.100.7")
    return browser.post("/token/introspect", data=dict(form), auth=auth)


# How to come by them.


def by_password(provider: ProviderUnderTest) -> Login:
    return Login(provider.code({"scope": PEER_SCOPE}, browser=provider.new_browser()))


def by_session(provider: ProviderUnderTest) -> Login:
    """Sign in to another client first, which is what begins the session."""
    browser = provider.new_browser()
    elsewhere = {"client_id": OTHER[0], "redirect_uri": "https://other.example.com/callback"}
    code = provider.code({**elsewhere, "scope": "openid"}, browser=browser)
    form = {"grant_type": "authorization_code", "code": code}
    form["redirect_uri"] = elsewhere["redirect_uri"]
    tokens = provider.token(form, auth=OTHER).raise_for_status().json()
    answer = answer_of(provider.authorize({"scope": PEER_SCOPE}, browser=browser))
    return Login(answer["code"], {SESSION: claims_of(tokens["id_token"])["sid"]})


def _tokens(provider: ProviderUnderTest, login: Login) -> dict[str, Any]:
    answer: dict[str, Any] = provider.redeem(login.code).raise_for_status().json()
    return answer


def a_code(_: ProviderUnderTest, login: Login) -> Ticket:
    form = {"grant_type": "authorization_code", "code": login.code, "redirect_uri": CALLBACK}
    return {**form, **login.session}


def a_refresh_token(provider: ProviderUnderTest, login: Login) -> Ticket:
    token = _tokens(provider, login)["refresh_token"]
    return {"grant_type": "refresh_token", "refresh_token": token, **login.session}


def on_its_own_behalf(_: ProviderUnderTest, __: Login) -> Ticket:
    scope = PEER_SCOPE.replace(" offline_access", "")
    return {"grant_type": "client_credentials", "scope": scope}


def an_access_token(provider: ProviderUnderTest, login: Login) -> Ticket:
    return {"token": _tokens(provider, login)["access_token"], **login.session}


def its_own_access_token(provider: ProviderUnderTest, login: Login) -> Ticket:
    answer = provider.token(on_its_own_behalf(provider, login)).raise_for_status().json()
    return {"token": answer["access_token"]}


def a_refresh_token_to_ask_about(provider: ProviderUnderTest, login: Login) -> Ticket:
    return {"token": _tokens(provider, login)["refresh_token"], **login.session}


USES: Final[Mapping[str, Use]] = {
    "authorization_code": Use(a_code, at_token),
    "refresh_token": Use(a_refresh_token, at_token),
    "client_credentials": Use(on_its_own_behalf, at_token),
    "userinfo": Use(an_access_token, at_userinfo),
    "userinfo of a client itself": Use(its_own_access_token, at_userinfo),
    "introspection of an access token": Use(an_access_token, by_its_audience),
    "introspection of a client's own token": Use(its_own_access_token, by_its_audience),
    "introspection of a refresh token": Use(a_refresh_token_to_ask_about, by_its_client),
}

DOORS: Final[Mapping[str, str]] = {
    "token": "the grants are in USES, one by one",
    "userinfo": "in USES",
    "introspection": "in USES",
    "revocation": "gives nothing out; a client may give up what it may no longer use",
    "registration": "lets nobody in who has a token of these: test_rfc7591_registration.py",
    "client_configuration": "takes a token of its own: test_rfc7592_management.py",
    "authorize": "takes no token; test_client_policies.py",
    "login": "takes no token; test_client_policies.py",
    "approval": "takes no token; test_client_policies.py",
    "sessions": "ends what there is, gives nothing out: test_oidc_rp_initiated_logout.py",
    "home": "takes no token",
    "healthz": "takes no token",
}
"""Every endpoint, and what it has to do with the table."""


# How to break policies.


def _clients(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {client["id"]: client for client in config["staticClients"]}


def said_of_app(**policies: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        _clients(config)["app"].update(policies)

    return change


def without_the_client(config: dict[str, Any]) -> None:
    config["staticClients"] = [c for c in config["staticClients"] if c["id"] != "app"]
    for client in config["staticClients"]:
        client.pop("trustedPeers", None)


def with_another_secret(config: dict[str, Any]) -> None:
    _clients(config)["app"]["secret"] = "a new secret, long enough, for the app"
    _clients(config)[OTHER[0]]["secret"] = "a new secret, long enough, for the other"


def without_trust(config: dict[str, Any]) -> None:
    _clients(config)[OTHER[0]]["trustedPeers"] = []


def with_groups_named_otherwise(config: dict[str, Any]) -> None:
    _clients(config)[OTHER[0]]["groupsPrefix"] = "theirs:"


def without_the_peer(config: dict[str, Any]) -> None:
    config["staticClients"] = [c for c in config["staticClients"] if c["id"] != OTHER[0]]


def with_the_peer_switched_off(config: dict[str, Any]) -> None:
    _clients(config)[OTHER[0]]["disabled"] = True


def only_client_credentials(config: dict[str, Any]) -> None:
    config["oauth2"]["grantTypes"] = ["client_credentials"]


def without_client_credentials(config: dict[str, Any]) -> None:
    config["oauth2"]["grantTypes"] = ["authorization_code", "refresh_token"]


def without_people(config: dict[str, Any]) -> None:
    config["staticPasswords"] = []


def without_the_connector(config: dict[str, Any]) -> None:
    config["enablePasswordDB"] = False
    config["staticPasswords"] = []


def with_too_many_groups(config: dict[str, Any]) -> None:
    config["staticPasswords"][0]["groups"] = MANY_GROUPS
    _clients(config)["app"]["clientCredentialsClaims"] = {"groups": MANY_GROUPS}


def guess_secrets(scene: Scene, _: Ticket) -> None:
    """Guess until even the right secret has to wait."""
    for client in (CONFIDENTIAL[0], OTHER[0]):
        for n in range(40):
            scene.provider.token({"grant_type": "client_credentials"}, auth=(client, f"guess {n}"))


def revoke(scene: Scene, ticket: Ticket) -> None:
    """Give the login up by whichever of its tokens there is."""
    token = ticket.get("refresh_token") or ticket["token"]
    browser = scene.provider.new_browser("198.51.100.8")
    browser.post("/token/revoke", data={"token": token}, auth=CONFIDENTIAL).raise_for_status()


def end_session(scene: Scene, ticket: Ticket) -> None:
    """Delete the record of the session, and wait until the provider has noticed."""
    provider, name = scene.provider, ticket[SESSION]
    witness = by_session(provider)
    token = _tokens(provider, witness)["access_token"]
    for session in (name, witness.session[SESSION]):
        provider.portal.call(scene.store.remove, "refresh-grants", session)
    eventually(lambda: provider.userinfo(token).status_code == 401, within=30)


BREACHES: Final[Mapping[str, Breach]] = {
    "unknown client": Breach(auth=("nobody", "x")),
    "wrong secret": Breach(auth=(CONFIDENTIAL[0], "wrong")),
    "no secret": Breach(auth=None, form={"client_id": CONFIDENTIAL[0]}),
    "client removed": Breach(config=without_the_client),
    "client switched off": Breach(config=said_of_app(disabled=True)),
    "secret changed": Breach(config=with_another_secret),
    "secrets guessed": Breach(act=guess_secrets),
    "code grant switched off": Breach(config=only_client_credentials),
    "client credentials switched off": Breach(config=without_client_credentials),
    "only client credentials allowed": Breach(
        config=said_of_app(grantTypes=["client_credentials"])
    ),
    "only the code grant allowed": Breach(config=said_of_app(grantTypes=["authorization_code"])),
    "offline access withheld": Breach(config=said_of_app(offlineAccess="never")),
    "another confidential client": Breach(auth=OTHER),
    "a public client": Breach(auth=None, form={"client_id": PUBLIC}),
    "scope not allowed": Breach(config=said_of_app(allowedScopes=["openid", "offline_access"])),
    "audience not allowed": Breach(config=said_of_app(allowedAudiences=["kubernetes"])),
    "trust of the audience withdrawn": Breach(config=without_trust),
    "audience names groups otherwise": Breach(config=with_groups_named_otherwise),
    "audience removed": Breach(config=without_the_peer),
    "audience switched off": Breach(config=with_the_peer_switched_off),
    "more scope": Breach(form={"scope": "openid email"}),
    "offline access asked for": Breach(form={"scope": "openid offline_access"}),
    "connector not allowed": Breach(config=said_of_app(allowedConnectors=["elsewhere"])),
    "connector removed": Breach(config=without_the_connector),
    "person removed": Breach(config=without_people),
    "person locked": Breach(locked=True),
    "login revoked": Breach(act=revoke, final=True),
    "session ended": Breach(act=end_session, final=True, by_session=True),
    "too many groups": Breach(config=with_too_many_groups),
}

USELESS = None
"""The policy is none for this use, for the reason that stands beside it."""

_CODE, _REFRESH, _ITSELF = "authorization_code", "refresh_token", "client_credentials"
_GRANTS = (_CODE, _REFRESH, _ITSELF)
_ASKING = tuple(use for use in USES if use.startswith("introspection"))
_BEARING = tuple(use for use in USES if use.startswith("userinfo"))
_LOGIN = ("userinfo", "introspection of an access token", "introspection of a refresh token")
_ACCESS = tuple(use for use in (*_BEARING, *_ASKING) if "refresh" not in use)
_OWN = ("userinfo of a client itself", "introspection of a client's own token")

NO_CLIENT = "401 invalid_client"
NO_TOKEN = "401 invalid_token"
INACTIVE = "inactive"


def _row(*cells: tuple[tuple[str, ...], str | None], rest: str | None = USELESS) -> dict[str, Any]:
    """Return the answers of one policy; what stands later counts."""
    answers: dict[str, Any] = dict.fromkeys(USES, rest)
    for uses, answer in cells:
        answers.update(dict.fromkeys(uses, answer))
    return answers


def _dead(*uses: str) -> dict[str, Any]:
    """Return the answers of doors that take a token which counts no more."""
    return {use: NO_TOKEN if use in _BEARING else INACTIVE for use in uses}


ANSWERS: Final[Mapping[str, Mapping[str, str | None]]] = {
    # Who bears a token at userinfo proves nothing else.
    "unknown client": _row(((*_GRANTS, *_ASKING), NO_CLIENT)),
    "wrong secret": _row(((*_GRANTS, *_ASKING), NO_CLIENT)),
    "no secret": _row(((*_GRANTS, *_ASKING), NO_CLIENT)),
    "client removed": {
        **_row((_GRANTS, NO_CLIENT)),
        **_dead("introspection of an access token", "introspection of a client's own token"),
        **_dead(*_BEARING),
        "introspection of a refresh token": NO_CLIENT,
    },
    "client switched off": {
        **_row((_GRANTS, NO_CLIENT)),
        **_dead("introspection of an access token", "introspection of a client's own token"),
        **_dead(*_BEARING),
        "introspection of a refresh token": NO_CLIENT,
    },
    "secret changed": _row(((*_GRANTS, *_ASKING), NO_CLIENT)),
    "secrets guessed": _row(((*_GRANTS, *_ASKING), "429 temporarily_unavailable")),
    # The provider as a whole: what was issued lives on for its hour.
    "code grant switched off": _row(((_CODE, _REFRESH), "400 unsupported_grant_type")),
    "client credentials switched off": _row(((_ITSELF,), "400 unsupported_grant_type")),
    # A login's access token tells the login, not the grant type that it was fetched with.
    "only client credentials allowed": {
        **_row(((_CODE, _REFRESH), "400 unauthorized_client")),
        **_dead("introspection of a refresh token"),
    },
    "only the code grant allowed": {
        **_row(((_REFRESH, _ITSELF), "400 unauthorized_client")),
        **_dead("introspection of a refresh token", *_OWN),
    },
    "offline access withheld": {
        **_row(((_REFRESH,), "400 unauthorized_client")),
        **_dead("introspection of a refresh token"),
    },
    # It asks for itself, or is an audience; nobody else's rights are in play.
    "another confidential client": {
        **_row(((_CODE, _REFRESH), "400 invalid_grant")),
        **_dead("introspection of a refresh token"),
    },
    "a public client": _row(
        ((_CODE, _REFRESH), "400 invalid_grant"),
        ((_ITSELF,), "400 unauthorized_client"),
        (_ASKING, NO_CLIENT),
    ),
    # A refresh token may be used for the scopes that are left, and so is good.
    "scope not allowed": {**_row((_GRANTS, "400 invalid_scope")), **_dead(*_ACCESS)},
    "audience not allowed": {**_row((_GRANTS, "400 invalid_scope")), **_dead(*_ACCESS)},
    "trust of the audience withdrawn": {
        **_row((_GRANTS, "400 invalid_scope")),
        **_dead(*_ACCESS),
    },
    "audience names groups otherwise": {
        **_row((_GRANTS, "400 invalid_scope")),
        **_dead(*_ACCESS),
    },
    # Who asks is the audience itself.
    "audience removed": {
        **_row((_GRANTS, "400 invalid_scope"), (_ACCESS, NO_CLIENT)),
        **_dead(*_BEARING),
    },
    "audience switched off": {
        **_row((_GRANTS, "400 invalid_scope"), (_ACCESS, NO_CLIENT)),
        **_dead(*_BEARING),
    },
    # The scope of a code was fixed at the login, and of a token when it was issued.
    "more scope": _row(((_REFRESH,), "400 invalid_scope")),
    "offline access asked for": _row(((_ITSELF,), "400 invalid_scope")),
    "connector not allowed": {**_row(((_CODE, _REFRESH), "400 invalid_grant")), **_dead(*_LOGIN)},
    # A person may go between login and code: a minute, and the first refresh ends it. Access tokens
    # live for their hour; who must be out at once is locked.
    "connector removed": _row(((_REFRESH,), "400 invalid_grant")),
    "person removed": _row(((_REFRESH,), "400 invalid_grant")),
    "person locked": {**_row(((_CODE, _REFRESH), "400 invalid_grant")), **_dead(*_LOGIN)},
    # A code cannot be given up; used twice it ends its login (test_token_codes.py).
    "login revoked": {**_row(((_REFRESH,), "400 invalid_grant")), **_dead(*_LOGIN)},
    "session ended": {**_row(((_CODE, _REFRESH), "400 invalid_grant")), **_dead(*_LOGIN)},
    # Judged at the login, a minute before, and when a token is issued.
    "too many groups": _row(((_REFRESH, _ITSELF), "400 invalid_scope")),
}

POLICIES: Final[Mapping[str, str]] = {
    "Allowed.connectors": "connector not allowed",
    "Allowed.grant_types": "only the code grant allowed",
    "Allowed.scopes": "scope not allowed",
    "Allowed.audiences": "audience not allowed",
    "Client.disabled": "client switched off",
    "Client.secret_hashes": "secret changed",
    "Client.trusted_peers": "trust of the audience withdrawn",
    "Client.claims": "audience names groups otherwise",
    "TokenRules.offline_access": "offline access withheld",
    "LoginRules.clients": "audience removed",
    "LoginRules.standings": "person locked",
    "LoginRules.ended_sessions": "session ended",
    "LiveAccessTokens.ended": "login revoked",
    "LiveAccessTokens.ended_sessions": "session ended",
    "LiveAccessTokens.clients": "client removed",
    "LiveAccessTokens.standings": "person locked",
}
"""The row of every field that a policy is kept by."""

NO_POLICIES: Final[Mapping[str, str]] = {
    "Client.id": "names the client",
    "Client.name": "is shown to people",
    "Client.allowed": "Allowed, field by field",
    "Client.tokens": "TokenRules, field by field",
    "Client.auth_method": "how a client proves who it is: test_token_client_authentication.py",
    "Client.keys": "likewise",
    "Client.redirect_uris": "at the login, and below",
    "Client.pkce_required": "at the login: test_client_policies.py",
    "Client.skip_approval": "at the login: test_client_policies.py",
    "Client.sso_shared_with": "at the login",
    "Client.request_objects": "at the login",
    "Client.credentials_groups": "what a token says, and not whether there is one",
    "Client.logout": "after everything",
    "Client.links": "shown to people",
    "Client.default_max_age": "at the login",
    "Client.registered_itself": "at the login: test_rfc7591_registration.py",
    "Allowed.response_types": "at the login: test_rfc7591_registration.py",
    "TokenRules.id_token_lifetime": "how long, and not whether: test_client_policies.py",
    "TokenRules.access_token_lifetime": "likewise",
    "TokenRules.refresh_idle": "likewise",
    "TokenRules.refresh_absolute": "likewise",
    "TokenRules.id_token_alg": "how it is signed: test_client_policies.py",
    "TokenRules.userinfo_alg": "likewise: test_userinfo_signed.py",
    "TokenRules.ends_with_session": "needs sessions, which have a row when they are there",
    "LoginRules.audit": "hears of what was refused",
    "LiveAccessTokens.issued": "signature, issuer, audience, time: test_userinfo.py",
}
"""Why a field keeps no policy of the table."""
