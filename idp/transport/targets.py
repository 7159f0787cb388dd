"""Request targets: one meaning each, or none (RFC 9112 section 3.2)."""

import re
from urllib.parse import unquote_to_bytes

from idp.transport.refusals import Refused

_PLAIN = re.compile(rb"/[!-\"$-~]*")  # printable ASCII without '#': origin-form, RFC 9112 3.2.1
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)([/?][^#]*)?", re.IGNORECASE)
_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(:[0-9]{1,5})?")


def split_target(target: bytes, host: bytes | None) -> tuple[bytes, bytes]:
    """Return path and query of a request target, both still escaped; `host` is the Host header.

    A path never turns into a host: `//token` stays a path. An absolute-form target must name the
    same authority as Host, as RFC 9112 section 3.2.2 demands of clients. Raises Refused (400) for
    anything else: asterisk-form, authority-form, fragments, bytes that are no URI.
    """
    if not target.startswith(b"/"):
        target = _origin_form(target, host)
    if _PLAIN.fullmatch(target) is None:
        raise Refused(400)
    path, _, query = target.partition(b"?")
    return path, query


def _origin_form(target: bytes, host: bytes | None) -> bytes:
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or host is None or absolute[1].lower() != host.lower():
        raise Refused(400)
    rest = absolute[2] or b"/"
    return rest if rest.startswith(b"/") else b"/" + rest


def decode_path(path: bytes) -> str:
    """Return the unescaped path of an ASGI scope.

    An escaped slash or backslash would make two different paths look alike, so there is nothing at
    such an address: Refused (404). Broken escapes, control characters and text that is not UTF-8
    are Refused (400).
    """
    if b"%" not in path:
        return path.decode("ascii")
    if _ESCAPE.search(path):
        raise Refused(400)
    lowered = path.lower()
    if b"%2f" in lowered or b"%5c" in lowered:
        raise Refused(404)
    decoded = unquote_to_bytes(path)
    if _CONTROL.search(decoded):
        raise Refused(400)
    try:
        return decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400) from None


def is_host(value: bytes) -> bool:
    """Tell whether a Host header is a name or address, with or without a port (RFC 9110 7.2)."""
    return _HOST.fullmatch(value) is not None
