"""Follows the objects of one kind, and tells whoever hears of what changes."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from idp.objects.roster import Roster
from idp.objects.verdicts import Change, SecretNeed
from storage.objects import Listed, ObjectNews, WrittenObjects

T = TypeVar("T")


class ObjectFollower(Generic[T]):
    """Keeps a roster up to date. `hear` gets every change, between two awaits.

    `on_news` is told that the store was heard of.
    """

    def __init__(
        self,
        source: WrittenObjects,
        roster: Roster[T],
        *,
        hear: Callable[[Sequence[Change[T]]], None],
        on_news: Callable[[], None],
    ) -> None:
        self.roster = roster
        self.is_listed = False
        self._source = source
        self._hear = hear
        self._on_news = on_news

    async def run(self) -> None:
        """Follow until cancelled. What is known stays while the store is away."""
        async for news in self._source.follow(self.roster.kind, self.roster.matters):
            self.take(news)

    def take(self, news: ObjectNews) -> None:
        """Take in one piece of news."""
        self._hear(self.roster.apply(news))
        self.is_listed = self.is_listed or isinstance(news, Listed)
        self._on_news()

    def secret_changed(self, need: SecretNeed) -> None:
        """Judge again whoever needs this of a Secret."""
        changes = self.roster.secret_changed(need)
        if changes:
            self._hear(changes)
