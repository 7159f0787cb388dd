"""People who sign in and refresh all the time, and notice everything that goes wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.kit.relying_party import RelyingParty, SignInFailed, Tokens
from tests.kit.scene import JANE, kubernetes_party

_PAUSE_SECONDS = 0.02
# As patient as a person who reloads a page, or kubectl when it is called again.
_RETRY_SECONDS = 10


@dataclass(slots=True)
class Session:
    """One person at work: the newest refresh token, and what happened to it."""

    refresh_token: str = field(default="", repr=False)
    refreshes: int = 0
    logins: int = 0
    broken_connections: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Many sessions side by side, each on connections of its own through `client`."""

    client: Callable[[], httpx.Client]
    issuer: str
    sessions: list[Session] = field(default_factory=list)

    @contextmanager
    def flowing(self, *, people: int) -> Iterator[list[Session]]:
        """Let people work during the block; each of them has signed in once before it begins."""
        done = threading.Event()
        begun = threading.Barrier(people + 1)
        self.sessions.extend(Session() for _ in range(people))
        threads = [
            threading.Thread(target=self._work, args=[session, begun, done])
            for session in self.sessions
        ]
        for thread in threads:
            thread.start()
        try:
            begun.wait(timeout=60)
            yield self.sessions
        finally:
            done.set()
            for thread in threads:
                thread.join(timeout=60)

    def _work(self, session: Session, begun: threading.Barrier, done: threading.Event) -> None:
        with self.client() as http:
            party = kubernetes_party(http, self.issuer)
            try:
                self._sign_in(session, party)
            finally:
                begun.wait(timeout=60)
            while not done.is_set() and not session.problems:
                self._refresh(session, party)
                if session.refreshes % 10 == 0:
                    self._sign_in(session, party)
                time.sleep(_PAUSE_SECONDS)

    def _sign_in(self, session: Session, party: RelyingParty) -> None:
        tokens = _persistently(session, lambda: party.sign_in(JANE.email, JANE.password))
        if tokens is not None:
            session.refresh_token = session.refresh_token or tokens.refresh_token
            session.logins += 1

    def _refresh(self, session: Session, party: RelyingParty) -> None:
        token = session.refresh_token
        tokens = _persistently(session, lambda: party.refresh(token))
        if tokens is not None:
            session.refresh_token = tokens.refresh_token
            session.refreshes += 1


def _persistently(session: Session, act: Callable[[], Tokens]) -> Tokens | None:
    """Act until the connection holds; anything that the provider itself says wrong is a problem."""
    give_up_at = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            return act()
        except httpx.TransportError as error:
            session.broken_connections += 1
            if time.monotonic() > give_up_at:
                session.problems.append(f"no connection: {error!r}")
                return None
        except (SignInFailed, httpx.HTTPStatusError) as error:
            session.problems.append(_told(error))
            return None
        time.sleep(_PAUSE_SECONDS)


def _told(error: SignInFailed | httpx.HTTPStatusError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.response.status_code} {error.response.text}"
    return str(error)
