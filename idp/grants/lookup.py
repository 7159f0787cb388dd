"""Finds the grant that a code or refresh token names, and proves that the text belongs to it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from idp.grants.base import key_is_away
from idp.grants.recent import RecentGrants
from idp.keys.handles import CODE, HandleBroken, HandleKeyUnknown, Handles, ParsedHandle
from idp.log import log_event
from idp.oauth.errors import InvalidGrant
from storage.base import NotFound, SealUnknown, Unreadable
from storage.collection import Collection, Stored
from storage.records import Grant

_log = logging.getLogger("idp.grants")


class LookupAttempt(Protocol):
    """One look-up that was paid for."""

    def succeeded(self) -> None:
        """Tell that the text was genuine: it costs nothing."""
        ...

    def failed(self) -> None:
        """Tell that it was not."""
        ...

    def unknown(self) -> None:
        """Tell that nobody could say: it costs nothing."""
        ...


LookupBudget = Callable[[], LookupAttempt]
"""Pays for one look-up of a text that nothing authenticates. Raises TooManyAttempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantLookup:
    """Looks grants up by what clients present.

    A forged text never reaches the store: its outer tag does not fit. A text whose tag names a
    sealing key that we no longer have may still be genuine, which only the record's own seed can
    prove; such look-ups are limited, as anyone can ask for one.
    """

    grants: Collection[Grant]
    handles: Handles
    budget: LookupBudget
    recent: RecentGrants = field(default_factory=RecentGrants)

    async def by_code(self, text: str, refusal: InvalidGrant) -> Stored[Grant]:
        """Return the grant of a code.

        Raises `refusal`, TooManyAttempts, StorageUnavailable, and TemporarilyUnavailable when the
        record is sealed with a key that is not here: the login is good, so nobody is signed out.
        """
        _, stored = await self._found(self.handles.parse_code, text, refusal)
        return stored

    async def by_refresh_token(self, text: str, refusal: InvalidGrant) -> tuple[int, Stored[Grant]]:
        """Return generation and grant of a refresh token. Raises as `by_code`."""
        parsed, stored = await self._found(self.handles.parse_refresh_token, text, refusal)
        return parsed.generation, stored

    async def _found(
        self, parse: Callable[[str], ParsedHandle], text: str, refusal: InvalidGrant
    ) -> tuple[ParsedHandle, Stored[Grant]]:
        try:
            parsed = parse(text)
        except HandleKeyUnknown as unknown:
            attempt = self.budget()
            return unknown.parsed, await self._proved_at_a_price(unknown.parsed, attempt, refusal)
        except HandleBroken:
            raise refusal from None
        return parsed, await self._proved(parsed, refusal)

    async def _proved_at_a_price(
        self, parsed: ParsedHandle, attempt: LookupAttempt, refusal: InvalidGrant
    ) -> Stored[Grant]:
        try:
            stored = await self._proved(parsed, refusal)
        except InvalidGrant:
            attempt.failed()
            raise
        except BaseException:
            attempt.unknown()
            raise
        attempt.succeeded()
        return stored

    async def _stored(self, parsed: ParsedHandle) -> Stored[Grant]:
        """Return the record; for a code it may be the one in hand since the login.

        A refresh token is always judged by the store: the code may have been redeemed elsewhere.
        """
        recent = self.recent.take(parsed.name) if parsed.kind == CODE else None
        return recent or await self.grants.get(parsed.name)

    async def _proved(self, parsed: ParsedHandle, refusal: InvalidGrant) -> Stored[Grant]:
        try:
            stored = await self._stored(parsed)
            self.handles.check(parsed, stored.record.seed)
        except SealUnknown as error:
            raise key_is_away(error) from error
        except Unreadable as error:
            log_event(_log, logging.ERROR, "record_unreadable", problem=str(error))
            raise refusal from None
        except (HandleBroken, NotFound):
            raise refusal from None
        return stored
