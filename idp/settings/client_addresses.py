"""What may be registered as an address of a client, other than where codes are sent.

Texts of errors continue a sentence that begins with the address.
"""

from idp.settings.redirect_rules import OUT_OF_BAND, check_redirect_uri
from idp.settings.url_syntax import Url, parse_url


def check_https_url(text: str) -> str:
    """Return an address that the provider itself, or a browser with a login, is sent to."""
    url = parse_url(text)
    if url.scheme != "https":
        raise ValueError("must begin with https://")
    _check_no_fragment(url)
    return text


def check_page_url(text: str) -> str:
    """Return an address that a browser loads; on the person's own machine it may be http."""
    url = parse_url(text)
    if url.scheme != "https" and not (url.scheme == "http" and url.is_loopback):
        raise ValueError("must begin with https://")
    _check_no_fragment(url)
    return text


def check_logout_redirect_uri(text: str) -> str:
    """Return where a person may be sent back to after logging out (RP-Initiated Logout, 3.1)."""
    if text == OUT_OF_BAND:
        raise ValueError("is an address for codes; nobody can be sent there after logging out")
    return check_redirect_uri(text)


def check_request_uri(text: str) -> str:
    """Return where a request object may be fetched; its fragment tells versions apart.

    OIDC Core section 6.2: the fragment is the hash of what is there.
    """
    if parse_url(text).scheme != "https":
        raise ValueError("must begin with https://")
    return text


def same_origin(one: str, other: str) -> bool:
    """Return whether two addresses have scheme, host and port in common, as written."""
    first, second = _origin(one), _origin(other)
    return first is not None and first == second


def _origin(text: str) -> tuple[str, str, int | None] | None:
    try:
        url = parse_url(text)
    except ValueError:
        return None
    default = {"https": 443, "http": 80}.get(url.scheme)
    return url.scheme, url.host.lower(), default if url.port is None else url.port


def _check_no_fragment(url: Url) -> None:
    if url.fragment is not None:
        raise ValueError("contains a fragment; end it before the `#`")
