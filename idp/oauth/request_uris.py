"""Which addresses a request object may be fetched from (RFC 9101 section 5.2, OIDC Core 6.2).

Two have to say yes: the client, by registering the very address, and the operator, by naming the
host. What is connected to in the end is judged once more, by its network address, where it happens.
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from idp.oauth.client import Client
from idp.oauth.errors import InvalidRequestUri, RequestUriNotSupported

ANY_HOST: Final = "*"
"""Among the operator's hosts: whichever a client has registered."""


def check_request_uri(uri: str, client: Client, hosts: Collection[str]) -> None:
    """Raise RequestUriNotSupported where none is served, InvalidRequestUri for one not allowed.

    `hosts` are `host` or `host:port` in lower case; the address is compared byte for byte.
    """
    if not hosts:
        raise RequestUriNotSupported("request_uri is not served: send request.")
    if uri not in client.request_objects.request_uris:
        raise InvalidRequestUri("This request_uri is not registered for the client.")
    if ANY_HOST not in hosts and not _names_of_host(uri) & set(hosts):
        raise InvalidRequestUri("The operator of this provider does not allow this host.")


def _names_of_host(uri: str) -> set[str]:
    parts = urlsplit(uri)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return {host, f"{host}:{parts.port or 443}"}
