"""The state of a login on its way: sealed, short-lived, bound to one browser, stored nowhere.

Nothing is written before a person is authenticated, so whatever a step must remember for the next
travels through the browser. It is sealed (nobody reads or changes it), typed (a login state is no
approval), dated, and bound to the cookie of the browser that started.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from connectors.base import Identity
from idp.clock import Clock, epoch_seconds
from idp.oauth.asked_claims import AskedClaims
from idp.oauth.authentication import UNKNOWN, AuthenticationMethod
from idp.oauth.authorize import AuthorizationRequest, Target
from idp.oauth.logout import LogoutRequest
from idp.oauth.response_modes import ResponseMode
from idp.oauth.response_types import CODE

_ENCODER = json.JSONEncoder(separators=(",", ":"))

_LOGIN = "login-state"
_APPROVAL = "approval-state"
_REQUEST = "authorization-request"
_LOGOUT = "logout-request"
_ACCOUNT = "account-form"
_CHOICE = "account-choice"
_LONGEST = 48 * 1024


class StateBroken(Exception):
    """The state was not sealed by us, or for another step."""


class StateExpired(Exception):
    """The login was started too long ago."""


class OtherBrowser(Exception):
    """The login was started in another browser, or its cookie is gone."""


class StateSealer(Protocol):
    """Seals and opens text; `open` raises ValueError for what is not ours."""

    def seal(self, purpose: str, plaintext: bytes, *, context: bytes = b"") -> str:
        """Return sealed URL-safe text."""
        ...

    def open(self, purpose: str, sealed: str, *, context: bytes = b"") -> bytes:
        """Return the plaintext."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginState:
    """A checked request, the connector chosen for it, and the name its grant will have.

    The name is drawn when the login starts: sending the form twice makes one grant, not two.
    """

    request: AuthorizationRequest
    connector_id: str
    grant_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalState:
    """A login whose person is known and who has yet to approve.

    `session` names the session by which they are known, "" for who has just signed in, and then
    `remembered` is whether the browser shall know them after its window is closed.
    """

    login: LoginState
    identity: Identity
    authenticated_at: datetime
    method: AuthenticationMethod = UNKNOWN
    session: str = ""
    remembered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChoice:
    """A request that waits until its person has said which account it is for.

    `plain` are its parameters, `connector_id` the one that its address named, and `session` the
    session that was offered.
    """

    plain: bytes
    connector_id: str
    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginStates:
    """Seals and opens the states of logins. `browser` is the random id of the browser's cookie."""

    sealer: StateSealer
    clock: Clock
    lifetime: timedelta

    def seal_login(self, state: LoginState, *, browser: str) -> str:
        """Return the state for the login form."""
        return self._seal(_LOGIN, _login_members(state), browser)

    def open_login(self, sealed: str, *, browser: str | None) -> LoginState:
        """Return the state of a login form. Raises StateBroken, StateExpired, OtherBrowser."""
        return _read_login(self._open(_LOGIN, sealed, browser))

    def seal_approval(self, state: ApprovalState, *, browser: str) -> str:
        """Return the state for the approval form."""
        members = {
            "login": _login_members(state.login),
            "identity": asdict(state.identity),
            "authenticated_at": epoch_seconds(state.authenticated_at),
            "method": asdict(state.method),
            "session": state.session,
            "remembered": state.remembered,
        }
        return self._seal(_APPROVAL, members, browser)

    def open_approval(self, sealed: str, *, browser: str | None) -> ApprovalState:
        """Return the state of an approval. Raises StateBroken, StateExpired, OtherBrowser."""
        members = self._open(_APPROVAL, sealed, browser)
        return ApprovalState(
            login=_read_login(members["login"]),
            identity=_read_identity(members["identity"]),
            authenticated_at=datetime.fromtimestamp(members["authenticated_at"], UTC),
            method=_read_method(members.get("method", {})),
            session=members.get("session", ""),
            remembered=members.get("remembered", False),
        )

    def seal_request(self, raw: bytes) -> str:
        """Return posted authorization parameters for a GET, which brings the cookies along."""
        return self._seal(_REQUEST, {"form": raw.decode("latin-1")}, "")

    def open_request(self, sealed: str) -> bytes:
        """Return posted authorization parameters. Raises StateBroken, StateExpired."""
        form: str = self._open(_REQUEST, sealed, "")["form"]
        return form.encode("latin-1")

    def seal_logout(self, request: LogoutRequest, *, browser: str = "", session: str = "") -> str:
        """Return a request to sign out: for the page that asks, or for a GET in place of a POST.

        `session` is the one that the page is about.
        """
        return self._seal(_LOGOUT, {"request": asdict(request), "session": session}, browser)

    def open_logout(self, sealed: str, *, browser: str | None = "") -> tuple[LogoutRequest, str]:
        """Return request and session. Raises StateBroken, StateExpired, OtherBrowser."""
        members = self._open(_LOGOUT, sealed, browser)
        return LogoutRequest(**members["request"]), members["session"]

    def seal_account(self, session: str, *, browser: str) -> str:
        """Return what the forms of the account page of a session carry."""
        return self._seal(_ACCOUNT, {"session": session}, browser)

    def open_account(self, sealed: str, *, browser: str | None) -> str:
        """Return the session. Raises StateBroken, StateExpired, OtherBrowser."""
        session: str = self._open(_ACCOUNT, sealed, browser)["session"]
        return session

    def seal_choice(self, choice: AccountChoice, *, browser: str) -> str:
        """Return the state for the page that asks which account to use."""
        members = {**asdict(choice), "plain": choice.plain.decode("latin-1")}
        return self._seal(_CHOICE, members, browser)

    def open_choice(self, sealed: str, *, browser: str | None) -> AccountChoice:
        """Return what was chosen about. Raises StateBroken, StateExpired, OtherBrowser."""
        members = self._open(_CHOICE, sealed, browser)
        return AccountChoice(**{**members, "plain": members["plain"].encode("latin-1")})

    def _seal(self, purpose: str, members: Mapping[str, Any], browser: str) -> str:
        envelope = {
            "until": epoch_seconds(self.clock() + self.lifetime),
            "browser": _browser_hash(browser),
            "state": members,
        }
        return self.sealer.seal(purpose, _ENCODER.encode(envelope).encode())

    def _open(self, purpose: str, sealed: str, browser: str | None) -> dict[str, Any]:
        if len(sealed) > _LONGEST:
            raise StateBroken
        try:
            envelope = json.loads(self.sealer.open(purpose, sealed))
        except ValueError:
            raise StateBroken from None
        if browser is None or not hmac.compare_digest(envelope["browser"], _browser_hash(browser)):
            raise OtherBrowser
        if epoch_seconds(self.clock()) >= envelope["until"]:
            raise StateExpired
        members: dict[str, Any] = envelope["state"]
        return members


def _browser_hash(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()[:32]


def _read_identity(members: Mapping[str, Any]) -> Identity:
    claims = tuple((name, tuple(values)) for name, values in members.get("claims", ()))
    return Identity(**{**members, "groups": tuple(members["groups"]), "claims": claims})


def _read_method(members: Mapping[str, Any]) -> AuthenticationMethod:
    """Return how the person signed in; a server of before there was an answer says nothing."""
    return AuthenticationMethod(acr=members.get("acr", ""), amr=tuple(members.get("amr", ())))


def _login_members(state: LoginState) -> dict[str, Any]:
    request = state.request
    return {
        "client_id": request.target.client_id,
        "redirect_uri": request.target.redirect_uri,
        "state": request.target.state,
        "response_mode": request.target.response_mode,
        "scopes": request.scopes,
        "peers": request.peers,
        "nonce": request.nonce,
        "code_challenge": request.code_challenge,
        "prompts": sorted(request.prompts),
        "max_age": request.max_age,
        "login_hint": request.login_hint,
        "hinted_subject": request.hinted_subject,
        "response_type": request.response_type,
        "connector_id": state.connector_id,
        "grant_name": state.grant_name,
        "claims": asdict(request.claims),
    }


def _read_asked(members: Mapping[str, Any]) -> AskedClaims:
    """Return what was asked for by name; nothing in a state that an older server sealed."""
    lists = {name: tuple(value) for name, value in members.items() if isinstance(value, list)}
    return AskedClaims(**{**members, **lists})


def _read_login(members: Mapping[str, Any]) -> LoginState:
    request = AuthorizationRequest(
        target=Target(
            client_id=members["client_id"],
            redirect_uri=members["redirect_uri"],
            state=members["state"],
            response_mode=ResponseMode(members.get("response_mode", ResponseMode.QUERY)),
        ),
        scopes=tuple(members["scopes"]),
        peers=tuple(members["peers"]),
        nonce=members["nonce"],
        code_challenge=members["code_challenge"],
        prompts=frozenset(members["prompts"]),
        max_age=members["max_age"],
        login_hint=members["login_hint"],
        hinted_subject=members["hinted_subject"],
        connector_id=members["connector_id"],
        response_type=members.get("response_type", CODE),
        claims=_read_asked(members.get("claims", {})),
    )
    return LoginState(
        request=request,
        connector_id=members["connector_id"],
        grant_name=members["grant_name"],
    )
