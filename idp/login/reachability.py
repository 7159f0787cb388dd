"""Looks after connectors in the background: are they reachable, and who closes those that are gone?

Every connector has a loop of its own, so that a directory that lets us wait holds up no other. A
login never waits for any of this.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from connectors.base import Closing, ConnectorUnavailable, Probed
from idp.log import log_event
from idp.login.connectors import LiveConnectors, OfferedConnector

_log = logging.getLogger("idp.login")


@dataclass(frozen=True, slots=True)
class Reach:
    """What became of asking a source of users whether it answers; "" is that it does."""

    problem: str = ""

    @property
    def is_reachable(self) -> bool:
        """Return whether it answered."""
        return not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePace:
    """How often a source is asked, in seconds, give or take a fifth.

    `well` while it answers; after a failure `first`, then twice as long each time, at most
    `longest`.
    """

    well: float = 30.0
    first: float = 1.0
    longest: float = 60.0

    def after(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row."""
        if not failures:
            return self.well
        return min(self.first * 2.0 ** min(failures - 1, 16), self.longest)


@dataclass(slots=True)
class _Tended:
    """A connector that is looked after, and the loop that does."""

    offered: OfferedConnector
    loop: asyncio.Task[None] | None


@dataclass(kw_only=True)
class ConnectorKeeper:
    """Asks every connector again and again, and closes those that are offered no more.

    `on_reach` hears of each answer, `on_gone` of ids that nothing stands under any more. `random`
    gives octets, for delays that do not meet.
    """

    connectors: LiveConnectors
    on_reach: Callable[[OfferedConnector, Reach], None]
    on_gone: Callable[[str], None]
    random: Callable[[int], bytes]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    pace: ProbePace = field(default_factory=ProbePace)
    _tended: dict[str, _Tended] = field(default_factory=dict)
    _closing: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Look after the connectors until cancelled; then close all of them."""
        try:
            while True:
                self._take_in(self.connectors)
                await self.connectors.changed()
        finally:
            self._take_in({})
            await asyncio.gather(*self._closing)

    def _take_in(self, offered: Mapping[str, OfferedConnector]) -> None:
        for connector_id, tended in list(self._tended.items()):
            if offered.get(connector_id) is not tended.offered:
                del self._tended[connector_id]
                self._let_go(tended)
                if connector_id not in offered:
                    self.on_gone(connector_id)
        for connector_id, new in offered.items():
            if connector_id not in self._tended:
                self._tended[connector_id] = _Tended(new, self._begin(new))

    def _begin(self, offered: OfferedConnector) -> asyncio.Task[None] | None:
        connector = offered.connector
        if not isinstance(connector, Probed):
            return None
        return asyncio.create_task(self._ask_for_ever(offered, connector))

    def _let_go(self, tended: _Tended) -> None:
        closing = asyncio.create_task(_end(tended))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _ask_for_ever(self, offered: OfferedConnector, connector: Probed) -> None:
        failures, known = 0, Reach()
        while True:
            reach = await _ask(offered, connector)
            failures = 0 if reach.is_reachable else failures + 1
            if reach.is_reachable != known.is_reachable:
                _tell(offered, reach)
            known = reach
            self.on_reach(offered, reach)
            await self.pause(self._jittered(self.pace.after(failures)))

    def _jittered(self, seconds: float) -> float:
        return seconds * (0.8 + 0.4 * self.random(1)[0] / 255)


async def _ask(offered: OfferedConnector, connector: Probed) -> Reach:
    try:
        await connector.probe()
    except ConnectorUnavailable as error:
        return Reach(str(error) or "The source of users does not answer.")
    except Exception:
        # A fault of ours must not end the loop, nor look as if all was well.
        _log.exception("connector_not_probed", extra={"connector": offered.id})
        return Reach("A fault of the provider kept it from asking; its log has more.")
    return Reach()


def _tell(offered: OfferedConnector, reach: Reach) -> None:
    if reach.is_reachable:
        log_event(_log, logging.INFO, "connector_reachable", connector=offered.id)
        return
    log_event(
        _log,
        logging.WARNING,
        "connector_unreachable",
        connector=offered.id,
        problem=reach.problem,
    )


async def _end(tended: _Tended) -> None:
    """End the loop, then close the connector."""
    if tended.loop is not None:
        tended.loop.cancel()
        await asyncio.wait([tended.loop])
    connector = tended.offered.connector
    if isinstance(connector, Closing):
        try:
            connector.close()
        except Exception:
            _log.exception("connector_not_closed", extra={"connector": tended.offered.id})
