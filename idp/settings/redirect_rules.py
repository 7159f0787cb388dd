"""What may be registered as a redirect URI (RFC 6749 section 3.1.2, RFC 8252, RFC 9700 4.1).

How a requested URI is compared with the registered ones is decided elsewhere; this is only about
which ones a configuration may hold.
"""

from idp.settings.url_syntax import parse_url, require_plain, scheme_of

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
"""Shows the code on a page, for a person to copy; public clients only."""

_FORBIDDEN_SCHEMES = frozenset(
    {"javascript", "data", "vbscript", "file", "blob", "about", "view-source", "filesystem"}
)


def check_redirect_uri(text: str) -> str:
    """Return the URI unchanged.

    Raises ValueError, whose text continues a sentence that begins with the URI.
    """
    require_plain(text)
    if text == "/device/callback":
        raise ValueError("belongs to Dex's device flow, which kube-idp does not serve yet")
    if "*" in text:
        raise ValueError("contains a wildcard; list every URI in full, they are compared exactly")
    if "#" in text:
        raise ValueError("contains a fragment; end it before the `#`")
    scheme = scheme_of(text)
    if scheme.lower() in _FORBIDDEN_SCHEMES:
        raise ValueError(
            f"has the scheme {scheme.lower()}, which runs or reads things in a browser"
        )
    if scheme != scheme.lower():
        raise ValueError("has capitals in its scheme; write it in lower case")
    if scheme in {"https", "http"}:
        parse_url(text)
    elif "@" in text.partition("?")[0] and "//" in text:
        raise ValueError("contains a user name before the host; remove everything up to the `@`")
    return text


def doubt_about(text: str) -> str | None:
    """Return why a URI that may be registered is still unwise, or None."""
    scheme = scheme_of(text)
    if scheme == "http" and not parse_url(text).is_loopback:
        return "is http on another host: codes travel unprotected; use https"
    if scheme not in {"https", "http"} and "." not in scheme and text != OUT_OF_BAND:
        return (
            "has a scheme without a dot, which any other app may claim; use one of your own domain,"
            " such as com.example.app (RFC 8252 section 7.1)"
        )
    return None
