"""What this process publishes and signs with, as the ring changes under it.

Nearly always both follow the ring at once. After an emergency the new key is published first and
signs two seconds later, lest a relying party meet its signature at one replica and fetch the old
set from another.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta

from idp.keys.jwks import ALGORITHMS, KeyUnusable
from idp.keys.ring import signing_key
from storage.records import KeyRing

_NONE = KeyRing(name="none", keys=())


class Adoption:
    """Tells `on_change(published, signing)` of every ring that differs from the last."""

    def __init__(
        self,
        on_change: Callable[[KeyRing, KeyRing], None],
        *,
        settle_for: timedelta,
        monotonic: Callable[[], float],
    ) -> None:
        """Start without a ring."""
        self._on_change = on_change
        self._settle_for = settle_for
        self._monotonic = monotonic
        self._ring = _NONE
        # What is signed with; differs from the ring only while an emergency settles.
        self._signing = _NONE
        self._settling: asyncio.TimerHandle | None = None
        self._in_sight: Mapping[str, float] = {}

    def adopt(self, ring: KeyRing) -> None:
        """Go on with a ring. Raises KeyUnusable; then the last one stays."""
        if self._ring is _NONE:
            self._swap(ring, ring)
        elif ring != self._ring or (self._settling is None and self._signing != ring):
            self._change(ring)
        self._ring = ring
        now = self._monotonic()
        self._in_sight = {key.kid: self._in_sight.get(key.kid, now) for key in ring.keys}

    def seen_less_than(self, duration: timedelta) -> set[str]:
        """Return the keys that this process has published for less than that, by no clock's time.

        The ring says when a key was announced, by the clock of whoever did. If that clock was slow
        or ours is fast, the key is not yet known to everybody who checks tokens.
        """
        since = self._monotonic() - duration.total_seconds()
        return {kid for kid, at in self._in_sight.items() if at > since}

    def stop(self) -> None:
        """Let nothing change any more by itself."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def _change(self, ring: KeyRing) -> None:
        if self._settling is None and not _signs_unannounced(ring, self._ring):
            self._swap(ring, ring)
            return
        self._swap(ring, self._signing)
        if self._settling is None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(self._settle_for.total_seconds(), self._settle)

    def _settle(self) -> None:
        self._settling = None
        with suppress(KeyUnusable):  # the next tick tries again, and its caller hears of it
            self._swap(self._ring, self._ring)

    def _swap(self, published: KeyRing, signing: KeyRing) -> None:
        self._on_change(published, signing)
        self._signing = signing


def _signs_unannounced(ring: KeyRing, known: KeyRing) -> bool:
    """Tell whether a key signs that was not in the set which we published until now."""
    published = {key.kid for key in known.keys}
    signing = (signing_key(ring, alg) for alg in ALGORITHMS)
    return any(key is not None and key.kid not in published for key in signing)
