"""The hostile URIs, made from what is registered."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.vectors.redirects import EVIL, EXACT, OUT_OF_BAND, Case

_ENDINGS = (
    "/", "//", "/.", "/..", "/./", "/../", "/x", "x", ".", ",", ";", ";x=1", "&", "*", "/*", "|",
    " ", "  ", "\t", "\n", "\r", "\r\n", "\0", "\x0b", "\x7f", "\x85", "\u00a0", "\u200b",
    "\u2028", "\ufeff", "%00", "%09", "%0a", "%0d%0a", "%20", "%", "%%", "%2f", "%5c", "\\", "/\\",
    '"', "'", "<", ">", "`", "^", "{}", "\r\nLocation: https://evil.example/",
)  # fmt: skip
_QUERIES = (
    "?", "?x", "?x=1", "?code=stolen", "?state=x", "?&", "??", "?#", "#", "#x", "#?", "#/../",
    "%3f", "%23", "&x=1", "?redirect_uri=https://evil.example/", "#https://evil.example/",
)  # fmt: skip
_BEGINNINGS = (" ", "\t", "\n", "\r\n", "\0", "\ufeff", "%20", "/", "//", "\\\\", "<", '"', "url:")
_BAD_PORTS = (
    "", "0", "00", "08000", "8000x", "x", "+8000", "-1", " 8000", "8000 ", "8000\t", "65536",
    "99999", "100000", "99999999999999999999", "8e3", "0x1f40", "8_000", "8,000", "8.0", "%38000",
    "８０００", "٨٠٠٠", "८०००", "8000:8000", "8000@evil.example", "8000\\@evil.example",
    "8000#@evil.example", "8000%40evil.example", "8000.evil.example", "*", "8000;", "²",
)  # fmt: skip
_LOOPBACK_HOSTS = (
    "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.nip.io", "localhost.localdomain",
    "localhost.", "127.0.0.1.", "LOCALHOST", "Localhost", "evil.example", "localtest.me",
    "evil-localhost", "localhost-evil", "127.0.0.2", "127.0.1.1", "127.1", "127.0.1", "127.0.0.1.1",
    "0x7f.1", "0x7f.0.0.1", "0x7f000001", "0X7F000001", "2130706433", "017700000001", "0177.0.0.1",
    "0177.0.0.01", "127.0.0.01", "127.000.000.001", "0127.0.0.1", "0.0.0.0", "0", "127.0.0.256",
    "::1", "[::]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::01]", "[::1", "::1]", "[::1%25lo]",
    "[::1%lo]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[fe80::1]", "[[::1]]",
    "[localhost]", "[127.0.0.1]", "ip6-localhost", "lo", "127.0.0.1%00", "127.0.0.1%2eevil.example",
    "localhost%2eevil.example", "localhost%00.evil.example", "local\thost", "local\nhost",
    "127.0.0.1\t", " localhost", "localhost ", "１２７.0.0.1", "127。0。0。1", "127．0．0．1",
    "ｌｏｃａｌｈｏｓｔ",
    "ⓛocalhost", "locaⅼhost", "loс\u0430lhost", "lo\u00adcalhost", "loc\u200dalhost",
    "localho\u017ft", "xn--lcalhost-8cb", "127.0.0.1\\.evil.example", "localhost\\evil.example",
    "evil.example\\127.0.0.1", "*", "127.0.0.*", "127.0.0.1,evil.example", "localhost;evil.example",
    "a@localhost", "a:b@127.0.0.1", "@127.0.0.1", "a@b@127.0.0.1", "127.0.0.1@evil.example",
    "localhost:x@evil.example", "localhost@localhost@evil.example", "127.0.0.1%40evil.example", "",
)  # fmt: skip
_OTHER_PATHS = (
    "/DONE", "/done/", "//done", "/done?x=1", "/done%20", "/./done", "/x", "/x/../done", "/%64one",
    "/done;x", "/..;/done", "?", "?x=1",
)  # fmt: skip
_SCHEMES = (
    "HTTP", "Http", "https", "httpx", "ht tp", "http ", "ws", "ftp", "file", "javascript", "data",
    "view-source:http", "blob:http", "jar:http", "http+unix", "http\u0000", "ｈttp", "urn", "app",
)  # fmt: skip
_NO_URL = (
    "javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)",
    "javascript://127.0.0.1/%0aalert(1)", "javascript:http://localhost/", "vbscript:msgbox(1)",
    "data:text/html,<script>alert(1)</script>", "data:text/html;base64,PHNjcmlwdD4=",
    "data:,http://localhost/", "file:///etc/passwd", "file://localhost/etc/passwd", "about:blank",
    "blob:https://app.example.com/1", "mailto:a@evil.example", "//evil.example/", "/callback",
    "callback", ".", "*", "null", "undefined", "None", "http:", "http:/", "http://", "http:///",
    "http:///127.0.0.1", "http:127.0.0.1", "http:/127.0.0.1:8000/done", "http:////127.0.0.1/done",
    "http:\\\\127.0.0.1\\done", "http:/\\127.0.0.1/done", "///127.0.0.1/done", "127.0.0.1:8000",
    "localhost:8000", "urn:ietf:wg:oauth:2.0:oob:auto", "URN:ietf:wg:oauth:2.0:oob",
    "urn:ietf:wg:oauth:2.0:OOB", "urn:ietf:wg:oauth:2.0:oob/", "urn:ietf:wg:oauth:2.0:oob ",
)  # fmt: skip
_LOOKALIKES = (
    ("a", "\u0430"), ("p", "\u0440"), ("e", "\u0435"), ("c", "\u0441"), ("x", "\u0445"),
    ("l", "\u217c"), ("m", "\uff4d"), (".", "\u3002"), (".", "\uff0e"), (".", "\uff61"),
    ("/", "\u2215"), ("/", "\uff0f"), (":", "\uff1a"), ("s", "\u017f"), ("k", "\u212a"),
    ("app", "xn--pp-7lc"), ("p", "p\u0301"), ("p", "p\u00ad"), ("p", "p\u200c"), ("p", "\u24df"),
)  # fmt: skip


def hostile_to_exact(registered: str = EXACT) -> Iterator[Case]:
    """Yield what no client that registered this one URI may be sent to, public or not.

    Other ports of a loopback URI are not among them: they are for public clients to use.
    """
    parts = urlsplit(registered)
    after_host = registered.partition(parts.netloc)[2]
    start = f"{parts.scheme}://"
    yield from _around(registered)
    yield from _other_hosts(start, parts.hostname or "", after_host)
    yield from (("lookalike", registered.replace(*pair, 1)) for pair in _LOOKALIKES
                if pair[0] in registered)  # fmt: skip
    yield from _other_spellings(registered, parts.netloc)
    yield from (("no URL", text) for text in _NO_URL)
    yield "out of band", OUT_OF_BAND


def _around(registered: str) -> Iterator[Case]:
    yield from (("ending", registered + ending) for ending in _ENDINGS)
    yield from (("query or fragment", registered + query) for query in _QUERIES)
    yield from (("beginning", beginning + registered) for beginning in _BEGINNINGS)
    yield from (("truncated", registered[:length]) for length in range(8, len(registered)))
    yield from (("doubled", registered + between + registered) for between in ("", " ", ",", "\n"))
    yield "too long", registered + "a" * 3000
    yield "case", registered.upper()
    yield "case", registered.title()
    yield "case", registered.swapcase()


def _other_hosts(start: str, host: str, after_host: str) -> Iterator[Case]:
    for other in (
        f"{host}.{EVIL}", f"{EVIL}.{host}", f"evil{host}", f"evil-{host}", f"{host}.", f".{host}",
        host.upper(), host.partition(".")[2], host.replace(".", "-"), host.replace(".", ""), EVIL,
        f"*.{host}", f"{host}%00.{EVIL}", f"{host}%2e{EVIL}", f"{host}\t.{EVIL}", f"[{host}]",
    ):  # fmt: skip
        yield "other host", start + other + after_host
    for sign in ("@", "%40", "\\@", "#@", "?@", "/@", ":@", ":443@", ":x@", "\uff20", "@@"):
        yield "userinfo", f"{start}{host}{sign}{EVIL}{after_host}"
        yield "userinfo", f"{start}{EVIL}{sign}{host}{after_host}"
    yield "userinfo", f"{start}a@b@c@{host}{after_host}"
    yield "backslash", f"{start}{host}\\{EVIL}{after_host}"
    yield "backslash", f"{start}{EVIL}\\{host}{after_host}"
    yield "backslash", f"{start}{EVIL}\\.{host}{after_host}"
    yield from (("port", f"{start}{host}:{port}{after_host}") for port in _BAD_PORTS)


def _other_spellings(registered: str, netloc: str) -> Iterator[Case]:
    scheme, _, rest = registered.partition("://")
    path = rest.removeprefix(netloc)
    for other in (*_SCHEMES, "http" if scheme == "https" else "https"):
        if other != scheme:
            yield "scheme", f"{other}://{rest}"
    yield from (
        ("scheme", f"{scheme}{sign}{rest}") for sign in (":", ":/", ":///", ":\\\\", ":/\\")
    )
    for detour in (
        "/./", "/x/../", "/%2e/", "/x/%2e%2e/", "/x/..;/", "/;/", "/..;/", "/.;/", "/x/..%2f",
        "/x%2f..%2f", "/x/..%5c", "/x/..\\", "//", "/%2f", "/\\", "\\", "/%00/", "/%20/", "/../",
    ):  # fmt: skip
        yield "path", f"{scheme}://{netloc}{detour}{path.removeprefix('/')}"
    for position, character in enumerate(rest):
        encoded = f"%{ord(character):02x}"
        yield "percent", f"{scheme}://{rest[:position]}{encoded}{rest[position + 1 :]}"
    yield "percent", f"{scheme}%3a//{rest}"
    yield "percent", f"{scheme}:%2f%2f{rest}"


def hostile_to_loopback() -> Iterator[Case]:
    """Yield what no public client may use, whether it registered `LOOPBACK` or nothing at all."""
    yield from (("host", f"http://{host}:8000/done") for host in _LOOPBACK_HOSTS)
    yield from (("host", f"http://{host}/") for host in _LOOPBACK_HOSTS)
    for host in ("127.0.0.1", "[::1]", "localhost"):
        yield from (("port", f"http://{host}:{port}/done") for port in _BAD_PORTS)
        yield from (("port", f"http://{host}:{port}") for port in _BAD_PORTS)
        yield from (("scheme", f"{scheme}://{host}:8000/done") for scheme in _SCHEMES)
        yield from (("backslash", f"http://{host}{rest}") for rest in ("\\", "\\done", "/\\evil"))
        for bad in (" ", "\t", "\n", "\r\n", "\0", '"', "<", ">", "\\", "^", "`", "{", "|", "é",
                    "\u2028", "#", "#x", "[", "]"):  # fmt: skip
            yield "path", f"http://{host}:8000/done{bad}"
        yield "too long", f"http://{host}:8000/" + "a" * 3000
    yield from (("no URL", text) for text in _NO_URL)


def hostile_to_registered_loopback() -> Iterator[Case]:
    """Yield what a public client with `LOOPBACK` may not use, though it is on loopback."""
    yield from hostile_to_loopback()
    yield "out of band", OUT_OF_BAND
    for host, path in (("127.0.0.1", "/done"), ("[::1]", "/done"), ("localhost", "/")):
        for port in ("", ":8000", ":9000"):
            start = f"http://{host}{port}"
            yield from (("other path", start + other) for other in _OTHER_PATHS)
        yield (
            "hosts are not interchangeable",
            f"http://{host}:8000" + ("/done" if path == "/" else ""),
        )
