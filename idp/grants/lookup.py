"""Finds the grant that a code or refresh token names, and proves that the text belongs to it."""

from collections.abc import Callable
from dataclasses import dataclass

from idp.keys.handles import HandleBroken, HandleKeyUnknown, Handles, ParsedHandle
from idp.oauth.errors import InvalidGrant
from storage.base import NotFound, Unreadable
from storage.collection import Collection, Stored
from storage.records import Grant

LookupBudget = Callable[[], bool]
"""Takes one look-up from a small budget and returns whether there was one left."""


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

    async def by_code(self, text: str, refusal: InvalidGrant) -> Stored[Grant]:
        """Return the grant of a code. Raises `refusal`, or StorageUnavailable."""
        parsed = self._parsed(self.handles.parse_code, text, refusal)
        return await self._proved(parsed, refusal)

    async def by_refresh_token(self, text: str, refusal: InvalidGrant) -> tuple[int, Stored[Grant]]:
        """Return generation and grant of a refresh token. Raises as `by_code`."""
        parsed = self._parsed(self.handles.parse_refresh_token, text, refusal)
        return parsed.generation, await self._proved(parsed, refusal)

    def _parsed(
        self, parse: Callable[[str], ParsedHandle], text: str, refusal: InvalidGrant
    ) -> ParsedHandle:
        try:
            return parse(text)
        except HandleKeyUnknown as unknown:
            if not self.budget():
                raise refusal from None
            return unknown.parsed
        except HandleBroken:
            raise refusal from None

    async def _proved(self, parsed: ParsedHandle, refusal: InvalidGrant) -> Stored[Grant]:
        try:
            stored = await self.grants.get(parsed.name)
            self.handles.check(parsed, stored.record.seed)
        except (HandleBroken, NotFound, Unreadable, ValueError):
            # ValueError: a name that no store can hold, in a text that nobody of ours made.
            raise refusal from None
        return stored
