"""GET and POST /auth and /auth/{connector}: from a request to the first page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from connectors.base import ConnectorUnavailable
from idp.grants.base import RETRY_AFTER
from idp.login.connectors import OfferedConnector
from idp.login.state import LoginState, LoginStates
from idp.login.steps import Choose, StepPolicy, known_connector, next_step
from idp.oauth import prompt
from idp.oauth.authorize import (
    AuthorizationRequest,
    AuthorizeRules,
    Refused,
    read_authorization,
)
from idp.oauth.client import Client
from idp.oauth.errors import InvalidRequest, TemporarilyUnavailable, Untrusted
from idp.oauth.params import Parameters, parse_parameters
from idp.oauth.policies import may_sign_in_with
from idp.oauth.request_objects import as_query
from idp.tokens.request_objects import RequestObjects
from idp.web.answers import NO_STORE
from idp.web.errors import Renderer
from idp.web.forms import read_body
from idp.web.login import LoginForm
from idp.web.pages import ConnectorChoice
from idp.web.select_account import AccountSelection
from idp.web.single_sign_on import SingleSignOn
from storage.base import SealUnknown, StorageUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeEndpoint:
    """The authorization endpoint (RFC 6749 section 3.1, OIDC Core section 3.1.2.1)."""

    base_path: str
    rules: AuthorizeRules
    request_objects: RequestObjects
    steps: StepPolicy
    states: LoginStates
    connectors: Mapping[str, OfferedConnector]
    form: LoginForm
    renderer: Renderer
    new_name: Callable[[], str]
    single_sign_on: SingleSignOn | None
    selection: AccountSelection | None

    async def __call__(self, request: Request) -> Response:
        """Return the chooser or the login form. Raises Untrusted, Refused and state errors."""
        connector_id = request.path_params.get("connector", "")
        if request.method == "POST":
            return await self._posted(request, connector_id)
        raw = self._raw_query(request)
        plain = await self._plain(raw)
        authorization = self._checked(plain, connector_id)
        # A request object may run out while people choose: what was in it goes on sealed.
        query = request.scope["query_string"].decode("latin-1")
        goes_on = query if plain is raw else self._sealed(plain)
        if self.selection is not None and prompt.SELECT_ACCOUNT in authorization.prompts:
            choice = await self.selection.page(request, authorization, plain)
            if choice is not None:
                return choice
        return await self._begin(request, authorization, goes_on)

    async def _posted(self, request: Request, connector_id: str) -> Response:
        """Check a posted request and come back as a GET.

        A POST from another site brings no Lax cookies; the GET that follows it does.
        """
        raw = await read_body(request)
        plain = await self._plain(raw)
        self._checked(plain, connector_id)
        path = f"{self.base_path}/auth"
        if connector_id:
            path += "/" + quote(connector_id, safe="")
        location = f"{path}?{self._sealed(plain)}"
        return RedirectResponse(location, status_code=303, headers=NO_STORE)

    def _sealed(self, plain: bytes) -> str:
        return urlencode({"req": self.states.seal_request(plain)})

    def _raw_query(self, request: Request) -> bytes:
        raw: bytes = request.scope["query_string"]
        sealed = parse_parameters(raw).get("req") if raw.startswith(b"req=") else None
        return raw if sealed is None else self.states.open_request(sealed)

    async def _plain(self, raw: bytes) -> bytes:
        """Return the request without a request object: the same bytes, or those that were in it."""
        parameters = _untrusted_parameters(raw)
        plain = await self.request_objects.plain(parameters)
        return raw if plain is parameters else as_query(plain.values)

    def _checked(self, plain: bytes, connector_id: str) -> AuthorizationRequest:
        authorization = read_authorization(_untrusted_parameters(plain), self.rules)
        if connector_id:
            known_connector(connector_id, self.steps)
            authorization = replace(authorization, connector_id=connector_id)
        return authorization

    async def _begin(
        self, request: Request, authorization: AuthorizationRequest, query: str
    ) -> Response:
        known = await self._by_session(request, authorization)
        if known is not None:
            return known
        client = self.rules.clients[authorization.target.client_id]
        step = next_step(authorization, self.steps, client)
        if isinstance(step, Choose):
            return self._chooser(client, query)
        state = LoginState(
            request=authorization, connector_id=step.connector_id, grant_name=self.new_name()
        )
        return self.form.first(request, state)

    async def _by_session(
        self, request: Request, authorization: AuthorizationRequest
    ) -> Response | None:
        """Return the answer to who is signed in already, None where somebody has to sign in."""
        if self.single_sign_on is None:
            return None
        try:
            return await self.single_sign_on.answer(
                request, authorization, grant_name=self.new_name()
            )
        except (StorageUnavailable, SealUnknown, ConnectorUnavailable) as error:
            if prompt.NONE not in authorization.prompts:
                raise
            text = "Whether somebody is signed in cannot be said just now. Try again."
            away = TemporarilyUnavailable(text, RETRY_AFTER)
            raise Refused(authorization.target, away) from error

    def _chooser(self, client: Client, query: str) -> Response:
        choices = [
            ConnectorChoice(
                id=offered.id,
                name=offered.name,
                type=offered.type,
                url=f"{self.base_path}/auth/{quote(offered.id, safe='')}"
                f"?{quote(query, safe=_QUERY)}",
            )
            for offered in self.connectors.values()
            if may_sign_in_with(client, offered.id)
        ]
        return self.renderer.html(
            self.renderer.pages.chooser(client_name=client.name, connectors=choices)
        )


# What may stand in a query as it came; anything else is encoded (RFC 3986 section 3.4).
_QUERY = "%&=+-._~!$'()*,;:@/?"


def _untrusted_parameters(raw: bytes) -> Parameters:
    """Return the parameters; one that cannot be read is a page, as nobody can be told."""
    try:
        return parse_parameters(raw)
    except InvalidRequest as error:
        raise Untrusted(
            "The application sent a request that cannot be read.", error.description
        ) from None
