"""The values that judging an object comes to."""

from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

from storage.objects import WrittenObject

T = TypeVar("T")

State = Literal["ready", "refused", "conflict", "waiting"]
"""What became of an object; "waiting" until its Secret was read for the first time."""

STATES: tuple[State, ...] = ("ready", "refused", "conflict", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretNeed:
    """What an object wants to know of a Secret. `field` is where it says so, for messages.

    `client_id` is "" for a Secret that the object names. A generated one holds the id of its client
    beside the secret, and counts for no other. What stands under `previous_key`, if anything does,
    counts too.
    """

    name: str
    key: str
    field: str
    client_id: str = ""
    previous_key: str = ""

    @property
    def is_generated(self) -> bool:
        """Return whether the server makes this Secret itself."""
        return bool(self.client_id)


@dataclass(frozen=True, slots=True)
class GoodSecret:
    """What stands in a Secret under the wanted key; `where` names the place in messages.

    `previous` is what stands under the other one, None where nothing does.
    """

    value: bytes = field(repr=False)
    where: str = "the entry of the Secret"
    previous: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BadSecret:
    """Why a Secret gives nothing: a reason in CamelCase, and sentences that say what to do."""

    reason: str
    message: str


SecretReading = GoodSecret | BadSecret

Secrets = tuple[SecretReading | None, ...]
"""What was last read of each Secret that an object needs, in the order of its needs.

None stands for one that nobody has read yet.
"""

NOT_FOUND = "SecretNotFound"
"""The reason of a BadSecret that is not there at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Generic[T]):
    """A value of the domain, or why there is none. Every problem and doubt is a sentence.

    A value beside problems is what counts all the same, where forgetting it would be worse.
    """

    value: T | None
    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    bad_secret: BadSecret | None = None


class Claim(NamedTuple):
    """Something that only one object can have: ("client id", "app")."""

    what: str
    value: str


class Rival(NamedTuple):
    """Who has what an object claims; `name` is "" for an entry of the configuration file."""

    claim: Claim
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[T]):
    """An object with everything that was found out about it."""

    written: WrittenObject
    judged: Judged[T]
    claims: tuple[Claim, ...] = ()
    needs: tuple[SecretNeed, ...] = ()
    secrets: Secrets = ()
    rivals: tuple[Rival, ...] = ()

    @property
    def served(self) -> T | None:
        """Return the value if it counts."""
        return None if self.rivals else self.judged.value

    @property
    def state(self) -> State:
        """Return what became of the object."""
        if self.rivals:
            return "conflict"
        if self.judged.problems:
            return "refused"
        if self.judged.value is not None:
            return "ready"
        return "waiting" if None in self.secrets else "refused"

    @property
    def generated(self) -> SecretNeed | None:
        """Return the Secret that the server makes for the object, if it makes one."""
        return next((need for need in self.needs if need.is_generated), None)


def is_being_made(entry: Entry[T]) -> bool:
    """Return whether a client lacks nothing but a Secret that the server makes."""
    need = entry.generated
    if need is None or entry.rivals or entry.judged.problems:
        return False
    secret = entry.secrets[entry.needs.index(need)]
    return isinstance(secret, BadSecret) and secret.reason == NOT_FOUND


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """An object came (`old` is None), went (`new` is None) or is seen otherwise than before."""

    name: str
    old: Entry[T] | None
    new: Entry[T] | None
