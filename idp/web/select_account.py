"""`prompt=select_account` for somebody who is signed in: go on as who they are, or as another.

OIDC Core section 3.1.2.1. Whoever is signed in nowhere gets the ways to sign in at once.
"""

from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from idp.login.session_keeper import SessionOver
from idp.login.state import AccountChoice, LoginStates
from idp.oauth import prompt
from idp.oauth.authorize import AuthorizationRequest
from idp.oauth.params import parse_parameters
from idp.oauth.request_objects import as_query
from idp.web.answers import NO_STORE, form_sources
from idp.web.errors import Renderer
from idp.web.forms import read_page_form
from idp.web.origin import check_same_origin
from idp.web.single_sign_on import SingleSignOn


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSelection:
    """The page that offers the session of a browser, and what becomes of the answer."""

    origin: str
    base_path: str
    states: LoginStates
    single_sign_on: SingleSignOn
    renderer: Renderer

    async def page(
        self, request: Request, authorization: AuthorizationRequest, plain: bytes
    ) -> Response | None:
        """Return the question, None where there is no session that could be gone on with.

        `plain` are the parameters of the request. Raises StorageUnavailable and SealUnknown.
        """
        presented = await self.single_sign_on.presented(request)
        rest = authorization.prompts - {prompt.SELECT_ACCOUNT}
        if presented is None or not self.single_sign_on.suits(
            presented, replace(authorization, prompts=rest)
        ):
            return None
        session = presented.session
        choice = AccountChoice(
            plain=plain, connector_id=authorization.connector_id, session=session.name
        )
        page = self.renderer.pages.select_account(
            client_name=self.single_sign_on.clients[authorization.target.client_id].name,
            username=session.username or presented.username,
            email=session.email or presented.username,
            action=f"{self.base_path}/select",
            state=self.states.seal_choice(choice, browser=presented.arrived.browser.id),
        )
        return self.renderer.html(page, form_action=form_sources(authorization.target))

    async def __call__(self, request: Request) -> Response:
        """Go on with the request as the person says. Raises CrossSite, SessionOver, state errors.

        Going on, it is judged anew from the beginning.
        """
        check_same_origin(request, self.origin)
        fields = await read_page_form(request)
        choice = self.states.open_choice(
            fields.get("state", ""), browser=self.single_sign_on.browsers.id_of(request)
        )
        if fields.get("account") != "current":
            return self._onward(choice, instead=prompt.LOGIN)
        presented = await self.single_sign_on.presented(request)
        if presented is None or presented.session.name != choice.session:
            # Another window has signed somebody else in, or this one out.
            raise SessionOver
        return self._onward(choice, instead="")

    def _onward(self, choice: AccountChoice, *, instead: str) -> Response:
        values = dict(parse_parameters(choice.plain).values)
        prompts = set(values.pop("prompt", "").split()) - {prompt.SELECT_ACCOUNT}
        if instead:
            prompts.add(instead)
            values.pop("login_hint", None)
        if prompts:
            values["prompt"] = " ".join(sorted(prompts))
        path = f"{self.base_path}/auth"
        if choice.connector_id:
            path += "/" + quote(choice.connector_id, safe="")
        query = urlencode({"req": self.states.seal_request(as_query(values))})
        return RedirectResponse(f"{path}?{query}", status_code=303, headers=NO_STORE)
