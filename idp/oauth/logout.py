"""What a client may ask when it sends somebody to sign out.

OpenID Connect RP-Initiated Logout 1.0, sections 2 and 3.

Nobody is sent anywhere but to an address that the client registered for that, and nobody is signed
out without being asked unless the client shows an ID token of just this session.
"""

from collections.abc import Callable
from dataclasses import dataclass

from idp.oauth.client import Clients
from idp.oauth.errors import InvalidRequest, Untrusted
from idp.oauth.params import Parameters

_LONGEST_STATE = 4096


class LogoutUntrusted(Untrusted):
    """Nobody is signed out, and sent nowhere: what the client sent is not to be trusted."""

    title = "Signing out did not work"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokenHint:
    """What an ID token of ours says, expired or not.

    `session` is "" in tokens of no session. `is_proven` is false for one whose key was replaced so
    long ago that nobody can say any more whether it is ours.
    """

    subject: str
    session: str
    client_id: str
    audiences: tuple[str, ...]
    is_proven: bool


ReadHint = Callable[[str], IdTokenHint]
"""Reads an `id_token_hint`. Raises InvalidRequest for what is no ID token of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutRequest:
    """A checked request. All but `state` are "" where nothing was said.

    `subject` and `session` are of a hint that is proven. `redirect_uri` is registered for the
    client.
    """

    client_id: str = ""
    redirect_uri: str = ""
    state: str | None = None
    subject: str = ""
    session: str = ""

    def is_about(self, subject: str, session: str) -> bool:
        """Return whether the client has shown an ID token of this person in this session."""
        return self.subject == subject and self.session in ("", session)


def read_logout(parameters: Parameters, *, clients: Clients, read_hint: ReadHint) -> LogoutRequest:
    """Return the checked request. Raises LogoutUntrusted, for the person to read.

    `logout_hint` and `ui_locales` may be there and change nothing.
    """
    if parameters.repeated:
        raise LogoutUntrusted(
            "The application sent a parameter more than once.",
            "This is a fault of the application you came from; tell the people who run it.",
        )
    hint = _hint(parameters, read_hint)
    client_id = _client_id(parameters, hint)
    if client_id and client_id not in clients:
        raise LogoutUntrusted(
            "The application you came from is not known here.",
            "Its client_id is not registered, or was removed. Close the browser to be signed out of"
            " applications that do not know this provider.",
        )
    is_proven = hint is not None and hint.is_proven
    return LogoutRequest(
        client_id=client_id,
        redirect_uri=_redirect_uri(parameters, client_id, clients),
        state=_state(parameters),
        subject=hint.subject if hint is not None and is_proven else "",
        session=hint.session if hint is not None and is_proven else "",
    )


def _hint(parameters: Parameters, read_hint: ReadHint) -> IdTokenHint | None:
    text = parameters.get("id_token_hint")
    if text is None:
        return None
    try:
        return read_hint(text)
    except InvalidRequest:
        raise LogoutUntrusted(
            "The application sent something that is no ID token of this provider.",
            "Its id_token_hint was changed, or comes from somewhere else. The people who run it"
            " must send the ID token that they got here, or none.",
        ) from None


def _client_id(parameters: Parameters, hint: IdTokenHint | None) -> str:
    """Return the client, which `client_id` and the hint must agree on (section 2)."""
    said = parameters.get("client_id")
    if hint is None:
        return said or ""
    if said is not None and said != hint.client_id and said not in hint.audiences:
        raise LogoutUntrusted(
            "The application sent an ID token that was issued to another one.",
            "Its client_id does not belong to its id_token_hint. Tell the people who run it.",
        )
    return said or hint.client_id


def _redirect_uri(parameters: Parameters, client_id: str, clients: Clients) -> str:
    """Return where to go afterwards: registered byte for byte, or nowhere (section 3)."""
    asked = parameters.get("post_logout_redirect_uri")
    if asked is None:
        return ""
    if not client_id:
        raise LogoutUntrusted(
            "The application asked to send you somewhere without saying who it is.",
            "With post_logout_redirect_uri it must send client_id or id_token_hint as well. Tell"
            " the people who run it.",
        )
    if asked not in clients[client_id].logout.redirect_uris:
        raise LogoutUntrusted(
            "The application asked to send you to an address that is not registered for it.",
            "The post_logout_redirect_uri differs from every one of the client's"
            " postLogoutRedirectURIs, which are compared byte for byte. The people who run it must"
            " register the address exactly as it is sent.",
        )
    return asked


def _state(parameters: Parameters) -> str | None:
    state = parameters.get("state")
    if state is not None and len(state) > _LONGEST_STATE:
        raise LogoutUntrusted(
            "The application sent a request that is too long.",
            f"Its state has more than {_LONGEST_STATE} characters. Tell the people who run it.",
        )
    return state
