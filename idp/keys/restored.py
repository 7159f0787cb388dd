"""When the store has gone back to an older ring, as after a backup was restored: a pure rule.

What this process still knows counts: tokens that were signed since the backup stay good, and keys
that an emergency removed since stay removed. Every replica would write the same; one does.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from idp.keys.ring import RotationPolicy, retired, signing_key, still_revoked
from storage.records import KeyRing, RevokedKey, SigningKey


@dataclass(frozen=True, slots=True)
class KnownRing:
    """The ring that a process holds, and when it was last seen so in the store."""

    ring: KeyRing
    read_at: datetime


def went_back(found: KeyRing, known: KeyRing) -> bool:
    """Tell whether the ring that was found is of an earlier state of the store than the known one.

    Every write of this version raises the revision; older versions leave it as it was.
    """
    return found.revision < known.revision


def restored(found: KeyRing, held: KnownRing, policy: RotationPolicy, now: datetime) -> KeyRing:
    """Return the ring that must be in the store instead, or `found` itself if all is well.

    The one of the later state wins; what the other knows beside it is added to it: which keys were
    removed for good, and which may have signed tokens that still live.
    """
    known = held.ring
    revoked = _revoked(found, known, now)
    removed = {key.kid for key in revoked}
    wins, other = (known, found) if went_back(found, known) else (found, known)
    if not _signs(_without(wins, removed), policy):
        wins, other = other, wins
    sound = _without(wins, removed)
    # What signs may have been retired right after it was last seen, and has its time from then.
    seen_at = now if other is found else held.read_at
    beside = _without(other, removed | {key.kid for key in wins.keys}).keys
    missing = tuple(key for key in beside if _is_missed(key, policy, now, seen_at))
    if wins is found and (sound.keys, missing) == (found.keys, ()) and _lists(found, removed):
        return found
    published = (key if key.drops_at else retired(key, policy, now) for key in missing)
    return replace(sound, keys=(*published, *sound.keys), revoked=revoked)


def _is_missed(key: SigningKey, policy: RotationPolicy, now: datetime, seen_at: datetime) -> bool:
    """Tell whether a key that only the other ring has must stay published.

    One whose time is half over may have been dropped in the ordinary way: while this process slept,
    or by a clock that is ahead of ours.
    """
    if key.drops_at is None and key.signs_from is None:
        return False
    drops_at = key.drops_at or seen_at + policy.keep_retired_for
    return drops_at > now + policy.keep_retired_for / 2


def _signs(ring: KeyRing, policy: RotationPolicy) -> bool:
    return any(signing_key(ring, alg) is not None for alg in policy.algorithms)


def _without(ring: KeyRing, kids: Collection[str]) -> KeyRing:
    return replace(ring, keys=tuple(key for key in ring.keys if key.kid not in kids))


def _lists(ring: KeyRing, removed: Collection[str]) -> bool:
    return set(removed) <= {key.kid for key in ring.revoked}


def _revoked(found: KeyRing, known: KeyRing, now: datetime) -> tuple[RevokedKey, ...]:
    latest = {key.kid: key for key in (*still_revoked(found, now), *still_revoked(known, now))}
    return tuple(latest[kid] for kid in sorted(latest))
