"""Leadership by a Lease: of several replicas one does the background work.

The holder writes the Lease again every few seconds. Another takes it when it has seen no write for
the whole lifetime *on its own monotonic clock*: clocks of two machines are never compared. A holder
counts its term from before the write was sent, and stops a margin before it ends, so that it has
stopped before anyone else can have begun. What is done under a Lease must still bear two leaders
(a process may be frozen between asking and acting); state is only ever changed conditionally.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from storage.base import AlreadyExists, Conflict, NotFound, StorageError
from storage.kubernetes.lease_object import Lease

_log = logging.getLogger("storage")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTiming:
    """How often what is done, in seconds. Pauses are up to a quarter shorter, at random."""

    lifetime: int = 15
    margin: float = 3
    renew_every: float = 5
    look_every: float = 2
    """How often one that does not lead looks: a Lease that was released is taken within this."""
    retry_every: float = 2
    """After an error; a server that refuses or is down is asked no more often."""
    release_within: float = 2


class LeaseRecord(Protocol):
    """One Lease, as `storage.kubernetes.lease_object.LeaseObject` keeps it."""

    async def read(self) -> Lease:
        """Return the newest version. Raises NotFound."""
        ...

    async def create(self, lease: Lease) -> Lease:
        """Create it. Raises AlreadyExists."""
        ...

    async def replace(self, lease: Lease) -> Lease:
        """Store over exactly `lease.version`. Raises Conflict or NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class _Sight:
    """A version that another holds, and when we first saw it."""

    version: str
    seen_at: float


class KubernetesLeadership:
    """`storage.objects.Leadership`. `identity` must be of this process alone."""

    def __init__(
        self,
        record: LeaseRecord,
        *,
        identity: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random_bytes: Callable[[int], bytes],
        timing: LeaseTiming | None = None,
    ) -> None:
        """`clock` only dates the Lease for people; `monotonic` decides, in seconds."""
        self._record = record
        self._identity = identity
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._random_bytes = random_bytes
        self._timing = timing or LeaseTiming()
        self._leads_until = -math.inf
        self._ours: Lease | None = None
        self._other: _Sight | None = None
        self._has_written = False
        self._told = False
        self._problem = ""

    def leads(self) -> bool:
        """Return whether this process leads now; false a margin before its term ends."""
        return self._monotonic() < self._leads_until

    async def run(self) -> None:
        """Try to lead, and renew, until cancelled; then release the Lease."""
        try:
            while True:
                await self._sleep(self._jittered(await self._turn()))
        finally:
            self._leads_until = -math.inf
            self._tell()
            await self._release()

    async def _turn(self) -> float:
        """Do what is to be done now; return how long to wait until the next turn."""
        try:
            await self._advance()
        except (AlreadyExists, Conflict, NotFound):
            pause = self._timing.look_every  # somebody wrote between our read and our write
        except StorageError as error:
            self._warn(str(error))
            pause = self._timing.retry_every
        else:
            self._problem = ""
            pause = self._timing.renew_every if self._ours else self._timing.look_every
        self._tell()
        return pause

    async def _advance(self) -> None:
        if self._ours is not None:
            try:
                return await self._hold(self._ours)
            except Conflict:
                # Somebody annotated it, or an answer to us was lost. The term that we have stands:
                # nobody can have taken the Lease before its end.
                self._ours = None
        try:
            lease = await self._record.read()
        except NotFound:
            return await self._begin()
        if lease.holder == self._identity:
            return await self._hold(lease)
        self._lose()
        if not lease.holder or self._is_over(lease):
            await self._take(lease)

    async def _begin(self) -> None:
        """Create the Lease, but not while somebody whose Lease was deleted may think to lead."""
        self._lose()
        if self._other is not None:
            gone = _Sight("", self._monotonic())
            self._other = self._other if self._other.version == "" else gone
            if self._monotonic() - self._other.seen_at < self._timing.lifetime:
                return
        await self._write(self._record.create, self._claim(transitions=0))

    async def _take(self, lease: Lease) -> None:
        claim = self._claim(transitions=lease.transitions + 1)
        claim = replace(claim, version=lease.version, metadata=lease.metadata)
        await self._write(self._record.replace, claim)

    async def _hold(self, lease: Lease) -> None:
        renewed = replace(lease, renewed_at=self._clock(), lifetime=self._timing.lifetime)
        try:
            await self._write(self._record.replace, renewed)
        except NotFound:
            self._lose()
            raise

    async def _write(self, write: Callable[[Lease], Awaitable[Lease]], lease: Lease) -> None:
        """Write, and on success lead for a term that began before the request was sent."""
        asked_at = self._monotonic()
        self._has_written = True
        self._ours = await write(lease)
        self._other = None
        self._leads_until = asked_at + self._timing.lifetime - self._timing.margin

    def _claim(self, *, transitions: int) -> Lease:
        now = self._clock()
        return Lease(
            holder=self._identity,
            lifetime=self._timing.lifetime,
            acquired_at=now,
            renewed_at=now,
            transitions=transitions,
        )

    def _is_over(self, lease: Lease) -> bool:
        """Return whether another's Lease has not changed for its whole lifetime, as we saw it."""
        now = self._monotonic()
        if self._other is None or self._other.version != lease.version:
            self._other = _Sight(lease.version, now)
        # A holder of another version of this program may count on more than we do.
        return now - self._other.seen_at >= max(lease.lifetime, self._timing.lifetime)

    def _lose(self) -> None:
        self._ours = None
        self._leads_until = -math.inf

    async def _release(self) -> None:
        """Let the next one lead at once. A failure only costs it the rest of our term."""
        if not self._has_written:
            return
        try:
            async with asyncio.timeout(self._timing.release_within):
                await self._hand_over()
        except (StorageError, TimeoutError) as error:
            _log.warning("lease_not_released", extra={"problem": str(error) or "no answer in time"})

    async def _hand_over(self) -> None:
        while True:
            lease = await self._record.read()
            if lease.holder != self._identity:
                return
            try:
                await self._record.replace(replace(lease, holder="", renewed_at=self._clock()))
                return
            except Conflict:
                continue  # a renewal that was under way when we were cancelled has landed

    def _jittered(self, pause: float) -> float:
        fraction = int.from_bytes(self._random_bytes(4), "big") / 2**32
        return pause * (1 - fraction / 4)

    def _tell(self) -> None:
        """Log once that we began or ceased to lead."""
        leads = self.leads()
        if leads != self._told:
            self._told = leads
            event = "leadership_taken" if leads else "leadership_ended"
            _log.info(event, extra={"identity": self._identity})

    def _warn(self, problem: str) -> None:
        """Log a problem once, until it is another or has passed."""
        if problem != self._problem:
            self._problem = problem
            _log.warning("lease_unreachable", extra={"problem": problem})
