"""What happens once a person is known: the approval page, or the way back to the client."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from idp.login.finish import Finished, LoginFinisher, redirect_location
from idp.login.state import ApprovalState, LoginStates
from idp.login.steps import StepPolicy, needs_approval
from idp.oauth.client import Clients
from idp.oauth.redirects import OUT_OF_BAND
from idp.web.cookies import Browser
from idp.web.errors import NO_STORE, Renderer
from idp.web.pages import scope_sentences


@lru_cache(maxsize=256)
def redirect_sources(redirect_uri: str) -> tuple[str, ...]:
    """Return the CSP `form-action` sources of a form that ends in a redirect to the client.

    Chromium applies `form-action` to every redirect that follows the form, and an https application
    may send people on to another host of its own: so any https address is allowed for those, the
    one loopback address or private scheme for the others.
    """
    if redirect_uri == OUT_OF_BAND:
        return ("'self'",)
    parts = urlsplit(redirect_uri)
    if parts.scheme == "https":
        return ("'self'", "https:")
    if parts.scheme == "http":
        # CSP has no IPv6 addresses; browsers ignore a source that holds one.
        host = "*" if parts.netloc.startswith("[") else parts.hostname
        port = "" if parts.port is None else f":{parts.port}"
        return ("'self'", f"http://{host}{port}")
    return ("'self'", f"{parts.scheme}:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What happens once a person is known: the approval page, or the way back."""

    issuer: str
    base_path: str
    steps: StepPolicy
    states: LoginStates
    finisher: LoginFinisher
    clients: Clients
    renderer: Renderer

    async def signed_in(self, approval: ApprovalState, browser: Browser) -> Response:
        """Return the answer to a right password."""
        if needs_approval(approval.login.request, self.steps):
            # Nobody is asked to approve what cannot be issued.
            self.finisher.check(approval.login, approval.identity, approval.authenticated_at)
            return self._ask(approval, browser)
        return await self.finish(approval)

    async def finish(self, approval: ApprovalState) -> Response:
        """Store the grant and return the redirect that carries the code."""
        finished = await self.finisher.finish(
            approval.login, approval.identity, approval.authenticated_at
        )
        return self._redirect(finished)

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
        return self.renderer.html(page, form_action=redirect_sources(request.target.redirect_uri))

    def _redirect(self, finished: Finished) -> Response:
        if finished.target.redirect_uri == OUT_OF_BAND:
            return self.renderer.html(self.renderer.pages.out_of_band(code=finished.code))
        location = redirect_location(finished.target, self.issuer, {"code": finished.code})
        # 303 and never 307, which would send the password on (RFC 9700 section 4.12).
        return RedirectResponse(location, status_code=303, headers=NO_STORE)
