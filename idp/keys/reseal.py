"""Replacing the sealing key under everything that is stored: what comes next, as a pure rule.

A new key is added, which begins to seal once every replica knows it. Then all that another key has
sealed is sealed anew. When nothing is left in the store, what is only in browsers is waited for,
and the old keys go. How far it is stands in the ring, so that any replica can go on with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from idp.keys.seal import SealingKey
from idp.keys.sealing_order import OPENS_FIRST, next_sealing_key
from storage.records import KeyRing, Resealing


class Step(Enum):
    """What is to be done next."""

    REST = auto()
    """Nobody asks for anything."""
    BEGIN = auto()
    """Note in the ring that a request is being served."""
    ADD_KEY = auto()
    """Add a new key to the source."""
    NEED_KEY = auto()
    """The source has one key, and only people can add another."""
    WAIT = auto()
    """Time has to pass."""
    REWRITE = auto()
    """Seal anew what another key has sealed; when nothing was found, note that."""
    REMOVE_KEYS = auto()
    """Look once more, remove the old keys, and note that the request is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResealPace:
    """How long things take.

    `keep_old_for` is the longest life of what only browsers hold (states of logins, codes), plus
    leeway. `opens_first` is how long a new key only opens, and how long the last replica may take
    to seal with it.
    """

    keep_old_for: timedelta
    opens_first: timedelta = OPENS_FIRST
    look_every: timedelta = timedelta(seconds=5)
    writes_per_second: float = 50.0
    names_at_once: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the rule looks at. `keys` are those of the source, `seals_with` what seals here."""

    ring: KeyRing
    request: str
    keys: Sequence[SealingKey]
    writable: bool
    seals_with: str
    now: datetime


def next_step(at: Situation, pace: ResealPace) -> Step:
    """Return what is to be done next."""
    resealing = at.ring.resealing
    if resealing is None:
        asked = at.request not in ("", at.ring.answered_reseal)
        return Step.BEGIN if asked else Step.REST
    newest = next_sealing_key(at.keys)
    if at.writable and (newest.seals_from is None or newest.seals_from < resealing.begun_at):
        return Step.ADD_KEY
    if len(at.keys) == 1 and not at.writable:
        return Step.NEED_KEY
    if newest.id != at.seals_with or (
        newest.seals_from is not None and at.now < newest.seals_from + pace.opens_first
    ):
        return Step.WAIT
    if resealing.clean_at is None:
        return Step.REWRITE
    return Step.WAIT if at.now < resealing.clean_at + pace.keep_old_for else Step.REMOVE_KEYS


def new_key(secret: bytes, resealing: Resealing, pace: ResealPace, now: datetime) -> SealingKey:
    """Return a key that seals once every replica knows it, and by which the request is known."""
    seals_from = max(now, resealing.begun_at) + pace.opens_first + timedelta(seconds=1)
    return SealingKey(secret, seals_from=seals_from.replace(microsecond=0))


def begun(ring: KeyRing, request: str, now: datetime) -> KeyRing:
    """Return the ring with the request noted as being served; the same if one is already."""
    if ring.resealing is not None or request == ring.answered_reseal:
        return ring
    return replace(ring, resealing=Resealing(request=request, begun_at=now))


def clean(ring: KeyRing, resealing: Resealing, at: datetime | None) -> KeyRing:
    """Return the ring with the note since when nothing old is left, or (None) that some is."""
    if ring.resealing != resealing:
        return ring
    return replace(ring, resealing=replace(resealing, clean_at=at))


def finished(ring: KeyRing, resealing: Resealing) -> KeyRing:
    """Return the ring with the request noted as answered."""
    if ring.resealing != resealing:
        return ring
    return replace(ring, resealing=None, answered_reseal=resealing.request)
