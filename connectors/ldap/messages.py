"""The only door to ldap3: requests become octets, octets become answers (RFC 4511).

Of ldap3 we use what knows the protocol: its reader of filters, its decoder and its table of
results. Its connections are not used. They verify no server name, look addresses up once in five
minutes, follow referrals with our password, decode whatever comes, and have no deadline for an
operation as a whole. Requests are short enough to be written here: building one from ldap3's ASN.1
objects costs as much as half an RSA signature.
"""

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from connectors.ldap.ber import OCTET_STRING, SEQUENCE, children, element, integer
from connectors.ldap.errors import Malformed
from connectors.ldap.filters import AllOf, AnyOf, Equals, Filter, Written
from connectors.ldap.operations import Entry, PasswordPolicy, Result, Search

with warnings.catch_warnings():
    # It uses names of pyasn1 that are going to be renamed.
    warnings.simplefilter("ignore", DeprecationWarning)
    from ldap3.core.exceptions import LDAPException
    from ldap3.core.results import RESULT_CODES
    from ldap3.operation.search import compile_filter, parse_filter
    from ldap3.utils.asn1 import decode_message_fast, encode

UNSOLICITED = 0
"""The message id of what a server sends without being asked (RFC 4511 section 4.4)."""

_BIND = 0x60
_UNBIND = 0x42
_SEARCH = 0x63
_EXTENDED = 0x77
_SIMPLE = 0x80
_REQUEST_NAME = 0x80
_CONTROLS = 0xA0
_AND, _OR, _EQUALITY = 0xA0, 0xA1, 0xA3
_FALSE = b"\x01\x01\x00"
_NEVER_DEREFERENCE = b"\x0a\x01\x00"
_ANSWER_SECONDS = 8

_START_TLS = b"1.3.6.1.4.1.1466.20037"
_PAGES = b"1.2.840.113556.1.4.319"
_POLICY = b"1.3.6.1.4.1.42.2.27.8.5.1"
_PASSWORD_EXPIRED = b"2.16.840.1.113730.3.4.4"

_WARNING, _POLICY_ERROR, _EXPIRES_IN, _GRACE = 0xA0, 0x81, 0x80, 0x81

_SCOPES = {"base": 0, "one": 1, "sub": 2}
_ENTRY, _REFERENCE = 4, 19

Ending = Literal[1, 5, 24]
BIND_ENDS: Ending = 1
SEARCH_ENDS: Ending = 5
EXTENDED_ENDS: Ending = 24
"""What an operation ends with: application tags of RFC 4511."""


class Reference:
    """Part of an answer to a search: something else would have to be asked, which we never do."""


def bind_request(message_id: int, dn: str, password: bytes) -> bytes:
    """Return a simple bind that asks for password policy besides (RFC 4511 section 4.2).

    Raises ValueError where name or password are empty: that would be a bind as nobody, which
    servers answer with success (RFC 4513 section 5.1).
    """
    if not dn or not password:
        raise ValueError("a bind has a name and a password")
    version = integer(3)
    content = version + element(OCTET_STRING, dn.encode()) + element(_SIMPLE, password)
    return _message(message_id, element(_BIND, content), _ASK_FOR_POLICY)


def search_request(message_id: int, search: Search, cookie: bytes = b"") -> bytes:
    """Return a search, for the page behind `cookie` (RFC 4511 section 4.5.1, RFC 2696)."""
    fixed_begin, fixed_end = _fixed_parts(
        search.base_dn, search.scope, search.most, search.attributes
    )
    content = fixed_begin + encoded(search.filter) + fixed_end
    controls = b""
    if search.page_size:
        page = element(SEQUENCE, integer(search.page_size) + element(OCTET_STRING, cookie))
        controls = _control(_PAGES, page)
    return _message(message_id, element(_SEARCH, content), controls)


def start_tls_request(message_id: int) -> bytes:
    """Return the request to go on in TLS (RFC 4511 section 4.14)."""
    return _message(message_id, element(_EXTENDED, element(_REQUEST_NAME, _START_TLS)))


def unbind_request(message_id: int) -> bytes:
    """Return the farewell, which has no answer (RFC 4511 section 4.3)."""
    return _message(message_id, element(_UNBIND, b""))


def encoded(asked: Filter) -> bytes:
    """Return a filter as it is sent (RFC 4511 section 4.5.1.7)."""
    match asked:
        case Equals(attribute, value):
            pair = element(OCTET_STRING, attribute.encode()) + element(OCTET_STRING, value)
            return element(_EQUALITY, pair)
        case AllOf(parts):
            return element(_AND, b"".join(map(encoded, parts)))
        case AnyOf(parts):
            return element(_OR, b"".join(map(encoded, parts)))
        case Written(text):
            return _compiled(text)


def decode(message: bytes, ending: Ending) -> tuple[int, Entry | Reference | Result]:
    """Return the id of a message that `ber.check` let through, and what it says.

    Raises Malformed for what is no part of an answer that ends with `ending`; whatever is
    unsolicited is a result.
    """
    with own_words():
        decoded = decode_message_fast(message)
        message_id, kind, payload = decoded["messageID"], decoded["protocolOp"], decoded["payload"]
        if message_id == UNSOLICITED or kind == ending:
            return message_id, _result(payload, decoded["controls"] or ())
        if kind == _ENTRY and ending == SEARCH_ENDS:
            return message_id, _entry(payload)
        if kind == _REFERENCE and ending == SEARCH_ENDS:
            return message_id, Reference()
    raise Malformed("it sent an answer to something that was not asked")


@contextmanager
def own_words() -> Iterator[None]:
    """Turn whatever ldap3 raises for what it cannot read into Malformed; its text is left out."""
    try:
        yield
    except (LDAPException, LookupError, TypeError, ValueError, AttributeError) as failure:
        raise Malformed(
            f"it sent a message that cannot be read ({type(failure).__name__})"
        ) from None


def _message(message_id: int, operation: bytes, controls: bytes = b"") -> bytes:
    envelope = element(_CONTROLS, controls) if controls else b""
    return element(SEQUENCE, integer(message_id) + operation + envelope)


def _control(oid: bytes, value: bytes) -> bytes:
    return element(SEQUENCE, element(OCTET_STRING, oid) + element(OCTET_STRING, value))


_ASK_FOR_POLICY = element(SEQUENCE, element(OCTET_STRING, _POLICY))


@functools.lru_cache(maxsize=256)
def _fixed_parts(
    base_dn: str, scope: str, most: int, attributes: tuple[str, ...]
) -> tuple[bytes, bytes]:
    """Return what stands before and behind the filter, which is the same for everybody."""
    before = (
        element(OCTET_STRING, base_dn.encode())
        + integer(_SCOPES[scope], 0x0A)
        + _NEVER_DEREFERENCE
        + integer(most)
        + integer(_ANSWER_SECONDS)
        + _FALSE
    )
    names = b"".join(element(OCTET_STRING, name.encode()) for name in attributes)
    return before, element(SEQUENCE, names)


@functools.lru_cache(maxsize=256)
def _compiled(text: str) -> bytes:
    with own_words():
        parsed = parse_filter(text, None, True, True, None, False)  # noqa: FBT003
        return bytes(encode(compile_filter(parsed.elements[0])))


def _entry(payload: Any) -> Entry:
    (_, _, _, dn), (_, _, _, attributes) = payload
    found: dict[str, tuple[bytes, ...]] = {}
    for _, _, _, ((_, _, _, name), (_, _, _, values)) in attributes:
        found[name.decode("ascii").lower()] = tuple(value for _, _, _, value in values)
    return Entry(dn=dn.decode("utf-8"), attributes=found)


def _result(payload: Any, controls: Any) -> Result:
    code, diagnostic = payload[0][3], payload[2][3].decode("utf-8", "replace")
    policy, cookie = PasswordPolicy(), b""
    for _, _, _, parts in controls:
        oid, value = parts[0][3], parts[-1][3] if len(parts) > 1 else b""
        if oid == _PAGES:
            cookie = _cookie(value)
        elif oid == _POLICY:
            policy = _policy(value)
        elif oid == _PASSWORD_EXPIRED:
            policy = PasswordPolicy(error=2 if code == 0 else 0)
    return Result(
        code=code,
        name=RESULT_CODES.get(code, "unknown"),
        diagnostic=_printable(diagnostic),
        policy=policy,
        cookie=cookie,
    )


def _cookie(value: bytes) -> bytes:
    ((_, content),) = children(value)
    (_, _), (_, cookie) = children(content)
    return cookie


def _policy(value: bytes) -> PasswordPolicy:
    """Read the response of draft-behera-ldap-password-policy-10 section 6.2."""
    if not value:
        return PasswordPolicy()
    ((_, content),) = children(value)
    parts = dict(children(content))
    warning = dict(children(parts.get(_WARNING, b"")))
    return PasswordPolicy(
        error=_number(parts.get(_POLICY_ERROR)),
        grace=_number(warning.get(_GRACE)),
        expires_in=_number(warning.get(_EXPIRES_IN)),
    )


def _number(content: bytes | None) -> int | None:
    return None if content is None else int.from_bytes(content[:8], "big")


def _printable(text: str) -> str:
    """Return a server's words fit for one line of a log; AD ends them with NUL."""
    return "".join(char if char.isprintable() else " " for char in text[:500]).strip()
