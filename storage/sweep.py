"""Deleting what has expired, in the background and never from a request."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from storage.base import NotFound, StorageError
from storage.collection import Collection

_log = logging.getLogger("storage")


async def sweep_once(collection: Collection[Any], now: datetime, limit: int) -> int:
    """Delete all that expired before `now`, `limit` at a time; return how many we deleted.

    A record that cannot be deleted is passed over. Raises StorageUnavailable when the store cannot
    even say what has expired.
    """
    deleted = 0
    passed: set[str] = set()
    while True:
        names = await collection.expired(now, limit + len(passed))
        fresh = [name for name in names if name not in passed]
        for name in fresh:
            try:
                await collection.delete(name)
            except NotFound:
                passed.add(name)  # another replica was quicker
            except (StorageError, ValueError) as error:
                # ValueError: somebody put in a document by hand, with a name we never give.
                passed.add(name)
                _log.warning("sweep_delete_failed", extra={"record": name, "problem": str(error)})
            else:
                deleted += 1
        if len(fresh) < limit:
            return deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Sweeps one collection again and again.

    `margin` is how long a record is kept beyond its expiry, for clocks that differ. Of several
    replicas only the one that `leads` sweeps.
    """

    collection: Collection[Any]
    clock: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]
    random_bytes: Callable[[int], bytes]
    leads: Callable[[], bool] = lambda: True
    every: timedelta = timedelta(minutes=5)
    margin: timedelta = timedelta(minutes=5)
    limit: int = 200

    async def run(self) -> None:
        """Sweep until cancelled, at intervals of 0.5 to 1.5 times `every`, never all at once."""
        while True:
            fraction = int.from_bytes(self.random_bytes(4), "big") / 2**32
            await self.sleep(self.every.total_seconds() * (0.5 + fraction))
            if not self.leads():
                continue
            try:
                deleted = await sweep_once(self.collection, self.clock() - self.margin, self.limit)
            except StorageError as error:
                _log.warning("sweep_failed", extra={"problem": str(error)})
            else:
                _log.debug("swept", extra={"deleted": deleted})
