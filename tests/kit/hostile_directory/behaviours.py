"""What a `HostileDirectory` can be told to do in the place of a true answer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.kit.hostile_directory.requests import Control


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing, for ever; the connection stays open and what comes on it is written down."""


@dataclass(frozen=True, slots=True)
class Trickles:
    """The true answer, one byte after the other."""

    seconds_per_byte: float = 1.0


@dataclass(frozen=True, slots=True)
class Dawdles:
    """The true answer, after a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HangsUp:
    """The end of the connection: in good order, by a reset, or with a notice of disconnection."""

    how: Literal["close", "reset", "notice"] = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A result of any kind, after so many of the true entries.

    A bind that is answered so binds nobody, be the result 0.
    """

    result: int
    text: str | bytes = ""
    referrals: Sequence[str] = ()
    controls: Sequence[Control] = ()
    entries: int = 0


@dataclass(frozen=True, slots=True)
class AlsoRefers:
    """The true answer to a search, and among it search references to elsewhere."""

    urls: Sequence[str]


@dataclass(frozen=True, slots=True)
class AnswersAnother:
    """The true answer under another message id."""

    off_by: int = 1000


@dataclass(frozen=True, slots=True)
class Sends:
    """Any bytes, made for the message id of the request; they may never end (`poison`)."""

    make: Callable[[int], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class IgnoresTls:
    """Success to StartTLS, and then no TLS: what comes next is read in clear."""


@dataclass(frozen=True, slots=True)
class Injects:
    """Success to StartTLS with plaintext in the same segment behind it, and then TLS."""

    plaintext: bytes


Behaviour = (
    Silence
    | Trickles
    | Dawdles
    | HangsUp
    | Answers
    | AlsoRefers
    | AnswersAnother
    | Sends
    | IgnoresTls
    | Injects
)
Operation = Literal["connect", "bind", "search", "start_tls"]
