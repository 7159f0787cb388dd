"""Request objects by reference: fetched from where a client keeps them (RFC 9101 section 5.2.3)."""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from idp.log import log_event
from idp.oauth.client import Client
from idp.oauth.errors import InvalidRequestUri
from idp.oauth.request_uris import check_request_uri
from idp.transport.outbound import Fetched, OutboundError

_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestUris:
    """Fetches, through the one door to the outside. Without `hosts` nothing is served.

    Nothing is kept: what is at an address may change from one request to the next.
    """

    hosts: Collection[str]
    get: Callable[[str], Awaitable[Fetched]]
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("idp.oauth"))

    async def fetch(self, uri: str, client: Client) -> str:
        """Return the request object. Raises RequestUriNotSupported and InvalidRequestUri.

        What the other side said is for the log of the operator; a stranger hears that it was no
        good, so that nobody can explore a network by it.
        """
        check_request_uri(uri, client, self.hosts)
        try:
            fetched = await self.get(uri.partition("#")[0])
        except OutboundError as error:
            raise self._unavailable(client, str(error)) from None
        if fetched.status != _OK:
            raise self._unavailable(client, f"the answer was {fetched.status}")
        return fetched.body.decode("ascii", "replace")

    def _unavailable(self, client: Client, problem: str) -> InvalidRequestUri:
        log_event(
            self.logger, logging.WARNING, "request_uri_failed", client=client.id, problem=problem
        )
        return InvalidRequestUri("The request object cannot be fetched from this request_uri.")
