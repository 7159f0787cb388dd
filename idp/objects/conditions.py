"""What an object's status says: conditions in the standard shape, each telling what to do.

Status is a function of the object, of its Secrets, of its rivals and of whether what it describes
was reached, and of nothing else: whoever computes it again comes to the same. What nobody has asked
yet stays as the object says, so that a restart writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from idp.login.reachability import Reach
from idp.objects.verdicts import NOT_FOUND, BadSecret, Claim, Entry, Rival
from idp.settings.problems import shown
from storage.objects import ObjectEvent, ObjectKind

ConditionType = Literal["Ready", "SecretReady", "Reachable", "Conflict"]

_STATUSES = ("True", "False", "Unknown")
_MOST_SENTENCES = 8
_LONGEST_MESSAGE = 4000
"""The API server takes 32768, people read less."""


@dataclass(frozen=True, slots=True)
class Words:
    """How a kind is spoken of: where its claims are written, and where in the configuration.

    `is_probed` is for kinds that describe something outside, which may be out of reach.
    """

    kind: str
    ready: str
    fields: Mapping[str, str]
    listed: str
    is_probed: bool = False


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
    "identity-connectors": Words(
        kind="IdentityConnector",
        ready="People can sign in with it.",
        fields={"connector id": "spec.id"},
        listed="connectors",
        is_probed=True,
    ),
}
"""The kinds that have a status."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, without its times."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def conditions_of(
    entry: Entry[Any], words: Words, reach: Reach | None = None
) -> tuple[Condition, ...]:
    """Return the conditions of an object; nothing while its Secrets have not been read yet.

    `reach` is what was last heard of what the object describes, None when nobody has asked yet.
    """
    if entry.state == "waiting" or None in entry.secrets:
        return ()
    conflict = _conflict(entry, words)
    secret = _secret_ready(entry)
    ready = _ready(entry, words, conflict)
    reachable = _reachable(entry, reach) if words.is_probed and entry.state == "ready" else None
    found = (ready, secret, reachable, conflict)
    return tuple(condition for condition in found if condition is not None)


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
        if (condition.type, condition.reason) != ("Ready", "Conflict")
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


def _reachable(entry: Entry[Any], reach: Reach | None) -> Condition:
    if reach is None:
        unknown = Condition(
            "Reachable", "Unknown", "NotAskedYet", "Nobody has asked yet whether it answers."
        )
        return _said_before(entry) or unknown
    if reach.is_reachable:
        return Condition("Reachable", "True", "Answers", "It answers and can be searched.")
    return Condition("Reachable", "False", "Unreachable", _sentences([reach.problem]))


def _said_before(entry: Entry[Any]) -> Condition | None:
    """Return what the status says of the same generation, from before we started."""
    said = _known(entry.written.status).get("Reachable", {})
    status, reason, message = (said.get(key) for key in ("status", "reason", "message"))
    is_current = said.get("observedGeneration") == entry.written.generation
    if not is_current or not isinstance(reason, str) or not isinstance(message, str):
        return None
    return Condition("Reachable", status, reason, message) if status in _STATUSES else None


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
    if condition.type == "SecretReady":
        return False  # the object is not ready either, for the same reason
    if condition.type == "Reachable":
        return _is_news_of_reach(condition, "" if known is None else known.get("status"))
    if known is None:
        # That nothing is in conflict is worth no word before there was one.
        return condition.type == "Ready" or condition.status == "True"
    return (condition.status, condition.reason) != (known.get("status"), known.get("reason"))


def _is_news_of_reach(condition: Condition, before: object) -> bool:
    """Return whether something went out of reach, or is back; that it is there at first is none."""
    if condition.status == "False":
        return before != "False"
    return condition.status == "True" and before == "False"


def _event(condition: Condition) -> ObjectEvent:
    is_good = (condition.status == "True") == (condition.type != "Conflict")
    is_resolved = is_good and condition.type == "Conflict"
    reason = "ConflictResolved" if is_resolved else condition.reason
    return ObjectEvent(
        type="Normal" if is_good else "Warning", reason=reason, note=condition.message
    )
