"""What a `tests.kit.servers.fault_proxy` can be told to do wrong."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Refuses:
    """Nothing listens, and whatever was open is reset (K-1)."""


@dataclass(frozen=True, slots=True)
class BlackHole:
    """Connections open, handshakes and requests are never answered, watches fall silent (K-2)."""


@dataclass(frozen=True, slots=True)
class Dawdles:
    """Each request waits before it is forwarded (K-3)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Throttles:
    """429 for every request but watches, with `Retry-After` (K-4)."""

    retry_after: int


@dataclass(frozen=True, slots=True)
class Stumbles:
    """A share of all requests is answered by one of these statuses instead (K-5)."""

    share: float
    statuses: Sequence[int] = (500, 502, 503, 504)
    dice: random.Random = field(default_factory=lambda: random.Random(4))


@dataclass(slots=True)
class LosesAnswers:
    """Writes are done, then the answer is lost (K-6): by a reset, or by silence.

    Only the next `count` of them; None loses them all.
    """

    by: Literal["reset", "silence"] = "reset"
    count: int | None = None


@dataclass(frozen=True, slots=True)
class SaysGone:
    """410 for each list that goes on and each watch that resumes (K-8, K-9)."""


Fault = Refuses | BlackHole | Dawdles | Throttles | Stumbles | LosesAnswers | SaysGone


def refusal(
    fault: Fault | None, request: web.BaseRequest, *, is_watch: bool
) -> web.Response | None:
    """Return what a fault answers in the API server's place, if it does."""
    match fault:
        case Throttles(retry_after) if not is_watch:
            return _failure(429, "TooManyRequests", {"Retry-After": str(retry_after)})
        case Stumbles(share, statuses, dice) if dice.random() < share:
            return _failure(dice.choice(statuses), "InternalError")
        case SaysGone() if is_watch and request.query.get("resourceVersion", "0") != "0":
            return _failure(410, "Expired")
        case SaysGone() if "continue" in request.query:
            return _failure(410, "Expired")
    return None


def _failure(code: int, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(status(code, reason), status=code, headers=headers)


def status(code: int, reason: str) -> Mapping[str, object]:
    """Return a `Status`, as the API server tells of failures."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "a fault of the test",
        "reason": reason,
        "code": code,
    }
