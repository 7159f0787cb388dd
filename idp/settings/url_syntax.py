"""The parts of a URL, taken apart strictly, for the rules on issuers, origins and redirect URIs.

Texts of errors continue a sentence that begins with the URL.
"""

import ipaddress
import re
from dataclasses import dataclass

LONGEST = 2048

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_PRINTABLE = re.compile(r"[\x21-\x7e]*")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", re.DOTALL)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Url:
    """An absolute URL with a host, taken apart and otherwise untouched.

    `host` keeps the brackets of an IPv6 address; `port` is None when it is not written.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    query: str | None
    fragment: str | None

    @property
    def is_loopback(self) -> bool:
        """Tell whether the host is this machine, in one of the three spellings that we accept."""
        return self.host in _LOOPBACK


def scheme_of(text: str) -> str:
    """Return the scheme of a URI as written. Raises ValueError when there is none."""
    scheme, colon, _ = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise ValueError("is not a URL; write it in full, for example https://example.com/path")
    return scheme


def require_plain(text: str) -> None:
    """Raise ValueError unless a URI is short, printable ASCII without spaces and backslashes."""
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    if not text.isascii():
        raise ValueError("contains characters outside ASCII; write them percent-encoded")
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("contains a space or a control character")
    if "\\" in text:
        raise ValueError("contains a backslash")


def parse_url(text: str) -> Url:
    """Return the parts of an absolute URL with a host. Raises ValueError."""
    require_plain(text)
    scheme = scheme_of(text)
    rest = text[len(scheme) + 1 :]
    if not rest.startswith("//"):
        raise ValueError(f"has no host; write {scheme}://… with two slashes")
    rest, hash_sign, fragment = rest[2:].partition("#")
    rest, question_mark, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise ValueError("contains a user name before the host; remove everything up to the `@`")
    host, port = split_authority(authority)
    return Url(
        scheme=scheme,
        host=host,
        port=port,
        path=slash + path,
        query=query if question_mark else None,
        fragment=fragment if hash_sign else None,
    )


def split_authority(authority: str) -> tuple[str, int | None]:
    """Return host and port of `host`, `host:port` or `[::1]:port`. Raises ValueError."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None or (authority.count(":") > 1 and not authority.startswith("[")):
        raise ValueError("has an IPv6 address without brackets; write [::1]")
    host = found[1]
    if not is_host(host):
        raise ValueError("has no valid host name" if host else "has no host")
    return host, None if found[2] is None else parse_port(found[2])


def parse_port(text: str) -> int:
    """Return a port number, 0 to 65535. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError("has no valid port; a port is a number up to 65535")
    return int(text)


def is_host(host: str) -> bool:
    """Tell whether text is a host name, an IPv4 address or an IPv6 address in brackets."""
    if host.startswith("[") and host.endswith("]"):
        return _is_address(host[1:-1], ipaddress.IPv6Address)
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    # Browsers read a name whose last label is a number as an IPv4 address: 127.1, 0x7f000001.
    return not _NUMBER.fullmatch(labels[-1]) or _is_address(host, ipaddress.IPv4Address)


def _is_address(text: str, kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
