"""Every endpoint, a good request to it, and what comes of each mistake in each parameter.

An outcome is a status and a word: the error code of JSON or of a challenge, `client` and the error
that a redirect carries, `page`, `form` for a login form that is shown, `ok` for what is as it
should be. A parameter that changes nothing has the outcome of the good request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.kit.provider import (
    ALICE,
    CALLBACK,
    CONFIDENTIAL,
    ISSUER,
    PASSWORD,
    Pkce,
    ProviderUnderTest,
    authorization_parameters,
    login_page,
)
from tests.kit.registration import METADATA, Registered
from tests.kit.requests_sent import FORM, JSON, Sent

PKCE = Pkce()
HERE = {"origin": ISSUER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistakes:
    """What comes of a parameter that is missing or empty, sent twice, huge, wrong, misplaced."""

    missing: str
    twice: str
    huge: str
    wrong: str
    misplaced: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of request to one route; `good` makes a fresh one each time.

    `with_sessions` tells that only a provider with sessions serves it. `media_type` is what a body
    must be sent as. Members of JSON have tables of their own.
    """

    route: tuple[str, str]
    good: Callable[[ProviderUnderTest], Sent]
    outcome: str
    parameters: Mapping[str, Mistakes] = field(default_factory=dict)
    name: str = ""
    with_sessions: bool = False
    media_type: str = FORM

    @property
    def id(self) -> str:
        """Return what a test report calls it."""
        return " ".join((*self.route, self.name)).strip()


CLIENT = (("client_id", CONFIDENTIAL[0]), ("client_secret", CONFIDENTIAL[1]))


def by_code(provider: ProviderUnderTest) -> Sent:
    """Return the redemption of a fresh code."""
    challenge = {"code_challenge": PKCE.challenge, "code_challenge_method": "S256"}
    form = (
        ("grant_type", "authorization_code"),
        ("code", provider.code(challenge)),
        ("redirect_uri", CALLBACK),
        ("code_verifier", PKCE.verifier),
    )
    return Sent("POST", "/token", form=(*form, *CLIENT))


def by_refresh_token(provider: ProviderUnderTest) -> Sent:
    """Return the use of a fresh refresh token."""
    token = provider.tokens()["refresh_token"]
    form = (("grant_type", "refresh_token"), ("refresh_token", token), ("scope", "openid"))
    return Sent("POST", "/token", form=(*form, *CLIENT))


def by_client(_: ProviderUnderTest) -> Sent:
    """Return what a client asks for itself."""
    form = (("grant_type", "client_credentials"), ("scope", "groups"))
    return Sent("POST", "/token", form=(*form, *CLIENT))


def about_token(path: str) -> Callable[[ProviderUnderTest], Sent]:
    """Return what makes questions about a fresh refresh token."""

    def good(provider: ProviderUnderTest) -> Sent:
        token = provider.tokens()["refresh_token"]
        form = (("token", token), ("token_type_hint", "refresh_token"))
        return Sent("POST", path, form=(*form, *CLIENT))

    return good


def userinfo_by_header(provider: ProviderUnderTest) -> Sent:
    """Return a question with the access token in the header."""
    token = provider.tokens()["access_token"]
    return Sent("GET", "/userinfo", headers={"authorization": f"Bearer {token}"})


def userinfo_by_form(provider: ProviderUnderTest) -> Sent:
    """Return a question with the access token in the body."""
    return Sent("POST", "/userinfo", form=(("access_token", provider.tokens()["access_token"]),))


def authorization(method: str, path: str) -> Callable[[ProviderUnderTest], Sent]:
    """Return what makes authorization requests."""
    pairs = tuple(authorization_parameters({}).items())

    def good(_: ProviderUnderTest) -> Sent:
        if method == "GET":
            return Sent("GET", path, query=pairs)
        return Sent("POST", path, form=pairs)

    return good


def login(provider: ProviderUnderTest) -> Sent:
    """Return a login form, filled in."""
    page = login_page(provider.authorize())
    form = (("login", ALICE), ("password", PASSWORD), ("state", page.state))
    return Sent("POST", page.action, form=form, headers=HERE)


def approval(provider: ProviderUnderTest) -> Sent:
    """Return the approval of a login."""
    page = login_page(provider.sign_in({"prompt": "consent"}))
    form = (("state", page.state), ("approval", "approve"))
    return Sent("POST", "/approval", form=form, headers=HERE)


def sign_out(provider: ProviderUnderTest) -> Sent:
    """Return the answer of somebody who is asked whether they want to sign out."""
    provider.browser.client.cookies.clear()
    provider.sign_in()
    page = login_page(provider.browser.get("/logout"))
    form = (("state", page.state), ("logout", "yes"))
    return Sent("POST", "/logout/confirm", form=form, headers=HERE)


def known(provider: ProviderUnderTest) -> None:
    """Sign somebody in with the browser, for a page that wants to know them."""
    provider.browser.client.cookies.clear()
    provider.sign_in()


def own_account(provider: ProviderUnderTest) -> Sent:
    """Return what somebody asks who wants to see their account."""
    known(provider)
    return Sent("GET", "/account", query=(("page", "1"), ("done", "ended")))


def own_end(provider: ProviderUnderTest) -> Sent:
    """Return the end of a session that is no session."""
    known(provider)
    page = login_page(provider.browser.get("/account"))
    form = (("state", page.state), ("end_session", "none"))
    return Sent("POST", "/account", form=form, headers=HERE)


def choice(provider: ProviderUnderTest) -> Sent:
    """Return the answer of somebody who goes on as who they are."""
    known(provider)
    page = login_page(provider.authorize({"prompt": "select_account"}))
    form = (("state", page.state), ("account", "current"))
    return Sent("POST", "/select", form=form, headers=HERE)


def registration(_: ProviderUnderTest) -> Sent:
    """Return a registration, which everybody may ask for here."""
    return Sent("POST", "/register", members=METADATA)


def of_registered(method: str) -> Callable[[ProviderUnderTest], Sent]:
    """Return what makes requests of a client about its registration."""

    def good(provider: ProviderUnderTest) -> Sent:
        client = Registered(registration(provider).send(provider.browser).json())
        members = {"client_id": client.id, **METADATA} if method == "PUT" else None
        return Sent(method, client.path, headers=client.headers, members=members)

    return good


def plain(path: str) -> Callable[[ProviderUnderTest], Sent]:
    """Return what asks for a page without parameters."""
    return lambda _: Sent("GET", path)


def same(outcome: str) -> Mistakes:
    """Return the mistakes in a parameter that is not looked at."""
    return Mistakes(missing=outcome, twice=outcome, huge=outcome, wrong=outcome, misplaced=outcome)


def _m(missing: str, twice: str, huge: str, wrong: str, misplaced: str) -> Mistakes:
    return Mistakes(missing=missing, twice=twice, huge=huge, wrong=wrong, misplaced=misplaced)


INVALID = "400 invalid_request"
REFUSED = "303 client invalid_request"
SECRET = _m("401 invalid_client", INVALID, INVALID, "401 invalid_client", INVALID)
OURS = {"client_id": SECRET, "client_secret": SECRET}
IGNORED = _m("200 ok", INVALID, INVALID, "200 ok", "200 ok")
GRANT = _m(INVALID, INVALID, INVALID, "400 unsupported_grant_type", INVALID)
SCOPE = _m("200 ok", INVALID, INVALID, "400 invalid_scope", "200 ok")
BOUND = _m("400 invalid_grant", INVALID, INVALID, "400 invalid_grant", "400 invalid_grant")
HANDLE = _m(INVALID, INVALID, INVALID, "400 invalid_grant", INVALID)
# A token that nobody knows is no error (RFC 7009 section 2.2, RFC 7662 section 2.2).
TOKEN = _m(INVALID, INVALID, INVALID, "200 ok", INVALID)
PAGE = "400 page"
TRUST = _m(PAGE, PAGE, PAGE, PAGE, PAGE)


def _authorization_parameters(good: str) -> dict[str, Mistakes]:
    """Return the mistakes at the authorization endpoint, whose good answer differs by method."""

    def optional(wrong: str) -> Mistakes:
        return _m(good, REFUSED, PAGE, wrong, good)

    free = dict.fromkeys(
        ("state", "nonce", "login_hint", "approval_prompt", "display", "ui_locales",
         "claims_locales", "acr_values", "resource", "unknown"),
        optional(good),
    )  # fmt: skip
    refused = dict.fromkeys(
        ("response_mode", "prompt", "max_age", "id_token_hint", "code_challenge",
         "code_challenge_method"),
        optional(REFUSED),
    )  # fmt: skip
    return {
        **free,
        **refused,
        "client_id": TRUST,
        "redirect_uri": TRUST,
        "response_type": _m(
            REFUSED, REFUSED, PAGE, "303 client unsupported_response_type", REFUSED
        ),
        # There is a nonce, which needs the scope openid.
        "scope": _m(REFUSED, REFUSED, PAGE, "303 client invalid_scope", REFUSED),
        "request": optional("303 client invalid_request_object"),
        "request_uri": optional("303 client request_uri_not_supported"),
        "registration": optional("303 client registration_not_supported"),
    }


def _logout_parameters(good: str) -> dict[str, Mistakes]:
    """Return the mistakes at the end session endpoint."""
    checked = _m(good, PAGE, PAGE, PAGE, good)
    free = _m(good, PAGE, PAGE, good, good)
    return {
        "client_id": checked,
        "id_token_hint": checked,
        "post_logout_redirect_uri": checked,
        "state": free,
        "logout_hint": free,
        "ui_locales": free,
        "unknown": free,
    }


def _some(parameters: Mapping[str, Mistakes]) -> dict[str, Mistakes]:
    names = ("client_id", "redirect_uri", "response_type", "scope", "request", "unknown")
    return {name: parameters[name] for name in names}


TABLE = (
    Row(
        route=("POST", "/token"),
        name="code",
        good=by_code,
        outcome="200 ok",
        parameters={
            "grant_type": GRANT,
            "code": HANDLE,
            "redirect_uri": BOUND,
            "code_verifier": BOUND,
            "scope": IGNORED,
            "unknown": IGNORED,
            **OURS,
        },
    ),
    Row(
        route=("POST", "/token"),
        name="refresh token",
        good=by_refresh_token,
        outcome="200 ok",
        parameters={
            "grant_type": GRANT,
            "refresh_token": HANDLE,
            "scope": SCOPE,
            "unknown": IGNORED,
            **OURS,
        },
    ),
    Row(
        route=("POST", "/token"),
        name="client credentials",
        good=by_client,
        outcome="200 ok",
        parameters={"grant_type": GRANT, "scope": SCOPE, "unknown": IGNORED, **OURS},
    ),
    Row(
        route=("POST", "/token/revoke"),
        good=about_token("/token/revoke"),
        outcome="200 ok",
        parameters={"token": TOKEN, "token_type_hint": IGNORED, "unknown": IGNORED, **OURS},
    ),
    Row(
        route=("POST", "/token/introspect"),
        good=about_token("/token/introspect"),
        outcome="200 ok",
        parameters={"token": TOKEN, "token_type_hint": IGNORED, "unknown": IGNORED, **OURS},
    ),
    Row(
        route=("POST", "/register"),
        good=registration,
        outcome="201 ok",
        media_type=JSON,
    ),
    Row(route=("GET", "/register/{client_id}"), good=of_registered("GET"), outcome="200 ok"),
    Row(route=("PUT", "/register/{client_id}"), good=of_registered("PUT"), outcome="200 ok"),
    Row(route=("DELETE", "/register/{client_id}"), good=of_registered("DELETE"), outcome="204 ok"),
    Row(
        route=("GET", "/userinfo"),
        good=userinfo_by_header,
        outcome="200 ok",
        parameters={"unknown": _m("200 ok", "200 ok", INVALID, "200 ok", "200 ok")},
    ),
    Row(
        route=("POST", "/userinfo"),
        good=userinfo_by_form,
        outcome="200 ok",
        parameters={
            # No error code where no token was sent (RFC 6750 section 3.1).
            "access_token": _m("401", INVALID, INVALID, "401 invalid_token", INVALID),
            "unknown": IGNORED,
        },
    ),
    Row(
        route=("GET", "/auth"),
        good=authorization("GET", "/auth"),
        outcome="200 form",
        parameters=_authorization_parameters("200 form"),
    ),
    Row(
        route=("POST", "/auth"),
        good=authorization("POST", "/auth"),
        outcome="303 onward",
        parameters=_authorization_parameters("303 onward"),
    ),
    # The same door with a connector in its address: what is different would show in these.
    Row(
        route=("GET", "/auth/{connector}"),
        good=authorization("GET", "/auth/local"),
        outcome="200 form",
        parameters=_some(_authorization_parameters("200 form")),
    ),
    Row(
        route=("POST", "/auth/{connector}"),
        good=authorization("POST", "/auth/local"),
        outcome="303 onward",
        parameters=_some(_authorization_parameters("303 onward")),
    ),
    Row(
        route=("POST", "/auth/{connector}/login"),
        good=login,
        outcome="303 client ok",
        parameters={
            "login": _m("401 form", PAGE, "401 form", "401 form", "401 form"),
            "password": _m("401 form", PAGE, "401 form", "401 form", "401 form"),
            "state": TRUST,
            "unknown": _m("303 client ok", PAGE, "303 client ok", "303 client ok", "303 client ok"),
        },
    ),
    Row(
        route=("POST", "/approval"),
        good=approval,
        outcome="303 client ok",
        parameters={
            "state": TRUST,
            # Whatever is not "approve" is a no.
            "approval": _m(
                "303 client access_denied", PAGE, "303 client access_denied",
                "303 client access_denied", "303 client access_denied",
            ),
            "unknown": _m("303 client ok", PAGE, "303 client ok", "303 client ok", "303 client ok"),
        },
    ),
    Row(
        route=("GET", "/logout"),
        good=lambda _: Sent("GET", "/logout", query=(("client_id", CONFIDENTIAL[0]),)),
        outcome="200 page",
        parameters=_logout_parameters("200 page"),
        with_sessions=True,
    ),
    Row(
        route=("POST", "/logout"),
        good=lambda _: Sent("POST", "/logout", form=(("client_id", CONFIDENTIAL[0]),)),
        outcome="303 onward",
        parameters=_logout_parameters("303 onward"),
        with_sessions=True,
    ),
    Row(
        route=("POST", "/logout/confirm"),
        good=sign_out,
        outcome="200 page",
        parameters={
            "state": TRUST,
            # Whatever is not "yes" leaves the person signed in.
            "logout": _m("200 page", PAGE, "200 page", "200 page", "200 page"),
            "unknown": _m("200 page", PAGE, "200 page", "200 page", "200 page"),
        },
        with_sessions=True,
    ),
    Row(
        route=("POST", "/select"),
        good=choice,
        outcome="303 onward",
        parameters={
            "state": TRUST,
            # Whatever is not "current" is somebody else.
            "account": _m("303 onward", PAGE, "303 onward", "303 onward", "303 onward"),
            "unknown": _m("303 onward", PAGE, "303 onward", "303 onward", "303 onward"),
        },
        with_sessions=True,
    ),
    Row(
        route=("GET", "/account"),
        good=own_account,
        outcome="200 form",
        parameters={
            "page": _m("200 form", "200 form", PAGE, "200 form", "200 form"),
            "done": _m("200 form", "200 form", PAGE, "200 form", "200 form"),
            "unknown": _m("200 form", "200 form", PAGE, "200 form", "200 form"),
        },
        with_sessions=True,
    ),
    Row(
        route=("POST", "/account"),
        good=own_end,
        outcome="303 onward",
        parameters={
            "state": TRUST,
            "end_session": _m("303 onward", PAGE, "303 onward", "303 onward", "303 onward"),
            "end_login": _m("303 onward", PAGE, "303 onward", "303 onward", "303 onward"),
            "forget": _m("303 onward", PAGE, "303 onward", "303 onward", "303 onward"),
            "everywhere": _m("303 onward", PAGE, "303 onward", "303 onward", "303 onward"),
            "unknown": _m("303 onward", PAGE, "303 onward", "303 onward", "303 onward"),
        },
        with_sessions=True,
    ),
    Row(
        route=("GET", "/healthz"),
        good=plain("/healthz"),
        outcome="200 ok",
        parameters={"unknown": same("200 ok")},
    ),
    Row(
        route=("GET", "/"),
        good=plain("/"),
        outcome="200 page",
        parameters={"unknown": same("200 page")},
    ),
)  # fmt: skip
