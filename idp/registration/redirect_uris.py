"""Which redirect URIs an application may register for itself, by its type (OIDC Registration 2).

Each was found fit to be registered at all; the type decides which kinds go together.
"""

from idp.oauth.redirects import OUT_OF_BAND
from idp.oauth.response_types import carries_tokens
from idp.registration.reader import MetadataReader
from idp.settings.redirect_rules import doubt_about
from idp.settings.url_syntax import parse_url, scheme_of

_WEB = ("https", "http")


def check_redirect_uris(reader: MetadataReader) -> None:
    """Note what keeps the addresses from being registered: those for codes, and after logout."""
    native = reader.get("application_type") == "native"
    implicit = any(map(carries_tokens, reader.get("response_types", ())))
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        tokens = implicit and name == "redirect_uris"
        for place, uri in enumerate(reader.get(name, ())):
            if problem := _problem(uri, native=native, tokens=tokens):
                reader.refuse_entry(name, place, problem)
    if reader.get("response_types") and not reader.get("redirect_uris"):
        reader.refuse("redirect_uris", "must name where people are sent back to (RFC 7591, 2)")


def _problem(uri: str, *, native: bool, tokens: bool) -> str | None:
    """Return why an address may not be registered, None if it may; `tokens` may be sent there."""
    if uri == OUT_OF_BAND:
        return "is for clients that an operator wrote into the configuration"
    if doubt := doubt_about(uri):
        return doubt
    scheme = scheme_of(uri)
    if native:
        claimed = scheme == "https" and parse_url(uri).is_loopback
        return "is https on the person's own machine; use http there" if claimed else None
    if scheme not in _WEB:
        return "has a scheme of its own, which needs application_type native"
    if tokens and (scheme == "http" or parse_url(uri).host == "localhost"):
        return (
            "is no address for tokens, which web applications get by https only, and not on"
            " localhost"
        )
    return None
