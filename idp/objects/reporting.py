"""Names in the log what is not served, on every replica; status names it for whoever wrote it."""

import logging
from collections.abc import Sequence
from typing import Any

from idp.log import log_event
from idp.objects.conditions import WORDS, conditions_of
from idp.objects.verdicts import Change, Entry, is_being_made

_log = logging.getLogger("idp.objects")


def report_refusals(changes: Sequence[Change[Any]]) -> None:
    """Log every object that is not served, once for each reason."""
    for change in changes:
        if change.new is None or change.new.state not in ("refused", "conflict"):
            continue
        problem = _problem(change.new)
        if problem and (change.old is None or problem != _problem(change.old)):
            log_event(
                _log,
                logging.WARNING,
                "object_refused",
                kind=change.new.written.kind,
                object=change.name,
                problem=problem,
            )


def _problem(entry: Entry[Any]) -> str:
    if entry.state == "refused" and is_being_made(entry):
        return ""
    words = WORDS.get(entry.written.kind)
    if words is None:
        return " ".join(entry.judged.problems)
    return next((each.message for each in conditions_of(entry, words)), "")
