"""The life of signing keys as pure functions: announce, sign, retire, drop.

A ring lists its keys oldest first. Of each algorithm, the first key that has not retired and has
`signs_from` is the one that signs; unretired keys after it are announced: published, but unused. A
`signs_from` on an announced key is a plan. What signs and what is published is read off the ring
alone and never compared with a clock, so replicas whose clocks differ agree on it; a clock only
decides when the ring is changed. A clock that is set back makes changes later, never earlier.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from idp.keys.jwks import ALGORITHMS
from storage.records import KeyRing, RevokedKey, SigningKey

REVOKED_FOR = timedelta(days=400)
"""How long a key that an emergency removed is kept from coming back: longer than backups live."""

_NOTHING = timedelta(0)


class RingIncomplete(LookupError):
    """The ring lacks a key that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """How long keys live.

    `publish_for` is at least twice the `max-age` of the key set: whichever copy a relying party
    holds, it has the key or has run out. `keep_retired_for` is the longest life of a token, plus
    leeway, plus how long a replica may be cut off from the store and go on signing.
    """

    algorithms: tuple[str, ...] = ("RS256",)
    rotation_period: timedelta
    publish_for: timedelta
    keep_retired_for: timedelta

    def __post_init__(self) -> None:
        """Raise ValueError for a policy that no ring could follow."""
        if not self.algorithms or len(set(self.algorithms)) != len(self.algorithms):
            raise ValueError("name at least one signing algorithm, and each once")
        for alg in self.algorithms:
            if alg not in ALGORITHMS:
                raise ValueError(f"{alg!r} is not one of {', '.join(ALGORITHMS)}")
        if (
            self.rotation_period <= _NOTHING
            or min(self.publish_for, self.keep_retired_for) < _NOTHING
        ):
            raise ValueError("the rotation period must be positive, the other times not negative")


def signing_key(ring: KeyRing, alg: str) -> SigningKey | None:
    """Return the key that signs with this algorithm, if there is one."""
    return _signing(ring.keys, alg)


def announced_key(ring: KeyRing, alg: str) -> SigningKey | None:
    """Return the key that is published and will sign next, if there is one."""
    return _announced(ring.keys, alg)


def fresh_for_first_ring(policy: RotationPolicy) -> tuple[str, ...]:
    """Return the algorithms of the keys that `first_ring` and `emergency` must be handed."""
    return tuple(alg for alg in policy.algorithms for _ in range(2))


def first_ring(
    name: str, policy: RotationPolicy, now: datetime, fresh: Sequence[SigningKey]
) -> KeyRing:
    """Return a ring whose first keys sign at once: nobody can hold an older copy of the set.

    Raises RingIncomplete unless `fresh` has two keys of each algorithm.
    """
    keys: list[SigningKey] = []
    for alg in policy.algorithms:
        signs, announced = _two(fresh, alg)
        keys += [
            replace(signs, created_at=now, signs_from=now),
            replace(announced, created_at=now, signs_from=None),
        ]
    return with_plan(KeyRing(name=name, keys=tuple(keys), revision=1), policy)


def emergency(
    ring: KeyRing, policy: RotationPolicy, now: datetime, fresh: Sequence[SigningKey]
) -> KeyRing:
    """Return the ring with every key replaced at once, because some private half was stolen.

    The announced keys go too: they lay beside the stolen one. The keys that sign must never have
    been published, since kube-apiserver re-reads the set only when a token fits none of the keys it
    knows. Raises RingIncomplete, or ValueError for a key that the ring has had.
    """
    known = {key.kid for key in ring.keys} | {key.kid for key in ring.revoked}
    if any(key.kid in known for key in fresh):
        raise ValueError("an emergency needs keys that were never published")
    revoked = [RevokedKey(kid=key.kid, until=now + REVOKED_FOR) for key in ring.keys]
    keys = first_ring(ring.name, policy, now, fresh).keys
    swapped = replace(ring, keys=keys, revoked=(*still_revoked(ring, now), *revoked))
    return with_plan(swapped, policy)


def still_revoked(ring: KeyRing, now: datetime) -> tuple[RevokedKey, ...]:
    """Return the keys that emergencies removed and that must not come back yet."""
    return tuple(key for key in ring.revoked if key.until > now)


def fresh_for_due(
    ring: KeyRing, policy: RotationPolicy, now: datetime, *, waiting: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the algorithms of which `due` needs a new key to take the announced place."""
    return tuple(
        alg
        for alg in policy.algorithms
        if (announced := _announced(ring.keys, alg)) is None
        or (announced.kid not in waiting and _promotion_is_due(ring.keys, alg, policy, now))
    )


def due(
    ring: KeyRing,
    policy: RotationPolicy,
    now: datetime,
    fresh: Sequence[SigningKey] = (),
    *,
    waiting: Collection[str] = (),
) -> KeyRing:
    """Return the ring with all that is due done, the same object if nothing is.

    A key signs only when its successor takes its place as the announced one in the same change; so
    without a new key of an algorithm in `fresh` nothing but dropping happens to it. Announced keys
    whose kid is `waiting` do not sign yet, whatever the clock says.
    """
    known = {key.kid for key in ring.keys}
    keys = tuple(key for key in ring.keys if key.drops_at is None or key.drops_at > now)
    for alg in policy.algorithms:
        new = next((key for key in fresh if key.alg == alg and key.kid not in known), None)
        announced = _announced(keys, alg)
        if new is not None and (announced is None or announced.kid not in waiting):
            keys = _advanced(keys, alg, policy, now, new)
    keys = _without_unwanted(keys, policy, now)
    if keys == ring.keys:
        return ring
    return with_plan(replace(ring, keys=keys, revoked=still_revoked(ring, now)), policy)


def rotate_requested(
    ring: KeyRing, alg: str, policy: RotationPolicy, now: datetime
) -> tuple[KeyRing, datetime]:
    """Plan a routine rotation and return the ring with the plan, and when it will happen.

    That is now if the announced key has been published long enough; `due` carries it out. A plan
    that is there already stays. Raises RingIncomplete if no key signs or none stands by.
    """
    announced = _announced(ring.keys, alg)
    if announced is None or _signing(ring.keys, alg) is None:
        raise RingIncomplete(f"no {alg} key stands by yet: ask again in a minute")
    planned = announced.signs_from or max(now, announced.created_at + policy.publish_for)
    keys = tuple(replace(key, signs_from=planned) if key is announced else key for key in ring.keys)
    at = max(planned, announced.created_at + policy.publish_for)
    return (ring if keys == ring.keys else with_plan(replace(ring, keys=keys), policy)), at


def retired(key: SigningKey, policy: RotationPolicy, now: datetime) -> SigningKey:
    """Return the key as one that only verifies, until the last token that it signed has expired."""
    drops_at = now + policy.keep_retired_for
    return replace(key, private_jwk="", retired_at=now, drops_at=drops_at)


def _promotion_at(keys: Sequence[SigningKey], alg: str, policy: RotationPolicy) -> datetime | None:
    announced, signing = _announced(keys, alg), _signing(keys, alg)
    if announced is None:
        return None
    published = announced.created_at + policy.publish_for
    if signing is None or signing.signs_from is None:
        return published
    at = signing.signs_from + policy.rotation_period
    if announced.signs_from is not None:
        at = min(at, announced.signs_from)
    return max(at, published)


def with_plan(ring: KeyRing, policy: RotationPolicy) -> KeyRing:
    """Return the ring with the time of its next rotation, for people to read."""
    times = [_promotion_at(ring.keys, alg, policy) for alg in policy.algorithms]
    return replace(ring, rotates_at=min((at for at in times if at is not None), default=None))


def _unretired(keys: Sequence[SigningKey], alg: str) -> list[SigningKey]:
    return [key for key in keys if key.alg == alg and key.retired_at is None]


def _signing(keys: Sequence[SigningKey], alg: str) -> SigningKey | None:
    first = next(iter(_unretired(keys, alg)), None)
    return first if first is not None and first.signs_from is not None else None


def _announced(keys: Sequence[SigningKey], alg: str) -> SigningKey | None:
    signing = _signing(keys, alg)
    return next((key for key in _unretired(keys, alg) if key is not signing), None)


def _promotion_is_due(
    keys: Sequence[SigningKey], alg: str, policy: RotationPolicy, now: datetime
) -> bool:
    at = _promotion_at(keys, alg, policy)
    return at is not None and at <= now


def _advanced(
    keys: tuple[SigningKey, ...],
    alg: str,
    policy: RotationPolicy,
    now: datetime,
    new: SigningKey,
) -> tuple[SigningKey, ...]:
    """Announce `new` if it is needed, and let the one announced so far sign if that is due."""
    fresh = (replace(new, created_at=now, signs_from=None),)
    announced, signing = _announced(keys, alg), _signing(keys, alg)
    if announced is None:
        return keys + fresh
    if not _promotion_is_due(keys, alg, policy, now):
        return keys
    changed = {announced.kid: replace(announced, signs_from=now)}
    if signing is not None:
        changed[signing.kid] = retired(signing, policy, now)
    return tuple(changed.get(key.kid, key) for key in keys) + fresh


def _without_unwanted(
    keys: tuple[SigningKey, ...], policy: RotationPolicy, now: datetime
) -> tuple[SigningKey, ...]:
    """Retire the keys of an algorithm that is no longer wanted.

    Only once every wanted one has signed for a while: during a rolling update replicas with the old
    policy still run, and must not find their key gone the moment the new one signs.
    """
    for alg in policy.algorithms:
        signing = _signing(keys, alg)
        if signing is None or signing.signs_from is None:
            return keys
        if signing.signs_from + policy.publish_for > now:
            return keys
    unwanted = {key.alg for key in keys} - set(policy.algorithms)
    retiring = {key.kid for alg in unwanted if (key := _signing(keys, alg)) is not None}
    idle = {
        key.kid
        for alg in unwanted
        for key in _unretired(keys, alg)
        if key.kid not in retiring and key.created_at + policy.keep_retired_for <= now
    }
    result = []
    for key in keys:
        if key.kid in retiring:
            result.append(retired(key, policy, now))
        elif key.alg in unwanted and key.retired_at is None and key.kid not in idle:
            # A plan would make it the one that signs, now that it stands first.
            result.append(replace(key, signs_from=None))
        elif key.kid not in idle:
            result.append(key)
    return tuple(result)


def _two(fresh: Sequence[SigningKey], alg: str) -> tuple[SigningKey, SigningKey]:
    fitting = [key for key in fresh if key.alg == alg]
    if len(fitting) < 2:
        raise RingIncomplete(f"two new {alg} keys are needed, there are {len(fitting)}")
    return fitting[0], fitting[1]
