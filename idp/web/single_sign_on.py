"""Whether a browser comes with a session that may be used for what a client asks."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.clock import Clock
from idp.login.session_keeper import SessionKeeper
from idp.login.sessions import is_fresh_enough, keeps_enough, stands_in
from idp.login.state import ApprovalState, LoginState
from idp.oauth.authentication import AuthenticationMethod
from idp.oauth.authorize import AuthorizationRequest
from idp.oauth.client import Clients
from idp.tokens.authorization import asked_of, needed_of
from idp.web.cookies import BrowserCookies
from idp.web.ending import Arrived, Ending
from idp.web.session_cookies import SessionCookies
from storage.collection import Stored
from storage.records import Grant


@dataclass(frozen=True, slots=True)
class Presented:
    """A session that is alive, of a browser that proved to have it."""

    arrived: Arrived
    stored: Stored[Grant]

    @property
    def session(self) -> Grant:
        """Return the record of the session."""
        return self.stored.record

    @property
    def username(self) -> str:
        """Return the name by which the person is shown to themselves."""
        session = self.session
        return session.preferred_username or session.email or session.username


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleSignOn:
    """Finds and judges the sessions of browsers."""

    browsers: BrowserCookies
    cookies: SessionCookies
    keeper: SessionKeeper
    ending: Ending
    clients: Clients
    clock: Clock

    async def answer(
        self, request: Request, authorization: AuthorizationRequest, *, grant_name: str
    ) -> Response | None:
        """Return the answer to who is signed in already, None where somebody has to sign in.

        Raises StorageUnavailable, SealUnknown and ConnectorUnavailable, Refused for what
        `prompt=none` forbids, TokenTooLarge.
        """
        presented = await self.presented(request)
        if presented is None or not self.suits(presented, authorization):
            return None
        approval = await self.signed_in(presented, authorization, grant_name=grant_name)
        if approval is None:
            return None
        return await self.ending.signed_in(approval, presented.arrived, session=presented.session)

    async def presented(self, request: Request) -> Presented | None:
        """Return the session of a browser. Raises StorageUnavailable and SealUnknown."""
        browser = self.browsers.read(request)
        if browser is None:
            return None
        arrived = self.ending.arrived(request, browser)
        stored = await self.keeper.find(arrived.reference)
        return None if stored is None else Presented(arrived, stored)

    def suits(self, presented: Presented, request: AuthorizationRequest) -> bool:
        """Return whether the session may be used for a request instead of another sign-in."""
        session = presented.session
        state = session.session_state
        return (
            state is not None
            and stands_in(session, request, clients=self.clients, policy=self.keeper.policy)
            and is_fresh_enough(state, request.max_age, self.clock())
        )

    async def signed_in(
        self, presented: Presented, request: AuthorizationRequest, *, grant_name: str
    ) -> ApprovalState | None:
        """Return the person of a session as somebody who is signed in for a request.

        None if their connector no longer knows them. Raises ConnectorUnavailable.
        """
        session, state = presented.session, presented.session.session_state
        enough = keeps_enough(session, request, self.clients)
        identity = await self.keeper.person(session, keeps_enough=enough)
        client = self.clients.get(request.target.client_id)
        if identity is None or state is None or client is None:
            return None
        asked = asked_of(request.claims, identity, request.scopes, client)
        return ApprovalState(
            login=LoginState(
                request=request, connector_id=session.connector_id, grant_name=grant_name
            ),
            identity=needed_of(identity, request.scopes, asked, client),
            authenticated_at=state.authenticated_at,
            method=AuthenticationMethod(acr=state.acr, amr=state.amr),
            session=session.name,
        )
