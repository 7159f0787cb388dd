"""POST /approval: the person's answer to what a client asks for."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from idp.login.state import OtherBrowser
from idp.login.steps import check_still_offered
from idp.oauth.authorize import Refused, check_target
from idp.oauth.errors import AccessDenied
from idp.web.ending import Ending
from idp.web.forms import read_page_form
from idp.web.login import LoginForm
from idp.web.origin import check_same_origin


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalEndpoint:
    """Goes on after "approve", and shows the form to whoever is somebody else after "switch".

    Anything else tells the client `access_denied`.
    """

    origin: str
    form: LoginForm
    ending: Ending
    new_name: Callable[[], str]

    async def __call__(self, request: Request) -> Response:
        """Return the redirect to the client. Raises Refused, ConnectorGone and state errors."""
        check_same_origin(request, self.origin)
        fields = await read_page_form(request)
        browser = self.form.cookies.read(request)
        approval = self.ending.states.open_approval(
            fields.get("state", ""), browser=browser.id if browser else None
        )
        if browser is None:
            raise OtherBrowser
        check_target(approval.login.request.target, self.ending.clients)
        check_still_offered(approval.login.connector_id, self.ending.steps)
        match fields.get("approval"):
            case "approve":
                return await self.ending.approved(approval, self.ending.arrived(request, browser))
            case "switch":
                again = replace(approval.login, grant_name=self.new_name())
                return self.form.first(request, again)
            case _:
                raise Refused(approval.login.request.target, AccessDenied("The person refused."))
