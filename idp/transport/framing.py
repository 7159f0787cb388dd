"""Rules on a request's head that decide where its body ends (RFC 9112 section 6); pure.

llhttp already refuses CL with TE, two CL, obs-fold, bare LF, a space before the colon and digits
that are none; the tests hold it to that. What it lets pass is refused here.
"""

from collections.abc import Mapping

from idp.transport.refusals import Refused
from idp.transport.targets import is_host

NOTED = frozenset(
    (
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-encoding",
        b"expect",
        b"origin",
        b"if-none-match",
        b"upgrade",
    )
)
"""Names that the transport itself reads; of a repeated one the values are joined with a comma."""


def check_head(*, version: str, noted: Mapping[bytes, bytes], body_limit: int) -> bool:
    """Return whether a body follows. Raises Refused for a head of two meanings, or of too much."""
    if version not in ("1.1", "1.0"):
        raise Refused(505)
    host = noted.get(b"host")
    if (host is None and version == "1.1") or (host is not None and not is_host(host)):
        raise Refused(400)
    if len(noted) < 2:  # the common GET: nothing but Host
        return False
    _check_codings(version, noted)
    length = int(noted.get(b"content-length", b"0"))
    if length > body_limit:
        raise Refused(413)
    return length > 0 or b"transfer-encoding" in noted


def _check_codings(version: str, noted: Mapping[bytes, bytes]) -> None:
    coding = noted.get(b"transfer-encoding")
    if coding is not None and (version == "1.0" or coding.lower() != b"chunked"):
        raise Refused(400)
    if noted.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused(415)
    if noted.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise Refused(417)
