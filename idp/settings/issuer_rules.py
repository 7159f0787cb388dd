"""What an issuer may look like. Clients compare it byte for byte, so nothing is ever normalised.

OpenID Connect Discovery section 3, RFC 8414 section 2; kube-apiserver wants https.
"""

import re

from idp.settings.url_syntax import Url, parse_url

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")


def check_issuer(text: str) -> str:
    """Return the issuer unchanged.

    Raises ValueError, whose text continues a sentence that begins with the issuer.
    """
    url = parse_url(text)
    _check_scheme(url)
    if url.host != url.host.lower():
        raise ValueError(f"has capitals in its host; write `{url.host.lower()}`")
    if url.query is not None or url.fragment is not None:
        raise ValueError("contains a query or a fragment; end it before the `?` or `#`")
    if url.path.endswith("/"):
        raise ValueError("ends with a slash; remove it, clients compare the issuer byte for byte")
    for segment in url.path.split("/")[1:]:
        if not _SEGMENT.fullmatch(segment) or segment in {".", ".."}:
            raise ValueError(
                "has an odd path; use names of letters, digits and `-._~` between single slashes"
            )
    return text


def _check_scheme(url: Url) -> None:
    if url.scheme == "http" and not url.is_loopback:
        raise ValueError(
            "is http on a host other than localhost, 127.0.0.1 or [::1]: passwords and tokens"
            " would travel unprotected; use https"
        )
    if url.scheme not in {"https", "http"}:
        raise ValueError("must begin with https:// in lower case")
