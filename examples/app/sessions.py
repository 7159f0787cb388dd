"""Who is signed in: a random id in a cookie, everything else in this server's memory."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from examples.app.provider import Attempt, Tokens


@dataclass(slots=True, kw_only=True)
class Session:
    """What we remember of one browser. `csrf` must come back with every form (`SameSite` helps)."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    attempts: OrderedDict[str, Attempt] = field(default_factory=OrderedDict)
    tokens: Tokens | None = None
    userinfo: dict[str, Any] | None = None

    def remember(self, attempt: Attempt) -> None:
        """Remember an attempt to sign in; five at a time are enough for anybody's tabs."""
        self.attempts[attempt.state] = attempt
        while len(self.attempts) > 5:
            self.attempts.popitem(last=False)


class Sessions:
    """All sessions; when there are too many, the one longest unused is forgotten."""

    def __init__(self, limit: int = 1000) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._limit = limit

    def find(self, session_id: str | None) -> Session | None:
        """Return the session of a cookie, if we still know it."""
        session = self._sessions.get(session_id or "")
        if session is not None:
            self._sessions.move_to_end(session.id)
        return session

    def open(self) -> Session:
        """Return a new session under an id that nobody can have planted."""
        session = Session()
        self._sessions[session.id] = session
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)
        return session

    def close(self, session: Session) -> None:
        """Forget a session and its tokens."""
        self._sessions.pop(session.id, None)
