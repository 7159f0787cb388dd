"""Logs: one line per event, JSON or text, each with the id of the request it belongs to.

Events have a name and fields; no field ever holds a password, secret, token, code or cookie. Names
of people are fields like any other and can be left out by the operator (`logger.excludeFields`).
"""

import contextvars
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

request_id_var: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""The id of the request being answered; set by the outermost middleware, read by the formatter."""

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}


def log_event(logger: logging.Logger, level: int, event: str, **fields: Any) -> None:
    """Log an event by name with its fields."""
    if logger.isEnabledFor(level):
        # Without `logger.log`, which walks the stack for a line number that nobody sees.
        logger.handle(logger.makeRecord(logger.name, level, "", 0, event, (), None, extra=fields))


class AuditLog(Protocol):
    """Hears of what an administrator may have to look into; gets names, never secrets."""

    def __call__(self, event: str, /, **fields: str | int) -> None:
        """Note an event."""
        ...


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log of the process's own log."""

    logger: logging.Logger

    def __call__(self, event: str, /, **fields: str | int) -> None:
        """Note an event."""
        log_event(self.logger, logging.INFO, event, **fields)


_STANDARD = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
)
"""What every log record has; whatever else is on one is a field of the event."""


@dataclass(frozen=True, slots=True)
class _Fields:
    """Reads a log record as ordered fields, without the excluded ones."""

    excluded: frozenset[str]

    def of(self, record: logging.LogRecord) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        request_id = request_id_var.get()
        if request_id:
            fields["request_id"] = request_id
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in self.excluded:
                fields[name] = value
        return fields


_ENCODER = json.JSONEncoder(default=str)


class JsonFormatter(logging.Formatter):
    """One JSON object per line; control characters are escaped by JSON itself."""

    def __init__(self, excluded: Iterable[str] = ()) -> None:
        super().__init__()
        self._fields = _Fields(frozenset(excluded))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = self._fields.of(record)
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _ENCODER.encode(fields)


class TextFormatter(logging.Formatter):
    """Lines for people: time, level, event, then name=value pairs, quoted as JSON."""

    def __init__(self, excluded: Iterable[str] = ()) -> None:
        super().__init__()
        self._fields = _Fields(frozenset(excluded))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = self._fields.of(record)
        head = f"{fields.pop('time')} {fields.pop('level'):7} {fields.pop('event')}"
        fields.pop("logger")
        pairs = [f"{name}={json.dumps(value, default=str)}" for name, value in fields.items()]
        line = " ".join([head, *pairs])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure_logging(
    *, level: str, style: str, exclude_fields: Iterable[str], stream: TextIO
) -> None:
    """Send all logs of the process to one stream. `style` is json or text."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        TextFormatter(exclude_fields) if style == "text" else JsonFormatter(exclude_fields)
    )
    # What no line of ours shows is not collected (Python's logging how-to, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
