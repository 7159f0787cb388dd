"""From a `UserState` as somebody wrote it to what is said of a person."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from idp.oauth.standing import UserStanding
from idp.oauth.subject import subject
from idp.objects.spec_reader import SpecReader
from idp.objects.verdicts import Judged
from storage.objects import WrittenObject

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
"""RFC 3339 section 5.6, with capitals only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserState:
    """What is said of the person with this `sub`."""

    sub: str
    standing: UserStanding


def says_something(spec: Mapping[str, Any]) -> bool:
    """Return whether an object says anything of a person, or is wrong and has to be told of.

    Most hold no more than what somebody allowed applications, which is read when it is needed:
    memory must not grow with everybody who ever gave a consent.
    """
    judged = _judge(spec)
    return judged.value is None or judged.value.standing != UserStanding()


def judge_user_state(written: WrittenObject) -> Judged[UserState]:
    """Return what is said of a person, or what is wrong with the object.

    If it is clear who is meant and not what is said, the person is locked out until it is: a
    mistyped lock must not let anybody in. Then there are both, a value and problems.
    """
    return _judge(written.spec)


def _judge(members: Mapping[str, Any]) -> Judged[UserState]:
    spec = SpecReader(members)
    connector_id = spec.needed("connector", str, "the id of the connector that knows the person")
    user_id = spec.needed("userID", str, "the id by which the connector knows the person")
    if spec.problems:
        return Judged(value=None, problems=tuple(spec.problems))
    locked = spec.flag("locked", default=False)
    written_at = spec.text("notBefore", checked_instant)
    not_before = datetime.fromisoformat(written_at) if written_at else None
    standing = UserStanding(locked=locked or bool(spec.problems), not_before=not_before)
    return Judged(
        value=UserState(sub=subject(user_id, connector_id), standing=standing),
        problems=tuple(spec.problems),
    )


def checked_instant(text: str) -> str:
    """Return an instant as RFC 3339 writes it, unchanged. Raises ValueError."""
    try:
        if _INSTANT.fullmatch(text):
            # Instants at either end of the calendar have no place in other time zones.
            datetime.fromisoformat(text).timestamp()
            return text
    except (ValueError, OverflowError):
        pass
    raise ValueError("is no instant; write for example 2026-01-31T12:00:00Z")
