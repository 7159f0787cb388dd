"""What an operator hears of: events of the log with fields, counted by whoever wants to count."""

import logging
from collections.abc import Callable

_log = logging.getLogger("connectors")

HOST_DOWN = "ldap_host_down"
HOST_BACK = "ldap_host_back"
SERVICE_BIND_FAILED = "ldap_service_bind_failed"
REFERENCE_IGNORED = "ldap_reference_ignored"
GROUPS_CUT_SHORT = "ldap_groups_cut_short"
SEVERAL_ENTRIES = "ldap_several_entries"
ATTRIBUTE_MISSING = "ldap_attribute_missing"
LOGIN_REFUSED = "ldap_login_refused"
REFRESH_REFUSED = "ldap_refresh_refused"
PASSWORD_RUNS_OUT = "ldap_password_runs_out"  # noqa: S105 - the name of an event
TOO_MANY_LOGINS = "ldap_too_many_logins"
UNAVAILABLE = "ldap_unavailable"

EVENTS = (
    HOST_DOWN,
    HOST_BACK,
    SERVICE_BIND_FAILED,
    REFERENCE_IGNORED,
    GROUPS_CUT_SHORT,
    SEVERAL_ENTRIES,
    ATTRIBUTE_MISSING,
    LOGIN_REFUSED,
    REFRESH_REFUSED,
    PASSWORD_RUNS_OUT,
    TOO_MANY_LOGINS,
    UNAVAILABLE,
)
"""All of them, so that counters can begin at zero."""

_BETWEEN_LOG_LINES = 60.0
_MOST_REMEMBERED = 100

_LEVELS = {
    SERVICE_BIND_FAILED: logging.ERROR,
    HOST_BACK: logging.INFO,
    REFERENCE_IGNORED: logging.DEBUG,
    LOGIN_REFUSED: logging.INFO,
    REFRESH_REFUSED: logging.INFO,
    PASSWORD_RUNS_OUT: logging.INFO,
}


class Events:
    """Notes events of one connector, from any thread. `count` gets the name of each event."""

    def __init__(
        self, connector: str, *, count: Callable[[str], None], monotonic: Callable[[], float]
    ) -> None:
        """Take the name of the connector in the log."""
        self._connector = connector
        self._count = count
        self._monotonic = monotonic
        self._again_at: dict[str, float] = {}

    def note(self, event: str, **fields: str | int) -> None:
        """Log an event with its fields, which hold no secret, and count it."""
        self._count(event)
        level = _LEVELS.get(event, logging.WARNING)
        _log.log(level, event, extra={"connector": self._connector, **fields})

    def note_rarely(self, event: str, **fields: str | int) -> None:
        """Do the same for what may happen to everybody: log the same thing once a minute only."""
        now, said = self._monotonic(), f"{event} {sorted(fields.items())}"
        if now < self._again_at.get(said, 0.0):
            self._count(event)
            return
        if len(self._again_at) >= _MOST_REMEMBERED:
            self._again_at.clear()
        self._again_at[said] = now + _BETWEEN_LOG_LINES
        self.note(event, **fields)
