"""Makes the secrets of clients that have none, where the operator lets it: the leader does."""

import logging
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from idp.log import log_event
from idp.oauth.client import Client
from idp.objects.clients import ID_ENTRY, SECRET_ENTRY
from idp.objects.roster import Roster
from idp.objects.schedule import Schedule, Waker
from idp.objects.verdicts import Change, SecretNeed, is_being_made
from storage.base import AlreadyExists, StorageError
from storage.objects import (
    Leadership,
    ObjectEvent,
    SecretForbidden,
    WrittenObject,
    WrittenObjects,
)

_log = logging.getLogger("idp.objects")
_SECRET_LENGTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class MakingPace:
    """How often Secrets are made, in seconds."""

    gap: float = 0.2
    retry: float = 15.0
    idle: float = 1.0


class SecretMaker:
    """Creates the Secrets that are not there; `refresh` reads one at once."""

    def __init__(
        self,
        source: WrittenObjects,
        leadership: Leadership,
        roster: Roster[Client],
        *,
        refresh: Callable[[str], None],
        random: Callable[[int], bytes],
        monotonic: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
        pace: MakingPace,
    ) -> None:
        self._source = source
        self._leadership = leadership
        self._roster = roster
        self._refresh = refresh
        self._random = random
        self._monotonic = monotonic
        self._pause = pause
        self._pace = pace
        self._schedule: Schedule[str] = Schedule()
        self._told: dict[str, str] = {}
        self._waker = Waker()

    def hear(self, changes: Sequence[Change[Client]]) -> None:
        """Note whose secret is to be made."""
        for change in changes:
            if change.new is not None and is_being_made(change.new):
                self._schedule.hasten(change.name, self._monotonic())
            else:
                self._schedule.drop(change.name)
            if change.new is None:
                self._told.pop(change.name, None)
        self._waker.wake()

    async def run(self) -> None:
        """Make secrets until cancelled, whenever this process leads."""
        while True:
            await self._waker.sleep(self._schedule.wait_for(self._monotonic()))
            if self._leadership.leads():
                await self.make_due()
            else:
                await self._pause(self._pace.idle)

    async def make_due(self) -> None:
        """Make the secrets that are due now."""
        while self._leadership.leads():
            due = self._schedule.take_due(self._monotonic(), 1)
            if not due:
                break
            entry = self._roster.entry(due[0])
            need = None if entry is None else entry.generated
            if entry is not None and need is not None and is_being_made(entry):
                # Until it has been read again; then nothing is due any more.
                self._schedule.hasten(due[0], self._monotonic() + self._pace.retry)
                await self._make(entry.written, need)
                await self._pause(self._pace.gap)

    async def _make(self, owner: WrittenObject, need: SecretNeed) -> None:
        secret = urlsafe_b64encode(self._random(_SECRET_LENGTH)).rstrip(b"=")
        entries = {ID_ENTRY: need.client_id.encode(), SECRET_ENTRY: secret}
        try:
            await self._source.create_secret(owner, need.name, entries)
        except AlreadyExists:
            pass
        except SecretForbidden as error:
            await self._complain(owner, str(error))
            return
        except StorageError as error:
            self._report(owner, str(error))
            return
        self._refresh(need.name)

    async def _complain(self, owner: WrittenObject, problem: str) -> None:
        """Say once for each object that the server may not do what it was told to do."""
        if self._told.get(owner.name) == owner.uid:
            return
        self._told[owner.name] = owner.uid
        self._report(owner, problem)
        note = (
            f"No Secret was made for the client. {problem.rstrip('.')}. Or name a Secret of your"
            " own in spec.secretRef."
        )
        try:
            event = ObjectEvent(type="Warning", reason="SecretNotMade", note=note)
            await self._source.tell(owner, event)
        except StorageError as error:
            self._report(owner, str(error))

    def _report(self, owner: WrittenObject, problem: str) -> None:
        log_event(_log, logging.WARNING, "secret_not_made", object=owner.name, problem=problem)
