"""Telling clients that a session is over, behind the back of the browser.

OIDC Back-Channel Logout section 2.5. Notices go out side by side, each is tried a few times, and
nobody has to wait for the last one. None is kept: what a process that ends has not delivered is
lost, and the client learns of the end by the next token that it cannot get.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from idp.log import AuditLog
from idp.oauth.client import Clients
from idp.tokens.logout_token import LogoutTokens
from idp.transport.outbound import Fetched, OutboundError, OutboundRefused
from storage.records import Grant

WAITS_SECONDS: Final = (0.0, 1.0, 4.0)
"""Before each try. With three seconds for each the last ends long before the token does."""

MOST_WAITING: Final = 10_000

Post = Callable[[str, Mapping[str, str]], Awaitable[Fetched]]
"""Sends a form to an address of a client. Raises OutboundError."""


@dataclass(frozen=True, slots=True)
class _Notice:
    grant: Grant
    url: str
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutNotices:
    """Sends notices in the background; `run` must be running."""

    clients: Clients
    tokens: LogoutTokens
    post: Post
    audit: AuditLog
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _waiting: asyncio.Queue[_Notice] = field(
        default_factory=lambda: asyncio.Queue(maxsize=MOST_WAITING)
    )

    def send(self, ended: Iterable[Grant]) -> list[asyncio.Event]:
        """Tell the clients of grants that ended, each once for a session.

        Returns what is set as soon as a notice was delivered, or given up.
        """
        found: dict[tuple[str, str, str], _Notice] = {}
        for grant in ended:
            client = self.clients.get(grant.client_id)
            if client is not None and client.logout.backchannel_uri:
                key = (grant.client_id, grant.session, grant.user_id)
                found.setdefault(key, _Notice(grant, client.logout.backchannel_uri))
        for notice in found.values():
            try:
                self._waiting.put_nowait(notice)
            except asyncio.QueueFull:
                self._tell(notice, "logout_notice_dropped")
                notice.done.set()
        return [notice.done for notice in found.values()]

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                notice = await self._waiting.get()
                group.create_task(self._deliver(notice))

    async def _deliver(self, notice: _Notice) -> None:
        try:
            token = self.tokens.token_for(notice.grant)
            for seconds in WAITS_SECONDS:
                await self.sleep(seconds)
                if await self._is_settled(notice, token):
                    return
            self._tell(notice, "logout_notice_failed")
        finally:
            notice.done.set()

    async def _is_settled(self, notice: _Notice, token: str) -> bool:
        """Try once; return whether another try would be of no use."""
        try:
            answer = await self.post(notice.url, {"logout_token": token})
        except OutboundRefused:
            self._tell(notice, "logout_notice_forbidden")
            return True
        except OutboundError:
            return False
        if 200 <= answer.status < 300:
            self._tell(notice, "logout_notice_sent")
            return True
        if 400 <= answer.status < 500:
            self._tell(notice, "logout_notice_refused")
            return True
        return False

    def _tell(self, notice: _Notice, event: str) -> None:
        grant = notice.grant
        self.audit(event, client=grant.client_id, session=grant.session)


async def settled(notices: Iterable[asyncio.Event], *, within: float) -> None:
    """Wait until all notices were delivered or given up, `within` seconds at most."""
    waiting = [asyncio.ensure_future(notice.wait()) for notice in notices]
    if waiting:
        _, late = await asyncio.wait(waiting, timeout=within)
        for each in late:
            each.cancel()
