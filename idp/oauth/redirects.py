"""Whether a redirect URI belongs to a client.

Byte for byte (RFC 9700 section 2.1), with the one exception that native applications need: for
public clients a registered http loopback URI matches on any port (RFC 8252 section 7.3), and an
empty path equals "/". Hosts are never interchangeable: whoever registered 127.0.0.1 gets 127.0.0.1.
"""

import re
from dataclasses import dataclass

from idp.oauth.client import Client

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
"""Asks for a page that shows the code, for people whose browser is on another machine."""

LONGEST_URI = 2048

# The whole form is spelt out: a URI that does not match it is not a loopback URI, whatever a
# lenient parser might make of it.
_LOOPBACK = re.compile(
    r"http://(?P<host>127\.0\.0\.1|\[::1\]|localhost)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>(?:/[A-Za-z0-9._~!$&'()*+,;=:@/%-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?)"
)


@dataclass(frozen=True, slots=True)
class _Loopback:
    """A loopback URI without its port."""

    host: str
    rest: str


def _loopback(uri: str) -> _Loopback | None:
    match = _LOOPBACK.fullmatch(uri)
    if match is None:
        return None
    port = match["port"]
    if port is not None and not (0 < int(port) <= 65535 and str(int(port)) == port):
        return None
    return _Loopback(host=match["host"], rest=match["rest"] or "/")


def _matches_loopback(uri: str, registered: str) -> bool:
    offered, known = _loopback(uri), _loopback(registered)
    return offered is not None and offered == known


def redirect_uri_allowed(uri: str, client: Client) -> bool:
    """Return whether the browser may be sent to `uri` for this client."""
    if len(uri) > LONGEST_URI:
        return False
    if uri in client.redirect_uris:
        return True
    if not client.is_public:
        return False
    if not client.redirect_uris:
        # As in Dex: a public client without addresses is a command line somewhere on loopback.
        return uri == OUT_OF_BAND or _loopback(uri) is not None
    return any(_matches_loopback(uri, registered) for registered in client.redirect_uris)
