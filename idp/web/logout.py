"""GET and POST /logout (OIDC RP-Initiated Logout), and the answer to the page that asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from idp.grants.logout_notices import LogoutNotices, settled
from idp.grants.sign_out import SignOut
from idp.login.state import LoginStates, StateBroken
from idp.oauth.client import Clients
from idp.oauth.errors import InvalidRequest
from idp.oauth.logout import LogoutRequest, LogoutUntrusted, ReadHint, read_logout
from idp.oauth.params import Parameters, parse_parameters
from idp.oauth.response_modes import ResponseMode, answer_location
from idp.oauth.subject import subject
from idp.web.answers import NO_STORE, client_sources
from idp.web.errors import Renderer
from idp.web.forms import read_body, read_page_form
from idp.web.origin import check_same_origin
from idp.web.pages import Reach
from idp.web.single_sign_on import Presented, SingleSignOn
from storage.records import Grant

WAIT_SECONDS = 2.0
"""How long a browser waits for clients to hear of the end before it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """What happens when somebody signs out: the session ends, the clients hear, a page says so."""

    issuer: str
    base_path: str
    clients: Clients
    single_sign_on: SingleSignOn
    sign_out: SignOut
    notices: LogoutNotices
    renderer: Renderer

    @property
    def account_path(self) -> str:
        """Return the path of the page where people see where they are signed in."""
        return f"{self.base_path}/account"

    async def leave(self, presented: Presented, asked: LogoutRequest, *, by: str) -> Response:
        """End a session and return where the browser goes then. Raises StorageUnavailable."""
        ended = await self.sign_out.session(presented.stored, by=by)
        await self.tell(ended)
        return self.gone(asked, self._frames(ended))

    async def left_everywhere(self, ended: Sequence[Grant], *, session: str) -> Response:
        """Return the answer to somebody of whom everything was ended, their `session` too."""
        await self.tell(ended)
        frames = self._frames([grant for grant in ended if grant.session == session])
        return self.gone(LogoutRequest(), frames, reach="everywhere")

    async def tell(self, ended: Sequence[Grant]) -> None:
        """Tell the clients of what ended, and wait a moment for them to have heard."""
        await settled(self.notices.send(ended), within=WAIT_SECONDS)

    def gone(
        self, asked: LogoutRequest, frames: Sequence[str] = (), *, reach: Reach = "browser"
    ) -> Response:
        """Return the answer to somebody who is signed out: the client's address, or our page."""
        location = ""
        if asked.redirect_uri:
            answer = {} if asked.state is None else {"state": asked.state}
            location = _with_answer(asked.redirect_uri, answer)
        if location and not frames:
            response: Response = RedirectResponse(location, status_code=303, headers=NO_STORE)
        else:
            client = self.clients.get(asked.client_id)
            page = self.renderer.pages.signed_out(
                continue_url=location,
                client_name=client.name if client is not None else "",
                frames=frames,
                account_url=self.account_path,
                reach=reach,
            )
            response = self.renderer.answers.html(page, frames=tuple(frames))
        self.single_sign_on.cookies.clear(response)
        return response

    def _frames(self, ended: Sequence[Grant]) -> list[str]:
        """Return what clients want to be loaded when a session ends (Front-Channel Logout, 2)."""
        frames: list[str] = []
        for grant in ended:
            client = self.clients.get(grant.client_id)
            if client is not None and client.logout.frontchannel_uri:
                session = {"iss": self.issuer, "sid": grant.session}
                frames.append(_with_answer(client.logout.frontchannel_uri, session))
        return list(dict.fromkeys(frames))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutEndpoint:
    """The end session endpoint. It asks the person unless the client proves whom it means."""

    base_path: str
    read_hint: ReadHint
    states: LoginStates
    departure: Departure

    async def __call__(self, request: Request) -> Response:
        """Return the way back, the signed-out page, or the question. Raises LogoutUntrusted."""
        if request.method == "POST":
            return await self._posted(request)
        asked = self._asked(request)
        presented = await self.departure.single_sign_on.presented(request)
        if presented is None:
            return self.departure.gone(asked)
        session = presented.session
        if asked.is_about(subject(session.user_id, session.connector_id), session.name):
            return await self.departure.leave(presented, asked, by="client")
        return self._ask(presented, asked)

    async def _posted(self, request: Request) -> Response:
        """Check a posted request and come back as a GET, which brings Lax cookies along.

        What was checked goes on sealed, without the token that it was checked by.
        """
        asked = self._read(_untrusted(await read_body(request)))
        query = urlencode({"req": self.states.seal_logout(asked)})
        location = f"{self.base_path}/logout?{query}"
        return RedirectResponse(location, status_code=303, headers=NO_STORE)

    def _asked(self, request: Request) -> LogoutRequest:
        parameters = _untrusted(request.scope["query_string"])
        sealed = parameters.get("req")
        return self._read(parameters) if sealed is None else self.states.open_logout(sealed)[0]

    def _read(self, parameters: Parameters) -> LogoutRequest:
        return read_logout(parameters, clients=self.departure.clients, read_hint=self.read_hint)

    def _ask(self, presented: Presented, asked: LogoutRequest) -> Response:
        renderer = self.departure.renderer
        client = self.departure.clients.get(asked.client_id)
        page = renderer.pages.logout(
            username=presented.username,
            client_name=client.name if client is not None else "",
            action=f"{self.base_path}/logout/confirm",
            account_url=self.departure.account_path,
            state=self.states.seal_logout(
                asked, browser=presented.arrived.browser.id, session=presented.session.name
            ),
        )
        sources = client_sources(asked.redirect_uri) if asked.redirect_uri else ()
        return renderer.html(page, form_action=("'self'", *sources))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutConfirmation:
    """POST /logout/confirm: the answer to the page that asks."""

    origin: str
    states: LoginStates
    departure: Departure

    async def __call__(self, request: Request) -> Response:
        """Return the way back, or a page. Raises CrossSite and state errors."""
        check_same_origin(request, self.origin)
        fields = await read_page_form(request)
        single_sign_on = self.departure.single_sign_on
        asked, session = self.states.open_logout(
            fields.get("state", ""), browser=single_sign_on.browsers.id_of(request)
        )
        presented = await single_sign_on.presented(request)
        if presented is None:
            return self.departure.gone(asked)
        if presented.session.name != session:
            # The page was about another session than the browser has now.
            raise StateBroken
        if fields.get("logout") == "yes":
            return await self.departure.leave(presented, asked, by="person")
        renderer = self.departure.renderer
        page = renderer.pages.still_signed_in(
            username=presented.username, account_url=self.departure.account_path
        )
        return renderer.html(page)


def _with_answer(uri: str, answer: dict[str, str]) -> str:
    """Return an address with more in its query, which goes before a fragment."""
    if not answer:
        return uri
    parts = urlsplit(uri)
    whole = answer_location(parts._replace(fragment="").geturl(), ResponseMode.QUERY, answer)
    return f"{whole}#{parts.fragment}" if parts.fragment else whole


def _untrusted(raw: bytes) -> Parameters:
    try:
        return parse_parameters(raw)
    except InvalidRequest as error:
        raise LogoutUntrusted(
            "The application sent a request that cannot be read.", error.description
        ) from None
