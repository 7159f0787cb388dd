"""What people ask of the keys, by an annotation or a column beside the ring.

A request is text; it is served while it differs from the last one that was answered, so it may be
written at any time, by anybody with the right to, and is carried out once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from idp.keys.ring import RotationPolicy, emergency, fresh_for_first_ring, rotate_requested
from storage.records import KeyRing, SigningKey

ROTATE_COLUMN = "request/rotate"
RESEAL_COLUMN = "request/reseal"

_LONGEST = 200


class RequestNotUnderstood(ValueError):
    """The text is no request; says what to write."""


@dataclass(frozen=True, slots=True)
class RotateRequest:
    """`kind` is the first word; whatever follows only tells this request from the last one."""

    text: str
    kind: Literal["routine", "emergency"]


def read_rotate_request(text: str) -> RotateRequest:
    """Return the request. Raises RequestNotUnderstood."""
    word = text.split(maxsplit=1)[0] if text.strip() else ""
    if len(text) <= _LONGEST:
        if word == "routine":
            return RotateRequest(text, "routine")
        if word == "emergency":
            return RotateRequest(text, "emergency")
    raise RequestNotUnderstood(
        f"the request to rotate, of {len(text)} characters, is not understood: write `routine` or"
        f" `emergency` and behind it anything new, such as the time, in at most {_LONGEST}"
        " characters"
    )


def fresh_for_answer(request: RotateRequest, policy: RotationPolicy) -> tuple[str, ...]:
    """Return the algorithms of the keys that `answered` must be handed."""
    return fresh_for_first_ring(policy) if request.kind == "emergency" else ()


def answered(
    ring: KeyRing,
    request: RotateRequest,
    policy: RotationPolicy,
    now: datetime,
    fresh: Sequence[SigningKey],
) -> KeyRing:
    """Return the ring with the request served, or planned, and noted as answered.

    Raises RingIncomplete if a routine rotation is asked for while no key stands by.
    """
    if request.kind == "emergency":
        ring = emergency(ring, policy, now, fresh)
    else:
        for alg in policy.algorithms:
            ring, _ = rotate_requested(ring, alg, policy, now)
    return replace(ring, answered_rotate=request.text)
