"""What an object's status says: conditions in the standard shape, each telling what to do.

Status is a function of the object, of its Secret and of its rivals, and of nothing else: whoever
computes it again comes to the same, so that a restart writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from idp.objects.verdicts import NOT_FOUND, BadSecret, Claim, Entry, Rival
from idp.settings.problems import shown
from storage.objects import ObjectEvent, ObjectKind

ConditionType = Literal["Ready", "SecretReady", "Conflict"]

_MOST_SENTENCES = 8
_LONGEST_MESSAGE = 4000
"""The API server takes 32768, people read less."""


@dataclass(frozen=True, slots=True)
class Words:
    """How a kind is spoken of: where its claims are written, and where in the configuration."""

    kind: str
    ready: str
    fields: Mapping[str, str]
    listed: str


WORDS: Mapping[ObjectKind, Words] = {
    "oidc-clients": Words(
        kind="OIDCClient",
        ready="The client is served.",
        fields={"client id": "spec.clientID"},
        listed="staticClients",
    ),
    "local-users": Words(
        kind="LocalUser",
        ready="The person can sign in.",
        fields={"email address": "spec.email", "user id": "spec.userID"},
        listed="staticPasswords",
    ),
}
"""The kinds that have a status."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, without its times."""

    type: ConditionType
    status: Literal["True", "False"]
    reason: str
    message: str


def conditions_of(entry: Entry[Any], words: Words) -> tuple[Condition, ...]:
    """Return the conditions of an object; nothing while its Secret has not been read yet."""
    if entry.state == "waiting" or None in entry.secrets:
        return ()
    conflict = _conflict(entry, words)
    secret = _secret_ready(entry)
    ready = _ready(entry, words, conflict)
    return (ready, conflict) if secret is None else (ready, secret, conflict)


def status_of(
    entry: Entry[Any], conditions: tuple[Condition, ...], now: datetime
) -> dict[str, Any]:
    """Return the whole status. A condition keeps its time for as long as it keeps its status."""
    generation = entry.written.generation
    known = _known(entry.written.status)
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": [
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
                "lastTransitionTime": _since(known.get(condition.type), condition, now),
                "observedGeneration": generation,
            }
            for condition in conditions
        ],
    }
    generated = entry.generated
    is_made = any(c.type == "SecretReady" and c.status == "True" for c in conditions)
    if generated is not None and is_made:
        status["secretName"] = generated.name
    return status


def events_of(entry: Entry[Any], conditions: tuple[Condition, ...]) -> tuple[ObjectEvent, ...]:
    """Return what to tell of conditions that differ from those in the object's own status.

    A conflict is told once, though the object is not ready for it either.
    """
    known = _known(entry.written.status)
    return tuple(
        _event(condition)
        for condition in conditions
        if condition.type != "SecretReady"
        and (condition.type, condition.reason) != ("Ready", "Conflict")
        and _is_news(condition, known.get(condition.type))
    )


def _ready(entry: Entry[Any], words: Words, conflict: Condition) -> Condition:
    judged = entry.judged
    if judged.problems:
        return Condition("Ready", "False", "InvalidSpec", _sentences(judged.problems))
    if entry.rivals:
        return Condition("Ready", "False", "Conflict", conflict.message)
    bad = _bad_secret(entry)
    if bad is not None:
        return Condition("Ready", "False", bad.reason, _sentences([bad.message]))
    if getattr(judged.value, "locked", False):
        message = "The person is locked out. Set spec.locked to false to let them in again."
        return Condition("Ready", "True", "Locked", message)
    if getattr(judged.value, "disabled", False):
        message = "The client is switched off. Set spec.disabled to false to serve it again."
        return Condition("Ready", "False", "Disabled", message)
    return Condition("Ready", "True", "Served", _sentences([words.ready, *judged.doubts]))


def _secret_ready(entry: Entry[Any]) -> Condition | None:
    if not entry.needs:
        return None
    bad = _bad_secret(entry)
    if bad is None:
        names = dict.fromkeys(f"`{need.name}`" for need in entry.needs)
        verb = "was" if len(names) == 1 else "were"
        message = f"The Secret{'s' * (len(names) > 1)} {', '.join(names)} {verb} read."
        return Condition("SecretReady", "True", "SecretFound", message)
    generated = entry.generated
    hindered = entry.rivals or entry.judged.problems
    if generated is not None and bad.reason == NOT_FOUND and hindered:
        message = f"The Secret `{generated.name}` is made once nothing else is wrong."
        return Condition("SecretReady", "False", bad.reason, message)
    return Condition("SecretReady", "False", bad.reason, _sentences([bad.message]))


def _bad_secret(entry: Entry[Any]) -> BadSecret | None:
    bad = (secret for secret in entry.secrets if isinstance(secret, BadSecret))
    return next(bad, entry.judged.bad_secret)


def _conflict(entry: Entry[Any], words: Words) -> Condition:
    if not entry.rivals:
        return Condition("Conflict", "False", "Unique", "Nothing else claims the same.")
    reason = "OlderObject" if all(rival.name for rival in entry.rivals) else "ConfigurationFile"
    sentences = [_about(rival, words) for rival in entry.rivals]
    return Condition("Conflict", "True", reason, _sentences(sentences))


def _about(rival: Rival, words: Words) -> str:
    claim, field = rival.claim, words.fields[rival.claim.what]
    if not rival.name:
        return (
            f"The {_claimed(claim)} is taken by {words.listed} in the configuration file. Choose"
            f" another {field}, or remove it there."
        )
    return (
        f"The {_claimed(claim)} belongs to the {words.kind} `{rival.name}`, which was there first."
        f" Choose another {field}, or delete one of the two."
    )


def _claimed(claim: Claim) -> str:
    value = shown(claim.value)
    return claim.what if value == "the value" else f"{claim.what} {value}"


def _sentences(sentences: Sequence[str]) -> str:
    text = " ".join(sentences[:_MOST_SENTENCES])
    if len(text) > _LONGEST_MESSAGE:
        text = text[: _LONGEST_MESSAGE - 1] + "…"
    more = len(sentences) - _MOST_SENTENCES
    return f"{text} And {more} more." if more > 0 else text


def _known(status: object) -> dict[str, Mapping[str, Any]]:
    """Return the conditions of a status by type, as far as it has the shape that we give it."""
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    if not isinstance(conditions, list | tuple):
        return {}
    return {
        known["type"]: known
        for known in conditions
        if isinstance(known, Mapping) and isinstance(known.get("type"), str)
    }


def _since(known: Mapping[str, Any] | None, condition: Condition, now: datetime) -> str:
    if known is not None and known.get("status") == condition.status:
        since = known.get("lastTransitionTime")
        if isinstance(since, str) and since:
            return since
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_news(condition: Condition, known: Mapping[str, Any] | None) -> bool:
    if known is None:
        # That nothing is in conflict is worth no word before there was one.
        return condition.type == "Ready" or condition.status == "True"
    return (condition.status, condition.reason) != (known.get("status"), known.get("reason"))


def _event(condition: Condition) -> ObjectEvent:
    is_good = (condition.status == "True") == (condition.type == "Ready")
    reason = condition.reason if not is_good or condition.type == "Ready" else "ConflictResolved"
    return ObjectEvent(
        type="Normal" if is_good else "Warning", reason=reason, note=condition.message
    )
