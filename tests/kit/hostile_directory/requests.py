"""What a client sent, as it is written down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.kit.hostile_directory import ber
from tests.kit.hostile_directory.ber import Element, NotBer
from tests.kit.hostile_directory.filters import filter_text

START_TLS = "1.3.6.1.4.1.1466.20037"
PAGED_RESULTS = "1.2.840.113556.1.4.319"
PASSWORD_POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"

_SCOPES = ("base", "one", "sub", "children")


@dataclass(frozen=True, slots=True)
class Control:
    """A control of a request or an answer (RFC 4511, 4.1.11)."""

    oid: str
    value: bytes | None = None
    is_critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Anything that a client asks. Connections are counted from one.

    `bound_as` is the name of the last bind that succeeded on the connection, "" for nobody's.
    """

    connection: int
    message_id: int
    over_tls: bool
    bound_as: str
    controls: Sequence[Control] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind(Request):
    """A name and the password's bytes; `mechanism` is "simple", or the name of a SASL one."""

    dn: str
    password: bytes
    mechanism: str = "simple"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which page of results is wanted; the first has an empty cookie (RFC 2696)."""

    size: int
    cookie: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Search(Request):
    """A search; `filter` is text as of RFC 4515."""

    base: str
    scope: str
    filter: str
    attributes: Sequence[str]
    size_limit: int
    page: Page | None = None
    asked: Element = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended(Request):
    """An extended operation, StartTLS among them."""

    oid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon(Request):
    """The client no longer wants an answer."""

    abandoned_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbind(Request):
    """The client is about to hang up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Request):
    """A request that nobody expects of a client that only reads, by its tag."""

    tag: int


def read_request(raw: bytes, *, connection: int, over_tls: bool, bound_as: str) -> Request:
    """Read one whole message; raises `NotBer` if it is none of LDAP."""
    message = ber.read(raw)
    if message.tag != ber.SEQUENCE or not 2 <= len(message.children) <= 3:
        raise NotBer("no LDAPMessage")
    number, asked, *rest = message.children
    controls = _controls(rest[0]) if rest else []
    about = Request(
        connection=connection,
        message_id=number.number,
        over_tls=over_tls,
        bound_as=bound_as,
        controls=controls,
    )
    try:
        return _request(asked, about)
    except (ValueError, IndexError) as error:
        raise NotBer(f"request {asked.tag:#x} is not made as it should be") from error


def _request(asked: Element, about: Request) -> Request:
    base = {name: getattr(about, name) for name in Request.__dataclass_fields__}
    if asked.tag == 0x60:
        _, name, secret = asked.children
        if secret.tag == 0x80:
            return Bind(**base, dn=name.text, password=secret.content)
        mechanism, *credentials = secret.children
        password = credentials[0].content if credentials else b""
        return Bind(**base, dn=name.text, password=password, mechanism=mechanism.text)
    if asked.tag == 0x63:
        return _search(asked, about, base)
    if asked.tag == 0x77:
        return Extended(**base, oid=asked.children[0].text)
    if asked.tag == 0x50:
        return Abandon(**base, abandoned_id=asked.number)
    return Unbind(**base) if asked.tag == 0x42 else Other(**base, tag=asked.tag)


def _search(asked: Element, about: Request, base: dict[str, Any]) -> Search:
    name, scope, _, size_limit, _, _, wanted, attributes = asked.children
    pages = [control for control in about.controls if control.oid == PAGED_RESULTS]
    page = None
    if pages:
        size, cookie = ber.read(pages[0].value or b"").children
        page = Page(size=size.number, cookie=cookie.content)
    return Search(
        **base,
        base=name.text,
        scope=_SCOPES[scope.number],
        filter=filter_text(wanted),
        attributes=[attribute.text for attribute in attributes.children],
        size_limit=size_limit.number,
        page=page,
        asked=wanted,
    )


def _controls(found: Element) -> Sequence[Control]:
    controls = []
    for control in found.children:
        oid, *rest = control.children
        by_tag = {part.tag: part for part in rest}
        value = by_tag[ber.OCTETS].content if ber.OCTETS in by_tag else None
        is_critical = by_tag.get(ber.BOOLEAN, Element(0, b"\0")).content != b"\0"
        controls.append(Control(oid.text, value, is_critical=is_critical))
    return controls
