"""Connectors that were written as objects: offered while they count, and what is heard of them."""

from collections.abc import Callable, Sequence

from connectors.base import PasswordConnector
from idp.login.connectors import LiveConnectors, OfferedConnector
from idp.login.reachability import Reach
from idp.objects.connectors import CONNECTOR_ID, WrittenConnector
from idp.objects.live import served_changes
from idp.objects.roster import Roster
from idp.objects.verdicts import Change, Claim

OpenConnector = Callable[[WrittenConnector], PasswordConnector]
"""Makes a connector; asks nothing of the directory yet."""


class WrittenConnectors:
    """Keeps the connectors of objects in the live set, at the same moment as the objects change."""

    def __init__(self, connectors: LiveConnectors, open_connector: OpenConnector) -> None:
        self._connectors = connectors
        self._open = open_connector

    def adopt(self, changes: Sequence[Change[WrittenConnector]]) -> None:
        """Offer what counts now and nothing that counted before."""
        gone, came = served_changes(changes)
        if gone or came:
            self._connectors.replace(
                gone=[connector.id for connector in gone],
                came=[self._offered(connector) for connector in came],
            )

    def _offered(self, written: WrittenConnector) -> OfferedConnector:
        return OfferedConnector(
            id=written.id,
            name=written.name,
            type=written.type,
            connector=self._open(written),
        )


class ReachBook:
    """What was last heard of each object's directory. `on_change` is told names of objects."""

    def __init__(
        self, roster: Roster[WrittenConnector], *, on_change: Callable[[str], None]
    ) -> None:
        self._roster = roster
        self._on_change = on_change
        self._reaches: dict[str, Reach] = {}

    def of(self, name: str) -> Reach | None:
        """Return what was last heard, None when nobody has asked since the object changed."""
        return self._reaches.get(name)

    def note(self, connector_id: str, reach: Reach) -> None:
        """Take in what became of asking the connector with this id."""
        name = self._roster.owner(Claim(CONNECTOR_ID, connector_id))
        if name and self._reaches.get(name) != reach:
            self._reaches[name] = reach
            self._on_change(name)

    def hear(self, changes: Sequence[Change[WrittenConnector]]) -> None:
        """Forget what was heard of connectors that are not the same any more."""
        for change in changes:
            old = None if change.old is None else change.old.served
            new = None if change.new is None else change.new.served
            if old != new:
                self._reaches.pop(change.name, None)
