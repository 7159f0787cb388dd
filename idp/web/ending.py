"""What happens once a person is known: the approval page, or the way back to the client."""

from dataclasses import dataclass

from starlette.responses import Response

from idp.login.finish import LoginFinisher
from idp.login.state import ApprovalState, LoginStates
from idp.login.steps import StepPolicy, needs_approval
from idp.oauth.authorize import check_target
from idp.oauth.client import Clients
from idp.web.answers import form_sources
from idp.web.cookies import Browser
from idp.web.errors import Renderer
from idp.web.pages import scope_sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What happens once a person is known: the approval page, or the way back."""

    base_path: str
    steps: StepPolicy
    states: LoginStates
    finisher: LoginFinisher
    clients: Clients
    renderer: Renderer

    async def signed_in(self, approval: ApprovalState, browser: Browser) -> Response:
        """Return the answer to a right password."""
        target = approval.login.request.target
        # The connector took its time, in which the client may have gone.
        check_target(target, self.clients)
        if needs_approval(approval.login.request, self.steps, self.clients[target.client_id]):
            # Nobody is asked to approve what cannot be issued.
            self.finisher.check(approval.login, approval.identity, approval.authenticated_at)
            return self._ask(approval, browser)
        return await self.finish(approval)

    async def finish(self, approval: ApprovalState) -> Response:
        """Store the grant and return what brings its answer to the client."""
        finished = await self.finisher.finish(
            approval.login, approval.identity, approval.authenticated_at
        )
        return self.renderer.answers.deliver(finished.target, finished.answer)

    def _ask(self, approval: ApprovalState, browser: Browser) -> Response:
        request = approval.login.request
        identity = approval.identity
        page = self.renderer.pages.approval(
            username=identity.preferred_username or identity.email or identity.username,
            client_name=self.clients[request.target.client_id].name,
            scopes=scope_sentences(
                request.scopes, [self.clients[peer].name for peer in request.peers]
            ),
            action=f"{self.base_path}/approval",
            state=self.states.seal_approval(approval, browser=browser.id),
        )
        return self.renderer.html(page, form_action=form_sources(request.target))
