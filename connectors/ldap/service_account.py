"""Binding as the configured service account, and not trying a refused password again and again."""

import hmac
import threading
from collections.abc import Callable

from connectors.ldap.connection import Connection
from connectors.ldap.deadline import Deadline
from connectors.ldap.errors import HostFailed, ServiceBindRefused
from connectors.ldap.events import SERVICE_BIND_FAILED, Events
from connectors.ldap.operations import Result

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0

_REMEDY = "check bindDN and bindPW; a new password counts at once"
_WANTS_TLS = "the directory wants TLS: set startTLS, or leave out insecureNoSSL"
_REMEDIES = {8: _WANTS_TLS, 13: _WANTS_TLS}

_OF_THE_HOST = frozenset({1, 2, 51, 52, 80})
"""Not the fault of name or password: another host may do it."""


class ServiceAccount:
    """Who we are to a directory when we search it; nobody when `dn` is empty.

    A password that was refused is tried again after five seconds, then ten, up to a minute, lest
    the directory lock the account. A new password is tried at once.
    """

    def __init__(
        self,
        dn: str,
        password: Callable[[], str],
        events: Events,
        monotonic: Callable[[], float],
    ) -> None:
        """Read no password yet."""
        self._dn = dn
        self._password = password
        self._events = events
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._trying = threading.Lock()
        self._accepted: bytes | None = None
        self._refused: bytes | None = None
        self._refusal = ""
        self._pause = FIRST_PAUSE_SECONDS
        self._again_at = 0.0

    def check(self) -> None:
        """Raise ServiceBindRefused when it is known without asking that `bind` would."""
        if self._dn:
            self._current()

    def bind(self, connection: Connection, deadline: Deadline) -> None:
        """Bind a fresh connection. Raises ServiceBindRefused, HostFailed; then it is closed."""
        if not self._dn:
            return
        try:
            password = self._current()
            if _same(password, self._accepted):
                self._bind(connection, password, deadline)
            else:
                self._try(connection, deadline)
        except (HostFailed, ServiceBindRefused):
            connection.abandon()
            raise

    def _try(self, connection: Connection, deadline: Deadline) -> None:
        """Try a password that was not accepted yet: one thread at a time, lest all be refused."""
        if not self._trying.acquire(timeout=max(0.0, deadline.at - self._monotonic())):
            raise HostFailed(connection.host, "service bind", "another one is not over")
        try:
            self._bind(connection, self._current(), deadline)
        finally:
            self._trying.release()

    def _bind(self, connection: Connection, password: bytes, deadline: Deadline) -> None:
        result = connection.bind(self._dn, password, deadline)
        if result.code in _OF_THE_HOST:
            raise HostFailed(connection.host, "service bind", str(result))
        if result.code != 0:
            raise self._note(password, connection.host, result)
        with self._lock:
            self._accepted, self._refused = password, None

    def _current(self) -> bytes:
        try:
            password = self._password().encode()
        except (OSError, ValueError) as failure:
            problem = str(failure) if not isinstance(failure, UnicodeError) else "it is no UTF-8"
            raise self._unusable(f"its password cannot be read: {problem}") from None
        if not password:
            raise self._unusable("its password is empty, which would be a bind as nobody")
        with self._lock:
            if self._monotonic() < self._again_at and _same(password, self._refused):
                raise ServiceBindRefused(self._refusal)
        return password

    def _unusable(self, problem: str) -> ServiceBindRefused:
        self._events.note_rarely(
            SERVICE_BIND_FAILED, bind_dn=self._dn, problem=problem, remedy="mend bindPW"
        )
        return ServiceBindRefused(f"service bind as {self._dn!r}: {problem}; mend bindPW")

    def _note(self, password: bytes, host: str, result: Result) -> ServiceBindRefused:
        with self._lock:
            longer = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            self._pause = longer if _same(password, self._refused) else FIRST_PAUSE_SECONDS
            self._accepted, self._refused = None, password
            self._again_at = self._monotonic() + self._pause
            remedy = _REMEDIES.get(result.code, _REMEDY)
            self._refusal = f"service bind as {self._dn!r}: {host}: {result}; {remedy}"
        problem = f"{host}: {result}"
        self._events.note(SERVICE_BIND_FAILED, bind_dn=self._dn, problem=problem, remedy=remedy)
        return ServiceBindRefused(self._refusal)


def _same(password: bytes, known: bytes | None) -> bool:
    return known is not None and hmac.compare_digest(password, known)
