"""What the account page shows, as words: made of what a person has, and handed to the template."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from idp.grants.own_logins import FOR_EVER, Overview, OwnLogin, OwnSession
from idp.login.connectors import OfferedConnector
from idp.oauth.client import Clients
from idp.oauth.scopes import peers_of
from idp.web.moments import ago, ahead
from idp.web.scope_words import scope_sentences
from storage.records import Consent, Grant

PER_PAGE = 20
"""Sessions and logins on one page of the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that can be ended: `value` is what its button sends, `got` are sentences."""

    value: str
    title: str
    facts: tuple[str, ...]
    got: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEntry:
    """One browser, and what clients got through it."""

    line: Line
    is_this: bool
    logins: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFace:
    """All of the page. `number` is that of the page of the list, from 1, of `pages`."""

    username: str
    email: str
    connector: str
    sessions: tuple[SessionEntry, ...]
    logins: tuple[Line, ...]
    consents: tuple[Line, ...]
    number: int
    pages: int
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFaces:
    """Puts what a person has into words."""

    clients: Clients
    connectors: Mapping[str, OfferedConnector]

    def face(
        self,
        session: Grant,
        overview: Overview,
        consents: Iterable[Consent],
        *,
        number: int,
        now: datetime,
    ) -> AccountFace:
        """Return the page of the person whose `session` it is; numbers beyond the last are that."""
        sessions = sorted(overview.sessions, key=lambda each: each.name != session.name)
        entries: list[Callable[[], SessionEntry | Line]] = [
            *(lambda each=each: self._session(each, session, now) for each in sessions),
            *(lambda each=each: self._alone(each, now) for each in overview.logins),
        ]
        pages = max(1, -(-len(entries) // PER_PAGE))
        number = min(max(number, 1), pages)
        shown = [make() for make in entries[(number - 1) * PER_PAGE : number * PER_PAGE]]
        return AccountFace(
            username=session.username or session.preferred_username,
            email=session.email,
            connector=self._connector(session.connector_id),
            sessions=tuple(each for each in shown if isinstance(each, SessionEntry)),
            logins=tuple(each for each in shown if isinstance(each, Line)),
            consents=tuple(self._consent(each, now) for each in consents),
            number=number,
            pages=pages,
            is_whole=overview.is_whole,
        )

    def _session(self, each: OwnSession, current: Grant, now: datetime) -> SessionEntry:
        is_this = each.name == current.name
        facts = (
            f"Signed in {ago(each.signed_in_at, now)}"
            f" with \u2068{self._connector(each.connector_id)}\u2069",
            *(() if is_this else (f"last used {ago(each.last_used_at, now)}",)),
            f"ends {ahead(each.ends_at, now)}",
        )
        line = Line(value=each.name, title=each.device or "A browser", facts=facts)
        return SessionEntry(
            line=line,
            is_this=is_this,
            logins=tuple(self._within(each, now) for each in each.logins),
        )

    def _within(self, login: OwnLogin, now: datetime) -> Line:
        return self._line(login, (f"Last used {ago(login.last_used_at, now)}",), now)

    def _alone(self, login: OwnLogin, now: datetime) -> Line:
        facts = (
            f"Signed in {ago(login.begun_at, now)}"
            f" with \u2068{self._connector(login.connector_id)}\u2069"
            f"{f', in {login.device}' if login.device else ''}",
            f"last used {ago(login.last_used_at, now)}",
        )
        return self._line(login, facts, now)

    def _line(self, login: OwnLogin, facts: tuple[str, ...], now: datetime) -> Line:
        if login.ends_at is not None:
            end = "" if login.ends_at == FOR_EVER else f" {ahead(login.ends_at, now)}"
            stays = f"ends{end}" if end else "goes on until you end it"
            facts = (*facts, stays)
        return Line(
            value=login.name,
            title=self._client(login.client_id),
            facts=facts,
            got=self._sentences(login.scopes, login.claims),
        )

    def _consent(self, consent: Consent, now: datetime) -> Line:
        return Line(
            value=consent.client_id,
            title=self._client(consent.client_id),
            facts=(f"Allowed {ago(consent.granted_at, now)}",),
            got=self._sentences(consent.scopes, consent.claims),
        )

    def _sentences(self, scopes: tuple[str, ...], claims: tuple[str, ...]) -> tuple[str, ...]:
        audiences = [self._client(peer) for peer in peers_of(scopes)]
        return tuple(scope_sentences(scopes, audiences, set(claims)))

    def _client(self, client_id: str) -> str:
        """Return the name of a client; of one that is gone there is nothing but its id."""
        client = self.clients.get(client_id)
        return client_id if client is None else client.name

    def _connector(self, connector_id: str) -> str:
        offered = self.connectors.get(connector_id)
        return connector_id if offered is None else offered.name
