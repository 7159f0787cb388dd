"""The authorization request: what must be true before the browser may be sent anywhere.

Two types carry the trust. `Target` exists only for a known client and a redirect URI of its own;
before there is one, every error is a page. `Refused` is an error *with* a target, and the only
error that becomes a redirect. The order of the checks is the order of the lines in
`read_authorization`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from idp.oauth.asked_claims import NOTHING_ASKED, AskedClaims, check_places, read_claims
from idp.oauth.authentication import ACR_VALUES_SUPPORTED
from idp.oauth.client import Clients
from idp.oauth.errors import (
    InvalidRequest,
    OAuthError,
    RegistrationNotSupported,
    RequestNotSupported,
    RequestUriNotSupported,
    Untrusted,
)
from idp.oauth.params import Parameters
from idp.oauth.pkce import check_challenge
from idp.oauth.policies import (
    check_response_type,
    needs_pkce,
    renewable,
    response_types_for,
)
from idp.oauth.prompt import read_max_age, read_prompt
from idp.oauth.redirects import OUT_OF_BAND, redirect_uri_allowed
from idp.oauth.request_objects import REQUEST, REQUEST_URI
from idp.oauth.response_modes import ResponseMode, check_state, mode_of, read_mode
from idp.oauth.response_types import CODE, check_openid, has, read_response_type
from idp.oauth.scopes import OPENID, read_scope

LONGEST_REQUEST = 8 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where an answer may be sent: checked, which is why it can only be made by `target_of`."""

    client_id: str
    redirect_uri: str
    state: str | None
    response_mode: ResponseMode = ResponseMode.QUERY


class Refused(Exception):
    """An error that the client itself is told, at its checked address and in its mode."""

    def __init__(self, target: Target, error: OAuthError) -> None:
        super().__init__(error.description)
        self.target = target
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A request in which everything is checked that can be without knowing the person."""

    target: Target
    scopes: tuple[str, ...]
    peers: tuple[str, ...]
    nonce: str
    code_challenge: str
    prompts: frozenset[str]
    max_age: int | None
    login_hint: str
    hinted_subject: str
    connector_id: str
    response_type: str = CODE
    claims: AskedClaims = NOTHING_ASKED

    def admits(self, subject: str) -> bool:
        """Return whether this person's login answers the request (OIDC Core section 3.1.2.2)."""
        return self.hinted_subject in ("", subject) and self.claims.admits(subject)


SubjectOfHint = Callable[[str, str], str]
"""Returns the subject of an `id_token_hint` that we issued to a client (hint, client id).

Expired or not; raises InvalidRequest.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeRules:
    """What the checks of an authorization request need to know of this provider."""

    clients: Clients
    subject_of_hint: SubjectOfHint
    pkce_for_all: bool
    response_types: Sequence[str] = (CODE,)
    acr_served: Sequence[str] = ACR_VALUES_SUPPORTED


def target_of(parameters: Parameters, clients: Clients) -> Target:
    """Return the checked target. Raises Untrusted for the person to read.

    RFC 6749 section 4.1.2.1: on failure here the browser must not be redirected.
    """
    for name in ("client_id", "redirect_uri"):
        if name in parameters.repeated:
            raise Untrusted(
                f"The application sent {name} more than once.",
                "This is a fault of the application you came from; tell the people who run it.",
            )
    client_id = parameters.get("client_id")
    client = clients.get(client_id) if client_id is not None else None
    if client is None:
        raise Untrusted(
            "The application you came from is not known here.",
            "Its client_id is missing, not registered or switched off. The people who run it must"
            " use a client_id from this provider's staticClients.",
        )
    redirect_uri = parameters.get("redirect_uri")
    if redirect_uri is None or not redirect_uri_allowed(redirect_uri, client):
        raise Untrusted(
            "The application asked to send you to an address that is not registered for it.",
            "The redirect_uri is missing or differs from every one of the client's redirectURIs,"
            " which are compared byte for byte. The people who run it must register the address"
            " exactly as it is sent.",
        )
    once = parameters.once
    return Target(
        client_id=client.id,
        redirect_uri=redirect_uri,
        state=once("state"),
        response_mode=mode_of(once("response_mode"), once("response_type") or "", redirect_uri),
    )


def check_target(target: Target, clients: Clients) -> None:
    """Check a target once more, at the end of a login. Raises Untrusted.

    A login takes minutes, in which its client may have been removed, or an address of it.
    """
    client = clients.get(target.client_id)
    if client is None or not redirect_uri_allowed(target.redirect_uri, client):
        raise Untrusted(
            "The application you came from is no longer registered here.",
            "It, or the address that it asked to send you to, was removed while you were signing"
            " in. Ask the people who run it.",
        )


def read_authorization(parameters: Parameters, rules: AuthorizeRules) -> AuthorizationRequest:
    """Return the checked request. Raises Untrusted (a page) or Refused (a redirect)."""
    target = target_of(parameters, rules.clients)
    try:
        return _read_trusted(parameters, target, rules)
    except OAuthError as error:
        raise Refused(target, error) from None


def _read_trusted(
    parameters: Parameters, target: Target, rules: AuthorizeRules
) -> AuthorizationRequest:
    client = rules.clients[target.client_id]
    parameters.refuse_repeated()
    _check_size(parameters)
    _check_not_offered(parameters)
    response_type = read_response_type(
        parameters.require("response_type"), response_types_for(client, rules.response_types)
    )
    _check_way_back(parameters, target, response_type)
    check_response_type(client, response_type)
    scope = read_scope(parameters.get("scope"), client=client, clients=rules.clients)
    prompts = read_prompt(parameters.get("prompt"), parameters.get("approval_prompt"))
    max_age = read_max_age(parameters.get("max_age"))
    if max_age is None:
        max_age = client.default_max_age
    challenge = check_challenge(
        parameters.get("code_challenge"), parameters.get("code_challenge_method")
    )
    needed = has(response_type, CODE) and needs_pkce(client, demanded_of_all=rules.pkce_for_all)
    if needed and not challenge:
        raise InvalidRequest("This client must use PKCE: send code_challenge with method S256.")
    _check_openid_parameters(parameters, scope.scopes)
    nonce = parameters.get("nonce") or ""
    check_openid(response_type, openid=OPENID in scope.scopes, nonce=nonce)
    claims = read_claims(parameters.get("claims"), acr_served=rules.acr_served)
    check_places(claims, response_type)
    hint = parameters.get("id_token_hint")
    return AuthorizationRequest(
        target=target,
        scopes=renewable(scope.scopes, client),
        peers=scope.peers,
        nonce=nonce,
        code_challenge=challenge,
        prompts=prompts,
        max_age=max_age,
        login_hint=(parameters.get("login_hint") or "")[:255],
        hinted_subject="" if hint is None else rules.subject_of_hint(hint, client.id),
        connector_id=parameters.get("connector_id") or "",
        response_type=response_type,
        claims=claims,
    )


def _check_size(parameters: Parameters) -> None:
    """Keep the request small enough to travel sealed in a URL and a form."""
    if parameters.size > LONGEST_REQUEST:
        raise InvalidRequest(f"The request is longer than {LONGEST_REQUEST} bytes.")


def _check_not_offered(parameters: Parameters) -> None:
    # Whoever serves request objects has read them by now and hands over what was inside.
    if parameters.get(REQUEST) is not None:
        raise RequestNotSupported("Request objects are not served: send plain parameters.")
    if parameters.get(REQUEST_URI) is not None:
        raise RequestUriNotSupported("request_uri is not served: send plain parameters.")
    if parameters.get("registration") is not None:
        raise RegistrationNotSupported("registration is not served: register the client first.")


# What OIDC Core section 3.1.2.1 adds to a request of OAuth 2.0 and shapes tokens or the login by.
# Hints for the pages, such as `display`, harm nobody.
_OF_OPENID = ("acr_values", "claims", "claims_locales", "id_token_hint", "max_age", "nonce")


def _check_openid_parameters(parameters: Parameters, scopes: Sequence[str]) -> None:
    """Refuse what only an ID token could answer where none was asked for (OIDC Core, 3.1.2.1).

    Without the scope openid such a request means nothing, and a client that forgot the scope would
    wait for a nonce that never comes back.
    """
    if OPENID in scopes:
        return
    for name in _OF_OPENID:
        if parameters.get(name) is not None:
            raise InvalidRequest(f"{name} needs the scope openid: ask for it, or leave {name} out.")


def _check_way_back(parameters: Parameters, target: Target, response_type: str) -> None:
    """Check that the answer can be brought to where it is to go."""
    read_mode(parameters.get("response_mode"), response_type, target.redirect_uri)
    check_state(target.response_mode, target.state)
    if target.redirect_uri == OUT_OF_BAND and response_type != CODE:
        raise InvalidRequest("Out of band there is nothing but a code to copy.")
