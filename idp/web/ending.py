"""What happens once a person is known: the approval page, or the way back to the client."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.login.consents import Consents, Wish, wish_of
from idp.login.devices import device_of
from idp.login.finish import LoginFinisher
from idp.login.sessions import Reference
from idp.login.state import ApprovalState, LoginStates
from idp.login.steps import StepPolicy, needs_approval
from idp.oauth import prompt
from idp.oauth.authorize import Refused, check_target
from idp.oauth.client import Client, Clients
from idp.oauth.errors import ConsentRequired
from idp.web.answers import form_sources
from idp.web.cookies import Browser
from idp.web.errors import Renderer
from idp.web.pages import ClientFace
from idp.web.scope_words import scope_sentences
from idp.web.session_cookies import SessionCookies
from storage.records import Grant


@dataclass(frozen=True, slots=True)
class Arrived:
    """A browser, what it holds of a session, and what it is, in words."""

    browser: Browser
    reference: Reference | None
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What happens once a person is known: the approval page, or the way back.

    Without `consents` people are asked each time.
    """

    base_path: str
    steps: StepPolicy
    states: LoginStates
    finisher: LoginFinisher
    clients: Clients
    renderer: Renderer
    session_cookies: SessionCookies | None
    consents: Consents | None

    def arrived(self, request: Request, browser: Browser) -> Arrived:
        """Return a browser with what it holds of a session."""
        cookies = self.session_cookies
        reference = None if cookies is None else cookies.read(request, browser)
        return Arrived(browser, reference, device_of(request.headers.get("user-agent", "")))

    async def signed_in(
        self, approval: ApprovalState, arrived: Arrived, *, session: Grant | None = None
    ) -> Response:
        """Return the answer to somebody who is known, by a right password or by their `session`.

        Raises Refused where `prompt=none` forbids the question that has to be asked.
        """
        request = approval.login.request
        # The connector took its time, in which the client may have gone.
        check_target(request.target, self.clients)
        if not await self._must_ask(approval):
            return await self.finish(approval, arrived, session=session)
        # Nobody is asked to approve what cannot be issued.
        self.finisher.check(approval)
        if prompt.NONE in request.prompts:
            raise Refused(
                request.target, ConsentRequired("The person has not agreed to this before.")
            )
        return self._ask(approval, arrived.browser)

    async def finish(
        self, approval: ApprovalState, arrived: Arrived, *, session: Grant | None = None
    ) -> Response:
        """Store the grant and return what brings its answer to the client."""
        finished = await self.finisher.finish(
            approval, arrived.reference, session=session, device=arrived.device
        )
        response = self.renderer.answers.deliver(finished.target, finished.answer)
        if self.session_cookies is not None and finished.reference is not None:
            self.session_cookies.write(response, arrived.browser, finished.reference)
        return response

    async def approved(self, approval: ApprovalState, arrived: Arrived) -> Response:
        """Return the answer to somebody who allows what was asked, and remember that they do."""
        if self.consents is not None:
            self.finisher.check(approval)
            await self.consents.remember(approval, self._wish(approval))
        return await self.finish(approval, arrived)

    async def _must_ask(self, approval: ApprovalState) -> bool:
        """Return whether the person has to allow what is asked. Raises StorageUnavailable."""
        request = approval.login.request
        client = self.clients[request.target.client_id]
        if not needs_approval(request, self.steps, client):
            return False
        if self.consents is None or prompt.CONSENT in request.prompts:
            return True
        return not await self.consents.cover(approval, self._wish(approval))

    def _wish(self, approval: ApprovalState) -> Wish:
        """Return what the approval page asks. The client was checked."""
        return wish_of(approval, self.clients[approval.login.request.target.client_id])

    def _ask(self, approval: ApprovalState, browser: Browser) -> Response:
        request = approval.login.request
        identity = approval.identity
        client = self.clients[request.target.client_id]
        face = face_of(client)
        page = self.renderer.pages.approval(
            username=identity.preferred_username or identity.email or identity.username,
            client=face,
            scopes=scope_sentences(
                request.scopes,
                [self.clients[peer].name for peer in request.peers],
                self._wish(approval).claims,
            ),
            action=f"{self.base_path}/approval",
            state=self.states.seal_approval(approval, browser=browser.id),
        )
        return self.renderer.answers.html(
            page, form_action=form_sources(request.target), images=(face.logo_url,)
        )


def face_of(client: Client) -> ClientFace:
    """Return what people are shown of a client."""
    links = client.links
    return ClientFace(
        name=client.name,
        logo_url=links.logo_uri,
        tos_url=links.tos_uri,
        policy_url=links.policy_uri,
    )
