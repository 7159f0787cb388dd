"""The grants of the last moments, whose codes are about to be redeemed.

A code is redeemed within seconds of the login, mostly by the process that made it. Keeping the
record in hand until then saves asking the store for what it was just told. It is never more than a
first guess: whatever is written on top of it is conditional on its version.
"""

from collections import OrderedDict

from storage.collection import Stored
from storage.records import Grant

_MOST = 256


class RecentGrants:
    """A few grants by name; the oldest make room."""

    def __init__(self) -> None:
        self._grants: OrderedDict[str, Stored[Grant]] = OrderedDict()

    def put(self, stored: Stored[Grant]) -> None:
        """Keep a grant that was just created."""
        self._grants[stored.record.name] = stored
        if len(self._grants) > _MOST:
            self._grants.popitem(last=False)

    def take(self, name: str) -> Stored[Grant] | None:
        """Return a grant and forget it: the next one to ask gets what is in the store."""
        return self._grants.pop(name, None)
