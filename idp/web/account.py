"""GET and POST /account: what somebody has here, and ending it.

The page belongs to whoever's session the browser has, whichever client that began for. Without one
the browser is sent to sign in, as for a client: nothing is stored before somebody has.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from idp.clock import Clock
from idp.grants.account import Account, NotTheirs
from idp.login.consents import Consents
from idp.login.state import LoginStates, OtherBrowser, StateBroken, StateExpired
from idp.login.throttle import Throttle, Throttled
from idp.oauth.logout import LogoutRequest
from idp.oauth.response_types import NONE
from idp.oauth.scopes import OPENID
from idp.web.account_face import AccountFaces
from idp.web.answers import NO_STORE
from idp.web.errors import AccountBusy, AccountFormStale, NotSignedIn
from idp.web.forms import read_page_form, read_query
from idp.web.logout import Departure
from idp.web.origin import check_same_origin
from idp.web.single_sign_on import Presented
from storage.persons import person_key
from storage.records import Grant

_NOTES: Mapping[str, str] = {
    "ended": "That is signed out now.",
    "forgotten": "That application asks you again the next time.",
    "gone": "That had ended already. Nothing was changed.",
}
"""What the page says of what was done, by the word in its address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountParts:
    """What showing the page and ending something on it have in common.

    `address` is that of the page, and with it the id of the client under which people sign in to
    it. Both cost the store a list, so `throttle` lets each person have so many.
    """

    base_path: str
    address: str
    states: LoginStates
    departure: Departure
    account: Account
    consents: Consents
    throttle: Throttle
    clock: Clock

    async def presented(self, request: Request) -> Presented | None:
        """Return the session of a browser. Raises StorageUnavailable and SealUnknown."""
        return await self.departure.single_sign_on.presented(request)

    @contextmanager
    def paid(self, session: Grant) -> Iterator[None]:
        """Pay for one list of a person's own. Raises AccountBusy."""
        source = person_key(session.connector_id, session.user_id)
        try:
            attempt = self.throttle.reserve(source=source)
        except Throttled as error:
            raise AccountBusy(error.retry_after) from None
        # Right or wrong, each counts.
        with attempt:
            yield

    def back(self, word: str = "") -> Response:
        """Return what leads to the page, which says what was done."""
        query = f"?{urlencode({'done': word})}" if word else ""
        return RedirectResponse(
            self.departure.account_path + query, status_code=303, headers=NO_STORE
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage:
    """GET /account."""

    parts: AccountParts
    faces: AccountFaces

    async def __call__(self, request: Request) -> Response:
        """Return the page, or the way to the login form. Raises NotSignedIn and AccountBusy."""
        asked = read_query(request)
        if "error" in asked.values:
            raise NotSignedIn
        presented = await self.parts.presented(request)
        if "iss" in asked.values:
            # Straight from the login form. Who has no session now would be sent there for ever.
            if presented is None:
                raise NotSignedIn
            return self.parts.back()
        if presented is None:
            return self._sign_in()
        with self.parts.paid(presented.session):
            return await self._page(presented, asked.values)

    def _sign_in(self) -> Response:
        query = {
            "client_id": self.parts.address,
            "redirect_uri": self.parts.address,
            "response_type": NONE,
            "scope": OPENID,
        }
        location = f"{self.parts.base_path}/auth?{urlencode(query)}"
        return RedirectResponse(location, status_code=303, headers=NO_STORE)

    async def _page(self, presented: Presented, asked: Mapping[str, str]) -> Response:
        parts, session = self.parts, presented.session
        face = self.faces.face(
            session,
            await parts.account.overview(session),
            await parts.consents.of(session.connector_id, session.user_id),
            number=_number(asked.get("page", "")),
            now=parts.clock(),
        )
        renderer = parts.departure.renderer
        page = renderer.pages.account(
            face,
            action=parts.departure.account_path,
            state=parts.states.seal_account(session.name, browser=presented.arrived.browser.id),
            note=_NOTES.get(asked.get("done", ""), ""),
        )
        return renderer.html(page, form_action=("'self'",))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountForm:
    """POST /account: one button of the page, each of which has a name of its own."""

    origin: str
    parts: AccountParts

    async def __call__(self, request: Request) -> Response:
        """Do what the button says, and return to the page, or the one after signing out.

        Raises CrossSite, AccountFormStale, AccountBusy, NotAllEnded, StorageUnavailable.
        """
        check_same_origin(request, self.origin)
        fields = await read_page_form(request)
        presented = await self._presented(request, fields.get("state", ""))
        session = presented.session
        with self.parts.paid(session):
            if fields.get("everywhere") == "yes":
                return await self._everywhere(presented)
            if fields.get("end_session") == session.name:
                return await self.parts.departure.leave(presented, LogoutRequest(), by="person")
            if "forget" in fields:
                await self.parts.consents.forget(
                    session.connector_id, session.user_id, fields["forget"]
                )
                return self.parts.back("forgotten")
            return self.parts.back(await self._end(session, fields))

    async def _presented(self, request: Request, sealed: str) -> Presented:
        """Return the session that the form is of. Raises AccountFormStale."""
        browsers = self.parts.departure.single_sign_on.browsers
        try:
            name = self.parts.states.open_account(sealed, browser=browsers.id_of(request))
        except (StateBroken, StateExpired, OtherBrowser):
            raise AccountFormStale from None
        presented = await self.parts.presented(request)
        if presented is None or presented.session.name != name:
            raise AccountFormStale
        return presented

    async def _end(self, session: Grant, fields: Mapping[str, str]) -> str:
        """End one session or login; return the word for what was done."""
        account = self.parts.account
        try:
            if "end_session" in fields:
                ended = await account.end_session(session, fields["end_session"])
            elif "end_login" in fields:
                ended = await account.end_login(session, fields["end_login"])
            else:
                return ""
        except NotTheirs:
            return "gone"
        await self.parts.departure.tell(ended)
        return "ended"

    async def _everywhere(self, presented: Presented) -> Response:
        ended = await self.parts.account.end_everything(presented.stored)
        return await self.parts.departure.left_everywhere(ended, session=presented.session.name)


def _number(text: str) -> int:
    """Return the number of a page; whatever is none is the first."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1
